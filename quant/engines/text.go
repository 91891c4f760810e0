package engines

import (
	"fmt"
	"strings"
	"unicode"
)

// list writes numbers as people do: "2, 4 and 8".
func list(numbers []int, last string) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = fmt.Sprint(n)
	}
	return joined(words, last)
}

func orList(words []string) string { return joined(words, "or") }

func joined(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}

// shown makes a word of a configuration or a card fit to stand in a reason: no
// control characters, and no longer than limit runes.
func shown(s string, limit int) string {
	var out strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			out.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		out.WriteRune(r)
	}
	return out.String()
}

// bitsText is "4-bit", "4- and 8-bit", "2-, 4- and 8-bit".
func bitsText(bits []int) string {
	words := make([]string, len(bits))
	for i, b := range bits {
		words[i] = fmt.Sprintf("%d-", b)
	}
	return joined(words, "and") + "bit"
}

func groupText(g int) string {
	if g == -1 {
		return "one group per column (-1)"
	}
	return fmt.Sprintf("group size %d", g)
}

func sizesText(sizes []int) string { return list(sizes, "and") }

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// splitsRows says whether tensor parallel splits the rows of a matrix, by its
// name: those whose inputs the cards hold apart.
func splitsRows(name string) bool {
	for _, part := range []string{".o_proj.", ".down_proj.", ".w2.", ".c_proj.", ".dense_4h_to_h.", "attention.dense.", "self_attn.dense.", ".fc2.", ".out_proj.", ".wo."} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
