package tui

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// skeletonRows stand where branches will be until they are known.
const skeletonRows = 8

// table draws the branches. Branch, size of the weights and local state are
// always there; the other columns are, in this order, as far as names need not
// be cut for them. Titles and cells are those of 'qbranch ls'.
func (s *branchesScreen) table(m *model, w, h int) []line {
	rows := s.rows()
	n, longest, largest := len(rows), 28, int64(0)
	for _, r := range rows {
		longest, largest = max(longest, width(r.Branch)), max(largest, r.WeightBytes)
	}
	u := unitFor(largest)
	branch := column{title: "Branch", cell: func(i int) span { return span{plain, rows[i].Branch} }}
	bits := column{title: "Bits", width: 4, right: true, cell: func(i int) span { return known(intText(rows[i].Bits)) }}
	group := column{title: "GS", width: 4, right: true, cell: func(i int) span { return known(intText(rows[i].GroupSize)) }}
	act := column{title: "Act", width: 3, cell: func(i int) span { return known(boolText(rows[i].ActOrder)) }}
	sizes := column{title: "Size " + u.name, width: 8, right: true, cell: func(i int) span {
		if rows[i].WeightBytes <= 0 {
			return known("")
		}
		return span{plain, u.of(rows[i].WeightBytes)}
	}}
	local := column{title: "Local", width: 11, cell: func(i int) span { return s.local(m, rows[i]) }}

	cols := []column{branch, sizes, local}
	for _, full := range [][]column{
		{branch, bits, sizes, local},
		{branch, bits, group, sizes, local},
		{branch, bits, group, act, sizes, local},
	} {
		if w-tableWidth(full) < longest {
			break
		}
		cols = full
	}
	cols[0].width = min(w-tableWidth(cols), max(longest, 34))
	if s.listing == nil {
		n = skeletonRows
		for i := range cols {
			cols[i].cell = func(row int) span { return span{dim, skeleton(i, cols[i].width, row)} }
		}
		return table(cols, n, -1, h)
	}
	return table(cols, n, s.cursor, h)
}

// skeleton is a placeholder for a cell that is not known yet.
func skeleton(col, w, row int) string {
	if col > 0 {
		return strings.Repeat("░", min(w, 3))
	}
	return strings.Repeat("░", min(w, 16+row*5%9))
}

// known is a cell that may be empty because nobody says.
func known(text string) span {
	if text == "" {
		return span{dim, "·"}
	}
	return span{plain, text}
}

// intText prints a number; -1 is "none".
func intText(n *int) string {
	switch {
	case n == nil:
		return ""
	case *n == -1:
		return "none"
	}
	return strconv.Itoa(*n)
}

func boolText(b *bool) string {
	switch {
	case b == nil:
		return ""
	case *b:
		return "yes"
	}
	return "no"
}

// local says what is here of a branch: a transfer's progress, else what the
// store said.
func (s *branchesScreen) local(m *model, r app.BranchRow) span {
	if t := m.transfers.find(s.ref(r.Branch)); t != nil && t.active() {
		if t.state == transferQueued {
			return span{dim, "· queued"}
		}
		return span{accent, "↓ " + percent(t.done, t.total)}
	}
	return stateSpan(r.Local, percent(r.LocalBytes, r.TotalBytes))
}

// stateSpan is a sign and a word for a local state.
func stateSpan(state app.LocalState, share string) span {
	switch state {
	case app.LocalVerified:
		return span{good, "● verified"}
	case app.LocalPartial:
		if share == "" {
			share = "partial"
		}
		return span{warn, "◐ " + share}
	case app.LocalCorrupt:
		return span{bad, "! corrupt"}
	case app.LocalOutdated:
		return span{warn, "↻ outdated"}
	}
	return span{}
}

// detail tells about the branch under the cursor. The last line is the command
// line that does what enter does, or for a branch that is here, what g does.
func (s *branchesScreen) detail(m *model, w, h int) []line {
	r := s.row()
	if r == nil {
		return nil
	}
	out := fact("quant", plain, paramsText(*r), w)
	out = append(out, fact("size", plain, sizeText(*r), w)...)
	localRole, localText := s.localText(m, *r)
	out = append(out, fact("here", localRole, localText, w)...)
	if r.Error != "" {
		out = append(out, fact("problem", bad, r.Error, w)...)
	}
	for _, n := range s.listing.Notes {
		if n.Branch == r.Branch {
			out = append(out, fact("note", warn, n.Message, w)...)
		}
	}
	if r.Commit != "" {
		out = append(out, fact("commit", dim, head(clean(r.Commit), 7), w)...)
	}
	if r.Description != "" {
		out = append(out, fact("card says", dim, r.Description, w)...)
	}
	for _, n := range s.listing.Notes {
		if n.Branch == "" {
			out = append(out, fact("note", dim, n.Message, w)...)
		}
	}
	return withCommand(out, s.command(*r), w, h)
}

// withCommand puts a command line at the foot of a pane.
func withCommand(facts []line, command string, w, h int) []line {
	var foot []line
	for i, row := range wrapCommand(command, w-4) {
		mark := " $ "
		if i > 0 {
			mark = "   "
		}
		foot = append(foot, line{{dim, mark}, {accent, row}})
	}
	return append(exactly(facts, h-len(foot)), foot...)
}

// wrapCommand breaks a command line at blanks, else behind the signs within a
// reference.
func wrapCommand(s string, w int) []string {
	s = clean(s)
	var rows []string
	for {
		row := head(s, w)
		if len(row) == len(s) || row == "" {
			return append(rows, s)
		}
		if i := strings.LastIndexAny(row, " :"); i > 0 {
			row = row[:i+1]
		}
		rows = append(rows, strings.TrimRight(row, " "))
		s = s[len(row):]
	}
}

func (s *branchesScreen) command(r app.BranchRow) string {
	ref := s.ref(r.Branch).String()
	switch r.Local {
	case app.LocalVerified:
		return "qbranch gen " + ref + ` -p "…"`
	case app.LocalCorrupt:
		return "qbranch verify " + ref + " --repair"
	}
	return "qbranch get " + ref
}

func sizeText(r app.BranchRow) string {
	if r.TotalBytes <= 0 {
		return "not known"
	}
	text := app.BytesText(r.TotalBytes) + " in " + plural(r.Files, "file", "files")
	if r.CardBytes != nil {
		text = "card says " + app.BytesText(*r.CardBytes) + "; " + text
	}
	if r.WeightBytes > 0 {
		text = "weights " + app.BytesText(r.WeightBytes) + ", " + text
	}
	return text
}

func (s *branchesScreen) localText(m *model, r app.BranchRow) (role, string) {
	if t := m.transfers.find(s.ref(r.Branch)); t != nil && t.active() {
		return accent, t.progressText()
	}
	switch r.Local {
	case app.LocalVerified:
		return good, "all of it, verified"
	case app.LocalPartial:
		return warn, fmt.Sprintf("%s of %s, resumable", app.BytesText(r.LocalBytes), app.BytesText(r.TotalBytes))
	case app.LocalCorrupt:
		return bad, "bytes on disk changed; enter fetches the bad parts again"
	case app.LocalOutdated:
		return warn, "an older commit; enter fetches what changed"
	}
	return dim, "nothing yet"
}
