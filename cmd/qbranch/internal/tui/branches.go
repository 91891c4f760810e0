package tui

import (
	"context"
	"fmt"
	"net/url"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// branchesScreen is the home of a repository: its branches, and what can be
// done with each.
type branchesScreen struct {
	repo    app.RepoID
	want    string       // branch to put the cursor on when it is known
	listing *app.Listing // last good one; nil = none yet
	stored  bool         // listing is what the store holds, not what the hub says
	err     error        // of the last attempt
	cursor  int
	task    task
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
		s.task.abandon()
		*s = branchesScreen{repo: ref.Repo, task: s.task}
	}
	s.want = ref.Revision
	s.seek()
	return s.refresh(m)
}

func (s *branchesScreen) refresh(m *model) tea.Cmd {
	m.frame = 0
	repo := s.repo
	ctx, gen := s.task.begin(m.work.ctx)
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		l, err := m.back.List(ctx, repo, app.ListOptions{})
		if err == nil {
			return listMsg{gen: gen, listing: l}
		}
		items, storeErr := m.back.StoreList(ctx)
		if storeErr != nil {
			items = nil // the first error is the one that matters
		}
		return listMsg{gen: gen, err: err, local: items}
	})
}

func (s *branchesScreen) listed(m *model, msg listMsg) {
	if !s.task.ended(msg.gen) {
		return
	}
	s.err = msg.err
	switch {
	case msg.err == nil:
		s.listing, s.stored = msg.listing, false
		for _, t := range m.transfers.list {
			s.patch(t)
		}
	case s.listing == nil:
		s.listing = stored(s.repo.String(), msg.local)
		s.stored = s.listing != nil
	}
	s.seek()
	if s.want != "" && msg.err == nil {
		m.notice = remark{role: warn, text: "no branch of " + s.repo.String() + " is " + s.want}
		s.want = ""
	}
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

func (s *branchesScreen) rows() []app.BranchRow {
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
	return &s.listing.Branches[s.cursor]
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
	for _, r := range s.rows() {
		if s.ref(r.Branch) == ref {
			return r.LocalBytes, r.TotalBytes
		}
	}
	return 0, 0
}

// patch tells the row of a transfer's branch how the transfer ended. A later
// verdict (corrupt) is not overruled.
func (s *branchesScreen) patch(t *transfer) {
	for i, r := range s.rows() {
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
}

// judge tells the row of ref what a verification found.
func (s *branchesScreen) judge(ref app.Ref, ok bool) {
	for i, r := range s.rows() {
		if s.ref(r.Branch) == ref {
			row := &s.listing.Branches[i]
			if !ok {
				row.Local = app.LocalCorrupt
			} else if row.Local == app.LocalCorrupt {
				row.Local, row.LocalBytes = app.LocalVerified, row.TotalBytes
			}
		}
	}
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
	if t := m.transfers.find(s.ref(r.Branch)); t != nil && t.active() {
		return "watch"
	}
	switch r.Local {
	case app.LocalVerified:
		return ""
	case app.LocalCorrupt:
		return "repair"
	case app.LocalPartial:
		return "resume"
	case app.LocalOutdated:
		return "update"
	}
	return "get"
}

func (s *branchesScreen) keys(m *model) []binding {
	label := s.fetchLabel(m)
	here := s.row() != nil && (label == "" || label == "repair" || label == "update")
	sound := here && label != "repair"
	enter := label
	if label == "" {
		enter = "get"
	}
	why := s.whyNot(label)
	return []binding{
		bind(moveKeys, "↑↓", "move", len(s.rows()) > 1, func(_ *model, pressed string) tea.Cmd {
			s.cursor = moved(s.cursor, pressed, len(s.rows()))
			return nil
		}),
		bind("enter", "enter", enter, label != "", simply(s.fetch)).or(why),
		bind("v", "v", "verify, every byte against its hash", here, simply(func(m *model) tea.Cmd { return m.verify.open(m, s.selected(), false) })).or(why),
		bind("g", "g", "generate, text from a prompt", sound, simply(func(m *model) tea.Cmd { return m.generate.open(m, s.selected()) })).or(why),
		bind("space", "space", "queue, a get without leaving the table", label == "get" || label == "resume" || label == "update", simply(func(m *model) tea.Cmd {
			return m.transfers.add(m, s.selected())
		})).or(why),
		bind("t", "t", "transfers, of this session", len(m.transfers.list) > 0, simply(showTransfers)).or("nothing was fetched in this session yet"),
		bind("r", "r", "refresh, asking the hub again", !s.task.running(), simply(s.refresh)).or("the hub is being asked already"),
		copyKey(s.row() != nil, func(*model) app.Ref { return s.selected() }),
		bind("esc", "esc", "back, transfers go on", true, simply(goBack)),
		helpKey("?", "?"),
		bind("q ctrl+c", "q", "quit", true, askQuit),
	}
}

// whyNot says why keys do nothing for the row, given what enter does for it.
func (s *branchesScreen) whyNot(label string) string {
	r := s.row()
	if r == nil {
		return ""
	}
	switch label {
	case "":
		return r.Branch + " is here already: v verifies it, g generates with it"
	case "get":
		return "nothing of " + r.Branch + " is here yet: enter fetches it"
	case "resume":
		return "only a part of " + r.Branch + " is here: enter fetches the rest"
	case "repair":
		return "bytes of " + r.Branch + " are corrupt: enter repairs them"
	case "watch":
		return r.Branch + " is being fetched, or waits to be: enter shows it"
	}
	return ""
}

// fetch does what enter says: gets, resumes or updates, watches a transfer that
// runs, or repairs.
func (s *branchesScreen) fetch(m *model) tea.Cmd {
	if s.fetchLabel(m) == "repair" {
		return m.verify.open(m, s.selected(), true)
	}
	cmd := m.transfers.add(m, s.selected())
	m.show(onTransfers)
	return cmd
}

// leave stops listing; transfers go on.
func (s *branchesScreen) leave(m *model) tea.Cmd {
	s.task.abandon()
	return m.start.load(m)
}

func (s *branchesScreen) status(m *model) remark {
	switch {
	case s.err != nil && s.listing != nil:
		return remark{bad, "✗ " + s.err.Error(), hintOr(s.err, "r tries again; shown is what was known before")}
	case s.task.running() && m.frame > 2:
		return remark{role: dim, text: spinner(m.frame) + " asking the hub"}
	}
	return remark{}
}

func (s *branchesScreen) body(m *model, w, h int) []line {
	if s.listing == nil && s.err != nil {
		out := failure(s.err, w)
		return append(out, nil, say(plain, "   r tries again, esc goes back."))
	}
	if s.listing != nil && len(s.rows()) == 0 {
		return []line{say(plain, "   The repository has no branches.")}
	}
	name := ""
	if r := s.row(); r != nil {
		name = r.Branch
	}
	head := "Branches"
	if n := len(s.rows()); n > 0 {
		head = fmt.Sprintf("Branches %d", n)
	}
	return split(w, h,
		pane{head, func(w, h int) []line { return s.table(m, w, h) }},
		pane{name, func(w, h int) []line { return s.detail(m, w, h) }})
}
