package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// detailScreen shows everything that is known of a branch.
type detailScreen struct {
	ref  app.Ref
	task task
}

type detailMsg struct{ gen int }

func (s *detailScreen) open(m *model, ref app.Ref) tea.Cmd {
	s.ref = ref
	m.show(onDetail)
	return nil
}
func (s *detailScreen) loaded(detailMsg)             {}
func (s *detailScreen) head(*model) (string, string) { return s.ref.String(), "" }
func (s *detailScreen) keys(*model) []binding {
	return []binding{bind("esc", "esc", "back", true, simply(goBack)), helpKey("?", "?"), bind("q ctrl+c", "q", "quit", true, askQuit)}
}
func (s *detailScreen) body(*model, int, int) []line { return nil }
func (s *detailScreen) status(*model) remark         { return remark{} }
func (s *detailScreen) leave(*model) tea.Cmd         { return nil }
