package tui

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/mattn/go-runewidth"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// fakeSteer is a running Get whose progress a test sets.
type fakeSteer struct {
	paused bool
	most   int
	rate   int64
	files  []app.FileProgress
	parts  []app.PartState
	conns  []app.ConnProgress
}

func (f *fakeSteer) Pause()                            { f.paused = true }
func (f *fakeSteer) Resume()                           { f.paused = false }
func (f *fakeSteer) Paused() bool                      { return f.paused }
func (f *fakeSteer) SetConnections(n int)              { f.most = n }
func (f *fakeSteer) SetRate(n int64)                   { f.rate = n }
func (f *fakeSteer) Files() []app.FileProgress         { return f.files }
func (f *fakeSteer) Connections() []app.ConnProgress   { return f.conns }
func (f *fakeSteer) Parts(string, int) []app.PartState { return f.parts }

var llama = app.RepoID{Owner: "TheBloke", Name: "Llama-2-70B-chat-GPTQ"}

const (
	branch70 = "gptq-4bit-128g-actorder_True"
	shard    = "model-0000%d-of-00004.safetensors"
)

// partsOf makes parts from letters, each for n parts: # on disk, ~ in flight,
// . missing, ! again.
func partsOf(letters string, n int) (out []app.PartState) {
	for _, c := range letters {
		s := map[rune]app.PartState{'#': app.PartHeld, '~': app.PartInFlight, '.': app.PartMissing, '!': app.PartRedo}[c]
		out = append(out, slices.Repeat([]app.PartState{s}, n)...)
	}
	return out
}

// running is a large branch on its way for n seconds, at the screen, and how it
// is steered.
func running(t *testing.T, n int) (*model, *transfer, *fakeSteer) {
	t.Helper()
	m := bench(t, &fake{})
	m.transfers.add(m, app.Ref{Repo: llama, Revision: branch70})
	m.transfers.add(m, app.Ref{Repo: llama, Revision: "main"})
	m.transfers.cursor, m.transfers.free = 0, 212_000_000_000
	m.show(onTransfers)
	tr := m.transfers.list[0]
	const gb = 1_000_000_000
	file := func(i int, size, held float64, state app.FileState, conns int) app.FileProgress {
		return app.FileProgress{Path: fmt.Sprintf(shard, i), Size: int64(size * gb), Held: int64(held * gb), Hashed: int64(held * gb * .61), State: state, Connections: conns}
	}
	steer := &fakeSteer{
		files: []app.FileProgress{
			{Path: "config.json", Size: 609, Held: 609, Hashed: 609, State: app.FileVerified},
			{Path: "quantize_config.json", Size: 184, Held: 184, Hashed: 184, State: app.FileVerified},
			{Path: "tokenizer.json", Size: 500_000, Held: 500_000, Hashed: 500_000, State: app.FileReused},
			{Path: "tokenizer.model", Size: 499_723, Held: 499_723, Hashed: 499_723, State: app.FileVerified},
			file(1, 9.97, 9.97, app.FileChecking, 0),
			file(2, 9.90, 4.16, app.FileFetching, 5),
			file(3, 9.90, .2, app.FileFetching, 3),
			file(4, 6.88, 0, app.FileQueued, 0),
		},
		parts: partsOf("################~~##~.~~..~....##......!.............................", 20),
	}
	tr.steer = steer
	tr.stats.Total.Store(36_650_000_000)
	tr.stats.Kept.Store(4 * gb)
	tr.stats.Retries.Store(3)
	ticks(m, n, func(i int) {
		var sum int64
		steer.conns = nil
		for c := range 8 {
			perSecond := int64(9_400_000 + 300_000*c)
			conn := app.ConnProgress{Number: c + 1, Path: fmt.Sprintf(shard, 2+c/5), Received: int64(i) * perSecond}
			if c == 4 {
				conn.Retries, conn.Err = 2, errors.New("503")
			}
			steer.conns = append(steer.conns, conn)
			sum += int64(float64(conn.Received) * (1 + .2*math.Sin(float64(i))))
		}
		tr.stats.Received.Store(sum)
		tr.stats.Done.Store(13*gb + sum)
	})
	return m, tr, steer
}

