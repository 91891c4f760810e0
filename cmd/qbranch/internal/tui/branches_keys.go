package tui

import (
	"cmp"
	"slices"
	"strconv"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

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
	why, off := s.whyNot(label), m.cannotFetch(s.selected(), label)
	can := s.row() != nil
	return []binding{
		bind(moveKeys, "↑↓", "move", len(s.rows()) > 1, func(_ *model, pressed string) tea.Cmd {
			s.cursor = moved(s.cursor, pressed, len(s.rows()))
			return nil
		}),
		bind("enter", "enter", enter, off == "" && (label != "" || len(s.wanted(m)) > 1), simply(s.fetch)).or(cmp.Or(off, why)),
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
		bind("esc", "esc", s.escapeLabel(), true, simply(s.escape)),
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

func (s *branchesScreen) escapeLabel() string {
	switch {
	case s.filter.text() != "":
		return "show all, without the filter"
	case len(s.marked) > 0:
		return "unmark all"
	}
	return "back, transfers go on"
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
	if m.cannotFetch(app.Ref{Repo: s.repo}, "get") != "" {
		return nil
	}
	for _, r := range s.all() {
		t := m.transfers.find(s.ref(r.Branch))
		if s.marked[r.Branch] && r.Local != app.LocalVerified && r.Local != app.LocalCorrupt && !t.underWay() {
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
		cmd := m.transfers.addAll(m, refs)
		s.marked = nil
		m.show(onTransfers)
		return cmd
	}
	return m.fetch(s.selected(), s.fetchLabel(m))
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
