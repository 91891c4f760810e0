package tui

import (
	"os"

	tea "github.com/charmbracelet/bubbletea"
	console "golang.org/x/sys/windows"
)

// prepareOutput makes a console know escape sequences. It stays so: programs that
// write none do not notice.
func prepareOutput(out *os.File) error {
	var mode uint32
	if console.GetConsoleMode(console.Handle(out.Fd()), &mode) != nil {
		return nil // no console
	}
	return console.SetConsoleMode(console.Handle(out.Fd()), mode|console.ENABLE_VIRTUAL_TERMINAL_PROCESSING)
}

// watch has nothing to do: Bubble Tea reads new sizes of the window where it reads
// keys, and nothing is ever suspended.
func (d *display) watch(func(tea.Msg)) (stop func()) { return func() {} }

func suspend() {}