// transferStates are the states of the screen beyond those that transferEnds
// makes.
func transferStates(t *testing.T) (out []state) {
	t.Helper()
	add := func(name string, m *model) { out = append(out, state{"transfers-" + name, m}) }
	m := bench(t, &fake{})
	m.show(onTransfers)
	add("empty", m)

	m, _, _ = running(t, 20)
	add("running", m)

	m, _, _ = running(t, 20)
	hit(m, "space")
	add("paused", m)

	m, _, _ = running(t, 6)
	for i := range 12 {
		m.Update(tickMsg(t0.Add(time.Duration(6+i) * time.Second)))
	}
	add("stalled", m)

	m, tr, _ := running(t, 6)
	tr.out.put(app.Event{Wait: &app.Wait{Host: "huggingface.co", For: 192 * time.Second, Reason: "too many requests (429)"}})
	for i := range 3 {
		m.Update(tickMsg(t0.Add(time.Duration(6+i) * time.Second)))
	}
	add("waiting", m)

	m, tr, _ = running(t, 6)
	tr.out.put(app.Event{Fetch: &app.FetchEvent{Kind: app.EventSpace, Path: "x", Err: errors.New("not enough space on the disk: 1.00 GB needed, 12.0 MB free")}})
	m.Update(tickMsg(t0.Add(6 * time.Second)))
	add("full", m)

	m, tr, steer := running(t, 6)
	steer.files[5].State, steer.files[6].Connections = app.FileRepairing, 0
	steer.parts = partsOf("####!#######!###", 40)
	tr.out.put(app.Event{Fetch: &app.FetchEvent{Kind: app.EventMismatch, Path: steer.files[5].Path, Err: errPlain}})
	m.Update(tickMsg(t0.Add(6 * time.Second)))
	add("repairing", m)

	m, tr, steer = running(t, 6)
	steer.files[7].State = app.FileWaiting
	tr.out.put(app.Event{Fetch: &app.FetchEvent{Kind: app.EventWait, Path: steer.files[7].Path}})
	hit(m, "enter")
	m.Update(tickMsg(t0.Add(6 * time.Second)))
	add("log", m)

	m, _, _ = running(t, 6)
	hit(m, "b")
	write(m, "20M")
	add("limit", m)

	m = bench(t, &fake{pending: leftBehind(0)})
	settle(m, m.Init())
	add("offer", m)

	m = bench(t, &fake{pending: leftBehind(0)})
	settle(m, m.Init())
	tap(m, "ctrl+t")
	add("unfinished", m)

	m = bench(t, &fake{pending: leftBehind(4123)})
	settle(m, m.Init())
	tap(m, "ctrl+t")
	add("elsewhere", m)
	return out
}

// leftBehind is a store with an unfinished fetch that a process is at, 0 = none.
func leftBehind(pid int) *app.PendingReport {
	return &app.PendingReport{Free: 212_000_000_000, Fetches: []app.Pending{{
		Ref: app.Ref{Repo: llama, Revision: branch70}, Commit: commitA, Bytes: 19_870_000_793, Held: 11_000_000_793, PID: pid,
		Files: []app.PendingFile{
			{Path: "config.json", Size: 609, Held: 609, Done: true}, {Path: "quantize_config.json", Size: 184, Held: 184, Done: true},
			{Path: fmt.Sprintf(shard, 1), Size: 9_970_000_000, Held: 9_970_000_000, Done: true},
			{Path: fmt.Sprintf(shard, 2), Size: 9_900_000_000, Held: 1_030_000_000},
		},
	}}}
}

// Space pauses what runs and lets it go on; what was measured before counts no more.
func TestTransferPause(t *testing.T) {
	m, tr, steer := running(t, 6)
	hit(m, "space")
	if !steer.paused || !tr.paused {
		t.Error("space did not pause")
	}
	wants(t, m, "◐ paused", "paused; space goes on", "space go on")
	for i := range 20 {
		m.Update(tickMsg(t0.Add(time.Duration(6+i) * time.Second)))
	}
	lacks(t, m, "no bytes for")
	hit(m, "space")
	if steer.paused || tr.meter != (meter{}) {
		t.Errorf("space did not go on: %+v", tr.meter)
	}
	lacks(t, m, "paused")
}

