package card

import (
	"html"
	"regexp"
	"strings"
)

// tag is one tag of HTML.
type tag struct {
	name    string // in lower case; "" when it is none
	closing bool
	attrs   string
}

// parseTag reads "<a href=x>", with its brackets.
func parseTag(s string) tag {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
	s, closing := strings.CutPrefix(s, "/")
	end := 0
	for end < len(s) && (s[end] >= 'a' && s[end] <= 'z' || s[end] >= 'A' && s[end] <= 'Z' || end > 0 && s[end] >= '0' && s[end] <= '9') {
		end++
	}
	return tag{strings.ToLower(s[:end]), closing, strings.TrimSuffix(s[end:], "/")}
}

var attribute = regexp.MustCompile(`(?i)([a-z][a-z-]{0,31})\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))`)

// attr is the value of an attribute, "" when the tag does not have it.
func (t tag) attr(name string) string {
	for _, m := range attribute.FindAllStringSubmatch(t.attrs, 16) {
		if strings.EqualFold(m[1], name) {
			return html.UnescapeString(m[2] + m[3] + m[4])
		}
	}
	return ""
}

// nextTag finds the first tag or comment of s: where it begins and ends, both
// len(s) when there is none.
func nextTag(s string) (start, end int) {
	for i := 0; i < len(s); i++ {
		if s[i] != '<' {
			continue
		}
		if strings.HasPrefix(s[i:], "<!--") {
			if n := strings.Index(s[i+4:], "-->"); n >= 0 {
				return i, i + 4 + n + 3
			}
			return i, len(s) // a comment that never ends hides the rest
		}
		if i+1 < len(s) && (s[i+1] == '/' || s[i+1] >= 'a' && s[i+1] <= 'z' || s[i+1] >= 'A' && s[i+1] <= 'Z') {
			if end := tagEnd(s, i); end > 0 {
				return i, end
			}
		}
	}
	return len(s), len(s)
}

// maxTag is the longest tag that is read as one, so that a file of "<a" costs
// no more than its length times this.
const maxTag = 2 << 10

// tagEnd is the end of the tag that begins at i, outside of quotes; 0 when it
// does not end.
func tagEnd(s string, i int) int {
	var quote byte
	for j := i + 1; j < len(s) && j < i+maxTag; j++ {
		switch c := s[j]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return j + 1
		case c == '<':
			return 0
		}
	}
	return 0
}

// htmlTable reads a table that begins at s[0] with its "<table" tag. It returns
// the length of what it read, 0 when the table does not end.
func htmlTable(s string) (t grid, length int) {
	w := htmlWriter{t: &t}
	for depth := 0; length < len(s); {
		start, end := nextTag(s[length:])
		if depth == 1 {
			w.text(s[length : length+start])
		}
		if start == end {
			return grid{}, 0
		}
		raw := s[length+start : length+end]
		length += end
		tag := parseTag(raw)
		switch {
		case tag.name == "table" && !tag.closing:
			depth++
		case tag.name == "table":
			if depth--; depth == 0 {
				w.endCell()
				return t, length
			}
		case depth == 1:
			w.tag(tag)
		}
	}
	return grid{}, 0
}

// htmlWriter fills a grid while tags come by.
type htmlWriter struct {
	t       *grid
	cell    *strings.Builder // of the open cell
	links   []link
	inLink  bool
	sup     bool
	alt     string
	code    string
	inCode  bool
	columns int // the open cell spans
	rows    int // and the same downwards

	down []spanned // by column; nil before the first
}

// spanned is a cell that reaches into further rows.
type spanned struct {
	cell
	rows int
}

// fill adds the cells that reach down to where the row stands.
func (w *htmlWriter) fill() {
	if len(w.t.rows) == 0 {
		return
	}
	row := &w.t.rows[len(w.t.rows)-1]
	for len(*row) < len(w.down) && w.down[len(*row)].rows > 0 {
		w.down[len(*row)].rows--
		*row = append(*row, w.down[len(*row)].cell)
	}
}

func (w *htmlWriter) text(s string) {
	if w.cell == nil || w.sup {
		return
	}
	s = html.UnescapeString(s)
	w.cell.WriteString(s)
	if w.inLink && len(w.links[len(w.links)-1].text) < 400 {
		w.links[len(w.links)-1].text += s
	}
	if w.inCode && len(w.code) < 400 {
		w.code += s
	}
}

func (w *htmlWriter) tag(t tag) {
	switch t.name {
	case "tr":
		w.endCell()
		w.fill()
		if !t.closing && len(w.t.rows) <= maxRows+1 {
			w.t.rows = append(w.t.rows, nil)
		}
	case "td", "th":
		w.endCell()
		w.fill()
		if !t.closing && len(w.t.rows) > 0 && len(w.t.rows[len(w.t.rows)-1]) < maxPipes {
			w.cell, w.columns, w.rows = &strings.Builder{}, max(1, min(maxPipes, digitsOf(t.attr("colspan")))), min(maxRows, digitsOf(t.attr("rowspan")))
		}
	case "a":
		w.inLink = false
		if dest := t.attr("href"); !t.closing && w.cell != nil && dest != "" && len(w.links) < maxPipes {
			u, ok := parseHubURL(dest)
			w.links, w.inLink = append(w.links, link{hubURL: u, ok: ok, dest: oneLine(dest)}), true
		}
	case "sup":
		w.sup = !t.closing
	case "code":
		w.inCode = !t.closing && w.code == ""
	case "img":
		w.alt += " " + t.attr("alt")
	case "br", "p", "div", "li":
		w.text(" ")
	}
}

var markdownLink = regexp.MustCompile(`\[([^\[\]]{0,400})\]\(\s*([^()\s]+)[^()]{0,400}\)`)

// endCell finishes the open cell. Between empty lines Markdown counts inside of
// HTML, so links and marks of it are understood too.
func (w *htmlWriter) endCell() {
	if w.cell == nil {
		return
	}
	s := w.cell.String()
	for _, m := range markdownLink.FindAllStringSubmatch(s, maxPipes) {
		u, ok := parseHubURL(m[2])
		w.links = append(w.links, link{u, ok, oneLine(m[1]), oneLine(m[2])})
	}
	s = markdownLink.ReplaceAllString(s, "$1")
	for i := range w.links {
		w.links[i].text = oneLine(w.links[i].text)
	}
	c := cell{marked: oneLine(s), links: w.links, code: oneLine(w.code)}
	c.text = strings.Trim(strings.ReplaceAll(c.marked, "**", ""), "`")
	if c.text == "" {
		c.text = oneLine(w.alt)
	}
	row := &w.t.rows[len(w.t.rows)-1]
	if w.rows > 1 && len(*row) < maxPipes {
		if w.down == nil {
			w.down = make([]spanned, maxPipes)
		}
		w.down[len(*row)] = spanned{c, w.rows - 1}
	}
	*row = append(*row, c)
	for len(*row) < maxPipes && w.columns > 1 {
		*row = append(*row, cell{})
		w.columns--
	}
	*w = htmlWriter{t: w.t, down: w.down}
}
