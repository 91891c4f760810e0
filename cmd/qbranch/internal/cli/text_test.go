package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func TestClean(t *testing.T) {
	for _, tc := range []struct{ name, in, want, wantText string }{
		{"plain", "gptq-4bit-32g-actorder_True", "gptq-4bit-32g-actorder_True", "gptq-4bit-32g-actorder_True"},
		{"lines", "a\n b\tc\r\n", "a b c", "a\n b\tc \n"},
		{"colour", "a\x1b[1;31mred\x1b[0m", "ared", "ared"},
		{"cursor and screen", "\x1b[2J\x1b[Hx", "x", "x"},
		{"hyperlink, OSC 8", "\x1b]8;;http://evil\x1b\\name\x1b]8;;\x07", "name", "name"},
		{"clipboard, OSC 52", "x\x1b]52;c;ZXZpbA==\x07y", "xy", "xy"},
		{"C1 forms of the same", "a\u009b31mb\u009d52;c;x\u009cc", "abc", "abc"},
		{"never closed: text stays, the escape goes", "a\x1b]0;title", "a0;title", "a0;title"},
		{"escape at the end", "a\x1b", "a", "a"},
		{"two-character escape", "a\x1bcb", "ab", "ab"},
		{"escape before a wide character", "a\x1bébc", "abc", "abc"},
		{"bidi override", "abc\u202egnp.exe", "abcgnp.exe", "abcgnp.exe"},
		{"zero width", "a\u200bb\ufeffc", "abc", "abc"},
		{"a joiner belongs to text, not to names", "a\u200db", "ab", "a\u200db"},
		{"invalid UTF-8", "a\xffb", "a\ufffdb", "a\ufffdb"},
		{"NUL and DEL", "a\x00b\x7fc", "abc", "abc"},
	} {
		if got := clean(tc.in); got != tc.want {
			t.Errorf("%s: clean(%q) = %q, want %q", tc.name, tc.in, got, tc.want)
		}
		if got := cleanText(tc.in); got != tc.wantText {
			t.Errorf("%s: cleanText(%q) = %q, want %q", tc.name, tc.in, got, tc.wantText)
		}
	}
}

func TestWrapped(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		width    int
		want     string
	}{
		{"any width", "a b c\n", 0, "a b c\n"},
		{"it fits", "a b c\n", 5, "a b c\n"},
		{"what goes on is indented", "warn: the name says 4\nnote: b\n", 12, "warn: the\n  name says\n  4\nnote: b\n"},
		{"beside its own indentation", "  warn: the name\n", 12, "  warn: the\n    name\n"},
		{"a long word stays whole", "a gptq-4bit-32g b\n", 8, "a\n  gptq-4bit-32g\n  b\n"},
		{"a wide character takes two columns", "日本 語\n", 6, "日本\n  語\n"},
	} {
		if got := wrapped(tc.in, tc.width, 2); got != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, got, tc.want)
		}
	}
}

func TestTableWithin(t *testing.T) {
	columns := []column{{title: "Term"}, {"GiB", true}, {title: "How"}}
	rows := [][]string{{"weights", "19.96", "the sum of all tensors"}, {"cache", "0.50", "heads x layers x tokens x bytes"}, {"need", "20.46", ""}}
	wide := table(columns, rows)
	for _, width := range []int{0, tableWidth(wide), 20} { // no terminal, wide enough, hopeless
		if got := tableWithin(columns, rows, width); got != wide {
			t.Errorf("width %d: got\n%s\nwant\n%s", width, got, wide)
		}
	}
	want := `
Term       GiB  How
weights  19.96  the sum of all tensors
cache     0.50  heads x layers x tokens
                x bytes
need     20.46
`
	if got := "\n" + tableWithin(columns, rows, 40); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

// Whatever comes in: no control character goes out, cleaning twice changes
// nothing more, and JSON says what the input said.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "a\x1b[0m", "\x1b]8;;x\x07", "\u009b\u009d\u202e", "\x1b\x1b\x1b[", "\xff\xfe", "é\x1bé"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line, text := clean(s), cleanText(s)
		for _, got := range []string{line, strings.NewReplacer("\n", "", "\t", "", "\u200c", "", "\u200d", "").Replace(text)} {
			if !utf8.ValidString(got) {
				t.Errorf("not UTF-8: %q", got)
			}
			for _, r := range got {
				if safeRune(r) != r {
					t.Errorf("%U got through in %q", r, got)
				}
			}
		}
		if again := clean(line); again != line {
			t.Errorf("clean is not settled: %q then %q", line, again)
		}
		var b bytes.Buffer
		if err := emitTo(&b, s); err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Errorf("emit %q came back as %q, %v", s, back, err)
		}
		for _, r := range strings.TrimSuffix(b.String(), "\n") {
			if safeRune(r) != r {
				t.Errorf("%U got into JSON %q", r, b.String())
			}
		}
	})
}

func TestSizesAndTimes(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{app.BytesText(0), "0 B"},
		{app.BytesText(999), "999 B"},
		{app.BytesText(35_110), "35.1 kB"},
		{app.BytesText(2_216_000), "2.22 MB"},
		{app.BytesText(36_650_000_000), "36.65 GB"},
		{rateText(5_000_000, 2*time.Second), "2.50 MB/s"},
		{rateText(5_000_000, 0), "5.00 MB/s"},
		{durationText(8 * time.Millisecond), "8 ms"},
		{durationText(1234 * time.Millisecond), "1.2 s"},
		{durationText(255 * time.Second), "4m15s"},
		{durationText(62 * time.Minute), "1h02m"},
		{plural(1, "file"), "1 file"},
		{plural(8, "branch"), "8 branches"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestTable(t *testing.T) {
	got := table([]column{{title: "Name"}, {"Size", true}, {title: "State"}}, [][]string{
		{"main", "2.09", "verified"},
		{"量子", "12.00", ""}, // wide characters count twice
	})
	want := "Name   Size  State\n" +
		"main   2.09  verified\n" +
		"量子  12.00\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
