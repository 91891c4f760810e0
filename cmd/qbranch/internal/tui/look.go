package tui

import (
	"io"
	"strconv"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// role says what a piece of text means; the theme decides how it looks.
type role uint8

const (
	plain role = iota
	title
	dim    // said aside
	accent // the cursor, keys, what runs
	good
	warn
	bad
	roles
)

// palette gives roles a colour of the terminal's own sixteen; 0 is the default
// colour, which dim makes faint. Chosen so that each has a contrast of 3:1 or
// more in xterm's palette on the theme's background, and so that none is one of
// the bright greys that Solarized puts into 8 and 10 to 15.
type palette [roles]int

var (
	darkPalette  = palette{accent: 6, good: 2, warn: 3, bad: 9}
	lightPalette = palette{accent: 4, good: 4, warn: 5, bad: 1}
)

// look turns lines into what the terminal gets.
type look struct {
	styles [roles]struct{ on, off string } // what stands before and behind the text
	ascii  bool
}

// newLook makes a look without asking the terminal or the environment anything.
func newLook(theme string, colour, ascii bool) look {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.Ascii)
	if colour && theme != "mono" {
		r.SetColorProfile(termenv.ANSI)
	}
	p := darkPalette
	if theme == "light" {
		p = lightPalette
	}
	k := look{ascii: ascii}
	for i := range k.styles {
		s := r.NewStyle().Inline(true)
		if p[i] != 0 {
			s = s.Foreground(lipgloss.Color(strconv.Itoa(p[i])))
		}
		switch role(i) {
		case title, accent, bad:
			s = s.Bold(true)
		case dim:
			s = s.Faint(true)
		}
		// Styling every span of every frame took a quarter of the frame.
		k.styles[i].on, k.styles[i].off, _ = strings.Cut(s.Render("x"), "x")
	}
	return k
}

// render returns l for a window of w columns: cleaned, cut, without trailing
// blanks, coloured.
func (k look) render(l line, w int) string {
	l = l.fill(w)
	for len(l) > 0 {
		end := &l[len(l)-1]
		end.text = strings.TrimRight(end.text, " ")
		if end.text != "" {
			break
		}
		l = l[:len(l)-1]
	}
	var b strings.Builder
	for _, s := range l {
		t := s.text
		if k.ascii {
			t = asciify(t)
		}
		if s.role == plain || strings.TrimSpace(t) == "" {
			b.WriteString(t)
		} else {
			b.WriteString(k.styles[s.role].on + t + k.styles[s.role].off)
		}
	}
	return b.String()
}

// Everything drawn is drawn in Unicode and translated at the very end, one
// column for one column. Meaning survives because signs come with words.
var toASCII = strings.NewReplacer(
	"─", "-", "│", "|", "┌", "+", "┐", "+", "└", "+", "┘", "+", "┬", "+", "┴", "+",
	"█", "#", "▌", "#", "░", ".", "▏", "|", "▸", ">", "·", ".", "…", "~", "–", "-",
	"‹", "<", "›", ">", "−", "-", "←", "<", "→", ">", "“", `"`, "”", `"`, "▶", ">", "○", "o",
	"×", "x", "≤", "<", "≥", ">", "‘", "'", "’", "'",
	"◆", "&", "●", "*", "◐", "~", "✓", "+", "✗", "x", "↻", "@", "↑", "^", "↓", "v",
	"▒", "=", "⊘", "#", "▁", "_", "▂", ".", "▃", "-", "▄", "-", "▅", "=", "▆", "+", "▇", "*",
	"⠋", "|", "⠙", "/", "⠸", "-", "⠴", "\\", "⠦", "|", "⠇", "/",
)

func asciify(s string) string {
	var b strings.Builder
	for _, r := range toASCII.Replace(s) {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Repeat("?", runeWidth(r)))
		}
	}
	return b.String()
}

// spinner is drawn from the third frame of a wait on, so that quick answers
// do not flicker.
func spinner(frame int) string {
	if frame < 3 {
		return " "
	}
	return string([]rune("⠋⠙⠸⠴⠦⠇")[frame%6])
}

// bar draws done of total in w columns.
func bar(done, total int64, w int) string {
	halves := 0
	if total > 0 {
		halves = int(float64(max(0, min(done, total))) / float64(total) * float64(2*w))
	}
	full, half := halves/2, halves%2
	return strings.Repeat("█", full) + strings.Repeat("▌", half) + strings.Repeat("░", w-full-half)
}

// themeWanted decides between "dark", "light" and "mono" without asking the
// terminal; the package comment says why.
func themeWanted(flag string, env func(string) string) string {
	switch flag {
	case "dark", "light", "mono":
		return flag
	}
	// COLORFGBG is "foreground;background", by rxvt, Konsole and others;
	// backgrounds 7 and 9 to 15 are light.
	v := env("COLORFGBG")
	if bg, err := strconv.Atoi(v[strings.LastIndexByte(v, ';')+1:]); err == nil && (bg == 7 || bg > 8 && bg < 16) {
		return "light"
	}
	return "dark"
}

// colourWanted follows no-color.org.
func colourWanted(env func(string) string) bool {
	return env("NO_COLOR") == "" && env("TERM") != "dumb"
}
