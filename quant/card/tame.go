package card

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a card may cost. Markdown and YAML parsers take quadratic time over
// nested brackets, quotes and wide tables, so what no card needs is blanked
// before they see it; every block that is left is cheap, and there are only so
// many of them.
const (
	maxCard      = 2 << 20 // bytes
	maxLines     = 20_000
	maxLine      = 8 << 10 // bytes of one line
	maxNesting   = 16      // quote and list markers at the start of one line
	maxIndent    = 64
	maxPipes     = 64    // cells of one table row
	maxSpecials  = 2_000 // brackets, stars, … in one run of lines without a blank one
	maxBrackets  = 32    // open at once in such a run
	maxEscapes   = 256   // lines with an escaped pipe and code
	maxRows      = 256   // of a table, and of the card
	maxTables    = 128
	maxFrontYAML = 64 << 10
	maxKeys      = 64 // of front matter that is read line by line
	maxList      = 64 // of a key's list
	maxDecoys    = 32 // that are described
	maxMentions  = 1024
	maxSiblings  = 32
	maxFindings  = 256
)

// tame returns valid UTF-8 with LF line ends, within the limits above.
func (r *reader) tame(md []byte) []byte {
	if len(md) > maxCard {
		r.note("TRUNCATED", "(card)", fmt.Sprintf("has %d bytes: only the first %d are read", len(md), maxCard))
		md = md[:maxCard]
	}
	md = bytes.TrimPrefix(md, []byte("\ufeff"))
	md = bytes.ToValidUTF8(md, []byte("\ufffd"))
	if bytes.Contains(md, []byte("\r\n")) {
		r.note("CRLF", "(file)", "lines end with CR LF")
	}
	md = bytes.ReplaceAll(md, []byte("\r\n"), []byte("\n"))
	md = bytes.ReplaceAll(md, []byte("\r"), []byte("\n"))
	lines := bytes.Split(md, []byte("\n"))
	if len(lines) > maxLines {
		r.note("TRUNCATED", "(card)", fmt.Sprintf("has %d lines: only the first %d are read", len(lines), maxLines))
		lines = lines[:maxLines]
	}
	left, escapes := 0, 0
	for i, line := range lines {
		if bytes.Contains(line, []byte(`\|`)) && bytes.IndexByte(line, '`') >= 0 {
			escapes++
		}
		if wild(line) || escapes > maxEscapes && bytes.Contains(line, []byte(`\|`)) {
			lines[i] = nil
			left++
		}
	}
	for i := 0; i < len(lines); {
		end := i
		for end < len(lines) && len(bytes.TrimSpace(lines[end])) > 0 {
			end++
		}
		if costly(lines[i:end]) {
			left += end - i
			clear(lines[i:end])
		}
		i = end + 1
	}
	if left > 0 {
		r.note("TRUNCATED", "(card)", fmt.Sprintf("%d lines are too long or too deeply nested to be read", left))
	}
	return bytes.Join(lines, []byte("\n"))
}

// mend makes tables of Markdown out of what is nearly one: a line under a
// header that has a column too few or too many, and a table right below a line
// of HTML, which would belong to that.
func mend(md []byte) []byte {
	lines := bytes.Split(md, []byte("\n"))
	out := make([][]byte, 0, len(lines))
	var f fence
	for i, line := range lines {
		trimmed := bytes.TrimLeft(line, " \t>")
		switch {
		case f.inside(trimmed):
		case i > 0 && isDelimiterRow(trimmed) && bytes.IndexByte(lines[i-1], '|') >= 0:
			if want := cellsOf(lines[i-1]); want > 1 && cellsOf(line) != want {
				line = append(bytes.Clone(line[:len(line)-len(trimmed)]), "|"+strings.Repeat("---|", want)...)
			}
		case i > 0 && bytes.HasPrefix(trimmed, []byte("|")) && endsHTML(lines[i-1]):
			out = append(out, nil)
		}
		out = append(out, line)
	}
	return bytes.Join(out, []byte("\n"))
}

// fence knows, line after line, what is inside a fenced block of code.
type fence struct{ open []byte }

