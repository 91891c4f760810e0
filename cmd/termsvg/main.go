package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "usage: tmux capture-pane -e -p | termsvg > screen.svg")
		os.Exit(2)
	}
	if err := convert(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "termsvg:", err)
		os.Exit(1)
	}
}

// Sizes of a character cell and the margin, in the picture's units.
const (
	cellWidth  = 8.4
	cellHeight = 18
	margin     = 12
	fontSize   = 14
)

// colours are those that people see most: xterm's sixteen, on a dark ground a
// little softer than black.
var colours = [16]string{
	"#1d2026", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
	"#6b717d", "#ff7b86", "#b5e08f", "#ffd98f", "#7fc4ff", "#dd9bff", "#76dbe6", "#ffffff",
}

const (
	ground = "#1d2026"
	ink    = "#d5d9e0"
)

// style is what SGR sequences have set.
type style struct {
	fg                 int // of colours; -1 = the default
	bold, faint, under bool
	inverse            bool
}

// run is a piece of a row in one style. It begins at column at.
type run struct {
	style
	at, width int
	text      string
}

// limit is what is read: a screen has a few kilobytes.
const limit = 4 << 20

// convert reads a capture and writes the picture.
func convert(r io.Reader, w io.Writer) error {
	data, err := io.ReadAll(io.LimitReader(r, limit))
	if err != nil {
		return fmt.Errorf("read the capture: %w", err)
	}
	rows := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	lines, cols := make([][]run, len(rows)), 0
	at := style{fg: -1}
	for i, row := range rows {
		lines[i] = parse(row, &at)
		if n := len(lines[i]); n > 0 {
			cols = max(cols, lines[i][n-1].at+lines[i][n-1].width)
		}
	}
	out := bufio.NewWriter(w)
	width, height := 2*margin+float64(cols)*cellWidth, 2*margin+len(rows)*cellHeight
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d">`+"\n", width, height, width, height)
	fmt.Fprintf(out, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", ground)
	fmt.Fprintf(out, `<g font-family="'DejaVu Sans Mono','Menlo','Consolas',monospace" font-size="%d" fill="%s" xml:space="preserve">`+"\n", fontSize, ink)
	for i, line := range lines {
		for _, p := range line {
			draw(out, p, i)
		}
	}
	fmt.Fprintln(out, "</g>\n</svg>")
	return out.Flush()
}

// parse splits a row into runs; at goes on from row to row, as in a terminal.
func parse(row string, at *style) (runs []run) {
	col := 0
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			n := runewidth.StringWidth(text.String())
			runs = append(runs, run{*at, col, n, text.String()})
			col += n
			text.Reset()
		}
	}
	for len(row) > 0 {
		if row[0] != 0x1b {
			i := strings.IndexByte(row, 0x1b)
			if i < 0 {
				i = len(row)
			}
			text.WriteString(strings.Map(func(r rune) rune {
				if r < ' ' || r == 0x7f {
					return -1
				}
				return r
			}, row[:i]))
			row = row[i:]
			continue
		}
		flush()
		sgr, rest := escape(row)
		row = rest
		at.apply(sgr)
	}
	flush()
	return runs
}

// escape takes an escape sequence off the start of a row: what an SGR sets, "" for
// any other.
func escape(row string) (sgr, rest string) {
	if !strings.HasPrefix(row, "\x1b[") {
		return "", row[min(2, len(row)):]
	}
	for i := 2; i < len(row); i++ {
		if c := row[i]; c >= 0x40 && c <= 0x7e {
			if c == 'm' {
				return "0;" + row[2:i], row[i+1:] // nothing is 0
			}
			return "", row[i+1:]
		}
	}
	return "", ""
}

// apply sets what an SGR says. Of 256 colours the first sixteen count.
func (s *style) apply(sgr string) {
	if sgr == "" {
		return
	}
	codes := strings.Split(strings.TrimPrefix(sgr, "0;"), ";")
	for i := 0; i < len(codes); i++ {
		n, err := strconv.Atoi(codes[i])
		switch {
		case codes[i] == "" || err == nil && n == 0:
			*s = style{fg: -1}
		case n == 1:
			s.bold = true
		case n == 2:
			s.faint = true
		case n == 4:
			s.under = true
		case n == 7:
			s.inverse = true
		case n == 22:
			s.bold, s.faint = false, false
		case n == 24:
			s.under = false
		case n == 27:
			s.inverse = false
		case n >= 30 && n <= 37:
			s.fg = n - 30
		case n >= 90 && n <= 97:
			s.fg = n - 90 + 8
		case n == 39:
			s.fg = -1
		case n == 38 && i+2 < len(codes) && codes[i+1] == "5":
			if c, err := strconv.Atoi(codes[i+2]); err == nil && c < 16 {
				s.fg = c
			}
			i += 2
		}
	}
}

// escapeXML makes text of a document.
var escapeXML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// draw writes a run of row i. Its length is stated, so that columns stand under one
// another in every font.
func draw(w io.Writer, p run, i int) {
	x, y := margin+float64(p.at)*cellWidth, margin+i*cellHeight
	fill := ink
	if p.fg >= 0 {
		fill = colours[p.fg]
	}
	if p.inverse {
		fmt.Fprintf(w, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x, y, float64(p.width)*cellWidth, cellHeight, fill)
		fill = ground
	}
	if strings.TrimSpace(p.text) == "" {
		return
	}
	more := ""
	if p.bold {
		more += ` font-weight="bold"`
	}
	if p.faint {
		more += ` opacity="0.6"`
	}
	if p.under {
		more += ` text-decoration="underline"`
	}
	fmt.Fprintf(w, `<text x="%.1f" y="%d" textLength="%.1f" lengthAdjust="spacingAndGlyphs" fill="%s"%s>%s</text>`+"\n",
		x, y+cellHeight-4, float64(p.width)*cellWidth, fill, more, escapeXML.Replace(p.text))
}
