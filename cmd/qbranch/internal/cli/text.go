package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// clean makes a string from outside safe for one line of a terminal: escape
// sequences, control characters, bidi overrides and invisible characters go,
// line breaks and tabs become spaces, invalid UTF-8 becomes U+FFFD.
func clean(s string) string {
	return strings.Join(strings.Fields(strings.Map(safeRune, dropEscapes(s))), " ")
}

// cleanText is clean for running text: line breaks and tabs stay, and so do
// the joiners that some scripts need.
func cleanText(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '\n', '\t', '\u200c', '\u200d':
			return r
		}
		return safeRune(r)
	}, dropEscapes(s))
}

// safeRune maps what may not reach a terminal to -1, or to a space.
func safeRune(r rune) rune {
	switch {
	case r == '\n', r == '\t', r == '\r', r == '\u2028', r == '\u2029':
		return ' '
	case unicode.IsControl(r), // C0, DEL and C1
		r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, // bidi overrides and isolates
		r >= 0x200b && r <= 0x200f, r >= 0x2060 && r <= 0x2064, r == 0xfeff, r == 0x61c: // invisible
		return -1
	}
	return r
}

// dropEscapes removes whole escape sequences, so that their parameters do not
// stay behind as text: CSI up to its final byte, OSC and its kin up to BEL or
// ST, else ESC and one character. Invalid UTF-8 becomes U+FFFD.
func dropEscapes(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if !strings.ContainsAny(s, "\x1b\u009b\u009d\u0090\u0098\u009e\u009f") {
		return s
	}
	var b strings.Builder
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r == 0x1b && len(s) > 1 && strings.IndexByte("[]PX^_", s[1]) >= 0 {
			r, n = rune(s[1])+0x40, 2 // the C1 form
		}
		switch r {
		case 0x9b:
			s = s[n:]
			end := strings.IndexFunc(s, func(r rune) bool { return r >= 0x40 && r <= 0x7e })
			s = s[end+1:] // unterminated: drop only the introducer
			continue
		case 0x90, 0x98, 0x9d, 0x9e, 0x9f:
			s = afterString(s[n:])
			continue
		case 0x1b:
			s = s[min(2, len(s)):]
			s = strings.ToValidUTF8(s, "") // ESC may have taken half a character
			continue
		}
		b.WriteRune(r)
		s = s[n:]
	}
	return b.String()
}

// afterString skips the text of a control string and its terminator. An
// unterminated one is kept as text, so that nothing can swallow a whole page.
func afterString(s string) string {
	for i, r := range s {
		switch {
		case r == 0x07, r == 0x9c:
			return s[i+utf8.RuneLen(r):]
		case r == 0x1b && strings.HasPrefix(s[i:], "\x1b\\"):
			return s[i+2:]
		}
	}
	return s
}

// rateText is bytes per second.
func rateText(n int64, d time.Duration) string {
	if d <= 0 {
		return app.BytesText(n) + "/s"
	}
	return app.BytesText(int64(float64(n)/d.Seconds())) + "/s"
}

func durationText(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// plural is "1 file", "2 files".
func plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "ch"):
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// column is one column of a table.
type column struct {
	title string
	right bool // aligned right, as numbers are
}

