package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// transferState says where a transfer stands.
type transferState int

const (
	transferQueued transferState = iota
	transferRunning
	transferStopping // asked to stop, not yet ended
	transferDone
	transferStopped // by the user; resumable
	transferFailed  // resumable too
)

// transfer is one branch being fetched. From done on, fields are what the last
// sample or the end said; View reads nothing else.
type transfer struct {
	ref    app.Ref
	state  transferState
	gen    int // of the attempt
	cancel context.CancelFunc
	stats  *app.Stats
	out    *outbox[app.Event]
	well   *atomic.Bool // set by the command when the attempt ended well

	planned     bool // total is the plan's; before, what the listing said
	done, total int64
	kept        int64
	retries     int64
	conns       int64
	meter       meter
	commit      string
	result      *app.GetResult
	err         error
	log         []logLine
}

// logLine is something that happened.
type logLine struct {
	role role
	text string
}

// again is how a line about a retry begins.
const again = "again in "

// active reports whether the transfer waits or runs.
func (t *transfer) active() bool {
	return t.state == transferQueued || t.state == transferRunning || t.state == transferStopping
}

// transfersScreen holds the session's transfers in the order they were asked
// for. One runs at a time; each uses several connections.
type transfersScreen struct {
	list   []*transfer
	cursor int
}

// transferMsg says that an attempt has ended.
type transferMsg struct {
	ref    app.Ref
	gen    int
	result *app.GetResult
	err    error
}

func (s *transfersScreen) find(ref app.Ref) *transfer {
	for _, t := range s.list {
		if t.ref == ref {
			return t
		}
	}
	return nil
}

// active counts the transfers that are not at an end.
func (s *transfersScreen) active() int {
	n := 0
	for _, t := range s.list {
		if t.active() {
			n++
		}
	}
	return n
}

// add queues a branch, again if it was stopped or failed, and puts the cursor
// on it.
func (s *transfersScreen) add(m *model, ref app.Ref) tea.Cmd {
	t := s.find(ref)
	if t == nil {
		t = &transfer{ref: ref}
		t.done, t.total = m.branches.held(ref)
		s.list = append(s.list, t)
	} else if !t.active() {
		t.state, t.err, t.result, t.log, t.meter = transferQueued, nil, nil, nil, meter{}
	}
	for i, other := range s.list {
		if other == t {
			s.cursor = i
		}
	}
	return s.next(m)
}

// next starts the first of the queue when nothing runs.
func (s *transfersScreen) next(m *model) tea.Cmd {
	for _, t := range s.list {
		if t.state == transferRunning || t.state == transferStopping {
			return nil
		}
	}
	for _, t := range s.list {
		if t.state == transferQueued {
			return t.start(m)
		}
	}
	return nil
}

func (t *transfer) start(m *model) tea.Cmd {
	ctx, cancel := context.WithCancel(m.work.ctx)
	t.cancel = cancel
	t.gen++
	t.planned = false
	t.state, t.stats, t.out, t.well = transferRunning, &app.Stats{}, &outbox[app.Event]{}, &atomic.Bool{}
	ref, gen, stats, out, well, back := t.ref, t.gen, t.stats, t.out, t.well, m.back
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		r, err := back.Get(ctx, ref, app.GetOptions{Stats: stats, Notify: out.put})
		well.Store(err == nil)
		return transferMsg{ref, gen, r, err}
	})
}

// sample reads the counters of what runs.
func (s *transfersScreen) sample(now time.Time) {
	for _, t := range s.list {
		if t.state == transferRunning || t.state == transferStopping {
			t.read()
			t.meter.sample(now, t.stats.Received.Load())
		}
	}
}

func (t *transfer) read() {
	if total := t.stats.Total.Load(); total > 0 {
		t.planned, t.done, t.total = true, t.stats.Done.Load(), total
	}
	t.kept, t.retries, t.conns = t.stats.Kept.Load(), t.stats.Retries.Load(), t.stats.Connections.Load()
	for _, e := range t.out.take() {
		t.note(e)
	}
	t.log = t.log[max(0, len(t.log)-logLimit):]
}

// logLimit is how many events of a transfer are kept; a bad line repeats itself.
const logLimit = 100

// note writes an event into the log.
func (t *transfer) note(e app.Event) {
	say := func(r role, format string, args ...any) {
		t.log = append(t.log, logLine{r, fmt.Sprintf(format, args...)})
	}
	switch {
	case e.Plan != nil:
		t.planned, t.total, t.commit = true, e.Plan.Bytes, string(e.Plan.Commit)
		say(dim, "plan: %s in %s, %s here already, %s free on disk",
			app.BytesText(e.Plan.Bytes), plural(len(e.Plan.Files), "file", "files"), app.BytesText(e.Plan.Held), app.BytesText(e.Plan.DiskFree))
	case e.Renamed != nil:
		say(warn, "%s is called %s now", e.Renamed.From, e.Renamed.To)
	case e.Wait != nil && e.Wait.For == 0:
		say(warn, "no answer from %s for %s, asking again: %s", e.Wait.Host, duration(e.Wait.Silent), e.Wait.Reason)
	case e.Wait != nil:
		say(warn, "waiting %s for %s: %s", duration(e.Wait.For), e.Wait.Host, e.Wait.Reason)
	case e.Judged != "":
		say(dim, "%s judged, before any weight moved", e.Judged)
	case e.Findings != nil:
		for _, f := range e.Findings {
			if toTell(f) {
				say(findingRole(f), "%s", findingText(f))
			}
		}
	case e.Fetch != nil:
		switch e.Fetch.Kind {
		case "retry":
			say(warn, again+"%s: %v", duration(e.Fetch.Wait), e.Fetch.Err)
		case "file":
			say(good, "✓ %s", e.Fetch.Path)
		case "reuse":
			say(good, "✓ %s was in the store already", e.Fetch.Path)
		case "adopt":
			say(good, "✓ %s, from %s", e.Fetch.Path, e.Fetch.From)
		case "seed":
			say(dim, "%s begins with what %s holds", e.Fetch.Path, e.Fetch.From)
		case "refused":
			say(warn, "%s is not %s; fetching it", e.Fetch.From, e.Fetch.Path)
		case "mismatch":
			say(bad, "✗ %s does not match its hash; fetching the bad parts again", e.Fetch.Path)
		}
	}
}

