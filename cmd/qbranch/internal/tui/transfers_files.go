package tui

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// closeUp draws the files of a transfer, and below them the parts of one of them
// beside the connections, in h rows.
func (t *transfer) closeUp(w, h int) []line {
	rows := t.fileRows()
	chart := 0 // rows of the map, its title included
	if h >= 8 && len(t.look.parts) > 0 && t.is(transferRunning, transferStopping) {
		chart = t.chartRows(w, h)
	}
	files := min(len(rows)+1, h-chart)
	out := t.fileTable(rows, w, files)
	if chart > 0 {
		out = append(out, t.chart(w, chart)...)
	}
	if rest := h - len(out); rest >= 4 && len(t.log) > 0 {
		out = append(append(out, nil), t.latest(w, rest-1)...)
	}
	return out
}

// fileRow is a row of the table of files: one file, or all small ones.
type fileRow struct {
	app.FileProgress
	perSecond float64
	state     span
	names     []string // of several files that are joined
}

// fileRows are the files in the order of the plan; small ones are joined into a
// row at the end.
func (t *transfer) fileRows() []fileRow {
	var rows []fileRow
	var small []app.FileProgress
	speed := make(map[string]float64)
	for _, l := range t.look.lines {
		speed[l.Path] += l.perSecond
	}
	for _, f := range t.look.files {
		if f.Size > smallFile {
			rows = append(rows, fileRow{FileProgress: f, perSecond: speed[f.Path], state: t.fileState(f)})
		} else {
			small = append(small, f)
		}
	}
	if len(small) == 0 {
		return rows
	}
	names := make([]string, len(small))
	sum := fileRow{FileProgress: app.FileProgress{State: app.FileVerified}}
	for i, f := range small {
		names[i] = path.Base(f.Path)
		sum.Size, sum.Held, sum.Connections = sum.Size+f.Size, sum.Held+f.Held, sum.Connections+f.Connections
		if f.State != app.FileVerified && f.State != app.FileReused {
			sum.State = f.State
		}
		sum.perSecond += speed[f.Path]
	}
	sum.Path, sum.names = names[0], names
	sum.state = t.fileState(sum.FileProgress)
	return append(rows, sum)
}

// someOf names as many as fit w columns, and counts the others.
func someOf(names []string, w int) string {
	for n := len(names); n > 1; n-- {
		text := strings.Join(names[:n], "  ")
		if n < len(names) {
			text += fmt.Sprintf("  +%d", len(names)-n)
		}
		if width(text) <= w {
			return text
		}
	}
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s  +%d", cut(names[0], max(4, w-5)), len(names)-1)
}

// fileState is a word for how far a file is.
func (t *transfer) fileState(f app.FileProgress) span {
	switch f.State {
	case app.FileVerified:
		return span{good, "● verified"}
	case app.FileReused:
		return span{good, "● was here"}
	case app.FileChecking:
		return span{accent, "checking " + percent(f.Hashed, f.Size)}
	case app.FileRepairing:
		return span{bad, "! repairing"}
	case app.FileWaiting:
		return span{warn, "elsewhere"}
	case app.FileFetching:
		if t.paused {
			return span{warn, "◐ paused"}
		}
		return span{accent, "fetching"}
	}
	switch {
	case !t.active() && f.Held > 0:
		return span{warn, "◐ partly"}
	case !t.active():
		return span{dim, "· missing"}
	}
	return span{dim, "· queued"}
}

func (t *transfer) fileTable(rows []fileRow, w, h int) []line {
	largest, longest := int64(0), 12
	for _, r := range rows {
		if largest = max(largest, r.Size); r.names == nil {
			longest = max(longest, width(r.Path))
		}
	}
	u := unitFor(largest)
	cols := []column{
		{title: "File", cell: func(i int) span { return span{plain, rows[i].Path} }},
		{title: "Size " + u.name, width: 7, right: true, cell: func(i int) span { return span{plain, u.of(rows[i].Size)} }},
		{title: "On disk", width: 7, cell: nil},
		{title: "Rate", width: 9, right: true, cell: func(i int) span {
			if rows[i].Connections == 0 || t.paused {
				return span{dim, "–"}
			}
			return span{plain, rate(rows[i].perSecond)}
		}},
		{title: "Conn", width: 4, right: true, cell: func(i int) span {
			if rows[i].Connections == 0 || t.paused {
				return span{dim, "–"}
			}
			return span{plain, fmt.Sprint(rows[i].Connections)}
		}},
		{title: "State", width: 13, cell: func(i int) span { return rows[i].state }},
	}
	if w < 78 || !t.active() {
		cols = slices.Delete(cols, 3, 5)
	}
	free := w - tableWidth(cols) // of the name and the bar
	if free-longest < 6 {
		longest = 12
		for i := range rows {
			rows[i].Path = strings.TrimSuffix(rows[i].Path, ".safetensors")
			if rows[i].names == nil {
				longest = max(longest, width(rows[i].Path))
			}
		}
	}
	barWidth := max(0, min(free-longest, max(16, w/4))) // a name is worth more than the bar
	if barWidth < 4 {
		barWidth = 0
	}
	cols[0].width = max(8, min(longest, free-barWidth))
	for i, r := range rows {
		if r.names != nil {
			rows[i].Path = someOf(r.names, cols[0].width)
		}
	}
	cols[2].width = 5 + max(2, barWidth)
	cols[2].cell = func(i int) span {
		r := rows[i]
		done, all := r.Held, r.Size
		if all == 0 {
			done, all = 1, 1 // an empty file is here, or is no work
		}
		return span{plain, bar(done, all, barWidth) + right(percent(done, all), max(5, 7-barWidth))}
	}
	return window(table(cols, len(rows), -1, len(rows)+1), rows, h)
}

