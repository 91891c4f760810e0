package tui

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/mattn/go-runewidth"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

var update = flag.Bool("update", false, "write the golden screens")

// windows are those that every state is drawn in.
var windows = [][2]int{{80, 24}, {100, 30}, {120, 36}, {200, 60}}

// Every state of every screen without colour, in all windows, with Unicode and
// without, in one file a state. In ASCII signs change and columns do not.
func TestGolden(t *testing.T) {
	names := make(map[string]bool)
	for _, s := range states(t) {
		if names[s.name] {
			t.Errorf("two states are called %s", s.name)
		}
		names[s.name] = true
		t.Run(s.name, func(t *testing.T) {
			var all strings.Builder
			for _, window := range windows {
				s.m.Update(tea.WindowSizeMsg{Width: window[0], Height: window[1]})
				s.m.look.ascii = false
				view := s.m.View()
				s.m.look.ascii = true
				ascii := s.m.View()
				s.m.look.ascii = false
				sameColumns(t, view, ascii)
				fmt.Fprintf(&all, "== %dx%d ==\n%s\n== %dx%d ASCII ==\n%s\n", window[0], window[1], view, window[0], window[1], ascii)
			}
			golden(t, s.name, all.String())
		})
	}
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".golden"); !names[name] {
			t.Errorf("%s is of no state: delete it", f)
		}
	}
}

