package tokenizer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode"

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
			tok, err := Parse(readFamily(t, f.name))
			if err != nil {
				t.Fatal(err)
			}
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
		ids, err = tok.Encode(row.Text, true)
		if err != nil || !slices.Equal(ids, row.IDsSpecial) {
			t.Errorf("row %d: Encode(%.100q, special): got %v, %v\nwant %v", i, row.Text, ids, err, row.IDsSpecial)
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
		if got := tok.Decode(row.IDs, row.Skip); got != row.Decoded {
			t.Errorf("row %d: Decode(%v): got %.200q, want %.200q", i, row.IDs, got, row.Decoded)
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
			tok, err := Parse(readFamily(t, name))
			if err != nil {
				t.Fatal(err)
			}
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

// CodeLlama spells its merges as pairs and has the vocabulary of Llama 2: both
// spellings must give the same ids.
func TestMergesAsPairs(t *testing.T) {
	if testing.Short() {
		t.Skip("large vocabulary")
	}
	pairs, err := Parse(readFamily(t, "codellama"))
	if err != nil {
		t.Fatal(err)
	}
	strings, err := Parse(readFamily(t, "llama-2"))
	if err != nil {
		t.Fatal(err)
	}
	const text = "def f(x):\n    return x + 1  # naïve\u00a0blank"
	got, _ := pairs.Encode(text, true)
	want, _ := strings.Encode(text, true)
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
