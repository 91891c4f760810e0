package tui

import (
	"context"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// compareScreen shows two branches side by side.
type compareScreen struct {
	refs []app.Ref // two
	task task
	diff *app.Diff // the last good one; nil = none yet
	err  error     // of the last attempt

	side    int  // that enter fetches: 0 is A
	differs bool // only what differs is shown
	cursor  int  // of the rows
}

// compareMsg is in what two branches differ.
type compareMsg struct {
	gen  int
	diff *app.Diff
	err  error
}

// open compares two branches.
func (s *compareScreen) open(m *model, refs []app.Ref) tea.Cmd {
	if len(s.refs) != 2 || s.refs[0] != refs[0] || s.refs[1] != refs[1] {
		s.task.abandon()
		*s = compareScreen{refs: refs, task: s.task, side: 1, differs: s.differs}
	}
	m.show(onCompare)
	return s.refresh(m)
}

func (s *compareScreen) refresh(m *model) tea.Cmd {
	m.frame = 0
	ctx, gen := s.task.begin(m.work.ctx)
	back, a, b, o := m.back, s.refs[0], s.refs[1], m.measured()
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		d, err := back.Diff(ctx, app.Target{Ref: a}, app.Target{Ref: b}, o)
		return compareMsg{gen, d, err}
	})
}

func (s *compareScreen) loaded(msg compareMsg) {
	if !s.task.ended(msg.gen) {
		return
	}
	if s.err = msg.err; msg.err == nil && msg.diff != nil {
		s.diff = msg.diff
		s.cursor = s.near(s.cursor, +1)
	}
}

// swap exchanges the two: what switching costs is asked anew.
func (s *compareScreen) swap(m *model) tea.Cmd {
	return s.open(m, []app.Ref{s.refs[1], s.refs[0]})
}

// ref is the side that was chosen, and what is here of it.
func (s *compareScreen) ref(m *model) (app.Ref, app.LocalState) {
	ref, local := s.refs[s.side], app.LocalNone
	if s.diff != nil {
		local = []app.DiffSide{s.diff.A, s.diff.B}[s.side].Local
	}
	return ref, m.localOf(ref, local)
}

func (s *compareScreen) head(*model) (string, string) {
	if len(s.refs) == 2 && s.refs[0].Repo == s.refs[1].Repo {
		return "Compare  " + s.refs[0].Repo.String(), ""
	}
	return "Compare", ""
}

func (s *compareScreen) keys(m *model) []binding {
	ref, local := s.ref(m)
	enter, verify, generate := branchKeys(m, ref, local, true)
	enter.SetHelp("enter", enter.Help().Desc+" "+[]string{"A", "B"}[s.side])
	n := len(s.rows())
	return []binding{
		bind(moveKeys, "↑↓", "move", n > 1, func(_ *model, pressed string) tea.Cmd {
			to := moved(s.cursor, pressed, n)
			s.cursor = s.near(to, to-s.cursor)
			return nil
		}),
		bind("left right h l tab", "← →", "A or B", true, func(_ *model, pressed string) tea.Cmd {
			s.side = map[string]int{"left": 0, "h": 0, "right": 1, "l": 1, "tab": 1 - s.side}[pressed]
			return nil
		}),
		enter,
		bind("x", "x", "exchange, A for B", true, simply(s.swap)),
		bind("f", "f", map[bool]string{false: "differences", true: "all"}[s.differs]+", show only what differs, or all", s.diff != nil, simply(func(*model) tea.Cmd {
			s.differs = !s.differs
			s.cursor = s.near(0, +1)
			return nil
		})),
		bind("d", "d", "detail, everything about it", true, simply(func(m *model) tea.Cmd { return m.detail.open(m, ref) })),
		verify, generate,
		bind("r", "r", "refresh, asking again", !s.task.running(), simply(s.refresh)).or("it is being asked for already"),
		copyKey(true, func(*model) app.Ref { return ref }),
		bind("esc", "esc", "back, transfers go on", true, simply(goBack)),
		helpKey("?", "?"),
		bind("q ctrl+c", "q", "quit", true, askQuit),
	}
}

// near is the row at or behind i that is no heading, or before it with by < 0.
func (s *compareScreen) near(i, by int) int {
	rows := s.rows()
	i = max(0, min(i, len(rows)-1))
	step := 1
	if by < 0 {
		step = -1
	}
	for range 2 { // to the end, then the other way
		for j := i; j >= 0 && j < len(rows); j += step {
			if !rows[j].heading {
				return j
			}
		}
		step = -step
	}
	return 0
}

func (s *compareScreen) leave(*model) tea.Cmd {
	s.task.abandon()
	return nil
}

func (s *compareScreen) status(m *model) remark {
	switch {
	case s.err != nil && s.diff != nil:
		return remark{bad, "✗ " + s.err.Error(), hintOr(s.err, "r tries again; shown is what was known before")}
	case s.task.running() && m.frame > 2:
		return remark{role: dim, text: spinner(m.frame) + " reading what is known of both"}
	case s.diff != nil && len(s.diff.A.Unread)+len(s.diff.B.Unread) > 0:
		return remark{warn, "not everything could be read: differences may be missing", "the last rows say what it was"}
	}
	return remark{}
}

// command is the line that prints the comparison.
func (s *compareScreen) command(m *model) string {
	return strings.TrimSpace("qbranch diff " + s.refs[0].String() + " " + s.refs[1].String() + " " + m.plan.flags())
}