// window leaves the head and the rows from the first file that is not done.
func window(lines []line, rows []fileRow, h int) []line {
	if len(lines) <= h {
		return lines
	}
	from := slices.IndexFunc(rows, func(r fileRow) bool { return r.Held < r.Size })
	from = max(0, min(from-1, len(rows)-(h-1)))
	return append(lines[:1:1], lines[1+from:from+h]...)
}

// chart draws where the parts of a file are, and beside it the connections, in h
// rows with a title.
func (t *transfer) chart(w, h int) []line {
	side := connsPerRow(w) * connWidth
	wm := w - side
	head := rule(wm-2, "parts of "+path.Base(t.look.mapped)).fill(wm)
	if side > 0 {
		head = append(head, rule(side, "connections")...)
	}
	out := []line{head}
	cells, across := condense(t.look.parts, (wm-5)*(h-2)), wm-5
	for i := range h - 1 {
		from := min(i*across, len(cells))
		l := line(append(line{{plain, "   "}}, drawParts(cells[from:min(from+across, len(cells))])...))
		if i == h-2 {
			l = legend(t.paused)
		}
		out = append(out, append(l.fill(wm), t.connRow(i, h-1, side/connWidth)...))
	}
	return out
}

// chartRows is how much of h rows the map takes, its title and its legend included:
// as many as its cells and the connections fill.
func (t *transfer) chartRows(w, h int) int {
	side := connsPerRow(w)
	rows := 4 + max(0, min((h-14)/4, 4))
	across := w - side*connWidth - 5
	need := 2 + (len(t.look.parts)+across-1)/across
	if side > 0 {
		need = max(need, 1+(len(t.look.lines)+side-1)/side)
	}
	return min(rows, max(need, 3))
}

// connsPerRow is how many connections stand in a row beside the map.
func connsPerRow(w int) int {
	switch {
	case w >= wideFrom:
		return 3
	case w >= 78:
		return 2
	}
	return 0
}

// legend explains the signs of the map. What a pause keeps of a part is in memory.
func legend(paused bool) line {
	coming := " coming  "
	if paused {
		coming = " kept  "
	}
	return line{{plain, "   "}, {good, "█"}, {dim, " on disk  "}, {accent, "▒"}, {dim, coming}, {dim, "·"}, {dim, " missing  "}, {bad, "!"}, {dim, " again"}}
}

// condense joins cells where there are more than n: of several the greatest state
// tells.
func condense(parts []app.PartState, n int) []app.PartState {
	if len(parts) <= n || n < 1 {
		return parts
	}
	out := make([]app.PartState, n)
	for i, p := range parts {
		c := i * n / len(parts)
		out[c] = max(out[c], p)
	}
	return out
}

// drawParts draws cells, those of one state in one span.
func drawParts(cells []app.PartState) line {
	signs := map[app.PartState]span{
		app.PartHeld: {good, "█"}, app.PartInFlight: {accent, "▒"}, app.PartMissing: {dim, "·"}, app.PartRedo: {bad, "!"},
	}
	var out line
	for i, c := range cells {
		s := signs[c]
		if i > 0 && cells[i-1] == c {
			out[len(out)-1].text += s.text
		} else {
			out = append(out, s)
		}
	}
	return out
}

// connWidth is the room of one connection.
const connWidth = 18

// connRow draws the connections of one of so many rows.
func (t *transfer) connRow(row, rows, perRow int) line {
	var out line
	for k := range perRow {
		i := row*perRow + k
		last := row == rows-1 && k == perRow-1
		switch {
		case i >= len(t.look.lines):
		case last && i < len(t.look.lines)-1:
			out = append(out, span{dim, left(fmt.Sprintf("+%d more", len(t.look.lines)-i), connWidth)})
		default:
			out = append(out, drawConn(t.look.lines[i], t.paused)...)
		}
	}
	return out
}

func drawConn(c connLine, paused bool) line {
	text := right(rate(c.perSecond), 9)
	if c.Path == "" || paused {
		text = right("idle", 9)
	}
	number := left(fmt.Sprintf("#%d", c.Number), 4)
	again := ""
	if c.Retries > 0 {
		again = fmt.Sprintf(" ↻%d", c.Retries)
	}
	return line{{dim, number}, {plain, text}, {warn, left(again, connWidth-13)}}
}
