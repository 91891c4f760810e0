package tui

import (
	"cmp"
	"context"
	"os"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// lookEvery is how often the store is looked at while something there changes:
// what others fetch, and the space on its disk.
const lookEvery = 2 * time.Second

// sample reads the counters of what runs, and everything of what is shown.
func (s *transfersScreen) sample(m *model, now time.Time) tea.Cmd {
	for _, t := range s.list {
		if !t.is(transferRunning, transferStopping) {
			continue
		}
		t.read(now)
		received := t.stats.Received.Load()
		if t.meter.bytes != received {
			t.wait.quiet = ""
		}
		if !t.paused {
			t.meter.sample(now, received)
		}
		t.history.sample(now, received)
	}
	if m.top() != onTransfers {
		return nil
	}
	if t := s.selected(); t.is(transferRunning, transferStopping) {
		t.look.sample(t.steer, now)
	}
	if now.Sub(s.looked) < lookEvery || s.looking.running() {
		return nil
	}
	s.looked = now
	return s.lookAtStore(m)
}

// moving reports whether anything changes while nobody presses a key: a transfer
// whose pause has come to rest does not.
func (s *transfersScreen) moving(m *model) bool {
	return s.watched(m) || slices.ContainsFunc(s.list, func(t *transfer) bool {
		return t.is(transferRunning, transferStopping) && !(t.paused && t.planned && t.conns == 0)
	})
}

// watched reports whether the screen shows something that others change.
func (s *transfersScreen) watched(m *model) bool {
	return m.top() == onTransfers && slices.ContainsFunc(s.list, func(t *transfer) bool { return t.state == transferElsewhere })
}

func (t *transfer) read(now time.Time) {
	t.wait.now = now
	if total := t.stats.Total.Load(); total > 0 {
		t.planned, t.done, t.total = true, t.stats.Done.Load(), total
	}
	t.kept, t.retries, t.conns = t.stats.Kept.Load(), t.stats.Retries.Load(), t.stats.Connections.Load()
	for _, e := range t.out.take() {
		t.note(e)
	}
	t.log = t.log[max(0, len(t.log)-logLimit):]
}

// waiting is what a transfer waits for, as far as it was told.
type waiting struct {
	now    time.Time // of the last sample
	until  time.Time // the hub, or a connection before it asks again
	why    string
	again  bool      // it is our own wait before a retry
	quiet  string    // this host does not answer …
	since  time.Time // … since then; told again while it lasts
	full   string    // the disk is: what is missing
	others string    // a file that another process is bringing
}

// mapCells is how finely the parts of a file are sampled: the widest window's map
// has no more cells.
const mapCells = 960

// closeLook is what is sampled of a transfer that is shown.
type closeLook struct {
	files  []app.FileProgress
	mapped string // the file whose parts are shown
	parts  []app.PartState
	lines  []connLine
	known  map[int]*connMeter // connections by their number
}

// connLine is a connection and how fast it is.
type connLine struct {
	app.ConnProgress
	perSecond float64
}

// connMeter measures a connection, and gives it the number that it is shown by:
// the lowest that is free, since those of the fetch count small files too.
type connMeter struct {
	meter
	number int
}

func (l *closeLook) sample(from steering, now time.Time) {
	files := from.Files()
	if files == nil {
		return // not planned yet: what was known before stays
	}
	l.files = files
	l.mapped = l.choose()
	l.parts = from.Parts(l.mapped, mapCells)
	l.measure(from.Connections(), now)
}

// measure notes how fast connections are; those that have ended give their number
// back.
func (l *closeLook) measure(conns []app.ConnProgress, now time.Time) {
	known, taken := make(map[int]*connMeter, len(conns)), make(map[int]bool)
	for _, c := range conns {
		if m := l.known[c.Number]; m != nil {
			known[c.Number], taken[m.number] = m, true
		}
	}
	l.known, l.lines = known, l.lines[:0]
	next := 1
	for _, c := range conns {
		m := known[c.Number]
		if m == nil {
			for taken[next] {
				next++
			}
			m = &connMeter{number: next}
			known[c.Number], taken[next] = m, true
		}
		m.sample(now, c.Received)
		c.Number = m.number
		l.lines = append(l.lines, connLine{c, m.perSecond})
	}
	slices.SortFunc(l.lines, func(a, b connLine) int { return cmp.Compare(a.Number, b.Number) })
}

// choose picks the file whose parts are shown: it stays until it is done.
func (l *closeLook) choose() string {
	best, rank := "", -1
	for _, f := range l.files {
		r := 0
		switch {
		case f.State == app.FileVerified || f.State == app.FileReused:
		case f.Path == l.mapped && f.Held < f.Size && f.Connections > 0:
			r = 4
		case f.Connections > 0 && f.Size > smallFile:
			r = 3
		case f.State == app.FileChecking || f.State == app.FileRepairing:
			r = 2
		case f.Size > smallFile:
			r = 1
		}
		if r > rank || r == rank && r == 0 && f.Size > l.size(best) {
			best, rank = f.Path, r
		}
	}
	return best
}

func (l *closeLook) size(path string) int64 {
	for _, f := range l.files {
		if f.Path == path {
			return f.Size
		}
	}
	return -1
}

// smallFile is what is fetched in one piece: a part.
const smallFile = 1 << 20

// history is the bytes of each of the last seconds.
type history struct {
	at      time.Time
	bytes   int64
	seconds []float64 // bytes per second, the latest last
	peak    float64
}

// historyLength is how many seconds are kept.
const historyLength = 60

func (h *history) sample(now time.Time, bytes int64) {
	if h.at.IsZero() || bytes < h.bytes {
		h.at, h.bytes = now, bytes
		return
	}
	passed := now.Sub(h.at)
	if passed < time.Second {
		return
	}
	mean := float64(bytes-h.bytes) / passed.Seconds()
	for range min(int(passed/time.Second), historyLength) {
		h.seconds = append(h.seconds, mean)
	}
	h.seconds = slices.Clone(h.seconds[max(0, len(h.seconds)-historyLength):])
	h.peak = max(h.peak, mean)
	h.at, h.bytes = now, bytes
}

// pendingMsg is what the store says of unfinished fetches.
type pendingMsg struct {
	gen    int
	report *app.PendingReport // nil when the store cannot be read
	here   map[app.Ref]bool   // of those that others were at and are not any more: which have come
}

// lookAtStore asks what is unfinished, who is at it, and how much space there is.
func (s *transfersScreen) lookAtStore(m *model) tea.Cmd {
	ctx, gen := s.looking.begin(m.work.ctx)
	back := m.back
	var others []app.Ref
	for _, t := range s.list {
		if t.state == transferElsewhere {
			others = append(others, t.ref)
		}
	}
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		r, err := back.Pending(ctx)
		if err != nil || r == nil {
			return pendingMsg{gen: gen}
		}
		return pendingMsg{gen, r, arrived(ctx, back, others, r)}
	})
}

