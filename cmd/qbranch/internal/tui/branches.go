package tui

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// branchesScreen is the home of a repository: its branches, whether they fit, and
// what can be done with each.
type branchesScreen struct {
	repo    app.RepoID
	want    string       // branch to put the cursor on when it is known
	listing *app.Listing // last good one; nil = none yet
	stored  bool         // listing is what the store holds, not what the hub says
	err     error        // of the last attempt
	task    task         // listing

	survey   survey // what the listing is measured by; nil = not yet
	reading  task   // the survey
	grading  task
	report   *app.FitReport // the last grades; nil = none yet
	fits     map[string]*app.FitRow
	gradeErr error // of the last survey or grades

	shown   []app.BranchRow // of the listing: those that are wanted, in their order
	cursor  int             // of shown
	marked  map[string]bool // by branch
	sort    string          // as app.Sorts; "" = main first, then by name
	only    string          // which verdicts: "", "fits", "not too big"
	filter  editor
	seeking bool      // the filter is being typed
	trail   []app.Ref // branches from whose siblings one walked here; esc walks back
	planner planner
}

// running reports whether an answer is awaited.
func (s *branchesScreen) running() bool {
	return s.task.running() || s.reading.running() || s.grading.running()
}

// listMsg answers a listing. With err, local holds what the store has of the
// repository, so that verifying and generating go on working offline.
type listMsg struct {
	gen     int
	listing *app.Listing
	err     error
	local   []app.StoreItem
}

// open shows the branches of ref's repository, the cursor on ref's branch.
func (s *branchesScreen) open(m *model, ref app.Ref) tea.Cmd {
	if s.repo != ref.Repo {
		s.abandon()
		*s = branchesScreen{repo: ref.Repo, task: s.task, reading: s.reading, grading: s.grading, sort: s.sort, only: s.only}
	}
	s.want = ref.Revision
	s.seek()
	return s.refresh(m)
}

// abandon stops everything that is awaited.
func (s *branchesScreen) abandon() {
	s.task.abandon()
	s.reading.abandon()
	s.grading.abandon()
}

func (s *branchesScreen) refresh(m *model) tea.Cmd {
	m.frame = 0
	repo, back, dir := s.repo, m.back, m.plan.base.StateDir
	ctx, gen := s.task.begin(m.work.ctx)
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		l, err := back.List(ctx, repo, app.ListOptions{})
		if err == nil {
			_ = back.Remember(dir, repo) // the first screen's list is a comfort, no promise
			return listMsg{gen: gen, listing: l}
		}
		items, storeErr := back.StoreList(ctx)
		if storeErr != nil {
			items = nil // the first error is the one that matters
		}
		return listMsg{gen: gen, err: err, local: items}
	})
}

func (s *branchesScreen) listed(m *model, msg listMsg) tea.Cmd {
	if !s.task.ended(msg.gen) {
		return nil
	}
	s.err = msg.err
	var cmd tea.Cmd
	switch {
	case msg.err == nil:
		s.take(m, msg.listing)
		cmd = s.measure(m)
	case s.listing == nil:
		s.listing = stored(s.repo.String(), msg.local)
		s.stored = s.listing != nil
	}
	s.arrange()
	if s.want != "" && msg.err == nil {
		m.notice = remark{role: warn, text: "no branch of " + s.repo.String() + " is " + s.want}
		s.want = ""
	}
	return cmd
}

// take shows a listing, with what this session did since.
func (s *branchesScreen) take(m *model, l *app.Listing) {
	s.listing, s.stored = l, false
	for _, t := range m.transfers.list {
		s.patch(t)
	}
}

// surveyMsg answers a survey.
type surveyMsg struct {
	gen    int
	survey survey
	err    error
}

// measure reads what tells whether the branches fit: configurations and headers.
func (s *branchesScreen) measure(m *model) tea.Cmd {
	ctx, gen := s.reading.begin(m.work.ctx)
	repo, back := s.repo, m.back
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		v, err := back.Survey(ctx, app.Ref{Repo: repo})
		return surveyMsg{gen, v, err}
	})
}

