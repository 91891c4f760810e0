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
	transferStopped   // by the user, or by the end of an earlier session; resumable
	transferFailed    // resumable too
	transferElsewhere // another process is at it: only to be watched
)

// steering is a running Get as this screen steers and samples it: *app.Transfer.
type steering interface {
	Pause()
	Resume()
	Paused() bool
	SetConnections(n int)
	SetRate(bytesPerSecond int64)
	Files() []app.FileProgress
	Parts(path string, cells int) []app.PartState
	Connections() []app.ConnProgress
}

var _ steering = (*app.Transfer)(nil)

// transfer is one branch being fetched. From done on, fields are what the last
// sample or the end said; View reads nothing else.
type transfer struct {
	ref    app.Ref
	filter app.Filter // it was begun with
	force  bool       // whatever speaks against it, as the user said
	pickle bool       // and its pickle files too
	state  transferState
	gen    int // of the attempt
	cancel context.CancelFunc
	stats  *app.Stats
	steer  steering // of the attempt; nil = none yet
	out    *outbox[app.Event]
	well   *atomic.Bool // set by the command when the attempt ended well
	pid    int          // of the process that is at it, of transferElsewhere
	left   bool         // it was found in the store, and not begun here
	waited bool         // it was queued in an earlier session, and the store has nothing of it
	begun  time.Time    // of one that was found there

	planned     bool // total is the plan's; before, what the listing said
	done, total int64
	kept        int64
	retries     int64
	conns       int64
	paused      bool
	meter       meter
	history     history
	look        closeLook
	wait        waiting
	commit      string
	result      *app.GetResult
	removable   []string // what could make room, when there was none
	err         error
	log         []logLine
}

// active reports whether the transfer is ours and waits or runs.
func (t *transfer) active() bool { return t.is(transferQueued, transferRunning, transferStopping) }

// underWay reports whether somebody fetches the branch, or soon will: we or another
// process.
func (t *transfer) underWay() bool {
	return t.is(transferQueued, transferRunning, transferStopping, transferElsewhere)
}

func (t *transfer) is(states ...transferState) bool {
	return t != nil && slices.Contains(states, t.state)
}

// transfersScreen holds the session's transfers in the order they were asked
// for, those that earlier sessions left, and those of other processes. One of
// ours runs at a time, beside those that are paused; each uses several connections.
type transfersScreen struct {
	list    []*transfer
	cursor  int
	showLog bool
	limit   int64  // bytes per second of all of ours; 0 = none
	most    int    // connections of each; 0 = as many as pay, up to app.DefaultConnections
	asking  bool   // the limit is being typed
	field   editor // of the limit
	free    int64  // bytes of the disk; 0 = not known
	offer   bool   // unfinished ones were found, and the user has not been here yet
	looking task   // at the store
	looked  time.Time
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

// addAll queues branches and puts the cursor on the first of them.
func (s *transfersScreen) addAll(m *model, refs []app.Ref) tea.Cmd {
	var cmds []tea.Cmd
	for _, ref := range refs {
		cmds = append(cmds, s.add(m, ref))
	}
	if len(refs) > 0 {
		s.cursor = slices.Index(s.list, s.find(refs[0]))
	}
	return tea.Batch(cmds...)
}

// add queues a branch, again if it was stopped or failed, and puts the cursor
// on it. One that another process is at is only shown.
func (s *transfersScreen) add(m *model, ref app.Ref) tea.Cmd {
	t := s.entry(m, ref)
	if !t.active() && t.state != transferElsewhere {
		t.state, t.err, t.result, t.log, t.removable = transferQueued, nil, nil, nil, nil
		t.meter, t.history, t.wait = meter{}, history{}, waiting{}
	}
	s.cursor = slices.Index(s.list, t)
	return s.next(m)
}

// entry is the transfer of a branch: the one there is, else a new one.
func (s *transfersScreen) entry(m *model, ref app.Ref) *transfer {
	t := s.find(ref)
	if t == nil {
		t = &transfer{ref: ref}
		t.done, t.total = m.branches.held(ref)
		s.list = append(s.list, t)
	}
	return t
}

// force adds a branch that is to be fetched whatever speaks against it.
func (s *transfersScreen) force(m *model, ref app.Ref, pickle bool) tea.Cmd {
	t := s.entry(m, ref)
	t.force, t.pickle = true, pickle
	return s.add(m, ref)
}

// next starts the first of the queue when nothing runs; what is paused does not
// keep others from running.
func (s *transfersScreen) next(m *model) tea.Cmd {
	for _, t := range s.list {
		if t.is(transferRunning, transferStopping) && !t.paused {
			s.shareRate()
			return nil
		}
	}
	for _, t := range s.list {
		if t.state == transferQueued {
			return s.start(m, t)
		}
	}
	return nil
}

func (s *transfersScreen) start(m *model, t *transfer) tea.Cmd {
	ctx, cancel := context.WithCancel(m.work.ctx)
	t.cancel = cancel
	t.gen++
	t.planned, t.paused, t.left, t.waited = false, false, false, false
	t.state, t.stats, t.out, t.well = transferRunning, &app.Stats{}, &outbox[app.Event]{}, &atomic.Bool{}
	steer := new(app.Transfer)
	t.steer = steer
	s.shareRate()
	o := app.GetOptions{Stats: t.stats, Transfer: steer, Notify: t.out.put, Filter: t.filter, Force: t.force, AllowPickle: t.pickle, Connections: s.most, WaitSpace: true, Patient: true}
	ref, gen, well, back := t.ref, t.gen, t.well, m.back
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		r, err := back.Get(ctx, ref, o)
		well.Store(err == nil)
		return transferMsg{ref, gen, r, err}
	})
}