// found takes what the store says. What cannot be read is no reason to disturb:
// the screen then shows this session's transfers alone.
func (s *transfersScreen) found(m *model, msg pendingMsg) {
	if !s.looking.ended(msg.gen) || msg.report == nil {
		return
	}
	s.free = msg.report.Free
	still := make(map[app.Ref]bool)
	for _, p := range msg.report.Fetches {
		still[p.Ref] = true
		s.merge(m, p)
	}
	for _, t := range slices.Clone(s.list) {
		switch {
		case still[t.ref]:
		case t.state == transferStopped && t.left && !t.waited: // what there was has been removed, or has come
			s.clear(t)
		case t.state != transferElsewhere:
		case msg.here[t.ref]:
			t.state, t.done, t.pid = transferDone, t.total, 0
			for i := range t.look.files {
				t.look.files[i].Held, t.look.files[i].State = t.look.files[i].Size, app.FileVerified
			}
			m.branches.patch(t)
		default: // it was refused, or somebody has removed what there was
			s.clear(t)
		}
	}
}

// arrived looks which of the branches that others were at, and that are not
// unfinished any more, are in the store now.
func arrived(ctx context.Context, back backend, others []app.Ref, r *app.PendingReport) map[app.Ref]bool {
	here := make(map[app.Ref]bool)
	others = slices.DeleteFunc(others, func(ref app.Ref) bool {
		return slices.ContainsFunc(r.Fetches, func(p app.Pending) bool { return p.Ref == ref })
	})
	if len(others) == 0 {
		return here
	}
	items, err := back.StoreList(ctx)
	if err != nil {
		return here
	}
	for _, it := range items {
		if ref, err := app.ParseRef(it.Ref()); err == nil && slices.Contains(others, ref) {
			here[ref] = true
		}
	}
	return here
}

// ownPID tells this process's fetches in the store from those of others.
var ownPID = os.Getpid()

// merge enters one unfinished fetch of the store. What this session does with the
// branch it knows better.
func (s *transfersScreen) merge(m *model, p app.Pending) {
	t := s.find(p.Ref)
	elsewhere := p.PID != 0 && p.PID != ownPID
	switch {
	case t == nil && p.PID == ownPID:
		return // it has just been cleared, or begun
	case t == nil:
		t = &transfer{ref: p.Ref, state: transferStopped, left: true}
		s.list = append(s.list, t)
		s.offer = s.offer || !elsewhere && m.top() != onTransfers
	case t.active() || t.is(transferDone, transferFailed) && !elsewhere:
		return
	}
	t.state, t.waited = transferStopped, false
	if elsewhere {
		t.state = transferElsewhere
	}
	t.pid, t.filter, t.commit, t.begun = p.PID, p.Filter, p.Commit, p.Begun
	t.done, t.total, t.planned = p.Held, p.Bytes, true
	if elsewhere && !s.looked.IsZero() {
		t.meter.sample(s.looked, p.Held) // what comes to the disk: the line is not ours
		t.history.sample(s.looked, p.Held)
	}
	t.look.files = t.look.files[:0]
	for _, f := range p.Files {
		state := app.FileQueued
		if f.Done {
			state = app.FileVerified
		}
		t.look.files = append(t.look.files, app.FileProgress{Path: f.Path, Size: f.Size, Held: f.Held, State: state})
	}
}

// roomMsg says what could make room for a transfer.
type roomMsg struct {
	ref       app.Ref
	removable []string
}

// findRoom asks which branches take the most of the disk.
func (t *transfer) findRoom(m *model) tea.Cmd {
	ref, back := t.ref, m.back
	return m.work.command(m.work.ctx, func(ctx context.Context) tea.Msg {
		use, err := back.StoreUse(ctx, nil)
		if err != nil || use == nil {
			return nil // the error of the transfer says what matters
		}
		branches := slices.DeleteFunc(slices.Clone(use.Branches), func(b app.BranchUsage) bool { return b.Pinned || b.Unique == 0 })
		slices.SortStableFunc(branches, func(a, b app.BranchUsage) int { return cmp.Compare(b.Unique, a.Unique) })
		msg := roomMsg{ref: ref}
		for _, b := range branches[:min(3, len(branches))] {
			msg.removable = append(msg.removable, app.BytesText(b.Unique)+"  "+b.Ref())
		}
		return msg
	})
}

func (s *transfersScreen) room(msg roomMsg) {
	if t := s.find(msg.ref); t.is(transferFailed) {
		t.removable = msg.removable
	}
}
