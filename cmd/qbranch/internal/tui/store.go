package tui

import (
	"context"
	"slices"
	"strconv"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// storeScreen shows what the store holds, and frees space.
type storeScreen struct {
	task   task
	use    *app.StoreUsage // the last good one; nil = not known yet
	err    error           // of the last attempt
	sweep  task            // a removal, the question what it would remove, or a pin
	cursor int
	marked map[string]bool // by repository and commit
}

type (
	// usageMsg is what the store takes of the disk.
	usageMsg struct {
		gen int
		use *app.StoreUsage
		err error
	}
	// sweepMsg is what was removed, or after a dry run would be.
	sweepMsg struct {
		gen    int
		what   sweeping
		report *app.SweepReport
		err    error
	}
	// pinMsg says that a pin was set or taken away.
	pinMsg struct {
		gen int
		key string
		ref app.Ref
		off bool
		err error
	}
)

// sweeping is a removal: of branches, of unfinished files, or of what nobody uses.
type sweeping struct {
	refs    []app.Ref
	partial bool
	young   bool // what nobody uses, and came within the grace
	dry     bool
}

func (q sweeping) run(ctx context.Context, b backend) (*app.SweepReport, error) {
	if q.refs == nil && !q.partial {
		c := app.CollectRequest{Grace: app.DefaultGrace, PartialGrace: app.DefaultPartialGrace, DryRun: q.dry}
		if q.young {
			c.Grace = 0
		}
		return b.StoreCollect(ctx, c)
	}
	return b.StoreRemove(ctx, app.RemoveRequest{Refs: q.refs, Partial: q.partial, DryRun: q.dry})
}

// command is the line that does it, after a question as well.
func (q sweeping) command() string {
	switch {
	case q.partial:
		return "qbranch store rm --partial"
	case q.young:
		return "qbranch store gc --grace 0s"
	case q.refs == nil:
		return "qbranch store gc"
	}
	text := "qbranch store rm"
	for _, r := range q.refs {
		text += " " + r.String()
	}
	return text
}

func (s *storeScreen) running() bool { return s.task.running() || s.sweep.running() }

func (s *storeScreen) open(m *model) tea.Cmd {
	m.show(onStore)
	return s.refresh(m)
}

func (s *storeScreen) refresh(m *model) tea.Cmd {
	m.frame = 0
	ctx, gen := s.task.begin(m.work.ctx)
	back := m.back
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		use, err := back.StoreUse(ctx, nil)
		return usageMsg{gen, use, err}
	})
}

func (s *storeScreen) loaded(msg usageMsg) {
	if !s.task.ended(msg.gen) {
		return
	}
	if s.err = msg.err; msg.err != nil {
		return
	}
	at := ""
	if b := s.row(); b != nil {
		at = keyOfBranch(*b)
	}
	s.use = msg.use
	marked := make(map[string]bool)
	for i, b := range s.rows() {
		if keyOfBranch(b) == at {
			s.cursor = i
		}
		if s.marked[keyOfBranch(b)] {
			marked[keyOfBranch(b)] = true
		}
	}
	s.marked = marked // what has gone is not marked any more
	s.cursor = max(0, min(s.cursor, len(s.rows())-1))
}

func (s *storeScreen) rows() []app.BranchUsage {
	if s.use == nil {
		return nil
	}
	return s.use.Branches
}

func (s *storeScreen) row() *app.BranchUsage {
	if s.cursor >= len(s.rows()) {
		return nil
	}
	return &s.use.Branches[s.cursor]
}

func keyOfBranch(b app.BranchUsage) string { return b.Repo + "@" + b.Commit }

// refOf names exactly one row: by its commit where the branch has none, or another
// row is the same branch at another commit.
func (s *storeScreen) refOf(b app.BranchUsage) app.Ref {
	name := b.Repo + ":" + b.Branch
	if b.Branch == "" || b.State == app.LocalOutdated || slices.ContainsFunc(s.rows(), func(o app.BranchUsage) bool {
		return o.Repo == b.Repo && o.Branch == b.Branch && o.Commit != b.Commit
	}) {
		name = keyOfBranch(b)
	}
	ref, err := app.ParseRef(name)
	if err != nil {
		return app.Ref{} // a store that somebody else wrote
	}
	return ref
}

// at is the reference under the cursor.
func (s *storeScreen) at() app.Ref {
	if b := s.row(); b != nil {
		return s.refOf(*b)
	}
	return app.Ref{}
}

// chosen are the marked branches, else the one under the cursor.
func (s *storeScreen) chosen() (refs []app.Ref) {
	for _, b := range s.rows() {
		if s.marked[keyOfBranch(b)] {
			refs = append(refs, s.refOf(b))
		}
	}
	if refs == nil && s.row() != nil {
		refs = []app.Ref{s.at()}
	}
	return refs
}

// pinnedAmong reports whether a pin would keep something that was chosen.
func (s *storeScreen) pinnedAmong() bool {
	for i, b := range s.rows() {
		if b.Pinned && (s.marked[keyOfBranch(b)] || len(s.marked) == 0 && i == s.cursor) {
			return true
		}
	}
	return false
}