// The limit and the connections change what runs and what starts later, and the
// command line says so.
func TestTransferLimits(t *testing.T) {
	var got app.GetOptions
	m, tr, steer := running(t, 2)
	hit(m, "-", "-", "+")
	if steer.most != app.DefaultConnections-1 || m.transfers.most != steer.most {
		t.Errorf("%d connections, want one less than %d", steer.most, app.DefaultConnections)
	}
	for range 100 {
		hit(m, "-")
	}
	if steer.most != 1 {
		t.Errorf("%d connections, want 1 at least", steer.most)
	}
	hit(m, "b")
	write(m, "jq") // letters, not keys
	hit(m, "enter")
	wants(t, m, `"jq" is not a rate`, "examples: 500k, 10M")
	hit(m, "backspace", "backspace")
	write(m, "20M")
	hit(m, "enter")
	if steer.rate != 20_000_000 || m.transfers.asking {
		t.Errorf("limit %d", steer.rate)
	}
	wants(t, m, "limit 20.0 MB/s", "at most 1")
	if got, want := m.transfers.command(m), "qbranch get TheBloke/Llama-2-70B-chat-GPTQ:"+branch70+" -j 1 --limit-rate 20M"; got != want {
		t.Errorf("the command is %q, want %q", got, want)
	}
	m.back = &fake{get: func(_ context.Context, _ app.Ref, o app.GetOptions) (*app.GetResult, error) {
		got = o
		return &app.GetResult{}, nil
	}}
	_, cmd := m.Update(transferMsg{ref: tr.ref, gen: tr.gen, result: &app.GetResult{}})
	settle(m, cmd)
	if got.Connections != 1 || got.Transfer == nil || got.Transfer.Rate() != 20_000_000 || !got.WaitSpace {
		t.Errorf("the next one got %+v", got)
	}
	hit(m, "b", "ctrl+u", "enter")
	if m.transfers.limit != 0 {
		t.Error("an empty limit did not lift it")
	}
	hit(m, "b", "esc")
	if m.transfers.asking || m.top() != onTransfers {
		t.Error("esc did not close the field alone")
	}
}

// J and K change the order in which the queue is worked through.
func TestTransferOrder(t *testing.T) {
	m, first, _ := running(t, 1)
	m.transfers.add(m, app.Ref{Repo: llama, Revision: "third"})
	hit(m, "K")
	wantOrder := func(want ...string) {
		t.Helper()
		var got []string
		for _, tr := range m.transfers.list {
			got = append(got, tr.branch())
		}
		if !slices.Equal(got, want) {
			t.Errorf("order %q, want %q", got, want)
		}
	}
	wantOrder(branch70, "third", "main")
	if m.transfers.selected().branch() != "third" {
		t.Error("the cursor did not go along")
	}
	hit(m, "K", "K") // and no further
	wantOrder("third", branch70, "main")
	hit(m, "J")
	wantOrder(branch70, "third", "main")
	m.Update(transferMsg{ref: first.ref, gen: first.gen, err: errPlain})
	if !m.transfers.list[1].is(transferRunning) {
		t.Error("the next of the new order did not start")
	}
}

// x stops what runs, and then clears it from the list.
func TestTransferClear(t *testing.T) {
	m, tr, _ := running(t, 1)
	hit(m, "x")
	if !tr.is(transferStopping) {
		t.Error("x did not stop")
	}
	m.Update(transferMsg{ref: tr.ref, gen: tr.gen, err: context.Canceled})
	wants(t, m, "stopped; enter resumes", "x clear", "enter resume")
	hit(m, "x")
	if m.transfers.find(tr.ref) != nil || len(m.transfers.list) != 1 {
		t.Error("x did not clear")
	}
	tap(m, "x", "x", "x") // the queued one that has begun, until nothing is left
	if len(m.transfers.list) > 1 {
		t.Errorf("%d transfers", len(m.transfers.list))
	}
}

