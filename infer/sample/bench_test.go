package sample

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// logitsLike are n logits of the spread that models have.
func logitsLike(n int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 1))
	logits := make([]float32, n)
	for i := range logits {
		logits[i] = float32(2.5*rng.NormFloat64() - 4)
	}
	for range 20 {
		logits[rng.IntN(n)] += 12
	}
	return logits
}

// What a token costs: go test -bench Next ./infer/sample
func BenchmarkNext(b *testing.B) {
	for _, vocab := range []int{32_000, 128_256, 256_000} {
		logits := logitsLike(vocab, 1)
		for _, c := range []struct {
			name string
			o    Options
		}{
			{"greedy", Options{}},
			{"temperature", Options{Temperature: 0.8}},
			{"top-k", Options{Temperature: 0.8, TopK: 40}},
			{"top-p", Options{Temperature: 0.8, TopP: 0.95}},
			{"min-p", Options{Temperature: 0.8, MinP: 0.05}},
			{"all", Options{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, RepetitionPenalty: 1.1}},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, vocab), func(b *testing.B) {
				s := New(c.o, vocab)
				s.Observe(1, 2, 3)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Next(logits); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
