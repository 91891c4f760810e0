package tokenizer

import (
	"strings"
	"testing"
)

// benchFamilies are one of each kind of pipeline.
var benchFamilies = []string{"llama-2", "gpt-2", "llama-3.1", "qwen3", "deepseek-v3", "gemma-3"}

func BenchmarkParse(b *testing.B) {
	for _, name := range benchFamilies {
		data := readFamily(b, name)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// prose is a megabyte as people write it.
func prose(n int) string {
	const story = "Once upon a time, in 1984, there was a llama who couldn't sleep.\n\tShe counted 12,345 sheep (and a goat), naïvely; 山羊 did not help: \"Why?\" "
	return strings.Repeat(story, n/len(story)+1)[:n]
}

func BenchmarkEncode(b *testing.B) {
	text := prose(1 << 20)
	for _, name := range benchFamilies {
		tok, err := Parse(readFamily(b, name))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tok.Encode(text, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