// What an earlier session left is offered at the start and gone on with by enter,
// with the files that it was about.
func TestResumeFromStore(t *testing.T) {
	f := &fake{pending: leftBehind(0)}
	f.pending.Fetches[0].Filter.Include = []string{"*.safetensors"}
	f.pending.Fetches[0].Begun = t0
	var got app.GetOptions
	f.get = func(_ context.Context, ref app.Ref, o app.GetOptions) (*app.GetResult, error) {
		got = o
		return &app.GetResult{Plan: app.Plan{Bytes: 5}}, nil
	}
	m := bench(t, f)
	settle(m, m.Init())
	wants(t, m, "1 transfer can be resumed: alt+2 shows it")
	tap(m, "ctrl+t")
	wants(t, m, "◐ stopped", "55%", "11.00 of 19.87 GB", "◐ partly", "--include '*.safetensors'", "enter resumes; begun "+t0.Local().Format("2006-01-02 15:04"))
	tap(m, "enter")
	if !slices.Equal(got.Filter.Include, []string{"*.safetensors"}) || !m.transfers.list[0].is(transferDone) {
		t.Errorf("resumed with %+v", got)
	}
	f.pending = nil
	tap(m, "esc")
	lacks(t, m, "can be resumed")
	if len(m.transfers.list) != 1 {
		t.Error("it is listed twice")
	}
}

// What was left and has been removed meanwhile is not offered any more; the end of
// the program does not speak of what it had no part in.
func TestLeftBehindIsRemoved(t *testing.T) {
	f := &fake{pending: leftBehind(0)}
	m := bench(t, f)
	settle(m, m.Init())
	var said strings.Builder
	if farewell(&said, m); said.String() != "" {
		t.Errorf("said at the end: %q", said.String())
	}
	m.transfers.add(m, talesRef("main")) // ours, and not begun
	m.transfers.add(m, talesRef(group32))
	m.transfers.list[2].stop()
	f.pending = nil
	tap(m, "ctrl+t")
	if len(m.transfers.list) != 2 {
		t.Errorf("%d transfers, want the two that are ours", len(m.transfers.list))
	}
}

// What another process fetches is shown, follows the disk, and cannot be changed;
// when that process ends it is here, or can be gone on with.
func TestElsewhere(t *testing.T) {
	far := leftBehind(4123)
	far.Fetches[0].Ref = talesRef(group32)
	table := atTales(t, &fake{pending: far})
	settle(table, table.transfers.lookAtStore(table))
	hit(table, "j")
	wants(t, table, "↓55%", "enter watch")
	if tap(table, "enter"); table.top() != onTransfers || table.transfers.active() != 0 {
		t.Error("enter did not show it, or fetched it a second time")
	}
	start := func() (*fake, *model, *transfer) {
		f := &fake{pending: leftBehind(4123)}
		m := bench(t, f)
		settle(m, m.Init())
		lacks(t, m, "can be resumed")
		tap(m, "ctrl+t")
		return f, m, m.transfers.list[0]
	}
	f, m, tr := start()
	wants(t, m, "↓ pid 4123", "another qbranch (pid 4123) is writing this: read only here", "55%")
	for _, k := range []string{"enter", "space", "x"} {
		tap(m, k)
		if !tr.is(transferElsewhere) {
			t.Fatalf("%s changed it to %d", k, tr.state)
		}
		wants(t, m, "can only be watched here")
	}
	m.transfers.add(m, tr.ref)
	if !tr.is(transferElsewhere) || m.transfers.active() != 0 || !m.busy() {
		t.Error("fetching it here began a second fetch, or nobody watches")
	}
	tickAt := func(seconds int) {
		_, cmd := m.Update(tickMsg(t0.Add(time.Duration(seconds) * time.Second)))
		settle(m, cmd)
	}
	tickAt(0)
	f.pending.Fetches[0].Held += 4_000_000_000
	tickAt(1) // too soon to look
	if tr.done != 11_000_000_793 {
		t.Error("the store was looked at again within a second")
	}
	tickAt(4)
	if tr.done != 15_000_000_793 || math.Abs(tr.meter.perSecond-1e9) > 1e6 {
		t.Errorf("%d bytes, %.0f a second", tr.done, tr.meter.perSecond)
	}
	f.pending.Fetches[0].PID = 0
	tickAt(8)
	if !tr.is(transferStopped) || m.busy() {
		t.Errorf("its process has ended: state %d", tr.state)
	}

	f, m, tr = start()
	f.pending = nil
	f.items = []app.StoreItem{{Repo: llama.String(), Branch: branch70, Commit: commitA, State: app.LocalVerified}}
	tickAt(3)
	if !tr.is(transferDone) {
		t.Errorf("it is here: state %d", tr.state)
	}
	f, m, _ = start()
	f.pending = nil
	tickAt(3)
	if len(m.transfers.list) != 0 {
		t.Error("a fetch that was refused is still listed")
	}
	wants(t, m, "Nothing is being fetched")
}