// inside says that a line, without its indent, belongs to a block of code.
func (f *fence) inside(line []byte) bool {
	if len(line) < 3 || line[0] != '`' && line[0] != '~' {
		return f.open != nil
	}
	run := line[:len(line)-len(bytes.TrimLeft(line, string(line[:1])))]
	rest := line[len(run):]
	switch {
	case f.open != nil:
		if bytes.HasPrefix(run, f.open) && len(bytes.TrimSpace(rest)) == 0 {
			f.open = nil
		}
		return true
	case len(run) < 3 || run[0] == '`' && bytes.IndexByte(rest, '`') >= 0: // code within a line
		return false
	}
	f.open = run
	return true
}

// isDelimiterRow says that a line is the one below a table's header.
func isDelimiterRow(line []byte) bool {
	return len(line) > 2 && len(bytes.Trim(line, "|:- \t")) == 0 && bytes.Contains(line, []byte("-")) && bytes.IndexByte(line, '|') >= 0
}

// cellsOf counts the cells of a table's line.
func cellsOf(line []byte) int {
	line = bytes.TrimPrefix(bytes.TrimSpace(line), []byte("|"))
	if !bytes.HasSuffix(line, []byte(`\|`)) {
		line = bytes.TrimSuffix(line, []byte("|"))
	}
	return bytes.Count(line, []byte("|")) - bytes.Count(line, []byte(`\|`)) + 1
}

// endsHTML says that a line is one of HTML tags.
func endsHTML(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) > 2 && line[0] == '<' && line[len(line)-1] == '>' && (line[1] == '/' || line[1] == '!' || line[1] >= 'a' && line[1] <= 'z')
}

// wild says that no card has such a line.
func wild(line []byte) bool {
	if len(line) > maxLine || bytes.Count(line, []byte("|")) > maxPipes {
		return true
	}
	indent, nesting := 0, 0
	for i, c := range line {
		switch {
		case c == ' ' || c == '\t':
			indent++
		case c == '>' || (c == '-' || c == '*' || c == '+' || c == '?') && i+1 < len(line) && line[i+1] == ' ':
			nesting++
		default:
			return indent-nesting > maxIndent || nesting > maxNesting
		}
	}
	return nesting > maxNesting
}

// costly says that a run of lines would take a Markdown parser long: what may
// open or close something is counted, and how many brackets are open at once.
func costly(block [][]byte) bool {
	specials, open := 0, 0
	for _, line := range block {
		for _, c := range line {
			switch c {
			case '[':
				specials++
				if open++; open > maxBrackets {
					return true
				}
			case ']':
				specials++
				open = max(0, open-1)
			case '*', '_', '`', '<', '!', '{':
				specials++
			}
		}
	}
	return specials > maxSpecials
}

// clean makes remote text fit for a terminal: escape sequences go whole, then
// every character that controls rather than shows. Line feeds and tabs stay.
func clean(s string) string {
	if isPlain(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "\ufffd")
	var b strings.Builder
	for i := 0; i < len(s); {
		if n := escapeLen(s[i:]); n > 0 {
			i += n
			continue
		}
		c, size := utf8.DecodeRuneInString(s[i:])
		i += size
		if !hidden(c) {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// isPlain says that there is nothing to clean, as in nearly every text.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' || c > '~') && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// oneLine is clean text with every run of white space made one space.
func oneLine(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

// escapeLen is the length of the escape sequence s begins with, 0 if it begins
// with none: CSI up to its final byte, OSC and the other strings up to BEL or
// ST, else ESC and one character.
func escapeLen(s string) int {
	if s[0] != 0x1b {
		return 0
	}
	if len(s) == 1 {
		return 1
	}
	switch s[1] {
	case '[':
		i := 2
		for i < len(s) && s[i] >= 0x20 && s[i] <= 0x3f {
			i++
		}
		if i < len(s) && s[i] >= 0x40 && s[i] <= 0x7e {
			i++
		}
		return i
	case ']', 'P', 'X', '^', '_':
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 || s[i] == '\n' {
				return i + 1
			}
			if s[i] == 0x1b {
				return i
			}
		}
		return len(s)
	}
	return 1
}

// hidden says that a character is not for showing: controls but LF and tab,
// line and paragraph separators, and the format class Cf, which holds the
// bidirectional controls, zero-width characters, soft hyphen and tags.
func hidden(c rune) bool {
	if c == '\n' || c == '\t' {
		return false
	}
	return unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp)
}