func (s *storeScreen) head(m *model) (string, string) {
	if n := len(s.rows()); n > 0 {
		return "Store  " + plural(n, "branch", "branches"), ""
	}
	return "Store", ""
}

func (s *storeScreen) keys(m *model) []binding {
	b := s.row()
	ref := s.at()
	has := ref != (app.Ref{})
	sound := has && b.State != app.LocalCorrupt && b.State != app.LocalPartial
	remove, pin := "remove, with what only it uses", "pin, so that nothing removes it"
	if n := len(s.marked); n > 1 {
		remove = "remove " + strconv.Itoa(n) + ", with what only they use"
	}
	if has && b.Pinned {
		pin = "unpin, so that it may be removed"
	}
	changes, why := s.mayChange()
	pinned := s.pinnedAmong()
	whyRemove := why
	if changes && pinned {
		whyRemove = "it is pinned: P lets it go"
	}
	unfinished := s.use != nil && s.use.Unfinished.Files > 0
	ask := func(q sweeping) func(m *model) tea.Cmd {
		return func(m *model) tea.Cmd { q.dry = true; return s.begin(m, q) }
	}
	return []binding{
		bind(moveKeys, "↑↓", "move", len(s.rows()) > 1, func(_ *model, pressed string) tea.Cmd {
			s.cursor = moved(s.cursor, pressed, len(s.rows()))
			return nil
		}),
		bind("enter o", "enter", "open, the branches of its repository", has, simply(func(m *model) tea.Cmd {
			to := app.Ref{Repo: ref.Repo, Revision: b.Branch}
			m.show(onBranches)
			return m.branches.open(m, to)
		})),
		bind("space", "space", "mark, for remove", has, simply(s.mark)),
		bind("x delete", "x", remove, has && changes && !pinned, simply(func(m *model) tea.Cmd { return ask(sweeping{refs: s.chosen()})(m) })).or(whyRemove),
		bind("P", "P", pin, has && changes, simply(s.pin)).or(why),
		bind("c", "c", "collect, what no branch uses", s.use != nil && s.use.Total.Files > 0 && changes, simply(ask(sweeping{}))).or(orAny(why, "there is nothing in the store")),
		bind("u", "u", "unfinished, remove what was begun", unfinished && changes, simply(ask(sweeping{partial: true}))).or(orAny(why, "no file is unfinished")),
		bind("v", "v", "verify, every byte against its hash", has, simply(func(m *model) tea.Cmd { return m.verify.open(m, ref, false) })),
		bind("g", "g", "generate, text from a prompt", sound, simply(func(m *model) tea.Cmd { return m.generate.open(m, ref) })).or("bytes of it are missing or corrupt: v says which"),
		bind("d", "d", "detail, everything about it", has, simply(func(m *model) tea.Cmd { return m.detail.open(m, ref) })),
		bind("r", "r", "refresh, reading the store again", !s.task.running(), simply(s.refresh)).or("the store is being read already"),
		copyKey(has, func(*model) app.Ref { return ref }),
		bind("esc", "esc", "back", true, simply(s.escape)),
		helpKey("?", "?"),
		bind("q ctrl+c", "q", "quit", true, askQuit),
	}
}

// mayChange reports whether something can be removed or pinned, or why not.
func (s *storeScreen) mayChange() (bool, string) {
	switch {
	case s.sweep.running():
		return false, "the store is being changed: wait until that is done"
	case s.use == nil:
		return false, ""
	case s.use.Disk != nil && s.use.Disk.ReadOnly:
		return false, "the disk of the store is mounted read-only"
	}
	return true, ""
}

func (s *storeScreen) mark(*model) tea.Cmd {
	key := keyOfBranch(*s.row())
	if s.marked == nil {
		s.marked = make(map[string]bool)
	}
	if s.marked[key] {
		delete(s.marked, key)
	} else {
		s.marked[key] = true
	}
	s.cursor = moved(s.cursor, "down", len(s.rows()))
	return nil
}

// escape takes the marks away, then goes back.
func (s *storeScreen) escape(m *model) tea.Cmd {
	if len(s.marked) > 0 {
		s.marked = nil
		return nil
	}
	return goBack(m)
}

// leave stops reading; a removal that was said yes to goes on.
func (s *storeScreen) leave(*model) tea.Cmd {
	s.task.abandon()
	return nil
}

// begin asks what a removal would remove, or removes it.
func (s *storeScreen) begin(m *model, q sweeping) tea.Cmd {
	m.frame = 0
	ctx, gen := s.sweep.begin(m.work.ctx)
	back, slot := m.back, m.slot
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		if !q.dry { // a model that we hold ourselves must not keep its files
			for _, ref := range q.refs {
				if err := slot.release(ref); err != nil {
					return sweepMsg{gen, q, nil, err}
				}
			}
		}
		r, err := q.run(ctx, back)
		return sweepMsg{gen, q, r, err}
	})
}