// A connection that waits while others bring bytes is not the transfer waiting.
func TestWaitOfOneConnection(t *testing.T) {
	m, tr, _ := running(t, 6)
	tr.out.put(app.Event{Fetch: &app.FetchEvent{Kind: app.EventRetry, Wait: 20 * time.Second, Err: errors.New("503 of the storage")}})
	tr.stats.Received.Add(1)
	m.Update(tickMsg(t0.Add(6 * time.Second)))
	lacks(t, m, "waiting")
	for i := range 4 {
		m.Update(tickMsg(t0.Add(time.Duration(7+i) * time.Second)))
	}
	wants(t, m, "· waiting", "no answer, trying again in 16 s: 503 of the storage")
	m.Update(tickMsg(t0.Add(40 * time.Second)))
	wants(t, m, "no bytes for 34 s")
}

// Connections are shown by the lowest numbers that are free, and keep them.
func TestConnectionNumbers(t *testing.T) {
	var l closeLook
	numbers := func(conns ...int) (out []int) {
		var list []app.ConnProgress
		for _, n := range conns {
			list = append(list, app.ConnProgress{Number: n})
		}
		l.measure(list, t0)
		for _, c := range l.lines {
			out = append(out, c.Number)
		}
		return out
	}
	if got := numbers(4, 8, 9); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("got %v", got)
	}
	if got := numbers(8, 9); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("one has ended: got %v", got)
	}
	if got := numbers(2, 8, 9, 14); !slices.Equal(got, []int{1, 2, 3, 4}) || l.known[8].number != 2 || l.known[2].number != 1 {
		t.Errorf("two have begun: got %v", got)
	}
}

// What Get tells on its way is in the log.
func TestTransferNotes(t *testing.T) {
	m, tr, _ := running(t, 1)
	hit(m, "enter")
	for _, e := range []app.Event{
		{Moved: &app.Moved{From: commitA, To: commitB, Changed: []string{"x"}, Bytes: 4_200}},
		{CannotRun: "there is no tokenizer.json"},
		{Renamed: &app.Rename{From: llama, To: tales}},
		{Fetch: &app.FetchEvent{Kind: app.EventMismatch, Path: "x"}},
		{Fetch: &app.FetchEvent{Kind: app.EventSpace}},
	} {
		tr.out.put(e)
	}
	m.Update(tea.WindowSizeMsg{Width: 200, Height: 40})
	m.Update(tickMsg(t0.Add(time.Second)))
	wants(t, m, "from 4a1c9d2 to b0b1b2b: 1 file changed, 0 added, 0 removed (4.2 kB)", "generate will refuse it: there is no tokenizer.json",
		"is called qbranch/llama-tales-moe-2m-GPTQ now", "x came right the second time", "there is space again")
}

// A host that does not answer is named, until it does.
func TestSilentHost(t *testing.T) {
	m := atTales(t, &fake{})
	hit(m, "j", "enter")
	tr := m.transfers.list[0]
	ticks(m, 1, nil)
	tr.out.put(app.Event{Wait: &app.Wait{Host: "huggingface.co", Silent: 10 * time.Second, Reason: "timeout"}})
	ticks(m, 4, nil)
	wants(t, m, "· waiting", "no answer from huggingface.co for 13 s")
	tr.stats.Received.Store(1)
	tr.stats.Total.Store(2_340_000)
	ticks(m, 5, nil)
	lacks(t, m, "· waiting")
}

// A pause that has come to rest wakes nobody up.
func TestPauseRests(t *testing.T) {
	m, tr, _ := running(t, 3)
	hit(m, "j", "x", "k") // what is queued would begin
	tr.stats.Connections.Store(4)
	hit(m, "space")
	m.Update(tickMsg(t0.Add(3 * time.Second)))
	if !m.busy() {
		t.Error("nobody looks while connections are being closed")
	}
	tr.stats.Connections.Store(0)
	m.Update(tickMsg(t0.Add(4 * time.Second)))
	if m.busy() {
		t.Error("busy in a pause")
	}
	if hit(m, "space"); !m.busy() {
		t.Error("not busy after the pause")
	}
}

