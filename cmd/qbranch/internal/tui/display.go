package tui

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/term"
)

// display draws frames and keeps the terminal's modes. Bubble Tea's renderer
// would look thirty times a second whether there is something to draw, also when
// nothing happens at all, and draw a frame up to 33 ms late, the first one too.
// This one sleeps until there is a frame, and draws it at once.
type display struct {
	in, out *os.File
	mouse   bool
	wake    chan struct{} // holds one: there may be something to draw

	mu    sync.Mutex // of what follows; never held while something is written
	frame string     // that is wanted
	width int        // of the window
	taken bool       // the terminal is in our modes
	anew  bool       // what is on the terminal is not known

	writing sync.Mutex  // held while something is written
	shown   []string    // rows on the terminal
	before  *term.State // of the terminal; nil = it is none
}

// frameGap is the least time between two frames: more are not seen, and a burst
// of keys would only fill the line.
const frameGap = 16 * time.Millisecond

// The modes of the terminal. Lines that are wider than we think must not wrap, so
// that a wrong guess of a character's width spoils its own line at most. Last on
// the way out is the normal screen, where the farewell stands.
const (
	takeModes  = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h"
	leaveModes = "\x1b[0m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l"
	takeMouse  = "\x1b[?1002h\x1b[?1006h"
	leaveMouse = "\x1b[?1006l\x1b[?1002l"
)

// Terminals that know the mode draw what is between these at once.
const beginFrame, endFrame = "\x1b[?2026h", "\x1b[?2026l"

func newDisplay(in, out *os.File, mouse bool) *display {
	return &display{in: in, out: out, mouse: mouse, wake: make(chan struct{}, 1)}
}

// size asks how large the window is. Where nobody knows it is of 80×24.
func (d *display) size() tea.WindowSizeMsg {
	w, h, err := term.GetSize(int(d.out.Fd()))
	if err != nil || w <= 0 || h <= 0 {
		w, h = 80, 24
	}
	return tea.WindowSizeMsg{Width: w, Height: h}
}

// take puts the terminal into our modes.
func (d *display) take() error {
	d.writing.Lock()
	defer d.writing.Unlock()
	if fd := int(d.in.Fd()); term.IsTerminal(fd) {
		before, err := term.MakeRaw(fd)
		if err != nil {
			return fmt.Errorf("take the terminal: %w", err)
		}
		d.before = before
	}
	if err := prepareOutput(d.out); err != nil {
		return fmt.Errorf("take the terminal: %w", err)
	}
	modes := takeModes
	if d.mouse {
		modes += takeMouse
	}
	d.ours(true)
	_, err := d.out.WriteString(modes)
	return err
}

// leave gives the terminal back as it was found, with the normal screen. Frames
// wait until it is taken again.
func (d *display) leave() {
	d.writing.Lock()
	defer d.writing.Unlock()
	if !d.ours(false) {
		return
	}
	modes := leaveModes
	if d.mouse {
		modes = leaveMouse + modes
	}
	// A terminal that is gone takes neither; then there is nothing to give back.
	_, _ = d.out.WriteString(modes)
	if d.before != nil {
		_ = term.Restore(int(d.in.Fd()), d.before)
	}
}

// ours notes whether the terminal is in our modes, and returns whether it was.
func (d *display) ours(now bool) (before bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, d.taken, d.anew = d.taken, now, true
	return before
}

// draw wants a frame to be seen. It does not wait for the terminal.
func (d *display) draw(frame string, width int) {
	d.mu.Lock()
	if frame == d.frame && width == d.width && !d.anew {
		d.mu.Unlock()
		return
	}
	d.frame, d.width = frame, width
	d.mu.Unlock()
	d.nudge()
}

// redraw draws everything, whatever the terminal shows. It is for models without
// a display, too.
func (d *display) redraw() {
	if d == nil {
		return
	}
	d.forget()
	d.nudge()
}

// forget makes the next frame a whole one: a window whose size has changed may
// show anything.
func (d *display) forget() {
	d.mu.Lock()
	d.anew = true
	d.mu.Unlock()
}

func (d *display) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run draws until ended is closed. Between frames it sleeps without a timer.
func (d *display) run(ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-d.wake:
		}
		d.flush()
		select {
		case <-ended:
			return
		case <-time.After(frameGap):
		}
	}
}

// flush writes what differs between the frame that is wanted and the one that is
// shown.
func (d *display) flush() {
	d.writing.Lock()
	defer d.writing.Unlock()
	d.mu.Lock()
	if !d.taken || d.frame == "" {
		d.mu.Unlock()
		return
	}
	rows, width, anew := strings.Split(d.frame, "\n"), d.width, d.anew
	d.anew = false
	d.mu.Unlock()
	if anew {
		d.shown = nil
	}
	if text := difference(d.shown, rows, width, anew); text != "" {
		// That the terminal is gone is seen where keys are read.
		_, _ = d.out.WriteString(text)
	}
	d.shown = rows
}

// difference is what makes rows of a terminal of width columns that shows before;
// anew is that it may show anything.
func difference(before, rows []string, width int, anew bool) string {
	var b strings.Builder
	if anew {
		b.WriteString("\x1b[2J")
	}
	for i, row := range rows {
		if i < len(before) && before[i] == row {
			continue
		}
		fmt.Fprintf(&b, "\x1b[%d;1H%s", i+1, row)
		if columns(row) < width { // behind the last column it would erase that
			b.WriteString("\x1b[K")
		}
	}
	if len(before) > len(rows) {
		fmt.Fprintf(&b, "\x1b[%d;1H\x1b[J", len(rows)+1)
	}
	if b.Len() == 0 {
		return ""
	}
	return beginFrame + b.String() + endFrame
}

// columns is the width of a row that look.render made: text and colours.
func columns(row string) int {
	n := 0
	for i, part := range strings.Split(row, "\x1b[") {
		if _, text, ok := strings.Cut(part, "m"); ok && i > 0 {
			part = text
		}
		n += width(part)
	}
	return n
}

// shownModel is a model on a display, as Bubble Tea wants one.
type shownModel struct {
	*model
	on *display
}

// Update takes a message.
func (s shownModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if _, is := msg.(tea.WindowSizeMsg); is {
		s.on.forget()
	}
	_, cmd := s.model.Update(msg)
	return s, cmd
}

// View draws on the display; Bubble Tea itself draws nothing.
func (s shownModel) View() string {
	s.on.draw(s.model.View(), s.model.width)
	return ""
}

// errGone is a terminal that was closed.
var errGone = errors.New("the terminal is gone")

// keyboard is the terminal's input. Bubble Tea takes its end for a reason to read
// no more, and would run on where nobody can stop it.
type keyboard struct{ *os.File }

// Read reads keys.
func (k keyboard) Read(p []byte) (int, error) {
	n, err := k.File.Read(p)
	if errors.Is(err, io.EOF) {
		err = errGone
	}
	return n, err
}
