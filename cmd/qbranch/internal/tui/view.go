package tui

import (
	"fmt"
	"strings"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (m *model) tooSmall() bool {
	return m.width > 0 && (m.width < minWidth || m.height < minHeight)
}

// View draws the window. Until its size is known there is nothing to draw.
func (m *model) View() string {
	if m.width <= 0 || m.height <= 0 {
		return ""
	}
	if m.tooSmall() {
		rows := wrap(fmt.Sprintf("terminal too small, need %dx%d; q quits", minWidth, minHeight), m.width)
		return strings.Join(rows[:min(len(rows), m.height)], "\n")
	}
	name, aside := m.current().head(m)
	lines := []line{ends(line{{title, " qbranch"}, {plain, "  "}, {accent, name}}, line{{dim, aside}, {plain, " "}}, m.width)}
	if m.height >= 20 {
		lines = append(lines, nil)
	}
	h := m.height - len(lines) - 3 // two status lines and the footer
	lines = append(lines, exactly(m.drawn(m.width, h), h)...)
	status := m.status()
	lines = append(lines, say(status.role, " "+status.text), say(dim, " "+status.hint), footer(m.bindings(), m.width))
	rows := make([]string, len(lines))
	for i, l := range lines {
		rows[i] = m.look.render(l, m.width)
	}
	return strings.Join(rows, "\n")
}

// drawn is the body: the overlay's, else the screen's.
func (m *model) drawn(w, h int) []line {
	switch m.over {
	case helpOverlay:
		return helpBody(m)
	case quitOverlay:
		return quitBody(m, w, h)
	}
	return m.current().body(m, w, h)
}

// status chooses what the status lines say.
func (m *model) status() remark {
	if m.over != noOverlay {
		return remark{}
	}
	for _, r := range []remark{m.notice, m.current().status(m)} {
		if r.text != "" {
			return r
		}
	}
	if r := m.transfers.summary(); r.text != "" && m.top() != onTransfers {
		return r
	}
	return remark{role: dim, text: m.hint}
}

// quitBody asks, in a box in the middle.
func quitBody(m *model, w, h int) []line {
	text := []string{
		plural(m.transfers.active(), "transfer is", "transfers are") + " not finished.",
		"What is on disk stays and is not fetched again:",
		"the same command resumes.",
		"",
		"Quit?   y yes   n no",
	}
	if m.passing {
		text[1], text[2] = "The store is a temporary one: what was fetched", "is deleted at the end."
	}
	inner := 52
	pad := strings.Repeat(" ", (w-inner-2)/2)
	out := make([]line, max(0, (h-len(text)-2)/2))
	out = append(out, line{{plain, pad}, {warn, "┌" + strings.Repeat("─", inner) + "┐"}})
	for _, t := range text {
		out = append(out, line{{plain, pad}, {warn, "│"}, {plain, left("  "+t, inner)}, {warn, "│"}})
	}
	return append(out, line{{plain, pad}, {warn, "└" + strings.Repeat("─", inner) + "┘"}})
}

// failure explains an error in full: what happened, and what to do next.
func failure(err error, w int) []line {
	var out []line
	for i, row := range wrap(oneLine.Replace(err.Error()), w-4) {
		sign := "   "
		if i == 0 {
			sign = " ✗ "
		}
		out = append(out, line{{bad, sign}, {plain, row}})
	}
	if hint := app.HintOf(err); hint != "" {
		for _, row := range wrap(hint, w-4) {
			out = append(out, line{{plain, "   "}, {warn, row}})
		}
	}
	return out
}