// ended takes the end of an attempt, and starts the next transfer.
func (s *transfersScreen) ended(m *model, msg transferMsg) tea.Cmd {
	t := s.find(msg.ref)
	if t == nil || t.gen != msg.gen || !t.is(transferRunning, transferStopping) {
		return nil
	}
	t.read(t.wait.now)
	t.look.sample(t.steer, t.wait.now)
	t.look.lines = nil
	t.steer = nil // it holds on to the run
	t.cancel()
	t.conns, t.paused, t.wait = 0, false, waiting{now: t.wait.now}
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
	if app.NoSpace(t.err) {
		return tea.Batch(s.next(m), t.findRoom(m))
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

// clear takes a transfer that is at an end off the list.
func (s *transfersScreen) clear(t *transfer) {
	s.list = slices.DeleteFunc(s.list, func(x *transfer) bool { return x == t })
	s.cursor = max(0, min(s.cursor, len(s.list)-1))
}

// pause stops all requests of a running transfer, which is the next one's turn, or
// lets them go on, beside what runs by now.
func (s *transfersScreen) pause(m *model, t *transfer) tea.Cmd {
	if t.paused = !t.paused; t.paused {
		t.steer.Pause()
		return s.next(m)
	}
	t.meter = meter{} // what was before says nothing of what comes
	s.shareRate()
	t.steer.Resume()
	return nil
}

// shift moves the transfer under the cursor up or down in the queue.
func (s *transfersScreen) shift(by int) {
	to := s.cursor + by
	if to < 0 || to >= len(s.list) {
		return
	}
	s.list[s.cursor], s.list[to] = s.list[to], s.list[s.cursor]
	s.cursor = to
}

// maxConnections is the most that can be asked for: hubs count requests.
const maxConnections = 64

// connections changes how many there are at most, also of what runs.
func (s *transfersScreen) connections(by int) {
	n := s.most
	if n == 0 {
		if n = s.inUse(); n == 0 {
			n = app.DefaultConnections
		}
	}
	s.most = max(1, min(n+by, maxConnections))
	s.eachRunning(func(r steering) { r.SetConnections(s.most) })
}

// inUse counts the connections of the transfer that has the most.
func (s *transfersScreen) inUse() int {
	n := int64(0)
	for _, t := range s.list {
		if t.state == transferRunning && !t.paused {
			n = max(n, t.conns)
		}
	}
	return int(n)
}

// shareRate gives each transfer that is not paused an equal share of the limit.
func (s *transfersScreen) shareRate() {
	n := int64(0)
	for _, t := range s.list {
		if t.is(transferRunning, transferStopping) && !t.paused {
			n++
		}
	}
	share := s.limit / max(n, 1)
	if s.limit > 0 {
		share = max(share, 1)
	}
	s.eachRunning(func(r steering) { r.SetRate(share) })
}

func (s *transfersScreen) eachRunning(f func(steering)) {
	for _, t := range s.list {
		if t.is(transferRunning, transferStopping) {
			f(t.steer)
		}
	}
}

// ask opens the field for the limit.
func (s *transfersScreen) ask(*model) tea.Cmd {
	s.asking = true
	s.field.set("")
	if s.limit > 0 {
		s.field.set(rateArg(s.limit))
	}
	return nil
}

// setLimit takes what was typed.
func (s *transfersScreen) setLimit(m *model) tea.Cmd {
	text, limit := strings.TrimSpace(s.field.text()), int64(0)
	if text != "" && text != "0" {
		var err error
		if limit, err = app.ParseRate(text); err != nil {
			m.notice = remark{bad, "✗ " + err.Error(), "examples: 500k, 10M, 2MiB; nothing lifts the limit"}
			return nil
		}
	}
	s.asking, s.limit = false, limit
	s.shareRate()
	return nil
}

// typing: while the limit is asked for.
func (s *transfersScreen) typing() bool { return s.asking }

func (s *transfersScreen) typed(_ *model, k tea.KeyMsg) { s.field.key(k) }

func showTransfers(m *model) tea.Cmd {
	m.show(onTransfers)
	m.transfers.offer = false
	return m.transfers.lookAtStore(m)
}

func (s *transfersScreen) selected() *transfer {
	if s.cursor >= len(s.list) {
		return nil
	}
	return s.list[s.cursor]
}

func (s *transfersScreen) keys(*model) []binding {
	if s.asking {
		return []binding{
			bind("enter", "enter", "set the limit, empty lifts it", true, simply(s.setLimit)),
			bind("esc", "esc", "leave it", true, simply(func(*model) tea.Cmd { s.asking = false; return nil })),
			bind("ctrl+c", "ctrl+c", "quit", true, askQuit),
		}
	}
	t := s.selected()
	why := s.whyNot()
	return []binding{
		s.enterKey(t).or(why),
		bind("space", "space", pauseLabel(t), t.is(transferRunning), simply(func(m *model) tea.Cmd { return s.pause(m, t) })).or(why),
		s.stopKey(t),
		bind("+ - =", "+ -", "connections, how many at most", true, func(_ *model, pressed string) tea.Cmd {
			s.connections(map[string]int{"-": -1}[pressed]*2 + 1)
			return nil
		}),
		bind("b", "b", "limit, the bytes per second of all transfers", true, simply(s.ask)),
		s.lookKey(t),
		bind(moveKeys, "↑↓", "move", len(s.list) > 1, func(_ *model, pressed string) tea.Cmd {
			s.cursor = moved(s.cursor, pressed, len(s.list))
			return nil
		}),
		bind("J K shift+down shift+up", "J K", "order, down and up in the queue", len(s.list) > 1, func(_ *model, pressed string) tea.Cmd {
			s.shift(map[string]int{"J": 1, "shift+down": 1, "K": -1, "shift+up": -1}[pressed])
			return nil
		}),
		copyKey(t != nil, func(*model) app.Ref { return t.ref }),
		bind("esc", "esc", "back, transfers go on", true, simply(goBack)),
		helpKey("?", "?"),
		bind("q ctrl+c", "q", "quit", true, askQuit),
	}
}

// refused reports whether fatal findings stopped the transfer.
func (t *transfer) refused() bool {
	var refused *app.FindingsError
	return t.is(transferFailed) && errors.As(t.err, &refused)
}

func pauseLabel(t *transfer) string {
	if t != nil && t.paused {
		return "go on, where it was"
	}
	return "pause, keeping what has come"
}

// enterKey goes on with what can be gone on with, generates with what is here, and
// shows the log of what runs.
func (s *transfersScreen) enterKey(t *transfer) binding {
	switch {
	case t.refused() && !t.force:
		return bind("enter", "enter", "fetch all the same, after a question", true, simply(func(m *model) tea.Cmd { return m.fetch(t.ref, "get") }))
	case t.is(transferFailed) && !app.Resumable(t.err):
		return bind("enter", "enter", "again, should the cause be gone", true, simply(func(m *model) tea.Cmd { return s.add(m, t.ref) }))
	case t.is(transferStopped, transferFailed):
		return bind("enter", "enter", "resume, keeping what is on disk", true, simply(func(m *model) tea.Cmd { return s.add(m, t.ref) }))
	case t.is(transferDone):
		return bind("enter g", "enter", "generate, text from a prompt", true, simply(func(m *model) tea.Cmd { return m.generate.open(m, t.ref) }))
	}
	label := "log, what has happened"
	if s.showLog {
		label = "files, instead of the log"
	}
	return bind("enter", "enter", label, t != nil && t.state != transferElsewhere, simply(func(*model) tea.Cmd { s.showLog = !s.showLog; return nil }))
}

// lookKey verifies what is here, and otherwise looks who is at what.
func (s *transfersScreen) lookKey(t *transfer) binding {
	if t.is(transferDone) {
		return bind("v", "v", "verify, every byte against its hash", true, simply(func(m *model) tea.Cmd { return m.verify.open(m, t.ref, false) }))
	}
	return bind("r", "r", "refresh, what the store and other programs have", !s.looking.running(), simply(s.lookAtStore))
}

func (s *transfersScreen) stopKey(t *transfer) binding {
	if t.is(transferStopped, transferFailed, transferDone) {
		return bind("x", "x", "clear, from this list; what is on disk stays", true, simply(func(*model) tea.Cmd { s.clear(t); return nil }))
	}
	return bind("x ctrl+c", "x", "stop, what is on disk stays", t.is(transferRunning, transferQueued),
		simply(func(m *model) tea.Cmd { t.stop(); return s.next(m) })).or(s.whyNot())
}

// whyNot says why keys do nothing for the transfer under the cursor.
func (s *transfersScreen) whyNot() string {
	t := s.selected()
	if t == nil {
		return "nothing is being fetched: on a branch, enter fetches it"
	}
	switch t.state {
	case transferQueued:
		return t.branch() + " waits for the transfers before it; x takes it out"
	case transferRunning:
		return t.branch() + " is being fetched; x stops it"
	case transferStopping:
		return t.branch() + " is being stopped"
	case transferDone:
		return t.branch() + " is here already: v verifies it, enter generates with it"
	case transferElsewhere:
		return fmt.Sprintf("another qbranch (pid %d) is writing this: it can only be watched here", t.pid)
	}
	return "only a part of " + t.branch() + " is here: enter fetches the rest"
}

// leave stops nothing: transfers go on behind every screen.
func (s *transfersScreen) leave(*model) tea.Cmd { s.asking = false; return nil }

// status is the field while the limit is asked for.
func (s *transfersScreen) status(*model) remark {
	if !s.asking {
		return remark{}
	}
	text := " limit in bytes per second: "
	for _, sp := range s.field.view(24, true, "500k, 10M, 2MiB") {
		text += sp.text
	}
	return remark{role: accent, text: text, hint: "of all transfers together; empty lifts it"}
}

func (s *transfersScreen) command(*model) string {
	if t := s.selected(); t != nil {
		return s.commandOf(t)
	}
	return ""
}

// commandOf is the command line that fetches the same in the same way.
func (s *transfersScreen) commandOf(t *transfer) string {
	c := t.command()
	if s.most > 0 {
		c += fmt.Sprintf(" -j %d", s.most)
	}
	if s.limit > 0 {
		c += " --limit-rate " + rateArg(s.limit)
	}
	return c
}

func (t *transfer) command() string {
	c := "qbranch get " + t.ref.String()
	if t.force {
		c += " --force"
	}
	if t.pickle {
		c += " --allow-pickle"
	}
	for _, p := range t.filter.Include {
		c += " --include '" + p + "'"
	}
	for _, p := range t.filter.Exclude {
		c += " --exclude '" + p + "'"
	}
	return c
}