func (s *branchesScreen) surveyed(m *model, msg surveyMsg) tea.Cmd {
	if !s.reading.ended(msg.gen) {
		return nil
	}
	if s.gradeErr = msg.err; msg.err != nil {
		return nil
	}
	s.survey = msg.survey
	s.take(m, msg.survey.Rows())
	s.arrange()
	return s.grade(m)
}

// gradeMsg says which branches fit.
type gradeMsg struct {
	gen    int
	report *app.FitReport
	err    error
}

// grade measures the branches by the plan. It asks nobody, so that it can follow
// every key.
func (s *branchesScreen) grade(m *model) tea.Cmd {
	if s.survey == nil || m.machine == nil && !m.plan.simulated() {
		return nil
	}
	ctx, gen := s.grading.begin(m.work.ctx)
	v, o := s.survey, m.plan.options(m.machine)
	return m.work.command(ctx, func(context.Context) tea.Msg {
		r, err := v.Fit(o)
		return gradeMsg{gen, r, err}
	})
}

func (s *branchesScreen) graded(m *model, msg gradeMsg) {
	if !s.grading.ended(msg.gen) {
		return
	}
	if s.gradeErr = msg.err; msg.err != nil {
		return
	}
	s.report, s.fits = msg.report, make(map[string]*app.FitRow, len(msg.report.Branches))
	for i := range msg.report.Branches {
		s.fits[msg.report.Branches[i].Branch] = &msg.report.Branches[i]
	}
	s.arrange()
}

// arrange works out which rows are shown; the cursor stays on its branch.
func (s *branchesScreen) arrange() {
	at := ""
	if r := s.row(); r != nil {
		at = r.Branch
	}
	s.shown = nil
	if s.listing == nil {
		return
	}
	l := &app.Listing{Branches: slices.Clone(s.listing.Branches)}
	for i := range l.Branches {
		l.Branches[i].Fit = s.fits[l.Branches[i].Branch]
	}
	l.Arrange(app.Arrange{Sort: s.sort})
	words := strings.Fields(strings.ToLower(s.filter.text()))
	s.shown = slices.DeleteFunc(l.Branches, func(r app.BranchRow) bool {
		return !s.fitting(&r) || !matches(&r, words)
	})
	for i, r := range s.shown {
		if r.Branch == at {
			s.cursor = i
		}
	}
	s.seek()
}

// fitting reports whether the verdict on a row is wanted.
func (s *branchesScreen) fitting(r *app.BranchRow) bool {
	switch s.only {
	case onlyFits:
		return r.Fit != nil && s.verdict(r.Fit) == app.VerdictFits
	case onlyPossible:
		return r.Fit != nil && (s.verdict(r.Fit) == app.VerdictFits || s.verdict(r.Fit) == app.VerdictTight)
	}
	return true
}

// Values of branchesScreen.only, as they are shown.
const (
	onlyFits     = "fits"
	onlyPossible = "fits or tight"
)

// verdict is the one that counts: without a card that of main memory.
func (s *branchesScreen) verdict(f *app.FitRow) app.Verdict {
	if f.CPU != nil {
		return f.OnCPU()
	}
	return f.Verdict
}

