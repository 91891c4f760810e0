package tokenizer

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestRegex(t *testing.T) {
	tests := []struct {
		pattern, text string
		want          []string
	}{
		{gpt2Pattern, "I'll  go\n\n 12!", []string{"I", "'ll", " ", " go", "\n\n", " 12", "!"}}, // the last blank goes with the word
		{`(?i:'s|'t)|\p{L}+`, "a'Sb'ſ", []string{"a", "'S", "b", "'ſ"}},                         // (?i) folds beyond ASCII
		{`(?i)ab|cd`, "ABCd", []string{"AB", "Cd"}},
		{`[^\s\p{L}\p{N}]+`, "a -- b", []string{"--"}},
		{`[a[b-d]\x41\u00e9]+`, "abdAéx", []string{"abdAé"}},
		{`[]a-]+`, "a]-b", []string{"a]-"}},
		{`a{2}|b{1,2}|c{2,}`, "aaabbbcccc", []string{"aa", "bb", "b", "cccc"}},
		{`(?:ab){2,3}`, "abababab", []string{"ababab"}},
		{`a+?b|a??`, "aab", []string{"aab"}},
		{`a++a|a`, "aaa", []string{"a", "a", "a"}}, // possessive: never gives back
		{`(?>a+)a|b`, "aab", []string{"b"}},
		{`(?:a|ab)+?c`, "abac", []string{"abac"}},
		{`\bfoo\b|^b|d$`, "foo bfoo\nb d", []string{"foo", "b", "d"}},
		{`\Aa|a\z`, "aaa", []string{"a", "a"}},
		{`\d(?=x)|\w(?!y)`, "1x2y", []string{"1", "x", "y"}},
		{`\p{Han}|\P{L}|\p{^N}`, "山1", []string{"山", "1"}},
		{`\d{1,3}+x`, "12345x", []string{"12345x"}},                      // braces are never possessive
		{`\d{2}?x`, "123x12x", []string{"23x", "12x"}},                   // {2}? is an optional {2}
		{`a{x}|{`, "a{x}{", []string{"a{x}", "{"}},                       // braces that are not counts
		{`(?<=a|bc)x|(?<!\d)7`, "ax bcx cx 77", []string{"x", "x", "7"}}, // lookbehind
		{`(?<=a+)x`, "aax x", []string{"x"}},
		{`[\p{L}&&[^\p{Han}]]+|[^a-z&&b-y]`, "ab山c", []string{"ab", "山", "c"}},
		{`[[:alpha:]_]+|[[:^digit:]]`, "a_1é-", []string{"a_", "é", "-"}},
		{`x(?i)y|z`, "xY Z xz", []string{"xY", "xz"}}, // an option holds to the end of the group
		{`(?i)[^\p{Lu}]+`, "aAb1", []string{"1"}},
		{`(?i)\p{Lu}+`, "aB", []string{"B"}}, // outside brackets a property does not fold
		{`(?m)a.b|(?-i:c)`, "a\nb", []string{"a\nb"}},
		{`(a*)*b`, "aab b", []string{"aab", "b"}}, // a body that may be empty
		{`(?:a|b*)*c`, "abbc", []string{"abbc"}},
		{`\R|\h{2}`, "a1\r\n\n", []string{"a1", "\r\n", "\n"}},
		{`\w+`, "a²\u200db", []string{"a²", "b"}},
		{`\s++\Z`, "a \n", []string{" \n"}},
		{`[\r\n]|\s?\p{L}+`, "a\r\nb c", []string{"a", "\r", "\n", "b", " c"}},
	}
	for _, test := range tests {
		re, err := compileRegex(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		found, err := re.findAll(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
		}
		var got []string
		for _, f := range found {
			got = append(got, test.text[f.start:f.end])
		}
		if strings.Join(got, "|") != strings.Join(test.want, "|") {
			t.Errorf("%s on %q: got %q, want %q", test.pattern, test.text, got, test.want)
		}
	}
}

func TestRegexRefused(t *testing.T) {
	for _, pattern := range []string{
		`\1`, `\k<a>`, `[[:nope:]]`, `(?=a)*`, `^*`, `[\d-z]`, `(?i)ss`, `(?i)ß`, `(?x)a`, `\X`, `(`, `)`, `[a`, `*a`, `\`, `a{99999}`,
		`\p{Nope}`, `\pL`, `[b-a]`, `\x{110000}`, `\k`, strings.Repeat("(", 100), `(?:(?:(?:a{999}){999}){999}){999}`,
	} {
		if _, err := compileRegex(pattern); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%.40s: got error %v, want ErrUnsupported", pattern, err)
		}
	}
}

// An empty match is a border, but not where the match before it ended.
func TestRegexEmptyMatch(t *testing.T) {
	tests := []struct {
		pattern, text string
		want          []byteRange
	}{
		{``, "ab", []byteRange{{0, 0}, {1, 1}, {2, 2}}},
		{`x*`, "axxb", []byteRange{{0, 0}, {1, 3}, {4, 4}}},
		{`(?=(\d{3})+(?!\d))`, "1234567", []byteRange{{1, 1}, {4, 4}}},
	}
	for _, test := range tests {
		re, err := compileRegex(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := re.findAll(test.text); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q on %q: got %v, %v, want %v", test.pattern, test.text, got, err, test.want)
		}
	}
}

// A pattern that would try for ever is ended, not waited for.
func TestRegexTooHard(t *testing.T) {
	for _, pattern := range []string{`(?:a+)+b`, `(?:a|aa)+b`, `(?:a*)*b`} {
		re, err := compileRegex(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := re.findAll(strings.Repeat("a", 64)); !errors.Is(err, ErrTooHard) {
			t.Errorf("%s: got error %v, want ErrTooHard", pattern, err)
		}
	}
}

// Where Go's regexp knows the pattern, it must find the same matches: both take
// the first alternative that leads to a match.
func FuzzRegex(f *testing.F) {
	patterns := []string{
		`'s|'t|'re| ?[a-z]+| ?[0-9]{1,3}| ?[^\sa-z0-9]+|\s+`,
		`(?:a|ab)(?:c|bcd)*`, `a+?b|[ab]{2,3}?`, `(?:x*y)?z|x`, `(?i:ab|c)+`, `\s*[\r\n]+|\s+`,
	}
	for _, s := range []string{"", "it's 1234 ok\r\n\n", "abcbcdxxyz", "aAbBcC zz"} {
		for i := range patterns {
			f.Add(uint(i), s)
		}
	}
	f.Fuzz(func(t *testing.T, which uint, text string) {
		text = strings.Map(func(r rune) rune {
			if r >= 0x80 || r == '\v' { // Go's \s is ASCII without \v
				return -1
			}
			return r
		}, text)
		pattern := patterns[which%uint(len(patterns))]
		re, err := compileRegex(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found, err := re.findAll(text)
		if err != nil {
			t.Fatal(err)
		}
		var want [][]int
		for _, m := range regexp.MustCompile(pattern).FindAllStringIndex(text, -1) {
			if m[0] < m[1] {
				want = append(want, m)
			}
		}
		if len(found) != len(want) {
			t.Fatalf("%s on %q: got %v, want %v", pattern, text, found, want)
		}
		for i := range want {
			if found[i].start != want[i][0] || found[i].end != want[i][1] {
				t.Fatalf("%s on %q: got %v, want %v", pattern, text, found, want)
			}
		}
	})
}

// Grouping digits from the right looks at the whole number from each of its
// digits: a long one is cut right or refused, and neither takes for ever.
func TestRegexLongNumber(t *testing.T) {
	re, err := compileRegex(`(?=(\d{3})+(?!\d))`)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{999, 3000, 20_000} {
		found, err := re.findAll(strings.Repeat("7", n))
		switch {
		case errors.Is(err, ErrTooHard) && n > 999:
		case err != nil:
			t.Errorf("%d digits: %v", n, err)
		case len(found) != n/3 || found[0].start != n%3 || found[len(found)-1].start != n-3:
			t.Errorf("%d digits: got %d borders from %v, want %d from %d", n, len(found), found[0], n/3, n%3)
		}
	}
}

// The scanners that are written by hand find what the pattern engine finds, where
// the library has the same table for both.
func FuzzScanners(f *testing.F) {
	scanners := []struct {
		pattern string
		class   string // of is
		find    finder
		is      func(rune) bool
	}{
		{`\w+|[^\w\s]+`, `\w`, wordRuns, isWord},
		{`\p{N}`, `\p{N}`, eachRune(isNumeric), isNumeric},
		{`[\p{P}$+<=>^` + "`" + `|~]`, `[\p{P}$+<=>^` + "`" + `|~]`, eachRune(isPunct), isPunct},
		{`\s`, `\s`, eachRune(unicode.IsSpace), unicode.IsSpace},
	}
	for _, text := range []string{"", "it's 12,345.6\r\n— «ok» _x_ \u00a0\u3000é", "a\u0301b ٣٤ Ⅻ ½ $+<=>^`|~ 中文。"} {
		for i := range scanners {
			f.Add(uint(i), text)
		}
	}
	f.Fuzz(func(t *testing.T, which uint, text string) {
		s := scanners[which%uint(len(scanners))]
		find := func(pattern, text string) []byteRange {
			re, err := compileRegex(pattern)
			if err != nil {
				t.Fatal(err)
			}
			found, err := re.findAll(text)
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		text = strings.Map(func(r rune) rune {
			matched := len(find(s.class, string(r))) > 0
			switch {
			case matched == s.is(r) && r != utf8.RuneError:
				return r
			case r < 0x80:
				t.Fatalf("%s: %q: got %v, want %v", s.class, r, s.is(r), matched)
			}
			return -1
		}, text)
		if got, err := s.find(text); err != nil || !slices.Equal(got, find(s.pattern, text)) {
			t.Errorf("%s on %q: got %v, %v, want %v", s.pattern, text, got, err, find(s.pattern, text))
		}
	})
}