// table lines rows up under their titles, two spaces apart.
func table(columns []column, rows [][]string) string {
	widths := columnWidths(columns, rows)
	var b strings.Builder
	line := func(cell func(int) string) {
		var l strings.Builder
		for i, c := range columns {
			pad := strings.Repeat(" ", widths[i]-runewidth.StringWidth(cell(i)))
			if c.right {
				l.WriteString(pad + cell(i) + "  ")
			} else {
				l.WriteString(cell(i) + pad + "  ")
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	line(func(i int) string { return columns[i].title })
	for _, row := range rows {
		line(func(i int) string { return row[i] })
	}
	return b.String()
}

// columnWidths is how wide the columns of a table are.
func columnWidths(columns []column, rows [][]string) []int {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = runewidth.StringWidth(c.title)
		for _, row := range rows {
			widths[i] = max(widths[i], runewidth.StringWidth(row[i]))
		}
	}
	return widths
}

// minCell is the narrowest column that text is broken into, in columns of a
// terminal.
const minCell = 16

// tableWithin is table, with the texts of the last column broken at words where
// the lines would be wider than a terminal; width 0 is any width.
func tableWithin(columns []column, rows [][]string, width int) string {
	text := table(columns, rows)
	last := len(columns) - 1
	if width <= 0 || tableWidth(text) <= width {
		return text
	}
	room := width
	for _, w := range columnWidths(columns, rows)[:last] {
		room -= w + 2
	}
	if room < minCell {
		return text
	}
	var out [][]string
	for _, row := range rows {
		words := strings.TrimLeft(row[last], " ")
		indent := strings.Repeat(" ", len(row[last])-len(words))
		for i, part := range breakWords(words, room-len(indent), 0) {
			cells := make([]string, last, last+1)
			if i == 0 {
				copy(cells, row)
			}
			out = append(out, append(cells, indent+part))
		}
	}
	return table(columns, out)
}

// wrapped breaks every line that is wider than a terminal at words; what follows
// is indented by hang more than the line is. Width 0 is any width.
func wrapped(text string, width, hang int) string {
	if width <= 0 {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		words := strings.TrimLeft(line, " ")
		indent := strings.Repeat(" ", len(line)-len(words))
		for i, part := range breakWords(words, width-len(indent), hang) {
			if i > 0 {
				part = strings.Repeat(" ", hang) + part
			}
			out.WriteString(indent + part + "\n")
		}
	}
	return out.String()
}

// breakWords cuts a line at spaces into parts of at most width columns; all but
// the first leave room for hang more. A word that is longer stays whole.
func breakWords(line string, width, hang int) []string {
	parts := []string{""}
	for word := range strings.SplitSeq(line, " ") {
		room := width
		if len(parts) > 1 {
			room -= hang
		}
		part := &parts[len(parts)-1]
		switch {
		case *part == "":
			*part = word
		case runewidth.StringWidth(*part)+1+runewidth.StringWidth(word) <= room:
			*part += " " + word
		default:
			parts = append(parts, word)
		}
	}
	return parts
}

// tableWidth is how many columns of a terminal the widest line takes.
func tableWidth(text string) int {
	width := 0
	for line := range strings.Lines(text) {
		width = max(width, runewidth.StringWidth(strings.TrimRight(line, "\n")))
	}
	return width
}

// emit prints one JSON value on a line of its own. Characters that a terminal
// should not see are escaped; they occur only inside strings.
func (r *run) emit(v any) error { return emitTo(r.out, v) }

func emitTo(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(withLists(v)); err != nil {
		return fmt.Errorf("encode the output: %w", err)
	}
	var out strings.Builder
	for _, c := range strings.TrimSuffix(b.String(), "\n") {
		if c < 0x10000 && safeRune(c) != c {
			fmt.Fprintf(&out, `\u%04x`, c)
			continue
		}
		out.WriteRune(c)
	}
	out.WriteByte('\n')
	_, err := io.WriteString(w, out.String())
	return err
}

// paint colours words, or does not. Meaning is never only in the colour.
type paint bool

// newPaint decides by the --color flag, NO_COLOR, TERM and whether w is a terminal.
func newPaint(flag string, w io.Writer, getenv func(string) string) paint {
	switch flag {
	case "always":
		return true
	case "never":
		return false
	}
	return paint(isTerminal(w) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb")
}

func (p paint) red(s string) string    { return p.sgr("31", s) }
func (p paint) green(s string) string  { return p.sgr("32", s) }
func (p paint) yellow(s string) string { return p.sgr("33", s) }

func (p paint) sgr(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
