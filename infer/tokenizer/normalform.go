package tokenizer

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normalForm is NFC, NFD, NFKC or NFKD as the tokenizers library computes them.
// golang.org/x/text differs twice: it breaks runs of more than 30 combining marks
// with U+034F, and it knows characters newer than Unicode 9.0, which the library
// leaves alone. Its tables are used, character by character.
type normalForm struct {
	whole   norm.Form // the form itself, to see quickly that nothing is to be done
	split   norm.Form // NFD or NFKD
	compose bool
}

// mark is a character with its canonical combining class.
type mark struct {
	r   rune
	ccc uint8
}

func (f normalForm) normalize(s string) string {
	if f.whole.QuickSpanString(s) == len(s) && !strings.ContainsFunc(s, isUnassigned9) {
		return s
	}
	marks := f.decompose(s)
	reorder(marks)
	if f.compose {
		marks = compose(marks)
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, m := range marks {
		b.WriteRune(m.r)
	}
	return b.String()
}

func isUnassigned9(r rune) bool { return r > 0x7F && unicode.Is(unassigned9, r) }

func (f normalForm) decompose(s string) []mark {
	marks := make([]mark, 0, len(s))
	for _, r := range s {
		if isUnassigned9(r) {
			marks = append(marks, mark{r, 0})
			continue
		}
		// One character at a time, so that no run is long enough to be broken.
		for _, d := range f.split.String(string(r)) {
			marks = append(marks, mark{d, norm.NFD.PropertiesString(string(d)).CCC()})
		}
	}
	return marks
}

// reorder sorts each run of marks by class, equal classes staying in order.
func reorder(marks []mark) {
	for start := 0; start < len(marks); start++ {
		if marks[start].ccc == 0 {
			continue
		}
		end := start
		for end < len(marks) && marks[end].ccc != 0 {
			end++
		}
		slices.SortStableFunc(marks[start:end], func(a, b mark) int { return int(a.ccc) - int(b.ccc) })
		start = end
	}
}

// compose joins each mark to the starter before it where a composed character
// exists and nothing of the same or a higher class stands between.
func compose(marks []mark) []mark {
	out := marks[:0]
	starter := -1 // index in out
	last := 0     // class of the mark before, since the starter
	for _, m := range marks {
		blocked := starter >= 0 && starter < len(out)-1 && last >= int(m.ccc)
		if starter >= 0 && !blocked {
			if r, ok := composePair(out[starter].r, m.r); ok {
				out[starter].r = r
				continue
			}
		}
		if m.ccc == 0 {
			starter = len(out)
			last = 0
		} else {
			last = int(m.ccc)
		}
		out = append(out, m)
	}
	return out
}

func composePair(a, b rune) (rune, bool) {
	if b < 0x300 || isUnassigned9(a) || isUnassigned9(b) || norm.NFC.PropertiesString(string(b)).BoundaryBefore() {
		return 0, false
	}
	pair := string(a) + string(b)
	joined := []rune(norm.NFC.String(pair))
	if len(joined) != 1 || isUnassigned9(joined[0]) {
		return 0, false
	}
	return joined[0], true
}
