package tui

import (
	"slices"
	"strings"
)

// Smallest window anything is drawn in.
const (
	minWidth  = 60
	minHeight = 16
	wideFrom  = 118 // columns from which two panes stand side by side
)

// pane is a titled part of a screen.
type pane struct {
	title string
	draw  func(w, h int) []line
}

// lowHeight is what a second pane below the first takes of h rows.
func lowHeight(h int) int {
	if h >= 17 {
		return 7
	}
	return 4
}

// splitAt draws two panes in w×h: side by side in boxes when the window is wide,
// else the second one below the first. Sizes depend on w and h alone, so nothing
// jumps while content arrives. The second pane gets wb columns of a wide window,
// low rows of another.
func splitAt(w, h, wb, low int, a, b pane) []line {
	if w < wideFrom {
		out := exactly(a.draw(w, h-low-1), h-low-1)
		out = append(out, rule(w, b.title))
		return append(out, exactly(goesOn(b.draw(w, low), low), low)...)
	}
	wa := w - wb - 3
	left, right := exactly(a.draw(wa, h-2), h-2), exactly(goesOn(b.draw(wb, h-2), h-2), h-2)
	out := []line{{{dim, "┌─"}, {title, titled(a.title, wa-2)}, {dim, dashes(wa-1, a.title) + "┬─"},
		{title, titled(b.title, wb-2)}, {dim, dashes(wb-1, b.title) + "┐"}}}
	for i := range left {
		l := line{{dim, "│"}}
		l = append(append(l, left[i].fill(wa)...), span{dim, "│"})
		out = append(out, append(append(l, right[i].fill(wb)...), span{dim, "│"}))
	}
	return append(out, say(dim, "└"+strings.Repeat("─", wa)+"┴"+strings.Repeat("─", wb)+"┘"))
}

// goesOn says in the last of h rows that there are more.
func goesOn(ls []line, h int) []line {
	more := 0
	for i := h; i < len(ls); i++ {
		if ls[i].width() > 0 {
			more++
		}
	}
	if more == 0 || h < 1 {
		return ls
	}
	return append(slices.Clone(ls[:h-1]), say(dim, "   … "+plural(more+1, "more line", "more lines")))
}

// rule is a horizontal line with a title in it.
func rule(w int, name string) line {
	return line{{dim, " ──"}, {title, titled(name, w-5)}, {dim, dashes(w-4, name)}}
}

// titled is a title with a blank on either side, at most w columns in all.
func titled(name string, w int) string {
	if name == "" {
		return ""
	}
	return " " + cut(name, w-2) + " "
}

// dashes is the rest of a rule of w columns after its title.
func dashes(w int, name string) string {
	return strings.Repeat("─", max(0, w-width(titled(name, w-1))))
}

// column is one column of a table. Its cell says what stands in row i.
type column struct {
	title string
	width int
	right bool
	cell  func(i int) span
}

// table draws rows of n under a head in w×h, so that the cursor is seen; a
// cursor of -1 is none.
func table(cols []column, n, cursor, h int) []line {
	return tableMarked(cols, n, cursor, h, func(int) bool { return false })
}

// tableMarked is table with a sign before the rows that are marked.
func tableMarked(cols []column, n, cursor, h int, marked func(i int) bool) []line {
	from, rows := firstRow(n, cursor, h), max(0, h-1)
	head := say(accent, moreSigns(from, n-from-rows))
	for _, c := range cols {
		head = append(head, c.place(span{dim, c.title}), span{plain, "  "})
	}
	out := []line{head}
	for i := from; i < min(n, from+rows); i++ {
		l := say(plain, "   ")
		switch {
		case marked(i) && i == cursor:
			l = say(accent, "▸◆ ")
		case marked(i):
			l = say(accent, " ◆ ")
		case i == cursor:
			l = say(accent, " ▸ ")
		}
		for _, c := range cols {
			s := c.place(c.cell(i))
			if i == cursor && s.role == plain {
				s.role = accent
			}
			l = append(l, s, span{plain, "  "})
		}
		out = append(out, l)
	}
	return out
}

// moreSigns stand at the head of a table that shows a part of its rows: where
// others are, above and below.
func moreSigns(above, below int) string {
	switch {
	case above > 0 && below > 0:
		return "↑↓ "
	case above > 0:
		return " ↑ "
	case below > 0:
		return " ↓ "
	}
	return "   "
}

// firstRow is the first of n rows that a table of h lines shows.
func firstRow(n, cursor, h int) int {
	rows := max(0, h-1)
	return max(0, min(cursor-rows/2, n-rows))
}

// rowAt is the row of a table that stands in line y of it.
func rowAt(n, cursor, h, y int) (int, bool) {
	i := firstRow(n, cursor, h) + y - 1
	return i, y > 0 && y < h && i < n
}

func (c column) place(s span) span {
	if c.right {
		s.text = right(s.text, c.width)
	} else {
		s.text = left(s.text, c.width)
	}
	return s
}

// tableWidth is what columns take, with the cursor's place and the gaps.
func tableWidth(cols []column) int {
	n := 3
	for i, c := range cols {
		n += c.width
		if i > 0 {
			n += 2
		}
	}
	return n
}

// fact is a labelled remark of a detail pane; long ones wrap under themselves.
func fact(label string, r role, text string, w int) []line {
	const at = 14
	var out []line
	for i, row := range wrap(text, w-at-1) {
		l := span{dim, strings.Repeat(" ", at)}
		if i == 0 {
			l.text = "   " + left(label, at-3)
		}
		out = append(out, line{l, {r, row}})
	}
	return out
}
