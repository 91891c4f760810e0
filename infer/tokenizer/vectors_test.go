package tokenizer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// sharedVectors is where the tokenizers of other people's models lie beside the
// repository; they are read in place, never copied.
const sharedVectors = "../../../shared/vectors/tokenizers"

// sharedDir returns a folder beside the repository. It may be missing on a
// developer's machine, never in CI.
func sharedDir(t testing.TB, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI needs %s: %v", path, err)
		}
		t.Skipf("%s is not here", path)
	}
	return path
}

func readFamily(t testing.TB, family string) []byte {
	t.Helper()
	dir := filepath.Join(sharedDir(t, sharedVectors), family)
	if data, err := os.ReadFile(filepath.Join(dir, "tokenizer.json")); err == nil {
		return data
	}
	packed, err := os.ReadFile(filepath.Join(dir, "tokenizer.json.zst"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := r.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// families holds the tokenizers that tests parsed; each takes a while.
var families sync.Map // name → func() (*Tokenizer, error)

func parseFamily(t testing.TB, name string) *Tokenizer {
	t.Helper()
	data := sync.OnceValues(func() (*Tokenizer, error) { return Parse(readFamily(t, name)) })
	once, _ := families.LoadOrStore(name, data)
	tok, err := once.(func() (*Tokenizer, error))()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// readLines decodes a gzipped file of one JSON object a line.
func readLines[T any](t testing.TB, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var rows []T
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var row T
		if err := json.Unmarshal(sc.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

type encodeRow struct {
	Text       string  `json:"text"`
	IDs        []int   `json:"ids"`
	IDsSpecial []int   `json:"ids_special"`
	Decoded    *string `json:"decoded"`
}

type decodeRow struct {
	IDs     []int  `json:"ids"`
	Skip    bool   `json:"skip_special_tokens"`
	Decoded string `json:"decoded"`
}

// Every family must be exact: ids with and without special tokens, and texts.
// The large ones are left out of -short runs.
func TestFamilies(t *testing.T) {
	families := []struct {
		name  string
		large bool
	}{
		{"llama-2", true}, // also TinyLlama and Vicuna
		{"mistral-chatml", true},
		{"yi", true},
		{"minimind", false},
		{"synthetic-flags", false},
		{"synthetic-prepend", false},
		{"synthetic-metaspace", false},
		{"gpt-2", true},
		{"phi-2", true},
		{"olmo-1", true},
		{"starcoder2", true},
		{"falcon", true},
		{"phi-3-mini", true},
		{"gemma-3", true},
		{"llama-3.1", true},
		{"qwen3", true},
		{"deepseek-v3", true},
	}
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			if f.large && testing.Short() {
				t.Skip("large vocabulary")
			}
			t.Parallel()
			tok := parseFamily(t, f.name)
			checkEncode(t, tok, filepath.Join(sharedVectors, f.name, "vectors.jsonl.gz"))
			checkDecode(t, tok, filepath.Join(sharedVectors, f.name, "decode.jsonl.gz"))
		})
	}
}

func checkEncode(t *testing.T, tok *Tokenizer, path string) {
	for i, row := range readLines[encodeRow](t, path) {
		ids, err := tok.Encode(row.Text, false)
		if err != nil || !slices.Equal(ids, row.IDs) {
			t.Errorf("row %d: Encode(%.100q): got %v, %v\nwant %v", i, row.Text, ids, err, row.IDs)
		}
		// Special tokens go around what was encoded, so that once is enough.
		if ids = slices.Concat(tok.prefix, ids, tok.suffix); !slices.Equal(ids, row.IDsSpecial) {
			t.Errorf("row %d: Encode(%.100q, special): got %v\nwant %v", i, row.Text, ids, row.IDsSpecial)
		}
		if row.Decoded == nil {
			continue // library versions differ on it
		}
		if got := tok.Decode(row.IDs, false); got != *row.Decoded {
			t.Errorf("row %d: Decode: got %.200q, want %.200q", i, got, *row.Decoded)
		}
	}
}

func checkDecode(t *testing.T, tok *Tokenizer, path string) {
	for i, row := range readLines[decodeRow](t, path) {
		var got strings.Builder
		s := tok.NewStream(row.Skip)
		for _, id := range row.IDs {
			part := s.Push(id)
			if !utf8.ValidString(part) {
				t.Errorf("row %d: after id %d the stream gives part of a character, %q", i, id, part)
			}
			got.WriteString(part)
		}
		got.WriteString(s.Flush())
		if got.String() != row.Decoded {
			t.Errorf("row %d: Decode(%v): got %.200q, want %.200q", i, row.IDs, got.String(), row.Decoded)
		}
	}
}

// These have no vectors; that they parse and give back what was put in is all
// that is claimed.
func TestFamiliesWithoutVectors(t *testing.T) {
	if testing.Short() {
		t.Skip("large vocabularies")
	}
	for _, name := range []string{"codellama", "deepseek-coder", "mistral-nemo", "olmo-2", "pints-1.5", "roberta"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := parseFamily(t, name)
			const text = "Once upon a time, 123 llamas\n\tdidn't cross 山羊 did."
			ids, err := tok.Encode(text, false)
			if err != nil {
				t.Fatal(err)
			}
			if got := tok.Decode(ids, false); got != text {
				t.Errorf("got %q, want %q", got, text)
			}
		})
	}
}

// T5 has Unigram, SentencePiece's table and an old form of Metaspace. It has no
// vectors; these are the library's answers.
func TestUnigramFamily(t *testing.T) {
	if testing.Short() {
		t.Skip("large vocabulary")
	}
	tok := parseFamily(t, "t5-small")
	tests := []struct {
		text    string
		want    []int
		decoded string
	}{
		{"Once upon a time, ﬁve ①  llamas\r\ncouldn't sleep 山羊.",
			[]int{1447, 1286, 3, 9, 97, 6, 874, 209, 3, 195, 9, 2754, 2654, 31, 17, 2085, 3, 2, 5, 1},
			"Once upon a time, five 1 llamas couldn't sleep <unk>.</s>"},
		{"e\u0301 \u200b\ta</s>b<extra_id_0>", []int{3, 154, 3, 9, 1, 3, 115, 32099, 1}, "é a</s> b<extra_id_0></s>"},
	}
	for _, test := range tests {
		got, err := tok.Encode(test.text, true)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("Encode(%q): got %v, %v, want %v", test.text, got, err, test.want)
		}
		if got := tok.Decode(test.want, false); got != test.decoded {
			t.Errorf("Decode: got %q, want %q", got, test.decoded)
		}
	}
}