// ended takes the end of an attempt, and starts the next transfer.
func (s *transfersScreen) ended(m *model, msg transferMsg) tea.Cmd {
	t := s.find(msg.ref)
	if t == nil || t.gen != msg.gen || t.state != transferRunning && t.state != transferStopping {
		return nil
	}
	t.read()
	t.cancel()
	t.conns = 0
	t.result, t.err = msg.result, msg.err
	switch {
	case msg.err == nil:
		t.state, t.done = transferDone, t.total
		if msg.result != nil {
			t.total, t.commit = msg.result.Plan.Bytes, string(msg.result.Plan.Commit)
			t.done = t.total
		}
	case t.state == transferStopping || errors.Is(msg.err, context.Canceled):
		t.state, t.err = transferStopped, nil
	default:
		t.state = transferFailed
		// Nothing is tried again now, and the error tells the last reason.
		t.log = slices.DeleteFunc(t.log, func(l logLine) bool { return strings.HasPrefix(l.text, again) })
	}
	m.branches.patch(t)
	if m.top() != onTransfers {
		switch t.state {
		case transferDone:
			m.notice = remark{role: good, text: "✓ " + t.branch() + " is here and verified"}
		case transferFailed:
			m.notice = remark{bad, "✗ " + t.branch() + ": " + t.err.Error(), app.HintOf(t.err)}
		}
	}
	return s.next(m)
}

// stop ends a transfer or takes it out of the queue; what it has stays.
func (t *transfer) stop() {
	switch t.state {
	case transferRunning:
		t.state = transferStopping
		t.cancel()
	case transferQueued:
		t.state = transferStopped
	}
}

func showTransfers(m *model) tea.Cmd {
	m.show(onTransfers)
	return nil
}

func (s *transfersScreen) selected() *transfer {
	if s.cursor >= len(s.list) {
		return nil
	}
	return s.list[s.cursor]
}

func (s *transfersScreen) head(*model) (string, string) {
	count := map[transferState]int{}
	for _, t := range s.list {
		count[t.state]++
	}
	var parts []string
	for _, p := range []struct {
		state transferState
		word  string
	}{
		{transferRunning, "running"}, {transferStopping, "stopping"}, {transferQueued, "queued"},
		{transferDone, "done"}, {transferStopped, "stopped"}, {transferFailed, "failed"},
	} {
		if n := count[p.state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p.word))
		}
	}
	return "Transfers", strings.Join(parts, " · ")
}

func (s *transfersScreen) keys(*model) []binding {
	t := s.selected()
	is := func(states ...transferState) bool {
		for _, st := range states {
			if t != nil && t.state == st {
				return true
			}
		}
		return false
	}
	ref := func(*model) app.Ref { return s.selected().ref }
	stop := is(transferRunning, transferQueued)
	why := s.whyNot()
	return []binding{
		bind(moveKeys, "↑↓", "move", len(s.list) > 1, func(_ *model, pressed string) tea.Cmd {
			s.cursor = moved(s.cursor, pressed, len(s.list))
			return nil
		}),
		bind("enter", "enter", "resume, keeping what is on disk", is(transferStopped, transferFailed), simply(func(m *model) tea.Cmd { return s.add(m, t.ref) })).or(why),
		bind("g", "g", "generate, text from a prompt", is(transferDone), simply(func(m *model) tea.Cmd { return m.generate.open(m, t.ref) })).or(why),
		bind("v", "v", "verify, every byte against its hash", is(transferDone), simply(func(m *model) tea.Cmd { return m.verify.open(m, t.ref, false) })).or(why),
		bind("x ctrl+c", "x", "stop, what is on disk stays", stop, simply(func(m *model) tea.Cmd { t.stop(); return s.next(m) })).or(why),
		copyKey(t != nil, ref),
		bind("esc", "esc", "back, transfers go on", true, simply(goBack)),
		helpKey("?", "?"),
		bind("q ctrl+c", "q", "quit", true, askQuit),
	}
}

// whyNot says why keys do nothing for the transfer under the cursor.
func (s *transfersScreen) whyNot() string {
	t := s.selected()
	if t == nil {
		return ""
	}
	switch t.state {
	case transferQueued:
		return t.branch() + " waits for the transfers before it; x takes it out"
	case transferRunning:
		return t.branch() + " is being fetched; x stops it"
	case transferStopping:
		return t.branch() + " is being stopped"
	case transferDone:
		return t.branch() + " is here already: v verifies it, g generates with it"
	}
	return "only a part of " + t.branch() + " is here: enter fetches the rest"
}

// leave stops nothing: transfers go on behind every screen.
func (s *transfersScreen) leave(*model) tea.Cmd { return nil }

func (s *transfersScreen) status(*model) remark { return remark{} }
