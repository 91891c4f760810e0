package card

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant"
)

// sheetRow is a row with what is not shown of it.
type sheetRow struct {
	Row
	repo   string // its link leads there
	inside bool   // the link names a branch or a file of it
	notes  []Finding
}

// readTables reads the tables of one layout and names the others. GPTQ comes
// before other methods, branches before files, the card's own before those of
// the original model's card.
func (r *reader) readTables() {
	var sheets []sheet
	for _, t := range r.grids() {
		sheets = append(sheets, r.sheetOf(t))
	}
	rows := make([][]sheetRow, len(sheets))
	best := rankNone
	for i := range sheets {
		if sheets[i].layout == "" {
			continue
		}
		rows[i] = r.readSheet(sheets[i])
		if layout := layoutOfRows(sheets[i].layout, rows[i]); layout != sheets[i].layout {
			sheets[i].layout = layout
			for n := range rows[i] {
				if layout != "other" { // else the layout says the method
					rows[i][n].Method = ""
				}
			}
		}
		if len(rows[i]) == 0 || rankOf(sheets[i].layout) != rankGGUF && !r.quantised(sheets[i], rows[i]) {
			sheets[i].layout = ""
		}
		if !sheets[i].copied {
			best = min(best, rankOf(sheets[i].layout))
		}
	}
	if best > rankFiles && r.readFileList() {
		best = rankFiles
	}
	for i, own := 0, best < rankNone; i < len(sheets); i++ {
		switch {
		case sheets[i].copied && own:
			sheets[i].dropped = true
		case sheets[i].copied:
			best = min(best, rankOf(sheets[i].layout))
		}
	}
	r.keep(sheets, rows, best)
}

// quantised says that a table's rows are quants at all: branches of 16 bits are
// not, as a table of training runs has them, nor those that say no bits in a
// card that says no method.
func (r *reader) quantised(s sheet, rows []sheetRow) bool {
	silent := true
	for _, row := range rows {
		if row.Bits != nil && *row.Bits <= 8 {
			return true
		}
		silent = silent && row.Bits == nil
	}
	return silent && (!s.weak || r.card.Method != "")
}

const (
	rankGPTQ  = iota
	rankFiles // of GPTQ
	rankOthers
	rankGGUF
	rankNone
)

// rankOf says which layout wins where a card has several.
func rankOf(layout string) int {
	switch layout {
	case "gptq8", "gptq10":
		return rankGPTQ
	case "gptq-files":
		return rankFiles
	case "awq6", "exl2-vram", "other":
		return rankOthers
	case "gguf-files":
		return rankGGUF
	}
	return rankNone
}

// layoutOfRows corrects the layout of a table whose header might be GPTQ's,
// where none of its rows is.
func layoutOfRows(layout string, rows []sheetRow) string {
	if rankOf(layout) != rankGPTQ || len(rows) == 0 {
		return layout
	}
	all := ""
	for _, row := range rows {
		switch {
		case row.Method == "" || all != "" && all != row.Method && !(strings.HasPrefix(all, "exl") && strings.HasPrefix(row.Method, "exl")):
			if row.Method == "" {
				return layout
			}
			all = "several"
		case all == "":
			all = row.Method
		}
	}
	switch all {
	case "awq":
		return "awq6"
	case "exl2", "exl3":
		return "exl2-vram"
	}
	return "other"
}

// keep takes the rows of the winning layout; every other table is a decoy. A
// table all of whose links lead to another repository than those of the first
// one lists that repository's branches. Where a header says what a table lists,
// one that only looks like it has to link to the same repository.
func (r *reader) keep(sheets []sheet, rows [][]sheetRow, best int) {
	var kept []sheetRow
	at := map[string]int{}
	first := -1
	strong := slices.IndexFunc(sheets, func(s sheet) bool { return rankOf(s.layout) == best && !s.weak && !s.dropped })
	for i, s := range sheets {
		elsewhere := first >= 0 && strings.HasPrefix(s.layout, "gptq") != strings.HasPrefix(sheets[first].layout, "gptq") ||
			first >= 0 && repoOf(rows[i]) != "" && repoOf(rows[first]) != "" && repoOf(rows[i]) != repoOf(rows[first]) ||
			s.weak && strong >= 0 && (repoOf(rows[i]) == "" || repoOf(rows[i]) != repoOf(rows[strong]))
		if s.layout == "" || s.dropped || rankOf(s.layout) != best || elsewhere {
			r.decoy(s.decoy())
			continue
		}
		if first < 0 {
			first = i
			r.card.Layout = s.layout
		}
		if s.layout == "gptq10" && r.card.Layout == "gptq8" {
			r.card.Layout = "gptq10"
		}
		if s.more {
			r.note("TRUNCATED", "(table)", fmt.Sprintf("has more than %d rows: the others are left out", maxRows))
		}
		kept = r.merge(kept, at, rows[i])
	}
	for _, row := range kept {
		for _, f := range row.notes {
			r.note(f.Code, f.Where, f.Message)
		}
		if rankOf(r.card.Layout) == rankGGUF || r.card.Layout == "gptq-files" {
			r.card.Files = append(r.card.Files, File(row.Row))
		} else {
			r.card.Rows = append(r.card.Rows, row.Row)
		}
		r.rowRepos = append(r.rowRepos, row.repo)
		if row.inside {
			r.linked = append(r.linked, row.repo)
		}
	}
}

