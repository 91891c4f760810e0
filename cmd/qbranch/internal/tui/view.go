package tui

import (
	"fmt"
	"slices"
	"strconv"
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
	lines := make([]line, 0, m.height)
	lines = append(lines, m.headLine())
	if m.headLines() > 1 {
		var second line
		if g, is := m.current().(gauge); is {
			second = g.gauge(m, m.width)
		}
		lines = append(lines, second)
	}
	h := m.bodyHeight()
	lines = append(lines, exactly(m.drawn(m.width, h), h)...)
	lines = append(append(lines, statusLines(m.status(), m.width)...), footer(m.bindings(), m.width))
	rows := make([]string, len(lines))
	for i, l := range lines {
		rows[i] = m.look.render(l, m.width)
	}
	return strings.Join(rows, "\n")
}

// statusLines are two: what is said and what to do next. What is too long for the
// first goes on in the second when that is empty.
func statusLines(r remark, w int) []line {
	second := say(dim, " "+r.hint)
	text := oneLine.Replace(r.text)
	if rows := wrap(text, w-2); r.hint == "" && len(rows) > 1 {
		text = rows[0]
		second = say(r.role, " "+strings.Join(rows[1:], " "))
	}
	return []line{say(r.role, " "+text), second}
}

// headLines is how many rows stand above the body.
func (m *model) headLines() int {
	if m.height >= 20 {
		return 2
	}
	return 1
}

// bodyHeight is what remains for the body: two status lines and the footer are
// below it.
func (m *model) bodyHeight() int { return m.height - m.headLines() - 3 }

// headLine is the title, the tabs as far as there is room, and what the screen
// says aside.
func (m *model) headLine() line {
	name, aside := m.current().head(m)
	head := line{{title, " qbranch"}, {plain, "  "}, {accent, name}}
	end := line{{dim, aside}, {plain, " "}}
	for _, t := range []line{m.tabLine(true), m.tabLine(false)} {
		whole := append(append(append(line{}, t...), span{plain, "   "}), end...)
		if head.width()+2+whole.width() <= m.width {
			return ends(head, whole, m.width)
		}
	}
	return ends(head, end, m.width)
}

// tabLine names the tabs, or says by number where one is.
func (m *model) tabLine(long bool) line {
	var out line
	for i, t := range tabs {
		here := slices.Contains(t.screens, m.top())
		text := strconv.Itoa(i + 1)
		if long {
			text += " " + t.name
		}
		if n := m.transfers.active(); t.name == "Transfers" && n > 0 {
			text += "·" + strconv.Itoa(n)
		}
		r := dim
		if here {
			r = accent
		}
		if !long && here {
			text = "[" + text + "]"
		}
		if i > 0 {
			out = append(out, span{plain, "  "})
		}
		out = append(out, span{r, text})
	}
	return out
}

// drawn is the body: the overlay's, else the screen's.
func (m *model) drawn(w, h int) []line {
	if m.over != nil {
		return m.over.body(m, w, h)
	}
	return m.current().body(m, w, h)
}

// status chooses what the status lines say.
func (m *model) status() remark {
	if m.over != nil {
		return remark{}
	}
	next, run := m.tour.says(m), remark{}
	for _, r := range []remark{m.notice, m.waiting(), m.current().status(m)} {
		if r.text != "" && (r.role != dim || next.text == "") {
			return r
		}
	}
	if m.top() != onTransfers {
		run = m.transfers.summary()
	}
	if next.text == "" {
		return run
	}
	if run.text != "" {
		next.hint = run.text
	}
	return next
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
