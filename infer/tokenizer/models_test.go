package tokenizer

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// The three models beside BPE, on what each does in its own way.
func TestModels(t *testing.T) {
	const (
		unigram = `{"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["a", -2], ["b", -2], ["ab", -3], ["abc", -9], ["c", -2]]}`
		bytes   = `{"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": [["<unk>", 0], ["a", -2], ["<0xC3>", -5], ["<0xA9>", -5]]}`
		piece   = `{"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##", "max_input_chars_per_word": 5, "vocab": {"?": 0, "un": 1, "##a": 2, "##aff": 3, "u": 4}}`
		level   = `{"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "one": 1}}`
	)
	tests := []struct {
		model, text string
		want        []int
	}{
		{unigram, "abc", []int{3, 5}}, // -5 is better than -9
		{unigram, "xxa", []int{0, 1}}, // unknown characters are fused
		{unigram, "", nil},
		{bytes, "aé", []int{1, 2, 3}},
		{bytes, "aéé", []int{1, 2, 3, 2, 3}},
		{bytes, "aê", []int{1, 0}},
		{piece, "unaff", []int{1, 3}}, // the longest first
		{piece, "unab", []int{0}},     // one part is unknown: all of it
		{piece, "unaffa", []int{0}},   // too long
		{`{"merges": [], "unk_token": null, "vocab": {"a": 0}}`, "ab", []int{0}}, // older than type
		{level, "one", []int{1}},
		{level, "two", []int{0}},
	}
	for _, test := range tests {
		got, err := parse(t, `{"model": `+test.model+`}`).Encode(test.text, false)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%.30s %q: got %v, %v, want %v", test.model, test.text, got, err, test.want)
		}
	}
}

// A text that needs an unknown token that is not there is refused, no other.
func TestUnknownMissing(t *testing.T) {
	for _, model := range []string{
		`{"type": "BPE", "unk_token": "u", "vocab": {"a": 0}, "merges": []}`,
		`{"type": "Unigram", "unk_id": null, "vocab": [["a", 0]]}`,
		`{"type": "WordPiece", "unk_token": "u", "vocab": {"a": 0}}`,
		`{"type": "WordLevel", "unk_token": "u", "vocab": {"a": 0}}`,
	} {
		tok := parse(t, `{"model": `+model+`}`)
		if got, err := tok.Encode("a", false); err != nil || !slices.Equal(got, []int{0}) {
			t.Errorf("%s: got %v, %v", model, got, err)
		}
		if _, err := tok.Encode("b", false); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: got error %v, want ErrUnknown", model, err)
		}
	}
}

// A token whose text the one before it swallowed is not there.
func TestSwallowed(t *testing.T) {
	tok := parse(t, `{"added_tokens": [{"id": 4, "content": "\n", "lstrip": true, "rstrip": true}],
		"model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0}}}`)
	if got, err := tok.Encode("\n\n", false); err != nil || !slices.Equal(got, []int{4}) {
		t.Errorf("got %v, %v, want [4]", got, err)
	}
}

// What a file may hold at worst is an error that says so, soon.
func TestHostile(t *testing.T) {
	const vocab = `"vocab": {"a": 0, "b": 1}`
	tests := []struct{ name, data, says string }{
		{"cut short", `{"model": {"type": "BPE", "vocab": {"a": 0, "b`, "the end where"},
		{"no comma", `{"model": {"type": "BPE", "merges": [], "vocab": {"a": 0 "b": 1}}}`, "is not a whole number"},
		{"text behind", `{"model": null} x`, "where the end should be"},
		{"a list", `[]`, "a list where an object should be"},
		{"a bad escape", `{"model": {"type": "BPE", "merges": [], "vocab": {"\q": 0}}}`, "model.vocab"},
		{"a fraction", `{"model": {"type": "BPE", "merges": [], "vocab": {"a": 0.5}}}`, "id 0.5"},
		{"vocab a string", `{"model": {"type": "BPE", "merges": [], "vocab": "a"}}`, "a string where an object should be"},
		{"merges an object", `{"model": {"type": "BPE", ` + vocab + `, "merges": {}}}`, "an object where a list should be"},
		{"merge of one", `{"model": {"type": "BPE", ` + vocab + `, "merges": [["a"]]}}`, "1 tokens where two"},
		{"deep", `{"x": ` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + `}`, "no model"},
		{"deep model", `{"model": {"type": ` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + `}}`, "model"},
		{"long pattern", `{"pre_tokenizer": {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "` + strings.Repeat("a", 1<<20) + `"}}}`, "a pattern of"},
		{"long name", `{"added_tokens": [{"id": 3, "content": "` + strings.Repeat("a", 1<<20) + `"}], "model": {"type": "BPE", ` + vocab + `, "merges": []}}`, "a name of"},
		{"a template of itself", `{"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]}}`, "repeats the text"},
	}
	for _, test := range tests {
		_, err := Parse([]byte(test.data))
		if (!errors.Is(err, ErrFormat) && !errors.Is(err, ErrUnsupported)) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got error %.200v, want one that says %q", test.name, err, test.says)
		}
	}
}