// sameColumns fails unless ascii is view in ASCII, column for column.
func sameColumns(t *testing.T, view, ascii string) {
	t.Helper()
	if i := strings.IndexFunc(ascii, func(r rune) bool { return r > unicode.MaxASCII }); i >= 0 {
		t.Errorf("%q in ASCII mode", ascii[i:min(len(ascii), i+40)])
	}
	a, b := strings.Split(view, "\n"), strings.Split(ascii, "\n")
	if len(a) != len(b) {
		t.Fatalf("%d lines in Unicode, %d in ASCII", len(a), len(b))
	}
	for i := range a {
		if runewidth.StringWidth(a[i]) != len(b[i]) {
			t.Errorf("line %d is %d columns in Unicode and %d in ASCII: %q, %q", i, runewidth.StringWidth(a[i]), len(b[i]), a[i], b[i])
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	window := ""
	for i := range min(len(g), len(w)) {
		if strings.HasPrefix(w[i], "== ") {
			window = w[i]
		}
		if g[i] != w[i] {
			t.Fatalf("%s line %d\n got %q\nwant %q\n(go test -update writes the new screens: look at them)", window, i+1, g[i], w[i])
		}
	}
	t.Fatalf("got %d lines, want %d", len(g), len(w))
}

// No line is wider than the window, and the lines are exactly as many as it has.
func TestFits(t *testing.T) {
	all := states(t)
	all = append(all, state{"hostile", hostile(t)})
	step := 1 // every width twice, every height five times
	if testing.Short() {
		step = 7
	}
	for _, s := range all {
		for i := 0; i < 402; i += step {
			w, h := 40+i%201, 10+i%71
			s.m.Update(tea.WindowSizeMsg{Width: w, Height: h})
			lines := strings.Split(s.m.View(), "\n")
			if len(lines) != h && w >= minWidth && h >= minHeight {
				t.Fatalf("%s at %dx%d: %d lines", s.name, w, h, len(lines))
			}
			for i, l := range lines {
				if n := runewidth.StringWidth(l); n > w {
					t.Fatalf("%s at %dx%d: line %d is %d columns: %q", s.name, w, h, i, n, l)
				}
			}
		}
	}
}

// What is too long for the first status line goes on in the second.
func TestStatusLines(t *testing.T) {
	for _, tc := range []struct{ text, hint, first, second string }{
		{"short", "do it", " short", " do it"},
		{"short", "", " short", " "},
		{"one two three four five", "", " one two three four", " five"},
		{"one two three four five", "do it", " one two three four", " five  do it"},
		{"one two three four five six seven", "do it", " one two three four", " five six seven"},
		{"one two three four\nfive six seven eight nine ten", "", " one two three four", " …even eight nine ten"},
	} {
		var got []string
		for _, l := range statusLines(remark{text: tc.text, hint: tc.hint}, 22) {
			text := ""
			for _, s := range l {
				text += s.text
			}
			got = append(got, text)
		}
		if got[0] != tc.first || got[1] != tc.second {
			t.Errorf("%q, %q: %q, want %q and %q", tc.text, tc.hint, got, tc.first, tc.second)
		}
	}
}

func TestTooSmall(t *testing.T) {
	m := atTales(t, &fake{})
	for _, tc := range []struct {
		w, h int
		want string
	}{
		{59, 24, "terminal too small, need 60x16; q quits"},
		{80, 15, "terminal too small, need 60x16; q quits"},
		{30, 6, "terminal too small, need\n60x16; q quits"},
		{20, 5, "terminal too small,\nneed 60x16; q quits"},
		{20, 1, "terminal too small,"},
	} {
		m.Update(tea.WindowSizeMsg{Width: tc.w, Height: tc.h})
		if got := m.View(); got != tc.want {
			t.Errorf("%dx%d: got %q, want %q", tc.w, tc.h, got, tc.want)
		}
	}
	// q quits there on every screen, also where it is a letter elsewhere.
	tap(m, "esc")
	if !quits(hit(m, "q")) {
		t.Error("q did not quit")
	}
}

// Columns go in a fixed order as the width falls; branch, size, need, verdict and local
// stay.
func TestColumnsDrop(t *testing.T) {
	m := atTales(t, &fake{})
	for _, tc := range []struct {
		w    int
		want string
	}{
		{200, "Branch Bits GS Act Size MB VRAM GiB Fit Eng Rank Local"},
		{130, "Branch Bits GS Act MB GiB Fit Eng Local"},
		{120, "Branch Bits GS Act MB GiB Fit Local"},
		{117, "Branch Bits GS Act Size MB VRAM GiB Fit Eng Rank Local"},
		{100, "Branch Bits GS Act MB GiB Fit Eng Local"},
		{80, "Branch Bits GS MB GiB Fit Local"},
		{72, "Branch Bits MB GiB Fit Local"},
		{60, "Branch MB GiB Fit Local"},
	} {
		m.Update(tea.WindowSizeMsg{Width: tc.w, Height: 24})
		for l := range strings.SplitSeq(m.View(), "\n") {
			if strings.Contains(l, "Branch ") {
				l, _, _ = strings.Cut(strings.TrimPrefix(l, "│"), "│") // without the pane beside it
				if got := strings.Join(strings.Fields(l), " "); got != tc.want {
					t.Errorf("%d columns: got %q, want %q", tc.w, got, tc.want)
				}
				break
			}
		}
	}
}

const nasty = "\x1b[31mred\x1b]52;c;aGk=\a\u009b2J\u202Eevil\u2066\u200b\ufeff\x7f\r\nnext\xff" +
	"\u2028e\u0301\u0301\u0301\u0301\u0301漢字\U000E0041"

// hostile is a model in which every string of strangers is nasty.
func hostile(t *testing.T) *model {
	l := talesListing()
	l.Endpoint = "http://" + nasty
	for i := range l.Branches {
		b := &l.Branches[i]
		b.Branch, b.Commit, b.Description, b.Error = nasty+fmt.Sprint(i), nasty, nasty, nasty
	}
	l.Notes = []app.Note{{Message: nasty}, {Branch: l.Branches[0].Branch, Message: nasty}}
	return atTales(t, &fake{listing: l, listErr: nil})
}

// Nothing but text reaches the terminal, from wherever it comes.
func TestHostileText(t *testing.T) {
	m := hostile(t)
	check := func(what string) {
		t.Helper()
		for _, r := range m.View() {
			if r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Fatalf("%s: %U on the screen:\n%q", what, r, m.View())
			}
		}
	}
	m.Update(tea.WindowSizeMsg{Width: 140, Height: 40})
	check("branches")
	m.branches.err = hinted{nasty, nasty}
	check("error beside data")
	m.branches.listing = nil
	check("error alone")

	m = hostile(t)
	hit(m, "end", "enter")
	tr := m.transfers.list[0]
	tr.note(app.Event{Findings: []app.Finding{{Code: nasty, Where: nasty, Message: nasty, Hint: nasty}}})
	check("transfer")
	tr.state, tr.err = transferFailed, hinted{nasty, nasty}
	check("failed transfer")

	m = hostile(t)
	m.verify.open(m, talesRef(nasty), false)
	m.verify.files = []app.FileCheck{{Path: nasty, Checked: nasty}}
	check("verify")
	m.generate.open(m, talesRef(nasty))
	m.generate.text = nasty
	check("generate")
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(nasty), Paste: true})
	check("pasted")
	m.Update(noticeMsg{text: nasty, hint: nasty})
	check("notice")
}