// What is paused does not keep the queue from going on; the limit is shared by
// those that run.
func TestPauseStartsTheNext(t *testing.T) {
	m, tr, steer := running(t, 3)
	m.transfers.limit = 1_000_000
	hit(m, "space")
	second := m.transfers.list[1]
	if !tr.is(transferRunning) || !steer.paused || !second.is(transferRunning) {
		t.Fatalf("paused: states %d and %d", tr.state, second.state)
	}
	m.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
	wants(t, m, "1 running · 1 paused", "◐ paused")
	if got := second.steer.(*app.Transfer).Rate(); got != 1_000_000 {
		t.Errorf("the one that runs may take %d bytes a second", got)
	}
	hit(m, "space")
	if got := second.steer.(*app.Transfer).Rate(); steer.paused || got != 500_000 || steer.rate != 500_000 {
		t.Errorf("both run: %d and %d bytes a second", steer.rate, got)
	}
}

// An error that another try cannot cure offers none.
func TestNoResumeOfTheImpossible(t *testing.T) {
	m, tr, _ := running(t, 3)
	refused := &app.FindingsError{Findings: []app.Finding{{Code: "PICKLE", Severity: "fatal", Message: "the weights are pickle files"}}}
	m.Update(transferMsg{ref: tr.ref, gen: tr.gen, err: refused})
	lacks(t, m, "enter resumes", "resume, keeping")
	wants(t, m, "enter asks whether to fetch it all the same")
	var out strings.Builder
	if farewell(&out, m); strings.Contains(out.String(), branch70) {
		t.Errorf("farewell offers to resume it: %s", out.String())
	}
	tr.force = true // it was refused all the same
	wants(t, m, "Trying again will not help")
}

// Of several that are queued at once the cursor is on the one that runs.
func TestAddAll(t *testing.T) {
	m := bench(t, &fake{})
	m.transfers.addAll(m, []app.Ref{{Repo: llama, Revision: branch70}, {Repo: llama, Revision: "main"}})
	if got := m.transfers.selected(); len(m.transfers.list) != 2 || !got.is(transferRunning) {
		t.Errorf("the cursor is on %v", got)
	}
}

// More connections are counted from those in use.
func TestConnectionsFromThoseInUse(t *testing.T) {
	m, tr, _ := running(t, 3)
	tr.conns = 2
	wants(t, m, "2 (automatic, up to 16)")
	hit(m, "-")
	wants(t, m, "at most 1")
}

// What a disk that is too small could be rid of is said at once.
func TestFindRoom(t *testing.T) {
	f := &fake{usage: &app.StoreUsage{Branches: []app.BranchUsage{
		{Repo: "a/b", Branch: "small", Unique: 1_000_000}, {Repo: "a/b", Branch: "pinned", Unique: 9_000_000_000, Pinned: true},
		{Repo: "a/b", Branch: "big", Unique: 7_000_000_000}, {Repo: "a/b", Branch: "shared"},
	}}}
	f.get = func(context.Context, app.Ref, app.GetOptions) (*app.GetResult, error) {
		return nil, fmt.Errorf("get: %w", &app.NoSpaceError{Dir: "/store", Need: 5_000_000_000, Free: 1_000_000_000})
	}
	m := atTales(t, f)
	tap(m, "j", "enter")
	wants(t, m, "✗ failed", "3 frees    7.00 GB  a/b:big", "1.00 MB  a/b:small")
	lacks(t, m, "a/b:pinned", "a/b:shared")
}

// Names and reasons of strangers do not reach the terminal as they are.
func TestHostileTransfer(t *testing.T) {
	m, tr, steer := running(t, 3)
	for i := range steer.files {
		steer.files[i].Path = nasty + steer.files[i].Path
	}
	for i := range steer.conns {
		steer.conns[i].Path = steer.files[5].Path
	}
	tr.ref.Revision, tr.filter.Include = nasty, []string{nasty}
	tr.out.put(app.Event{Wait: &app.Wait{Host: nasty, For: time.Hour, Reason: nasty}})
	for i := range 4 {
		m.Update(tickMsg(t0.Add(time.Duration(3+i) * time.Second)))
	}
	for _, size := range [][2]int{{60, 16}, {80, 24}, {200, 60}} {
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		for l := range strings.SplitSeq(m.View(), "\n") {
			if strings.ContainsFunc(l, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }) || runewidth.StringWidth(l) > size[0] {
				t.Errorf("%v: %q", size, l)
			}
		}
	}
}

