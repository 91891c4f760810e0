package tui

import (
	"context"
	"fmt"
	"net/url"
	"slices"
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

// listMsg answers a listing. With err, kept is what the hub said last, nil when
// that is not here; local is what the store has of the repository then, so that
// verifying and generating go on working offline.
type listMsg struct {
	gen     int
	listing *app.Listing
	err     error
	kept    survey
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
		if kept := back.Kept(ctx, repo); kept != nil {
			return listMsg{gen: gen, err: err, kept: kept}
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
	case msg.kept != nil && (s.listing == nil || s.stored):
		s.survey = msg.kept
		s.take(m, msg.kept.Rows())
		cmd = s.grade(m)
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

func (s *branchesScreen) head(m *model) (string, string) {
	host := ""
	if s.listing != nil {
		if u, err := url.Parse(s.listing.Endpoint); err == nil {
			host = u.Host
		}
	}
	switch {
	case s.stored:
		host = "from the store, not the hub"
	case s.listing != nil && s.listing.Age != "":
		host = "list of " + s.listing.Age + " ago"
		if m.offline {
			host = "offline, " + host
		}
	case m.offline:
		host = "offline"
	}
	return s.repo.String(), host
}

// leave stops listing; transfers go on.
func (s *branchesScreen) leave(m *model) tea.Cmd {
	s.abandon()
	s.trail = nil
	return m.start.load(m)
}