// merge adds the rows of one table to those of the tables before it.
func (r *reader) merge(kept []sheetRow, at map[string]int, rows []sheetRow) []sheetRow {
	again, before := 0, len(kept)
	for _, row := range rows {
		key := row.Branch + "\x00" + row.File
		i, seen := at[key]
		switch {
		case !seen && len(kept) >= maxRows:
			r.note("TRUNCATED", "(table)", fmt.Sprintf("has more than %d rows: the others are left out", maxRows))
			return kept
		case !seen:
			at[key] = len(kept)
			kept = append(kept, row)
		case i < before && reflect.DeepEqual(kept[i].Row, row.Row):
			again++
		default:
			r.note("ROW_TWICE", row.Branch+row.File, "has a second row in the table, which is ignored")
		}
	}
	if again > 0 {
		r.note("TABLE_TWICE", "(table)", fmt.Sprintf("%d rows stand there a second time, the same", again))
	}
	return kept
}

// repoOf is the repository that all links of a table's rows lead to, "" where
// they do not agree.
func repoOf(rows []sheetRow) string {
	repo := ""
	for _, row := range rows {
		if row.repo != "" && repo != "" && row.repo != repo {
			return ""
		}
		if row.repo != "" {
			repo = row.repo
		}
	}
	return repo
}

func (r *reader) decoy(d Decoy) {
	r.card.DecoyTables++
	if len(r.card.Decoys) < maxDecoys {
		r.card.Decoys = append(r.card.Decoys, d)
	}
}

// readSheet reads the rows of one table.
func (r *reader) readSheet(s sheet) []sheetRow {
	var rows []sheetRow
	has := map[column]bool{}
	for _, h := range s.heads {
		has[h.col] = true
	}
	for _, cells := range s.rows[:min(len(s.rows), maxRows)] {
		row, ok := r.readRow(s, cells)
		if !ok {
			continue
		}
		if rankOf(s.layout) == rankGPTQ {
			row.fillFromName(has)
			row.Method = r.methodOfRow(row, has)
		} else {
			row.Method = ""
		}
		if p := quant.ParseBranchName(row.Branch); !has[colBits] && !has[colBPW] && p.BPW != nil {
			row.Bits = p.BPW
		}
		rows = append(rows, row)
	}
	return rows
}

// fillFromName takes from the branch's name what the table has no column for.
func (row *sheetRow) fillFromName(has map[column]bool) {
	p := quant.ParseBranchName(row.Branch)
	if !has[colBits] && !has[colBPW] && p.Bits != nil {
		row.Bits = ptr(float64(*p.Bits))
	}
	if !has[colGroupSize] && p.GroupSize != nil && *p.GroupSize > 0 {
		row.GroupSize = p.GroupSize
	}
	if !has[colActOrder] {
		row.ActOrder = p.ActOrder
	}
	if !has[colDamp] {
		row.Damp = p.Damp
	}
}

// readRow reads one row; ok is false when it names neither branch nor file.
func (r *reader) readRow(s sheet, cells []cell) (row sheetRow, ok bool) {
	var unread []string
	for i, h := range s.heads {
		if i == len(cells) {
			break
		}
		if !row.readCell(h, cells[i]) {
			unread = append(unread, fmt.Sprintf("%s %q", h.text, cells[i].text))
		}
	}
	switch rankOf(s.layout) {
	case rankGGUF:
		row.Branch, row.Method = "", ""
		return row, row.File != "" && (ggufFile.MatchString(row.File) || row.Split != nil && *row.Split)
	case rankFiles:
		row.Branch, row.Method, row.Quant, row.Split = "main", "", "", nil
		ok = weightFile.MatchString(row.File)
	default:
		ok = row.Branch != "" && !isProse(cells)
		row.File, row.Quant, row.Split = "", "", nil
	}
	for _, u := range unread {
		row.notes = append(row.notes, Finding{"CELL", row.Branch, u + " cannot be read"})
	}
	return row, ok
}

// isProse says that a row is a line of text right below the table, which belongs
// to the table by Markdown's rules: several words and nothing else.
func isProse(cells []cell) bool {
	return len(cells) > 0 && len(cells[0].links) == 0 && strings.Contains(cells[0].text, " ") &&
		!slices.ContainsFunc(cells[1:], func(c cell) bool { return c.text != "" })
}

