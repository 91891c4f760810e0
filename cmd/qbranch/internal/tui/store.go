package tui

import (
	tea "github.com/charmbracelet/bubbletea"
)

// storeScreen shows what the store holds, and frees space.
type storeScreen struct {
	task task
}

type (
	usageMsg struct{ gen int }
	sweepMsg struct{ gen int }
)

func (s *storeScreen) open(m *model) tea.Cmd {
	m.show(onStore)
	return nil
}
func (s *storeScreen) loaded(usageMsg)                {}
func (s *storeScreen) swept(*model, sweepMsg) tea.Cmd { return nil }
func (s *storeScreen) head(*model) (string, string)   { return "Store", "" }
func (s *storeScreen) keys(*model) []binding {
	return []binding{bind("esc", "esc", "back", true, simply(goBack)), helpKey("?", "?"), bind("q ctrl+c", "q", "quit", true, askQuit)}
}
func (s *storeScreen) body(*model, int, int) []line { return nil }
func (s *storeScreen) status(*model) remark         { return remark{} }
func (s *storeScreen) leave(*model) tea.Cmd         { return nil }
