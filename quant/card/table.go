package card

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
)

// column is what a table column holds.
type column int

const (
	colOther column = iota
	colBranch
	colBits
	colGroupSize
	colActOrder
	colDamp
	colDataset
	colAWQDataset
	colSeqLen
	colSize
	colExLlama
	colMadeWith
	colDescription
	colHeadBits
	colVRAM
	colFile
	colQuant
	colSplit
)

// heading is one header cell.
type heading struct {
	col  column
	text string // as printed
	unit string // of "Size/GB" or "Size (GB)"; the context of "VRAM (4k)"
}

var headingNote = regexp.MustCompile(`^(.*?)\s*(?:\(([^()]*)\)|/\s*([KMGT]i?B))$`)

// headingOf knows a column by its name; the same column has had several.
func headingOf(cell string) heading {
	h := heading{text: cell}
	name := strings.ToLower(cell)
	if m := headingNote.FindStringSubmatch(cell); m != nil {
		name, h.unit = strings.ToLower(m[1]), m[2]+m[3]
	}
	name = strings.Join(strings.Fields(strings.Trim(strings.ReplaceAll(name, "_", " "), " ?:.*")), " ")
	switch name {
	case "branch", "branch name", "revision":
		h.col = colBranch
	case "bits":
		h.col = colBits
	case "gs", "group size", "groupsize":
		h.col = colGroupSize
	case "act order", "act-order", "actorder", "desc act":
		h.col = colActOrder
	case "damp %", "damp", "damp percent":
		h.col = colDamp
	case "gptq dataset", "dataset", "calibration dataset":
		h.col = colDataset
	case "awq dataset":
		h.col = colAWQDataset
	case "seq len", "sequence length", "seqlen":
		h.col = colSeqLen
	case "size", "file size":
		h.col = colSize
	case "exllama", "exllama compatible", "exllama compatibility":
		h.col = colExLlama
	case "made with":
		h.col = colMadeWith
	case "desc", "description", "notes":
		h.col = colDescription
	case "lm head bits":
		h.col = colHeadBits
	case "vram":
		h.col = colVRAM
	case "filename", "file", "file name", "link", "name":
		h.col = colFile
	case "quant type", "quant method", "type":
		h.col = colQuant
	case "split":
		h.col = colSplit
	}
	return h
}

// layoutOf names the layout a header belongs to; "" when it is no table of
// quants. Branch and Bits alone are not enough.
func layoutOf(heads []heading) string {
	has := map[column]bool{}
	for _, h := range heads {
		has[h.col] = true
	}
	switch {
	case has[colBranch] && has[colBits] && has[colAWQDataset]:
		return "awq6"
	case has[colBranch] && has[colBits] && (has[colGroupSize] || has[colActOrder]):
		if has[colDamp] || has[colDataset] || has[colSeqLen] {
			return "gptq10"
		}
		return "gptq8"
	case has[colBranch] && has[colBits] && (has[colVRAM] || has[colHeadBits]):
		return "exl2-vram"
	case has[colFile] && has[colQuant] && has[colSize] && !has[colBranch]:
		return "gguf-files"
	}
	return ""
}

// tables lists the tables in document order.
func (r *reader) tables() []*east.Table {
	var list []*east.Table
	_ = ast.Walk(r.docs, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		if t, ok := n.(*east.Table); ok && entering {
			list = append(list, t)
			return ast.WalkSkipChildren, nil
		}
		return ast.WalkContinue, nil
	})
	return list
}

