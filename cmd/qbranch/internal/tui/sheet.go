package tui

import (
	"slices"
	"strconv"
)

// sheet is one section of a screen: a table, and what is told of the row under
// the cursor.
type sheet struct {
	n       int                   // rows
	columns func(w int) []column  // for a table of w columns
	title   func(i int) string    // of the pane that tells of row i
	tell    func(i, w int) []line // nil = nothing
	empty   string                // said when there are no rows
	after   func(w int) []line    // told below, whatever the row; nil = nothing
}

// sectionName is a section in the bar: its name, a shorter one, and how many
// things are in it; -1 = that is not known or not counted.
type sectionName struct {
	name, short string
	count       int
}

// sectionBar names sections in w columns, that which is shown in brackets.
func sectionBar(all []sectionName, at, w int) line {
	for _, draw := range []func(n sectionName) string{
		func(n sectionName) string {
			if n.count < 0 {
				return n.name
			}
			return n.name + " " + strconv.Itoa(n.count)
		},
		func(n sectionName) string { return n.name },
		func(n sectionName) string { return n.short },
	} {
		out := say(plain, " ")
		for i, n := range all {
			text, r := " "+draw(n)+" ", dim
			if i == at {
				text, r = "["+draw(n)+"]", accent
			}
			out = append(out, span{r, text})
		}
		if out.width() <= w || draw(all[0]) == all[0].short {
			return out
		}
	}
	return nil
}

// sectionAt is the section whose name stands in column x of the bar.
func sectionAt(bar line, x int) (int, bool) {
	for i, s := range bar {
		if x -= width(s.text); x < 0 {
			return i - 1, i > 0
		}
	}
	return 0, false
}

// flexible gives the columns that have no width what is left of w, each as much as
// its texts need and the last of them the rest.
func flexible(cols []column, n, w int) []column {
	left := w - tableWidth(cols)
	open := 0
	for _, c := range cols {
		if c.width == 0 {
			open++
		}
	}
	for i := range cols {
		c := &cols[i]
		if c.width != 0 {
			continue
		}
		need := width(c.title)
		for row := range n {
			need = max(need, width(c.cell(row).text))
		}
		if open > 1 {
			need = min(need, max(8, left/open))
		} else {
			need = left
		}
		c.width = max(4, need)
		left -= c.width
		open--
	}
	return cols
}

// waitingRows stand where rows will be.
func waitingRows(w, h int) []line {
	cols := []column{{width: 16}, {width: 12}, {width: max(8, w-40)}}
	for i := range cols {
		cols[i].cell = func(row int) span { return span{dim, skeleton(i, cols[i].width, row)} }
	}
	return table(cols, skeletonRows, -1, h)
}

// without takes away the columns of which no row says anything.
func without(cols []column, n int) []column {
	return slices.DeleteFunc(cols, func(c column) bool {
		for i := range n {
			if t := c.cell(i).text; t != "" && t != "·" {
				return false
			}
		}
		return n > 0
	})
}

// tellHeight is how much of h rows tells of the row under the cursor, below the
// table of a narrow window.
func tellHeight(h int) int { return max(lowHeight(h), h*2/5) }