// CodeLlama spells its merges as pairs and has the vocabulary of Llama 2: both
// spellings must give the same ids.
func TestMergesAsPairs(t *testing.T) {
	if testing.Short() {
		t.Skip("large vocabulary")
	}
	pairs, lines := parseFamily(t, "codellama"), parseFamily(t, "llama-2")
	const text = "def f(x):\n    return x + 1  # naïve\u00a0blank"
	got, _ := pairs.Encode(text, true)
	want, _ := lines.Encode(text, true)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The properties are compared with the reference's own answers, code point by
// code point.
func TestUnicodeClasses(t *testing.T) {
	if testing.Short() {
		t.Skip("every code point")
	}
	f, err := os.Open(filepath.Join(sharedDir(t, sharedVectors), "unicode-classes.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var classes struct {
		Ranges map[string][][2]rune `json:"inclusive_ranges"`
	}
	if err := json.NewDecoder(z).Decode(&classes); err != nil {
		t.Fatal(err)
	}
	is := map[string]func(rune) bool{`\s`: unicode.IsSpace, "Digits": isNumeric, "Punctuation": isPunct}
	for _, name := range []string{"L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "P", "S"} {
		is[`\p{`+name+`}`] = property(name)
	}
	if len(is) != len(classes.Ranges) {
		t.Errorf("%d classes here, %d in the file", len(is), len(classes.Ranges))
	}
	for name, ranges := range classes.Ranges {
		want := make(map[rune]bool)
		for _, r := range ranges {
			for c := r[0]; c <= r[1]; c++ {
				want[c] = true
			}
		}
		for r := rune(0); r <= unicode.MaxRune; r++ {
			if got := is[name](r); got != want[r] {
				t.Errorf("%s of U+%04X: got %v", name, r, got)
			}
		}
	}
}
