package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// compareScreen shows two branches side by side.
type compareScreen struct {
	refs []app.Ref
	task task
}

type compareMsg struct{ gen int }

func (s *compareScreen) open(m *model, refs []app.Ref) tea.Cmd {
	s.refs = refs
	m.show(onCompare)
	return nil
}
func (s *compareScreen) loaded(compareMsg)            {}
func (s *compareScreen) head(*model) (string, string) { return "Compare", "" }
func (s *compareScreen) keys(*model) []binding {
	return []binding{bind("esc", "esc", "back", true, simply(goBack)), helpKey("?", "?"), bind("q ctrl+c", "q", "quit", true, askQuit)}
}
func (s *compareScreen) body(*model, int, int) []line { return nil }
func (s *compareScreen) status(*model) remark         { return remark{} }
func (s *compareScreen) leave(*model) tea.Cmd         { return nil }
