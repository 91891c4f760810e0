package card

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkParse reads each of our cards, and of the public ones where they are
// there.
func BenchmarkParse(b *testing.B) {
	for _, pattern := range []string{"testdata/*.md", "../../../shared/cards/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			b.Fatal(err)
		}
		for _, file := range files {
			md, err := os.ReadFile(file)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(strings.TrimSuffix(filepath.Base(file), ".md"), func(b *testing.B) {
				b.SetBytes(int64(len(md)))
				b.ReportAllocs()
				for b.Loop() {
					Parse(md)
				}
			})
		}
	}
}

// BenchmarkParseFull reads as much of a card as is read, 2 MiB, of tables.
func BenchmarkParseFull(b *testing.B) {
	md := []byte(strings.Repeat("text\n\n"+head10+"| main | 4 | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | d |\n\n", maxCard/200))
	b.SetBytes(int64(len(md)))
	b.ReportAllocs()
	for b.Loop() {
		Parse(md)
	}
}

// BenchmarkParseLong reads a card of the usual length, 20 kB: a table of eight
// branches, and below it the original model's card.
func BenchmarkParseLong(b *testing.B) {
	md, err := os.ReadFile("testdata/llama-tales.md")
	if err != nil {
		b.Fatal(err)
	}
	md = append(md, "\n# Original model card\n\n"...)
	for len(md) < 20_000 {
		md = append(md, "The model was trained for three days on data that its makers cleaned by hand, and it\n"+
			"answers in a friendly way. See [its page](https://example.com/tales) for *more* of that.\n\n"...)
	}
	b.SetBytes(int64(len(md)))
	b.ReportAllocs()
	for b.Loop() {
		Parse(md)
	}
}
