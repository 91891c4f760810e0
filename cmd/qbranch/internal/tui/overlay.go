package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// overlay covers the screen's body, and has the keys.
type overlay interface {
	keys(m *model) []binding
	body(m *model, w, h int) []line
}

// closed takes the overlay away.
func closed(m *model) tea.Cmd {
	m.over = nil
	return nil
}

// help explains the keys of the screen below.
type help struct{ up int }

func (o *help) keys(*model) []binding {
	return []binding{
		bind("up down k j pgup pgdown home end", "↑↓", "scroll", true, func(_ *model, pressed string) tea.Cmd {
			o.up = moved(o.up, pressed, 200)
			return nil
		}),
		bind("? f1 esc q enter", "esc", "close", true, simply(closed)),
		bind("ctrl+c", "ctrl+c", "quit", true, func(m *model, key string) tea.Cmd { m.over = nil; return askQuit(m, key) }),
	}
}

func (o *help) body(m *model, w, h int) []line {
	all := helpBody(m, w)
	o.up = max(0, min(o.up, len(all)-h))
	return goesOn(all[o.up:], h)
}

// question asks before something that cannot be taken back.
type question struct {
	text  []string
	ask   string // "Quit?"
	yes   func(m *model) tea.Cmd
	keys2 string // more keys that mean yes
}

func (o *question) keys(*model) []binding {
	return []binding{
		bind("y enter "+o.keys2, "y", "yes", true, simply(func(m *model) tea.Cmd {
			m.over = nil
			return o.yes(m)
		})),
		bind("n esc q", "n", "no", true, simply(closed)),
	}
}

// body is the box alone, in the middle.
func (o *question) body(_ *model, w, h int) []line { return o.over(make([]line, h), w) }

// over draws the box in the middle of a body w columns wide. The question itself is
// always seen.
func (o *question) over(under []line, w int) []line {
	h := len(under)
	inner := min(max(52, longest(o.text)+4), w-4)
	ask := o.ask + "   y yes   n no"
	var text []string
	for _, t := range append(append([]string{}, o.text...), "", ask) {
		text = append(text, boxRows(t, inner-4)...)
	}
	if len(text) > h-2 {
		text = slices.DeleteFunc(text, func(t string) bool { return t == "" })
	}
	if len(text) > h-2 {
		text = append(text[:max(0, h-4)], "…", ask)
	}
	box := []line{say(warn, "┌"+strings.Repeat("─", inner)+"┐")}
	for _, t := range text {
		box = append(box, line{{warn, "│"}, {plain, left("  "+t, inner)}, {warn, "│"}})
	}
	box = append(box, say(warn, "└"+strings.Repeat("─", inner)+"┘"))
	x, y := max(0, (w-inner-2)/2), max(0, (h-len(box))/2)
	for i, row := range box[:min(len(box), h)] {
		before, after := under[y+i].fill(w).parted(x, x+inner+2)
		under[y+i] = append(append(before.fill(x), row...), after...)
	}
	return under
}

// boxRows wraps a line of a box under its own indent; references and command lines
// break where they can be read.
func boxRows(t string, w int) []string {
	if width(t) <= w {
		return []string{t}
	}
	text := strings.TrimLeft(t, " ")
	indent := strings.Repeat(" ", min(len(t)-len(text), w/2))
	rows := wrap(text, w-len(indent))
	switch {
	case strings.HasPrefix(text, "$ "):
		rows = wrapCommand(text, w-len(indent)-2)
		for i := range rows[1:] {
			rows[i+1] = "  " + rows[i+1]
		}
	case !strings.Contains(text, " "):
		rows = wrapCommand(text, w-len(indent))
	}
	for i := range rows {
		rows[i] = indent + rows[i]
	}
	return rows
}

func longest(texts []string) int {
	n := 0
	for _, t := range texts {
		n = max(n, width(t))
	}
	return n
}

// mouse does what the wheel and the left button mean: the wheel moves as the
// arrow keys do, a click chooses a row.
func (m *model) mouse(e tea.MouseMsg) tea.Cmd {
	switch e.Button {
	case tea.MouseButtonWheelUp:
		return m.pressed(tea.KeyMsg{Type: tea.KeyUp})
	case tea.MouseButtonWheelDown:
		return m.pressed(tea.KeyMsg{Type: tea.KeyDown})
	}
	if e.Button != tea.MouseButtonLeft || e.Action != tea.MouseActionPress || m.over != nil || m.tooSmall() {
		return nil
	}
	top, h := m.headLines(), m.bodyHeight()
	if p, is := m.current().(pointed); is && e.Y >= top && e.Y < top+h {
		m.notice = remark{}
		return p.clicked(m, e.X, e.Y-top, m.width, h)
	}
	return nil
}
