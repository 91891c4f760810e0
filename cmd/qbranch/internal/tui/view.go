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
	lines = append(lines, m.headLine(m.current().head(m)))
	if m.headLines() > 1 {
		var second line
		if g, is := m.current().(gauge); is {
			second = g.gauge(m, m.width)
		}
		lines = append(lines, second)
	}
	h := m.bodyHeight()
	lines = append(lines, m.drawn(m.width, h)...)
	lines = append(append(lines, statusLines(m.status(), m.width)...), footer(m.bindings(), m.width))
	rows := make([]string, len(lines))
	for i, l := range lines {
		rows[i] = m.look.render(l, m.width)
	}
	return strings.Join(rows, "\n")
}

// statusLines are two: what is said and what to do next. What is too long for the
// first goes on in the second, before the advice; of what is too long for both the
// middle goes, because an error says first what failed and last why.
func statusLines(r remark, w int) []line {
	text := oneLine.Replace(r.text)
	rows := wrap(text, w-2)
	if len(rows) < 2 {
		return []line{say(r.role, " "+text), say(dim, " "+r.hint)}
	}
	rest := strings.Join(rows[1:], " ")
	second := say(r.role, " "+tail(rest, w-2))
	if r.hint != "" && width(rest) < w-12 {
		second = append(second, span{dim, "  " + r.hint})
	}
	return []line{say(r.role, " "+rows[0]), second}
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

// headLine is the title, the tabs, and what the screen says aside, as much of each
// as there is room for. A short aside (a host, a version, a count) gives way to the
// names of the tabs; one of more than three words tells a state, and stays.
func (m *model) headLine(name, aside string) line {
	names := shorterNames(name)
	state, _, _ := strings.Cut(aside, " · ")
	if len(strings.Fields(state)) <= 3 {
		state = ""
	}
	for _, must := range []string{state, ""} {
		for form := range tabForms {
			for i, n := range names {
				if form == tabsNamed && i > 1 {
					continue // a repository says more than words of tabs
				}
				if l := m.headWith(n, m.tabLine(form), must, aside); l.width() <= m.width {
					return l
				}
			}
		}
	}
	tabs := m.tabLine(tabsNumbered)
	over := m.headWith(name, tabs, "", "").width() - m.width
	return m.headWith(cut(names[len(names)-1], width(name)-over), tabs, "", "")
}

// headWith is the head's line, with as many parts of aside as there is room for,
// but with must. It is wider than the window when that is too narrow.
func (m *model) headWith(name string, tabs line, must, aside string) line {
	l := line{{title, " qbranch"}, {plain, "  "}, {accent, name}}
	least := l.width() + 2 + tabs.width() + 1
	for aside != must && least+3+width(aside) > m.width {
		i := strings.LastIndex(aside, " · ")
		aside = aside[:max(i, 0)]
		if i < 0 {
			aside = must
		}
	}
	r := append(line{}, tabs...)
	if aside != "" {
		r = append(r, span{plain, "   "}, span{dim, aside})
		least += 3 + width(aside)
	}
	l = append(l, span{plain, strings.Repeat(" ", 2+max(0, m.width-least))})
	return append(append(l, r...), span{plain, " "})
}

// shorterNames are the ways to name a screen, the longest first: of a repository
// its owner goes, of a branch the repository too.
func shorterNames(name string) []string {
	out := []string{name}
	kind := ""
	if i := strings.LastIndex(name, "  "); i >= 0 {
		kind, name = name[:i+2], name[i+2:]
	}
	if _, repo, has := strings.Cut(name, "/"); has {
		out = append(out, kind+repo)
		if _, branch, has := strings.Cut(repo, ":"); has {
			out = append(out, kind+"…:"+branch)
		}
	}
	return out
}

// Ways to draw the tabs.
const (
	tabsNamed    = iota
	tabsShort    // "1 Br"
	tabsNumbered // that which is shown in brackets
	tabForms
)

// tabLine names the tabs. Where digits are text, their keys are those with alt.
func (m *model) tabLine(form int) line {
	var out line
	if m.typing() {
		out = say(dim, "alt+ ")
	}
	for i, t := range tabs {
		text, r := strconv.Itoa(i+1), dim
		switch form {
		case tabsNamed:
			text += " " + t.name
		case tabsShort:
			text += " " + t.short
		}
		if n := m.transfers.active(); t.name == "Transfers" && n > 0 {
			text += "·" + strconv.Itoa(n)
		}
		if slices.Contains(t.screens, m.top()) {
			r = accent
			if form == tabsNumbered {
				text = "[" + text + "]"
			}
		}
		if i > 0 {
			out = append(out, span{plain, "  "})
		}
		out = append(out, span{r, text})
	}
	return out
}

// drawn is the body in h rows: the overlay's, else the screen's. A question is
// asked over the screen that it is about.
func (m *model) drawn(w, h int) []line {
	if q, is := m.over.(*question); is {
		return q.over(exactly(m.current().body(m, w, h), h), w)
	}
	if m.over != nil {
		return exactly(m.over.body(m, w, h), h)
	}
	return exactly(m.current().body(m, w, h), h)
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
		key := "2"
		if m.typing() {
			key = "alt+2"
		}
		run = m.transfers.summary(key)
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