// readTable reads a table if it is one of quants.
func (r *reader) readTable(t *east.Table) bool {
	head := t.FirstChild()
	if head == nil {
		return false
	}
	var heads []heading
	for c := head.FirstChild(); c != nil; c = c.NextSibling() {
		heads = append(heads, headingOf(r.text(c, false)))
	}
	layout := layoutOf(heads)
	if layout == "" {
		return false
	}
	var rows []Row
	seen := map[string]bool{}
	for n := head.NextSibling(); n != nil; n = n.NextSibling() {
		if len(rows) == maxRows {
			r.note("TRUNCATED", "(table)", fmt.Sprintf("has more than %d rows: the others are left out", maxRows))
			break
		}
		row, ok := r.readRow(n, heads, layout)
		key := row.Branch + row.File // one of the two is empty
		switch {
		case !ok:
		case seen[key]:
			r.note("ROW_TWICE", key, "has a second row in the table, which is ignored")
		default:
			seen[key] = true
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return false
	}
	r.card.Layout = layout
	if layout == "gguf-files" {
		r.card.Files = rows
	} else {
		r.card.Rows = rows
	}
	return true
}

// readRow reads one row; ok is false when it names neither branch nor file.
func (r *reader) readRow(n ast.Node, heads []heading, layout string) (row Row, ok bool) {
	cell := n.FirstChild()
	var unread []string
	for _, h := range heads {
		if cell == nil {
			break
		}
		if !r.readCell(&row, h, cell) {
			unread = append(unread, fmt.Sprintf("%s %q", h.text, r.text(cell, false)))
		}
		cell = cell.NextSibling()
	}
	if layout == "gguf-files" {
		row.Branch = ""
		return row, row.File != "" && strings.Contains(row.File, ".gguf")
	}
	row.File, row.Quant, row.Split = "", "", nil
	if row.Branch == "" {
		return row, false
	}
	for _, u := range unread {
		r.note("CELL", row.Branch, u+" cannot be read")
	}
	return row, true
}

// readCell puts one cell into the row; false when it says something that cannot
// be read.
func (r *reader) readCell(row *Row, h heading, cell ast.Node) bool {
	s := r.text(cell, false)
	ok := true
	switch h.col {
	case colBranch:
		row.Branch = r.branchOf(cell, s)
	case colBits:
		row.Bits, ok = number(strings.TrimSuffix(strings.TrimSuffix(s, "-bit"), " bit"))
	case colHeadBits:
		row.HeadBits, ok = number(s)
	case colGroupSize:
		row.GroupSize, ok = groupSize(s)
	case colActOrder:
		row.ActOrder, ok = yesNo(s)
	case colExLlama:
		row.ExLlama, ok = yesNo(s)
	case colSplit:
		row.Split, ok = yesNo(s)
	case colDamp:
		row.Damp, ok = number(s)
	case colSeqLen:
		row.SeqLen, ok = count(s)
	case colSize:
		row.SizeBytes, ok = size(s, h.unit)
	case colVRAM:
		var v *int64
		if v, ok = size(s, ""); v != nil {
			if row.VRAMBytes == nil {
				row.VRAMBytes = map[string]int64{}
			}
			row.VRAMBytes[h.unit] = *v
		}
	case colDataset, colAWQDataset:
		if s != "" {
			row.Dataset, row.DatasetURL = &s, firstLink(cell)
		}
	case colMadeWith:
		row.MadeWith = s
	case colDescription:
		if d := r.text(cell, true); d != "" {
			row.Description = &d
		}
	case colFile:
		row.File = r.fileOf(cell, s)
	case colQuant:
		row.Quant = s
	}
	return ok
}

// branchOf is the branch a cell names. A link is what a reader would fetch, so
// it wins over its text.
func (r *reader) branchOf(cell ast.Node, s string) string {
	for _, l := range r.links(cell) {
		if l.kind != "tree" || l.rest == "" {
			continue
		}
		r.setRepo(l.repo)
		if l.rest != s {
			r.note("BRANCH_LINK", s, fmt.Sprintf("links to branch %q", l.rest))
		}
		return l.rest
	}
	return s
}

// fileOf is the file a cell names: the last part of its link, else its text.
func (r *reader) fileOf(cell ast.Node, s string) string {
	for _, l := range r.links(cell) {
		if l.kind == "blob" || l.kind == "resolve" {
			r.setRepo(l.repo)
			return l.rest[strings.LastIndexByte(l.rest, '/')+1:]
		}
	}
	return s
}