// readCell puts one cell into the row; false when it says something that cannot
// be read.
func (row *sheetRow) readCell(h heading, c cell) bool {
	s, ok := plain(c.text), true
	switch h.col {
	case colBranch:
		row.readBranch(c)
	case colBits, colBPW:
		var v *float64
		if v, ok = bits(s); v != nil {
			row.Bits = v
		}
	case colHeadBits:
		row.HeadBits, ok = bits(s)
	case colGroupSize:
		row.GroupSize, ok = groupSize(s)
	case colActOrder:
		row.ActOrder, ok = yesNo(s)
	case colExLlama:
		row.ExLlama, ok = yesNo(s)
	case colSplit:
		row.Split, ok = yesNo(s)
	case colDamp:
		row.Damp, ok = damp(s, strings.Contains(h.text, "%"))
	case colSeqLen:
		row.SeqLen, ok = count(s)
	case colSize:
		row.SizeBytes, ok = size(s, h.unit)
	case colVRAM:
		var v *int64
		if v, ok = size(s, h.unit); v != nil {
			if row.VRAMBytes == nil {
				row.VRAMBytes = map[string]int64{}
			}
			row.VRAMBytes[h.context] = *v
		}
	case colDataset, colGPTQDataset, colAWQDataset:
		if !blank(c.text) && !strings.EqualFold(c.text, "none") {
			row.Dataset = ptr(c.text)
			if len(c.links) > 0 {
				row.DatasetURL = c.links[0].dest
			}
		}
	case colMadeWith:
		row.MadeWith = c.text
	case colDescription:
		if c.marked != "" {
			row.Description = ptr(c.marked)
		}
	case colFile:
		row.readFile(c)
	case colQuant:
		row.Quant = c.text
		if m := methodInText(c.text); m != "" {
			row.Method = m
		}
	case colMethod:
		row.Method = methodInText(c.text)
	}
	return ok
}

// readBranch takes the branch a cell names. A link is what a reader would
// fetch, so it wins over its text. Names have no spaces: what stands behind one
// is a remark.
func (row *sheetRow) readBranch(c cell) {
	s := plain(c.text)
	address := s
	if strings.HasPrefix(s, "huggingface.co/") || strings.HasPrefix(s, "hf.co/") {
		address = "https://" + s
	}
	if u, ok := parseHubURL(address); ok && len(c.links) == 0 { // an address that nobody made a link
		c.links = []link{{u, ok, "", s}}
	}
	if l := branchLink(c); l != nil {
		row.repo, row.inside = l.repo, true
		if name := plain(l.text); looksLikeBranch(name) && !strings.Contains(name, "/tree/") && !strings.Contains(l.rest, name) {
			row.notes = append(row.notes, Finding{"BRANCH_LINK", name, fmt.Sprintf("links to branch %q", l.rest)})
		}
		row.Branch = l.rest
		return
	}
	for _, l := range c.links {
		if l.ok && l.kind == "" {
			row.repo = l.repo
			break
		}
	}
	if c.code != "" {
		s = c.code
	}
	if f := strings.Fields(s); len(f) > 0 {
		row.Branch = strings.Trim(f[0], "`*,;:()")
		if row.Branch == "" && len(f) > 1 {
			row.Branch = strings.Trim(f[1], "`*,;:()")
		}
	}
	// A symbol or picture before the name is not the name.
	if !strings.ContainsFunc(row.Branch, func(c rune) bool { return c < 0x2190 }) {
		row.Branch = ""
		if f := strings.Fields(s); len(f) > 1 {
			row.Branch = f[1]
		}
	}
}

// looksLikeBranch says that the text of a link is meant to be the branch, and
// not "link" or "4-bit".
func looksLikeBranch(s string) bool {
	p := quant.ParseBranchName(s)
	return s == "main" || !strings.Contains(s, " ") && p.Bits != nil && (p.GroupSize != nil || p.ActOrder != nil)
}

// readFile takes the file a cell names: the last part of its link, else its
// text.
func (row *sheetRow) readFile(c cell) {
	if c.text == "" {
		return
	}
	for i, l := range c.links {
		if !l.ok || l.rest == "" {
			continue
		}
		name := l.rest[strings.LastIndexByte(l.rest, '/')+1:]
		switch {
		case l.kind == "blob" || l.kind == "resolve" || l.kind == "tree" && strings.Contains(l.rest, "/"):
			row.repo, row.inside, row.File = l.repo, true, name
			if len(c.links) > 1 && i == 0 && partOfFile.MatchString(name) || l.kind == "tree" {
				row.Split = ptr(true)
			}
			return
		}
	}
	if row.File == "" {
		row.File = strings.Trim(c.text, "`* ")
	}
}
