package card

import (
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
)

// cell is one cell of a table, however it was written.
type cell struct {
	text   string // what a reader sees, or the text of its pictures
	marked string // the same with the stars of emphasis
	code   string // its first code span
	links  []link
}

// grid is a table of Markdown or HTML.
type grid struct {
	place string // the heading above it
	heads []cell
	rows  [][]cell // at most maxRows+1
	more  bool     // there are more

	copied bool // it stands in the original model's card, below this one
}

// originalCard is the heading below which a card repeats that of the model it
// was made from.
var originalCard = regexp.MustCompile(`(?i)^original\b.{0,200}\b(?:card|readme)\b|\b(?:card|readme)\b.{0,40}\boriginal\b`)

// grids lists the tables in the order of the document.
func (r *reader) grids() []grid {
	var list []grid
	place, inHTML := "(top)", 0 // bytes up to inHTML belong to an HTML table
	src := string(r.src)
	closed, copied := true, false
	add := func(t grid) {
		t.copied = copied
		list = append(list, t)
	}
	_ = ast.Walk(r.docs, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		if len(list) == maxTables {
			return ast.WalkStop, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			if s := r.text(n, false); s != "" {
				place = s
				copied = copied || originalCard.MatchString(s)
			}
			return ast.WalkSkipChildren, nil
		case *ast.Paragraph:
			if isBold(n) { // what stands in bold above a table is its title
				place = r.text(n, false)
			}
			return ast.WalkSkipChildren, nil
		case *ast.HTMLBlock:
			for closed && n.Lines().Len() > 0 {
				from, to := max(inHTML, n.Lines().At(0).Start), n.Lines().At(n.Lines().Len()-1).Stop
				at := -1
				if from < to {
					at = indexTable(src[from:to])
				}
				if at < 0 {
					break
				}
				t, length := htmlTable(src[from+at:])
				if closed = length > 0; closed {
					inHTML = from + at + length
					add(t.finish(place))
				}
			}
		case *east.Table:
			if n.Pos() >= inHTML {
				add(r.markdownTable(n).finish(place))
			}
			return ast.WalkSkipChildren, nil
		}
		return ast.WalkContinue, nil
	})
	return list
}

// indexTable finds "<table" in any case, outside of comments.
func indexTable(s string) int {
	for at := 0; at < len(s); {
		start, end := nextTag(s[at:])
		if start == end {
			return -1
		}
		if t := parseTag(s[at+start : at+end]); t.name == "table" && !t.closing {
			return at + start
		}
		at += end
	}
	return -1
}

func (r *reader) markdownTable(n ast.Node) grid {
	var t grid
	for row := n.FirstChild(); row != nil; row = row.NextSibling() {
		if len(t.rows) > maxRows+1 {
			t.more = true
			break
		}
		var cells []cell
		for c := row.FirstChild(); c != nil; c = c.NextSibling() {
			one := cell{text: r.text(c, false), marked: r.text(c, true), code: r.codeText(c), links: r.links(c)}
			if one.text == "" {
				one.text = r.altText(c)
			}
			cells = append(cells, one)
		}
		t.rows = append(t.rows, cells)
	}
	return t
}

// finish takes the header off the rows: the first row with more than one cell
// that says something. Titles over the whole width come before it.
func (t grid) finish(place string) grid {
	t.place = place
	for i, row := range t.rows {
		said := 0
		for _, c := range row {
			if c.text != "" {
				said++
			}
		}
		if said > 1 || i == 2 {
			t.heads, t.rows = row, t.rows[i+1:]
			return t
		}
	}
	return grid{place: place}
}

// turned is the table with rows and columns exchanged: some cards give every
// branch a column.
func (t grid) turned() grid {
	if len(t.heads) < 2 || len(t.rows) == 0 || len(t.rows) > maxPipes {
		return grid{}
	}
	at := func(row []cell, i int) cell {
		if i < len(row) {
			return row[i]
		}
		return cell{}
	}
	out := grid{place: t.place, heads: []cell{{text: "Branch"}}}
	for _, row := range t.rows {
		out.heads = append(out.heads, at(row, 0))
	}
	for i := range t.heads[1:] {
		row := []cell{t.heads[i+1]}
		for _, from := range t.rows {
			row = append(row, at(from, i+1))
		}
		out.rows = append(out.rows, row)
	}
	return out
}

// columns are the header cells as they would be read.
func (t grid) columns() []heading {
	var list []heading
	for _, c := range t.heads {
		list = append(list, headingOf(c.text))
	}
	return list
}

// any says whether a cell of a column has something.
func (t grid) any(col int, has func(cell) bool) bool { return t.count(col, has) > 0 }

func (t grid) count(col int, has func(cell) bool) int {
	n := 0
	for _, row := range t.rows {
		if col < len(row) && has(row[col]) {
			n++
		}
	}
	return n
}

// textOf is a cell's text in lower case.
func textOf(c cell) string { return strings.ToLower(c.text) }