// swept puts the question after a dry run, and says what was freed after the
// removal.
func (s *storeScreen) swept(m *model, msg sweepMsg) tea.Cmd {
	if !s.sweep.ended(msg.gen) {
		return nil
	}
	switch {
	case msg.err != nil:
		m.notice = remark{bad, "✗ " + msg.err.Error(), hintOr(msg.err, "nothing more was removed")}
		if msg.what.dry {
			return nil
		}
		return s.refresh(m)
	case !msg.what.dry:
		return s.removed(m, msg)
	case m.top() != onStore || m.over != nil:
		return nil // nobody looks
	case msg.report.Freed == 0 && onlyYoung(msg):
		return s.begin(m, sweeping{young: true, dry: true})
	case msg.report.Empty():
		m.notice = remark{warn, "nothing to remove", keptText(msg.report)}
		return nil
	}
	q := msg.what
	q.dry = false
	m.over = &question{text: sweepQuestion(q, msg.report), ask: "Remove?", yes: func(m *model) tea.Cmd { return s.begin(m, q) }}
	return nil
}

// onlyYoung reports whether a collection would free something if it did not spare
// what came a short time ago.
func onlyYoung(msg sweepMsg) bool {
	return msg.what.refs == nil && !msg.what.partial && !msg.what.young &&
		slices.ContainsFunc(msg.report.Kept, func(k app.SweepTotal) bool { return k.Kind == "blob" && k.Why == "it is too young" })
}

// removed tells the rest of the program what has gone.
func (s *storeScreen) removed(m *model, msg sweepMsg) tea.Cmd {
	m.notice = remark{good, "✓ freed " + app.BytesText(msg.report.Freed) + sweptText(msg.report), keptText(msg.report)}
	s.marked = nil
	cmd := s.refresh(m)
	if msg.what.refs == nil {
		return cmd
	}
	m.transfers.forget(msg.what.refs)
	if slices.ContainsFunc(msg.what.refs, func(r app.Ref) bool { return r.Repo == m.branches.repo }) {
		m.branches.forget(msg.report.Branches)
		return tea.Batch(cmd, m.branches.refresh(m))
	}
	return cmd
}

// pin keeps the branch under the cursor, or lets it go.
func (s *storeScreen) pin(m *model) tea.Cmd {
	b := *s.row()
	ref, off, back := s.refOf(b), b.Pinned, m.back
	ctx, gen := s.sweep.begin(m.work.ctx)
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		changed, err := back.StorePin(ctx, ref, off)
		if off && err == nil && !changed { // the pin is of the branch, not of the commit
			if named, e := app.ParseRef(b.Ref()); e == nil {
				_, err = back.StorePin(ctx, named, true)
			}
		}
		return pinMsg{gen, keyOfBranch(b), ref, off, err}
	})
}

func (s *storeScreen) pinned(m *model, msg pinMsg) tea.Cmd {
	if !s.sweep.ended(msg.gen) {
		return nil
	}
	for i, b := range s.rows() {
		if msg.err == nil && keyOfBranch(b) == msg.key {
			s.use.Branches[i].Pinned = !msg.off // it counts before the store has been read again
		}
	}
	switch {
	case msg.err != nil:
		m.notice = remark{bad, "✗ " + msg.err.Error(), app.HintOf(msg.err)}
	case msg.off:
		m.notice = remark{role: good, text: "✓ unpinned " + msg.ref.String()}
	default:
		m.notice = remark{good, "✓ pinned " + msg.ref.String(), "nothing removes it until P lets it go"}
	}
	return s.refresh(m)
}

// command is the line that removes what is chosen.
func (s *storeScreen) command(*model) string {
	if b := s.row(); b != nil && b.Pinned && len(s.marked) == 0 {
		return "qbranch store unpin " + b.Ref()
	}
	if refs := s.chosen(); len(refs) > 0 {
		return sweeping{refs: refs}.command()
	}
	if s.use != nil && s.use.Total.Files > 0 {
		return sweeping{}.command()
	}
	return "qbranch store ls"
}

// forget takes finished transfers of what was removed off the list: they say no
// more what is here.
func (s *transfersScreen) forget(refs []app.Ref) {
	s.list = slices.DeleteFunc(s.list, func(t *transfer) bool { return t.state == transferDone && slices.Contains(refs, t.ref) })
	s.cursor = max(0, min(s.cursor, len(s.list)-1))
}

// forget tells the table that commits have gone from the store.
func (s *branchesScreen) forget(gone []app.StoreItem) {
	for i, r := range s.all() {
		if slices.ContainsFunc(gone, func(g app.StoreItem) bool { return g.Repo == s.repo.String() && g.Commit == r.Commit }) {
			s.listing.Branches[i].Local, s.listing.Branches[i].LocalBytes = app.LocalNone, 0
		}
	}
	s.arrange()
}

// release closes the model if it is the one of ref.
func (s *modelSlot) release(ref app.Ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ref != ref {
		return nil
	}
	return s.close()
}
