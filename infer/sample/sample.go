package sample

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// ErrNotFinite means that the model computed NaN, or no finite logit at all.
var ErrNotFinite = errors.New("the logits are not finite")

// Bounds of a repetition penalty: beyond them logits leave the range of float32.
const (
	minPenalty = 0.001
	maxPenalty = 1000
)

// Options may be zero: greedy.
type Options struct {
	Temperature       float64 // 0 = greedy
	TopP              float64 // 0 or 1 = all
	TopK              int     // 0 = all
	RepetitionPenalty float64 // 0 or 1 = none
	Seed              uint64
}

// Check says which option is out of range.
func (o Options) Check() error {
	switch {
	case !(o.Temperature >= 0) || math.IsInf(o.Temperature, 0):
		return fmt.Errorf("temperature %v is not zero or a positive number", o.Temperature)
	case !(o.TopP >= 0 && o.TopP <= 1):
		return fmt.Errorf("top-p %v is not between 0 and 1", o.TopP)
	case o.TopK < 0:
		return fmt.Errorf("top-k %d is negative", o.TopK)
	case o.RepetitionPenalty != 0 && !(o.RepetitionPenalty >= minPenalty && o.RepetitionPenalty <= maxPenalty):
		return fmt.Errorf("repetition penalty %v is not between %v and %v", o.RepetitionPenalty, minPenalty, maxPenalty)
	}
	return nil
}

// Sampler picks tokens for one generation. It is for one goroutine.
type Sampler struct {
	Options
	rng  *rand.Rand
	seen []bool // (vocab)

	scores []float32 // (vocab) after the steps so far
	order  []int32   // ids, sorted by score where a step needs it
}

// New returns a sampler for a vocabulary. The options have been checked.
func New(o Options, vocab int) *Sampler {
	// The second word of the seed is arbitrary, and fixed for ever.
	return &Sampler{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 0x71627261_6e636821)),
		seen: make([]bool, vocab), scores: make([]float32, vocab), order: make([]int32, vocab)}
}

// Observe tells which tokens came before, those of the prompt included. Ids
// outside the vocabulary are ignored.
func (s *Sampler) Observe(ids ...int) {
	for _, id := range ids {
		if id >= 0 && id < len(s.seen) {
			s.seen[id] = true
		}
	}
}

// Next picks a token from the logits (vocab), which it leaves alone, and observes
// it. The error is ErrNotFinite.
func (s *Sampler) Next(logits []float32) (int, error) {
	copy(s.scores, logits)
	best := -1
	for i, v := range s.scores {
		if v != v {
			return 0, fmt.Errorf("%w: that of token %d is NaN", ErrNotFinite, i)
		}
		if s.seen[i] {
			s.scores[i] = s.penalise(v)
		}
		if best < 0 || s.scores[i] > s.scores[best] {
			best = i
		}
	}
	if math.IsInf(float64(s.scores[best]), 0) {
		return 0, fmt.Errorf("%w: the largest is %v", ErrNotFinite, s.scores[best])
	}
	if s.Temperature > 0 {
		best = s.draw()
	}
	s.seen[best] = true
	return best, nil
}

func (s *Sampler) penalise(v float32) float32 {
	if s.RepetitionPenalty == 0 {
		return v
	}
	if v < 0 {
		return v * float32(s.RepetitionPenalty)
	}
	return v / float32(s.RepetitionPenalty)
}

func (s *Sampler) draw() int {
	for i := range s.scores {
		s.scores[i] /= float32(s.Temperature)
	}
	if s.TopK > 0 && s.TopK < len(s.scores) {
		s.sort()
		s.dropBelow(s.scores[s.order[len(s.order)-s.TopK]])
	}
	if s.TopP > 0 && s.TopP < 1 {
		s.sort()
		s.dropTail()
	}
	top := slices.Max(s.scores)
	var sum float64
	for _, v := range s.scores {
		sum += math.Exp(float64(v - top))
	}
	left := s.rng.Float64() * sum
	last := 0
	for i, v := range s.scores {
		p := math.Exp(float64(v - top))
		if p == 0 {
			continue
		}
		last = i
		if left -= p; left < 0 {
			break
		}
	}
	return last // rounding may leave a crumb: then the last one that is possible
}

// sort orders the ids by rising score, equals by id.
func (s *Sampler) sort() {
	for i := range s.order {
		s.order[i] = int32(i)
	}
	slices.SortFunc(s.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.scores[a], s.scores[b]), cmp.Compare(a, b))
	})
}

var negInf = float32(math.Inf(-1))

func (s *Sampler) dropBelow(least float32) {
	for i, v := range s.scores {
		if v < least {
			s.scores[i] = negInf
		}
	}
}

// dropTail removes the least likely tokens while their sum is at most 1−p. The
// most likely one stays.
func (s *Sampler) dropTail() {
	top := float64(s.scores[s.order[len(s.order)-1]])
	var sum float64
	for _, id := range s.order {
		sum += math.Exp(float64(s.scores[id]) - top)
	}
	var below float64
	for _, id := range s.order[:len(s.order)-1] {
		below += math.Exp(float64(s.scores[id])-top) / sum
		if below > 1-s.TopP {
			break
		}
		s.scores[id] = negInf
	}
}