// matches reports whether a row has all words: in its name, or as "4bit", "128g".
func matches(r *app.BranchRow, words []string) bool {
	text := strings.ToLower(clean(r.Branch))
	if r.Bits != nil {
		text += fmt.Sprintf(" %dbit", *r.Bits)
	}
	if r.GroupSize != nil {
		text += fmt.Sprintf(" %dg", *r.GroupSize)
	}
	text += " " + string(r.Local)
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// stored makes a listing of what the store holds of repo; nil when nothing.
func stored(repo string, items []app.StoreItem) *app.Listing {
	l := &app.Listing{Repo: repo}
	for _, it := range items {
		if it.Repo == repo && it.Branch != "" {
			l.Branches = append(l.Branches, app.BranchRow{
				Branch: it.Branch, Commit: it.Commit, Files: it.Files,
				TotalBytes: it.Bytes, LocalBytes: it.Bytes, Local: it.State,
			})
		}
	}
	if l.Branches == nil {
		return nil
	}
	return l
}

// seek puts the cursor on the wanted branch once it is listed.
func (s *branchesScreen) seek() {
	for i, r := range s.rows() {
		if s.want != "" && (r.Branch == s.want || r.Commit == s.want) {
			s.cursor, s.want = i, ""
		}
	}
	s.cursor = max(0, min(s.cursor, len(s.rows())-1))
}

func (s *branchesScreen) rows() []app.BranchRow { return s.shown }

// all are the rows of the listing, also those that are not shown.
func (s *branchesScreen) all() []app.BranchRow {
	if s.listing == nil {
		return nil
	}
	return s.listing.Branches
}

// row is the one under the cursor; nil while there is none.
func (s *branchesScreen) row() *app.BranchRow {
	if s.cursor >= len(s.rows()) {
		return nil
	}
	return &s.shown[s.cursor]
}

func (s *branchesScreen) ref(branch string) app.Ref {
	return app.Ref{Repo: s.repo, Revision: branch}
}

func (s *branchesScreen) selected() app.Ref {
	if r := s.row(); r != nil {
		return s.ref(r.Branch)
	}
	return app.Ref{Repo: s.repo}
}

// held says how much of a listed branch is here and how much there is.
func (s *branchesScreen) held(ref app.Ref) (done, total int64) {
	for _, r := range s.all() {
		if s.ref(r.Branch) == ref {
			return r.LocalBytes, r.TotalBytes
		}
	}
	return 0, 0
}

// patch tells the row of a transfer's branch how the transfer ended. A later
// verdict (corrupt) is not overruled.
func (s *branchesScreen) patch(t *transfer) {
	for i, r := range s.all() {
		if s.ref(r.Branch) != t.ref {
			continue
		}
		row := &s.listing.Branches[i]
		switch {
		case t.state == transferDone && string(t.commit) == row.Commit && row.Local != app.LocalCorrupt:
			row.Local, row.LocalBytes = app.LocalVerified, row.TotalBytes
		case (t.state == transferStopped || t.state == transferFailed) && row.Local == app.LocalNone && t.done > 0:
			row.Local, row.LocalBytes = app.LocalPartial, t.done
		case (t.state == transferStopped || t.state == transferFailed) && row.Local == app.LocalPartial:
			row.LocalBytes = max(row.LocalBytes, t.done)
		}
	}
	s.arrange()
}

// judge tells the row of ref what a verification found.
func (s *branchesScreen) judge(ref app.Ref, ok bool) {
	for i, r := range s.all() {
		if s.ref(r.Branch) == ref {
			row := &s.listing.Branches[i]
			if !ok {
				row.Local = app.LocalCorrupt
			} else if row.Local == app.LocalCorrupt {
				row.Local, row.LocalBytes = app.LocalVerified, row.TotalBytes
			}
		}
	}
	s.arrange()
}

func (s *branchesScreen) head(*model) (string, string) {
	host := ""
	if s.listing != nil {
		if u, err := url.Parse(s.listing.Endpoint); err == nil {
			host = u.Host
		}
	}
	if s.stored {
		host = "from the store, not the hub"
	}
	return s.repo.String(), host
}

// fetchLabel is what enter does for a row: "" is nothing.
func (s *branchesScreen) fetchLabel(m *model) string {
	r := s.row()
	if r == nil {
		return ""
	}
	return m.fetchLabel(s.ref(r.Branch), r.Local)
}

// typing: the filter, or a value of the planner.
func (s *branchesScreen) typing() bool { return s.seeking || s.planner.open }

func (s *branchesScreen) typed(_ *model, k tea.KeyMsg) {
	if s.planner.open {
		s.planner.typed(k)
		return
	}
	s.filter.key(k)
	s.arrange()
}

func (s *branchesScreen) keys(m *model) []binding {
	switch {
	case s.planner.open:
		return s.planner.keys(m, s)
	case s.seeking:
		return s.filterKeys()
	}
	label := s.fetchLabel(m)
	here := s.row() != nil && (label == "" || label == "repair" || label == "update")
	sound := here && label != "repair"
	enter := label
	if label == "" {
		enter = "get"
	}
	if n := len(s.wanted(m)); n > 1 {
		enter = "get " + strconv.Itoa(n)
	}
	why := s.whyNot(label)
	can := s.row() != nil
	return []binding{
		bind(moveKeys, "↑↓", "move", len(s.rows()) > 1, func(_ *model, pressed string) tea.Cmd {
			s.cursor = moved(s.cursor, pressed, len(s.rows()))
			return nil
		}),
		bind("enter", "enter", enter, label != "" || len(s.wanted(m)) > 1, simply(s.fetch)).or(why),
		bind("space", "space", "mark, for get and compare", can, simply(s.mark)),
		bind("p", "p", "plan, memory, context, cache, engine", s.listing != nil, simply(func(*model) tea.Cmd { s.planner.open = true; return nil })),
		bind("d tab right l", "d", "detail, everything about it", can, simply(func(m *model) tea.Cmd { return m.detail.open(m, s.selected()) })),
		bind("v", "v", "verify, every byte against its hash", here, simply(func(m *model) tea.Cmd { return m.verify.open(m, s.selected(), false) })).or(why),
		bind("g", "g", "generate, text from a prompt", sound, simply(func(m *model) tea.Cmd { return m.generate.open(m, s.selected()) })).or(why),
		bind("c", "c", "compare, two that are marked", s.pair() != nil, simply(func(m *model) tea.Cmd { return m.compare.open(m, s.pair()) })).or("mark two branches with space, or one beside that under the cursor"),
		bind("/", "/", "filter, by name, 4bit, 128g", len(s.all()) > 1, simply(func(*model) tea.Cmd { s.seeking = true; return nil })),
		bind("s", "s", "sort", len(s.all()) > 1, simply(s.nextSort)),
		bind("f", "f", "fits, show only what does", s.report != nil, simply(s.nextFits)).or("what fits is not known yet"),
		bind("[ ]", "[ ]", "context, less or more", s.report != nil, func(m *model, pressed string) tea.Cmd {
			planFields[1].step(m, map[string]int{"[": -1, "]": +1}[pressed])
			return s.grade(m)
		}).or("what fits is not known yet"),
		bind("r", "r", "refresh, asking the hub again", !s.task.running(), simply(s.refresh)).or("the hub is being asked already"),
		copyKey(can, func(*model) app.Ref { return s.selected() }),
		bind("esc", "esc", "back, transfers go on", true, simply(s.escape)),
		helpKey("?", "?"),
		bind("q ctrl+c", "q", "quit", true, askQuit),
	}
}

func (s *branchesScreen) filterKeys() []binding {
	return []binding{
		bind("enter down", "enter", "take", true, simply(func(*model) tea.Cmd { s.seeking = false; return nil })),
		bind("esc", "esc", "show all", true, simply(func(*model) tea.Cmd {
			s.seeking = false
			s.filter.set("")
			s.arrange()
			return nil
		})),
		helpKey("f1", "f1"),
		bind("ctrl+c", "ctrl+c", "quit", true, askQuit),
	}
}

// escape takes away what narrows the table, then goes back.
func (s *branchesScreen) escape(m *model) tea.Cmd {
	switch {
	case s.filter.text() != "":
		s.filter.set("")
	case len(s.marked) > 0:
		s.marked = nil
	case len(s.trail) > 0:
		return s.walkBack(m)
	default:
		return goBack(m)
	}
	s.arrange()
	return nil
}

// walkBack shows the branch again from whose siblings one walked here.
func (s *branchesScreen) walkBack(m *model) tea.Cmd {
	n := len(s.trail) - 1
	from, trail := s.trail[n], s.trail[:n]
	cmd := s.open(m, from)
	s.trail = trail
	return tea.Batch(cmd, m.detail.open(m, from))
}

func (s *branchesScreen) mark(*model) tea.Cmd {
	r := s.row()
	if s.marked == nil {
		s.marked = make(map[string]bool)
	}
	if s.marked[r.Branch] {
		delete(s.marked, r.Branch)
	} else {
		s.marked[r.Branch] = true
	}
	s.cursor = moved(s.cursor, "down", len(s.rows()))
	return nil
}

// wanted are the marked branches that enter fetches.
func (s *branchesScreen) wanted(m *model) (refs []app.Ref) {
	for _, r := range s.all() {
		t := m.transfers.find(s.ref(r.Branch))
		if s.marked[r.Branch] && r.Local != app.LocalVerified && r.Local != app.LocalCorrupt && (t == nil || !t.active()) {
			refs = append(refs, s.ref(r.Branch))
		}
	}
	return refs
}

// pair are the two branches to compare: both marked, or the marked one and that
// under the cursor; nil when it is not clear which.
func (s *branchesScreen) pair() []app.Ref {
	var refs []app.Ref
	for _, r := range s.all() {
		if s.marked[r.Branch] {
			refs = append(refs, s.ref(r.Branch))
		}
	}
	if r := s.row(); len(refs) == 1 && r != nil && !s.marked[r.Branch] {
		refs = append(refs, s.ref(r.Branch))
	}
	if len(refs) != 2 {
		return nil
	}
	return refs
}

func (s *branchesScreen) nextSort(*model) tea.Cmd {
	all := append([]string{""}, app.Sorts()...)
	s.sort = all[(slices.Index(all, s.sort)+1)%len(all)]
	s.arrange()
	return nil
}

func (s *branchesScreen) nextFits(*model) tea.Cmd {
	s.only = map[string]string{"": onlyFits, onlyFits: onlyPossible, onlyPossible: ""}[s.only]
	s.arrange()
	return nil
}

// whyNot says why keys do nothing for the row, given what enter does for it.
func (s *branchesScreen) whyNot(label string) string {
	r := s.row()
	if r == nil {
		return ""
	}
	return whyNotFetch(r.Branch, label)
}

// fetch does what enter says: gets what is marked, else gets, resumes or updates
// the one under the cursor, watches a transfer that runs, or repairs.
func (s *branchesScreen) fetch(m *model) tea.Cmd {
	if refs := s.wanted(m); len(refs) > 1 {
		var cmds []tea.Cmd
		for _, ref := range refs {
			cmds = append(cmds, m.transfers.add(m, ref))
		}
		s.marked = nil
		m.show(onTransfers)
		return tea.Batch(cmds...)
	}
	return m.fetch(s.selected(), s.fetchLabel(m))
}

// leave stops listing; transfers go on.
func (s *branchesScreen) leave(m *model) tea.Cmd {
	s.abandon()
	s.trail = nil
	return m.start.load(m)
}

func (s *branchesScreen) status(m *model) remark {
	switch {
	case s.seeking:
		return remark{role: accent, text: "/ " + s.filter.text() + "▏"}
	case s.err != nil && s.listing != nil:
		return remark{bad, "✗ " + s.err.Error(), hintOr(s.err, "r tries again; shown is what was known before")}
	case s.task.running() && m.frame > 2:
		return remark{role: dim, text: spinner(m.frame) + " asking the hub"}
	case s.gradeErr != nil:
		return remark{bad, "✗ what fits is not known: " + s.gradeErr.Error(), hintOr(s.gradeErr, "r tries again")}
	case s.reading.running() && m.frame > 2:
		return remark{role: dim, text: spinner(m.frame) + " reading the headers of the weights"}
	}
	return remark{}
}

func (s *branchesScreen) body(m *model, w, h int) []line {
	if s.listing == nil && s.err != nil {
		out := failure(s.err, w)
		return append(out, nil, say(plain, "   r tries again, esc goes back."))
	}
	if s.listing != nil && len(s.all()) == 0 {
		return []line{say(plain, "   The repository has no branches.")}
	}
	if len(s.rows()) == 0 && s.listing != nil {
		return s.nothing(w)
	}
	second := pane{"", func(w, h int) []line { return s.detail(m, w, h) }}
	if r := s.row(); r != nil {
		second.title = r.Branch
	}
	if s.planner.open {
		second = pane{"Plan", func(w, h int) []line { return s.planner.draw(m, s, w, h) }}
	}
	return splitAt(w, h, sideWidth(w), s.lowHeight(h), pane{s.tableTitle(), func(w, h int) []line { return s.table(m, w, h) }}, second)
}

// nothing says why no row is shown, and what would show some.
func (s *branchesScreen) nothing(w int) []line {
	if s.filter.text() != "" {
		return []line{say(plain, "   No branch matches "+s.filter.text()+"."), say(dim, "   esc shows all.")}
	}
	out := []line{say(plain, "   No branch fits.")}
	if s.report != nil {
		if err := s.report.Require(s.only == onlyPossible); err != nil {
			out = failure(err, w)
		}
	}
	return append(out, nil, say(dim, "   f shows the others; p plans with other memory, or less context."))
}

// lowHeight is how much of a narrow window is below the table.
func (s *branchesScreen) lowHeight(h int) int {
	if s.planner.open {
		return min(len(planFields)+2, h/2+1)
	}
	return lowHeight(h)
}

// sideWidth is what the pane beside the table takes of a wide window: the table
// gets most of what comes with width.
func sideWidth(w int) int { return max(34, w*28/100) }

func (s *branchesScreen) tableTitle() string {
	switch n, all := len(s.rows()), len(s.all()); {
	case all == 0:
		return "Branches"
	case n < all:
		return fmt.Sprintf("Branches %d of %d", n, all)
	default:
		return fmt.Sprintf("Branches %d", n)
	}
}

// clicked puts the cursor on a row; again, it is enter.
func (s *branchesScreen) clicked(m *model, x, y, w, h int) tea.Cmd {
	if w >= wideFrom {
		y, h = y-1, h-2
		if x > w-sideWidth(w)-2 {
			return nil
		}
	} else if h -= s.lowHeight(h) + 1; y >= h {
		return nil
	}
	if i, ok := rowAt(len(s.rows()), s.cursor, h, y); ok {
		s.cursor = i
	}
	return nil
}

// gauge says what the table is measured against, and how it is arranged.
func (s *branchesScreen) gauge(m *model, w int) line {
	out := line{{plain, " "}}
	if m.plan.simulated() {
		out = append(out, span{warn, "SIM "})
	}
	if text := m.memoryText(s.report); text != "" {
		out = append(out, span{plain, text}, span{plain, "  "})
	}
	context := cmp.Or(m.plan.context, app.DefaultContext)
	if r := s.row(); r != nil && r.Fit != nil && r.Fit.Estimate.Context > 0 {
		context = r.Fit.Estimate.Context // a small model's own
	}
	facts := []string{fmt.Sprintf("ctx %d", context)}
	if m.plan.kv != "" {
		facts = append(facts, "kv "+m.plan.kv)
	}
	facts = append(facts, orAny(m.plan.engine, "any engine"))
	if m.plan.batch > 1 {
		facts = append(facts, fmt.Sprintf("batch %d", m.plan.batch))
	}
	if m.plan.split != "" {
		facts = append(facts, m.plan.split)
	}
	out = append(out, span{dim, strings.Join(facts, "  ")})
	order := line{{dim, "fit: " + orAny(s.only, "all") + "  sort: " + orAny(s.sort, "main first")}, {plain, " "}}
	return ends(out, order, w)
}

// command is the line that does what enter does.
func (s *branchesScreen) command(m *model) string {
	if refs := s.wanted(m); len(refs) > 1 {
		text := "qbranch get"
		for _, r := range refs {
			text += " " + r.String()
		}
		return text
	}
	if r := s.row(); r != nil {
		return commandFor(s.ref(r.Branch), r.Local)
	}
	return "qbranch ls " + s.repo.String() + " --fit"
}
