package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// mergeSlowly is the definition: find the pair of lowest rank, the leftmost of
// equals, join it, look again from the start.
func (m *bpe) mergeSlowly(ids []int32) []int32 {
	for {
		best := -1
		for i := 0; i+1 < len(ids); i++ {
			mg, ok := m.merges[pairKey(ids[i], ids[i+1])]
			if ok && (best < 0 || mg.rank < m.merges[pairKey(ids[best], ids[best+1])].rank) {
				best = i
			}
		}
		if best < 0 {
			return ids
		}
		ids[best] = m.merges[pairKey(ids[best], ids[best+1])].id
		ids = slices.Delete(ids, best+1, best+2)
	}
}

func FuzzMerge(f *testing.F) {
	tok := demo(f)
	for _, s := range []string{"", "a", "Once upon a time there was a llama", "aaaaaaaaaaaaaa", "the the the thethe", "é山"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?")
		m := tok.model.(*bpe)
		symbols, err := m.symbols(text)
		if err != nil {
			t.Fatal(err)
		}
		var start []int32
		for _, s := range symbols {
			start = append(start, s.id)
		}
		want := m.mergeSlowly(start)
		got, err := m.encode(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	})
}

// Unknown characters: fused or not, kept behind byte tokens, or dropped.
func TestUnknown(t *testing.T) {
	const vocab = `"vocab": {"a": 0, "<unk>": 1, "<0xC3>": 2, "<0xA9>": 3}, "merges": []`
	tests := []struct {
		name, model, text string
		want              []int
	}{
		{"fused", `{"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, ` + vocab + `}`, "axya", []int{0, 1, 0}},
		{"not fused", `{"type": "BPE", "unk_token": "<unk>", ` + vocab + `}`, "axya", []int{0, 1, 1, 0}},
		{"none", `{"type": "BPE", ` + vocab + `}`, "axya", []int{0, 0}},
		{"bytes", `{"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, ` + vocab + `}`, "aéa", []int{0, 2, 3, 0}},
		{"a missing byte", `{"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, ` + vocab + `}`, "aêa", []int{0, 1, 0}},
	}
	for _, test := range tests {
		tok := parse(t, `{"model": `+test.model+`}`)
		got, err := tok.Encode(test.text, false)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, %v, want %v", test.name, got, err, test.want)
		}
	}
}

func TestIgnoreMerges(t *testing.T) {
	for _, ignore := range []string{"true", "false"} {
		tok := parse(t, `{"model": {"type": "BPE", "ignore_merges": `+ignore+`, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": []}}`)
		got, _ := tok.Encode("ab", false)
		want := map[string][]int{"true": {2}, "false": {0, 1}}[ignore]
		if !slices.Equal(got, want) {
			t.Errorf("ignore_merges %s: got %v, want %v", ignore, got, want)
		}
	}
}
