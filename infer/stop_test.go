package infer

import (
	"strings"
	"testing"
)

// A text is cut at its first stop string wherever its pieces end, and what is
// passed on early is never taken back.
func TestStopper(t *testing.T) {
	tests := []struct {
		name, text string
		stops      []string
		want       string
		found      bool
	}{
		{"none", "hello", nil, "hello", false},
		{"not there", "hello", []string{"x"}, "hello", false},
		{"in the middle", "one\nUser: two", []string{"User:"}, "one\n", true},
		{"at the start", "stop it", []string{"stop"}, "", true},
		{"at the end", "it stops", []string{"stops"}, "it ", true},
		{"begun and not ended", "it sto", []string{"stop"}, "it sto", false},
		{"begun again within itself", "aaab", []string{"aab"}, "a", true},
		{"begun, abandoned, begun", "ststop", []string{"stop"}, "st", true},
		{"the first of two", "a.b!c", []string{"!", "."}, "a", true},
		{"one within another", "abcd", []string{"abcdef", "bc"}, "a", true},
		{"characters of several bytes", "山羊が好き。次", []string{"。"}, "山羊が好き", true},
		{"a character that shares its first bytes", "éè", []string{"è"}, "é", true},
		{"one that only begins like it", "éê", []string{"è"}, "éê", false},
	}
	for _, test := range tests {
		for size := 1; size <= len(test.text); size++ {
			s := stopper{stops: test.stops}
			got, found := "", false
			for rest := test.text; rest != "" && !found; {
				n := size
				for n < len(rest) && rest[n]&0xC0 == 0x80 { // pieces end where characters do
					n++
				}
				n = min(n, len(rest))
				var piece string
				piece, found = s.push(rest[:n])
				got += piece
				rest = rest[n:]
				for _, stop := range test.stops {
					if strings.Contains(got, stop) {
						t.Errorf("%s, pieces of %d: passed on %q", test.name, size, got)
					}
				}
			}
			if !found {
				got += s.flush()
			}
			if got != test.want || found != test.found {
				t.Errorf("%s, pieces of %d: got %q, %v, want %q, %v", test.name, size, got, found, test.want, test.found)
			}
		}
	}
}

// However a text comes, it is cut where strings.Index finds the stop string.
func FuzzStopper(f *testing.F) {
	f.Add("one\nUser: two", "User:", uint8(3))
	f.Add("aaab", "aab", uint8(1))
	f.Fuzz(func(t *testing.T, text, stop string, size uint8) {
		if stop == "" || size == 0 {
			return
		}
		s := stopper{stops: []string{stop}}
		var got strings.Builder
		found := false
		for rest := text; rest != "" && !found; {
			n := min(int(size), len(rest))
			var piece string
			piece, found = s.push(rest[:n])
			got.WriteString(piece)
			rest = rest[n:]
		}
		got.WriteString(s.flush())
		want, _, there := strings.Cut(text, stop)
		if got.String() != want || found != there {
			t.Errorf("%q at %q in pieces of %d: got %q, %v", text, stop, size, got.String(), found)
		}
	})
}