// The map of parts keeps to its file while that is worked on.
func TestMapFollowsWork(t *testing.T) {
	m, tr, steer := running(t, 2)
	if want := fmt.Sprintf(shard, 2); tr.look.mapped != want {
		t.Errorf("mapped %s, want %s", tr.look.mapped, want)
	}
	steer.files[6].Connections = 9
	m.Update(tickMsg(t0.Add(2 * time.Second)))
	if want := fmt.Sprintf(shard, 2); tr.look.mapped != want {
		t.Errorf("it went to %s", tr.look.mapped)
	}
	steer.files[5].State, steer.files[5].Held, steer.files[5].Connections = app.FileVerified, steer.files[5].Size, 0
	m.Update(tickMsg(t0.Add(3 * time.Second)))
	if want := fmt.Sprintf(shard, 3); tr.look.mapped != want {
		t.Errorf("then %s, want %s", tr.look.mapped, want)
	}
}

func TestHistory(t *testing.T) {
	var h history
	for i := range 1001 { // ten samples a second, 100 bytes each
		h.sample(t0.Add(time.Duration(i)*100*time.Millisecond), int64(i)*100)
	}
	if len(h.seconds) != historyLength || h.seconds[59] != 1000 || h.peak != 1000 {
		t.Errorf("%d seconds, the last %v, peak %v", len(h.seconds), h.seconds[len(h.seconds)-1], h.peak)
	}
	h.sample(h.at.Add(5*time.Second), h.bytes+10_000)
	if h.peak != 2000 || h.seconds[55] != 2000 || h.seconds[54] != 1000 {
		t.Errorf("after a gap: %v", h.seconds[50:])
	}
	if got := sparkline([]float64{9, 9, 0, 1, 4, 8}, 4); got != "▁▂▅█" {
		t.Errorf("sparkline %s", got)
	}
	if got := sparkline([]float64{0, 0}, 4); got != "▁▁" {
		t.Errorf("sparkline of nothing %s", got)
	}
}

func TestRateArg(t *testing.T) {
	for _, n := range []int64{1, 1_500, 500_000, 20_000_000, 2 << 20} {
		if got, err := app.ParseRate(rateArg(n)); err != nil || got != n {
			t.Errorf("%d becomes %s becomes %d, %v", n, rateArg(n), got, err)
		}
	}
}

// What is left out as the window gets smaller: connections, the map, the files;
// the queue stays.
func TestTransfersDrop(t *testing.T) {
	m, _, _ := running(t, 6)
	parts := []string{"Branch", "File", "parts of", "connections ─"}
	for _, tc := range []struct{ w, h, shown int }{{200, 60, 4}, {120, 36, 4}, {80, 24, 4}, {70, 24, 3}, {80, 18, 2}, {60, 16, 2}} {
		m.Update(tea.WindowSizeMsg{Width: tc.w, Height: tc.h})
		view := m.View()
		for i, p := range parts {
			if strings.Contains(view, p) != (i < tc.shown) {
				t.Errorf("%dx%d: %q shown %v\n%s", tc.w, tc.h, p, i >= tc.shown, view)
			}
		}
	}
}

// What waited when the program ended is listed at the next start, until it is
// cleared; what has come since is not.
func TestQueueIsRemembered(t *testing.T) {
	m, _, _ := running(t, 3)
	queue := m.transfers.unfinished()
	if len(queue) != 2 || queue[1].Ref.Revision != "main" {
		t.Fatalf("remembered: %+v", queue)
	}
	f := &fake{queue: queue}
	m = bench(t, f)
	settle(m, m.Init())
	wants(t, m, "2 transfers can be resumed")
	settle(m, showTransfers(m))
	wants(t, m, "· was queued", "enter fetches it")
	hit(m, "x")
	if got := m.transfers.unfinished(); len(got) != 1 || got[0].Ref != queue[1].Ref {
		t.Errorf("after one was cleared: %+v", got)
	}
	hit(m, "enter")
	if got := m.transfers.list[0]; got.waited || !got.is(transferRunning) {
		t.Errorf("enter did not begin it: %+v", got)
	}
}