func TestClean(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain text stays", "gptq-4bit-32g", "gptq-4bit-32g"},
		{"colour: the harmless rest shows", "\x1b[31mred", "[31mred"},
		{"clipboard", "\x1b]52;c;aGk=\a", "]52;c;aGk="},
		{"C1 introducer", "\u009b2J", "2J"},
		{"bidirectional override", "a\u202Eb\u2069c", "abc"},
		{"zero width", "a\u200b\u200d\ufeffb", "ab"},
		{"tags and variation selectors", "a\U000E0041\ufe0f", "a"},
		{"line separators", "a\u2028b\nc", "abc"},
		{"tab becomes a blank", "a\tb", "a b"},
		{"invalid UTF-8", "a\xffb", "a\ufffdb"},
		{"accents stay, towers do not", "e\u0301\u0301\u0301\u0301", "e\u0301\u0301"},
	} {
		if got := clean(tc.in); got != tc.want {
			t.Errorf("%s: clean(%q) = %q, want %q", tc.name, tc.in, got, tc.want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("gptq-4bit-32g-actorder_True", "漢字", 12)
	f.Add(nasty, nasty, 7)
	f.Add("", " ", 0)
	f.Add("0", "字", 1) // a wide character alone in a column of one
	f.Fuzz(func(t *testing.T, a, b string, w int) {
		w = max(0, min(w, 300))
		l := line{{plain, a}, {bad, b}}.fill(w)
		if n := l.width(); n != w {
			t.Errorf("fill(%q, %q, %d) is %d columns", a, b, w, n)
		}
		for _, row := range wrap(a+b, w) {
			if n := width(row); n > max(w, 2) { // a wide character needs two
				t.Errorf("wrap(%q, %d) has a row of %d columns", a+b, w, n)
			}
		}
		if c := clean(a); clean(c) != c {
			t.Errorf("clean(clean(%q)) differs", a)
		}
		if n := width(cut(a, w)); n > w {
			t.Errorf("cut(%q, %d) is %d columns", a, w, n)
		}
	})
}

// Colour adds escape sequences and changes no text; NO_COLOR and mono add none.
func TestColour(t *testing.T) {
	l := line{{accent, "enter"}, {plain, " get "}, {bad, "✗ bad"}}
	for _, tc := range []struct {
		theme  string
		colour bool
		want   string
	}{
		{"dark", true, "\x1b[1;36menter\x1b[0m get \x1b[1;91m✗ bad\x1b[0m"},
		{"light", true, "\x1b[1;34menter\x1b[0m get \x1b[1;31m✗ bad\x1b[0m"},
		{"mono", true, "enter get ✗ bad"},
		{"dark", false, "enter get ✗ bad"},
	} {
		if got := newLook(tc.theme, tc.colour, false).render(l, 80); got != tc.want {
			t.Errorf("%s, colour %v: got %q, want %q", tc.theme, tc.colour, got, tc.want)
		}
	}
}

// Every colour can be read on its theme's background, in xterm's palette.
func TestContrast(t *testing.T) {
	xterm := map[int][3]float64{
		1: {205, 0, 0}, 2: {0, 205, 0}, 3: {205, 205, 0}, 4: {0, 0, 238}, 5: {205, 0, 205}, 6: {0, 205, 205}, 9: {255, 0, 0},
	}
	luminance := func(c [3]float64) float64 { // WCAG 2
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			v := c[i] / 255
			if v <= 0.04045 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			sum += weight * v
		}
		return sum
	}
	for _, theme := range []struct {
		name       string
		p          palette
		background float64
	}{{"dark", darkPalette, 0}, {"light", lightPalette, 1}} {
		for r, n := range theme.p {
			if n == 0 {
				continue
			}
			a, b := luminance(xterm[n]), theme.background
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 3 {
				t.Errorf("%s: role %d in colour %d has a contrast of %.1f", theme.name, r, n, ratio)
			}
		}
	}
}

// What a box covers goes, column for column; a wide character on its edge becomes a
// blank.
func TestParted(t *testing.T) {
	text := func(l line) string {
		out := ""
		for _, s := range l {
			out += s.text
		}
		return out
	}
	for _, tc := range []struct {
		l             line
		from, to      int
		before, after string
	}{
		{line{{plain, "abc"}, {bad, "def"}}, 2, 4, "ab", "ef"},
		{line{{plain, "abc"}, {bad, "def"}}, 0, 6, "", ""},
		{line{{plain, "abc"}, {bad, "def"}}, 3, 3, "abc", "def"},
		{line{{plain, "a漢字b"}}, 2, 4, "a", " b"},
	} {
		before, after := tc.l.parted(tc.from, tc.to)
		if text(before) != tc.before || text(after) != tc.after {
			t.Errorf("%v parted at %d and %d: %q and %q, want %q and %q", tc.l, tc.from, tc.to, text(before), text(after), tc.before, tc.after)
		}
	}
}

// A table and a pane that show a part say that there is more.
func TestMoreIsSaid(t *testing.T) {
	cols := []column{{title: "Name", width: 4, cell: func(i int) span { return span{plain, "row"} }}}
	for _, tc := range []struct {
		cursor int
		want   string
	}{{0, " ↓ "}, {5, "↑↓ "}, {9, " ↑ "}} {
		if got := table(cols, 10, tc.cursor, 5)[0][0].text; got != tc.want {
			t.Errorf("cursor %d: %q, want %q", tc.cursor, got, tc.want)
		}
	}
	if got := table(cols, 4, 0, 5)[0][0].text; got != "   " {
		t.Errorf("all rows are seen, and the head says %q", got)
	}
	ls := []line{say(plain, "a"), say(plain, "b"), say(plain, "c"), nil}
	if got := goesOn(ls, 2); len(got) != 2 || !strings.Contains(got[1][0].text, "2 more lines") {
		t.Errorf("a cut pane: %q", got)
	}
	if got := goesOn(ls, 3); len(got) != 4 {
		t.Errorf("a pane of which nothing is cut: %q", got)
	}
}
