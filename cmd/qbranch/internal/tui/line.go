package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// span is a piece of text and what it means.
type span struct {
	role role
	text string
}

// line is one row of the screen. It may be longer than the window and hold
// text of strangers: look.render cuts and cleans.
type line []span

// say makes a line of one span.
func say(r role, text string) line { return line{{r, text}} }

// clean removes what is not text: control characters (C0, DEL, C1 and so every
// escape sequence's introducer), format characters (bidirectional overrides,
// zero-width characters, tags), variation selectors, line separators, and
// combining marks beyond two in a row. The harmless rest of an escape sequence
// stays visible on purpose: it shows that somebody tried.
func clean(s string) string {
	if isPlain(s) {
		return s
	}
	marks := 0
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Zl, unicode.Zp),
			r >= 0xFE00 && r <= 0xFE0F, r >= 0xE0100 && r <= 0xE01EF:
			return -1
		case runeWidth(r) == 0:
			if marks++; marks > 2 {
				return -1
			}
		default:
			marks = 0
		}
		return r // Map has made invalid UTF-8 U+FFFD
	}, s)
}

// isPlain reports whether s is made of printable ASCII and of the signs that the
// screen is drawn with: nearly all text is, and needs no care.
func isPlain(s string) bool {
	for _, r := range s {
		if !isSimple(r) {
			return false
		}
	}
	return true
}

// isSimple reports whether a character is harmless and one column wide.
func isSimple(r rune) bool {
	switch {
	case r <= '~':
		return r >= ' '
	case r >= 0x2500 && r <= 0x25FC: // lines, blocks, shapes
		return true
	}
	switch r {
	case '·', '…', '–', '−', '✓', '✗', '‹', '›', '↑', '↓', '←', '→', '↻', '“', '”':
		return true
	}
	return false
}

// runeWidth is the columns of one character, as terminals outside East Asian
// locales count whatever the locale says: the screen is drawn with characters
// of ambiguous width, and ASCII mode is there for terminals that draw those wide.
func runeWidth(r rune) int {
	if isSimple(r) {
		return 1
	}
	return widths.RuneWidth(r)
}

var widths = runewidth.Condition{StrictEmojiNeutral: true}

// width is the number of columns of s after cleaning. It adds up characters,
// as tmux does; terminals that join them may draw less but never more.
func width(s string) int {
	if isPlain(s) {
		return utf8.RuneCountInString(s)
	}
	n := 0
	for _, r := range clean(s) {
		n += runeWidth(r)
	}
	return n
}

// head returns the longest start of the clean text s that fits w columns.
func head(s string, w int) string {
	for i, r := range s {
		if w -= runeWidth(r); w < 0 {
			return s[:i]
		}
	}
	return s
}

// cut returns s cleaned and at most w columns wide, with … where text is missing.
func cut(s string, w int) string {
	s = clean(s)
	if width(s) <= w {
		return s
	}
	if w < 1 {
		return ""
	}
	return head(s, w-1) + "…"
}

// tail returns the end of s, cleaned, in at most w columns, with … where text is
// missing.
func tail(s string, w int) string {
	s = clean(s)
	switch {
	case width(s) <= w:
		return s
	case w < 1:
		return ""
	}
	at, room := len(s), w-1
	for at > 0 {
		r, n := utf8.DecodeLastRuneInString(s[:at])
		if room -= runeWidth(r); room < 0 {
			break
		}
		at -= n
	}
	return "…" + s[at:]
}

// left returns s in exactly w columns.
func left(s string, w int) string {
	s = cut(s, w)
	return s + strings.Repeat(" ", max(0, w-width(s)))
}

// right returns s in exactly w columns, against the right edge.
func right(s string, w int) string {
	s = cut(s, w)
	return strings.Repeat(" ", max(0, w-width(s))) + s
}

// fill returns l, cleaned, in exactly w columns, with … where text is missing.
func (l line) fill(w int) line {
	for len(l) > 0 && strings.TrimSpace(l[len(l)-1].text) == "" {
		l = l[:len(l)-1]
	}
	fits := l.width() <= w
	out := make(line, 0, len(l)+1)
	for _, s := range l {
		t := clean(s.text)
		here := !fits && width(t) >= w // the cut is in this span, or right behind it
		if here {
			t = cut(t+"……", w)
		}
		out, w = append(out, span{s.role, t}), w-width(t)
		if here {
			break
		}
	}
	if w > 0 {
		out = append(out, span{plain, strings.Repeat(" ", w)})
	}
	return out
}

// parted returns what stands in l, cleaned, before column from and from column to
// on; a wide character across an edge becomes blanks.
func (l line) parted(from, to int) (before, after line) {
	x := 0
	for _, s := range l {
		t := clean(s.text)
		first := head(t, from-x)
		if first != "" {
			before = append(before, span{s.role, first})
		}
		rest := t
		for at := x; rest != "" && at < to; {
			n := firstRune(rest)
			at += width(rest[:n])
			rest = rest[n:]
			if at > to {
				rest = strings.Repeat(" ", at-to) + rest
			}
		}
		if rest != "" {
			after = append(after, span{s.role, rest})
		}
		x += width(t)
	}
	return before, after
}

// width is the number of columns of the whole line.
func (l line) width() int {
	n := 0
	for _, s := range l {
		n += width(s.text)
	}
	return n
}

// ends puts l at the left and r at the right end of w columns; where they do
// not both fit, r goes.
func ends(l, r line, w int) line {
	gap := w - l.width() - r.width()
	if gap < 1 {
		return l.fill(w)
	}
	return append(append(append(line{}, l...), span{plain, strings.Repeat(" ", gap)}), r...)
}

// wrap breaks text into rows of at most w columns, at spaces where there are
// any. Line feeds break too.
func wrap(text string, w int) []string {
	w = max(w, 1)
	var rows []string
	for para := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		rows = append(rows, wrapParagraph(clean(para), w)...)
	}
	return rows
}

func wrapParagraph(s string, w int) []string {
	var rows []string
	for {
		at, skip := max(len(head(s, w)), firstRune(s)), 0 // a wide character in a column of one
		if at == len(s) {
			return append(rows, s)
		}
		if i := strings.LastIndexByte(s[:at+1], ' '); i > 0 && strings.TrimSpace(s[:i]) != "" {
			at, skip = i, 1
		}
		rows = append(rows, s[:at])
		s = s[at+skip:]
	}
}

func firstRune(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// wrapped makes lines of a text.
func wrapped(r role, text string, w int) []line {
	var out []line
	for _, row := range wrap(text, w) {
		out = append(out, say(r, row))
	}
	return out
}

// exactly returns h lines: the first h of ls, or ls and empty ones.
func exactly(ls []line, h int) []line {
	h = max(h, 0)
	out := make([]line, h)
	copy(out, ls)
	return out
}
