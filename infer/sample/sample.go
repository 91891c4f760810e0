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
	TopK              int     // 0 = all
	TopP              float64 // 0 or 1 = all
	MinP              float64 // 0 = all
	RepetitionPenalty float64 // 0 or 1 = none
	Seed              uint64
}

// Check says which option is out of range.
func (o Options) Check() error {
	switch {
	case !(o.Temperature >= 0) || math.IsInf(o.Temperature, 0):
		return fmt.Errorf("temperature %v is not zero or a positive number", o.Temperature)
	case o.TopK < 0:
		return fmt.Errorf("top-k %d is negative", o.TopK)
	case !(o.TopP >= 0 && o.TopP <= 1):
		return fmt.Errorf("top-p %v is not between 0 and 1", o.TopP)
	case !(o.MinP >= 0 && o.MinP <= 1):
		return fmt.Errorf("min-p %v is not between 0 and 1", o.MinP)
	case o.RepetitionPenalty != 0 && !(o.RepetitionPenalty >= minPenalty && o.RepetitionPenalty <= maxPenalty):
		return fmt.Errorf("repetition penalty %v is not between %v and %v", o.RepetitionPenalty, minPenalty, maxPenalty)
	}
	return nil
}

// The weights of tokens are exponentials, and math.Exp is not the same function
// on every platform: some have it in assembly, and a compiler may fuse a product
// and a sum. Here all are made of operations that IEEE 754 fixes, each rounded on
// its own, so that a seed gives one text everywhere.
const (
	perUnit = 64 // buckets of one unit of a logit
	maxFall = 37 // e^-37 is below 2^-53: what lies further below the top is never drawn
	buckets = maxFall*perUnit + 1
)

// fallen holds e^(-b/perUnit).
var fallen = func() (t [buckets]float64) {
	const step = 0.98449643700540840597 // e^(-1/64)
	t[0] = 1
	for b := 1; b < buckets; b++ {
		t[b] = t[b-1] * step
	}
	return t
}()

// Sampler picks tokens for one generation. It is for one goroutine.
type Sampler struct {
	Options
	rng    *rand.Rand
	seen   []bool  // (vocab)
	before []int32 // the ids that were seen

	scores []float32 // (vocab) logits after penalty and temperature
	heap   []float32 // (up to top-k) the largest scores

	// The tokens that can still be drawn, in the order of their ids.
	ids     []int32
	weights []float64        // of ids: e^(score-top)
	mass    [buckets]float64 // weights by bucket, for top-p
	edge    []scored         // the tokens of one bucket
}

type scored struct {
	id     int32
	score  float32
	weight float64
}

// New returns a sampler for a vocabulary. The options have been checked.
func New(o Options, vocab int) *Sampler {
	// The second word of the seed is arbitrary, and fixed for ever.
	s := &Sampler{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 0x71627261_6e636821)),
		seen: make([]bool, vocab), before: make([]int32, 0, vocab)}
	if o.Temperature > 0 || s.penalises() {
		s.scores = make([]float32, vocab)
	}
	if o.Temperature > 0 {
		s.heap = make([]float32, 0, min(o.TopK, vocab))
		s.ids, s.weights, s.edge = make([]int32, vocab), make([]float64, vocab), make([]scored, 0, vocab)
	}
	return s
}

// Observe tells which tokens came before, those of the prompt included. Ids
// outside the vocabulary are ignored.
func (s *Sampler) Observe(ids ...int) {
	for _, id := range ids {
		if id >= 0 && id < len(s.seen) && !s.seen[id] {
			s.seen[id] = true
			s.before = append(s.before, int32(id))
		}
	}
}

// Forget begins another text, without beginning the random numbers anew.
func (s *Sampler) Forget() {
	for _, id := range s.before {
		s.seen[id] = false
	}
	s.before = s.before[:0]
}

// Next picks a token from the logits (vocab), which it leaves alone, and observes
// it. The error is ErrNotFinite.
func (s *Sampler) Next(logits []float32) (int, error) {
	scores := logits
	if s.penalises() {
		scores = s.scores
		copy(scores, logits)
		for _, id := range s.before {
			scores[id] = s.penalise(scores[id])
		}
	}
	best, err := largest(scores)
	if err != nil {
		return 0, err
	}
	if s.Temperature > 0 {
		t := float32(s.Temperature)
		for i, v := range scores {
			s.scores[i] = v / t
		}
		if top := s.scores[best]; !math.IsInf(float64(top), 0) { // a temperature next to zero
			best = s.draw(top)
		}
	}
	s.Observe(best)
	return best, nil
}

// largest finds the largest score, the first of equals.
func largest(scores []float32) (int, error) {
	best, top := 0, float32(math.Inf(-1))
	for i, v := range scores {
		if v > top {
			best, top = i, v
		} else if v != v {
			return 0, fmt.Errorf("%w: that of token %d is NaN", ErrNotFinite, i)
		}
	}
	if math.IsInf(float64(top), 0) {
		return 0, fmt.Errorf("%w: the largest is %v", ErrNotFinite, top)
	}
	return best, nil
}

func (s *Sampler) penalises() bool { return s.RepetitionPenalty != 0 && s.RepetitionPenalty != 1 }

func (s *Sampler) penalise(v float32) float32 {
	if v < 0 {
		return v * float32(s.RepetitionPenalty)
	}
	return v / float32(s.RepetitionPenalty)
}

// draw picks a token by its score; top is the largest.
func (s *Sampler) draw(top float32) int {
	least := float64(top) - maxFall
	if s.TopK > 0 && s.TopK < len(s.scores) {
		least = max(least, float64(s.kth()))
	}
	sum := s.weigh(top, least)
	if s.TopP > 0 && s.TopP < 1 {
		sum = s.dropTail(top, sum)
	}
	if s.MinP > 0 {
		sum = s.keep(func(i int) bool { return s.weights[i] >= s.MinP })
	}
	left := float64(s.rng.Float64() * sum)
	for i, w := range s.weights {
		if left -= w; left < 0 {
			return int(s.ids[i])
		}
	}
	return int(s.ids[len(s.ids)-1]) // rounding may leave a crumb
}

// kth returns the k-th largest score, with a heap whose root is the smallest of
// the k largest so far: almost every score is looked at once.
func (s *Sampler) kth() float32 {
	h := append(s.heap[:0], s.scores[:s.TopK]...)
	for i := len(h)/2 - 1; i >= 0; i-- {
		sink(h, i)
	}
	for _, v := range s.scores[s.TopK:] {
		if v > h[0] {
			h[0] = v
			sink(h, 0)
		}
	}
	return h[0]
}

func sink(h []float32, i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && h[c+1] < h[c] {
			c++
		}
		if h[i] <= h[c] {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

// weigh lists the tokens that score at least so much, and returns the sum of
// their weights.
func (s *Sampler) weigh(top float32, least float64) (sum float64) {
	ids, weights := s.ids[:cap(s.ids)], s.weights[:cap(s.weights)]
	n := 0
	for i, v := range s.scores {
		if float64(v) < least {
			continue
		}
		// e^-d by a table and a series, within 1e-11 of it. Written out: this loop is
		// what drawing costs.
		d := float64(top) - float64(v)
		b := int32(d * perUnit)
		r := float64(b)*(1.0/perUnit) - d // exact: in (-1/64, 0]
		w := 1 + float64(r*(1+float64(r*(0.5+float64(r*(1.0/6+float64(r*(1.0/24))))))))
		w = float64(w * fallen[b])
		ids[n], weights[n] = int32(i), w
		sum += w
		n++
	}
	s.ids, s.weights = ids[:n], weights[:n]
	return sum
}

// keep drops the tokens for which ok is false, and returns the sum of the rest.
func (s *Sampler) keep(ok func(i int) bool) (sum float64) {
	n := 0
	for i := range s.ids {
		if ok(i) {
			s.ids[n], s.weights[n] = s.ids[i], s.weights[i]
			sum += s.weights[n]
			n++
		}
	}
	s.ids, s.weights = s.ids[:n], s.weights[:n]
	return sum
}

// dropTail removes the least likely tokens while their probabilities sum to at
// most 1-p, equals by their ids, and returns what the rest weigh. The most likely
// one stays. Whole buckets go first, so that only the tokens of one are sorted.
func (s *Sampler) dropTail(top float32, sum float64) float64 {
	bucket := func(id int32) int32 { return int32((float64(top) - float64(s.scores[id])) * perUnit) }
	clear(s.mass[:])
	for i, id := range s.ids {
		s.mass[bucket(id)] += s.weights[i]
	}
	spare := float64((1 - s.TopP) * sum)
	b := int32(buckets - 1)
	for ; b > 0 && s.mass[b] <= spare; b-- {
		spare -= s.mass[b]
	}
	edge := s.edge[:0]
	for i, id := range s.ids {
		if bucket(id) == b {
			edge = append(edge, scored{id, s.scores[id], s.weights[i]})
		}
	}
	slices.SortFunc(edge, func(x, y scored) int {
		return cmp.Or(cmp.Compare(x.score, y.score), cmp.Compare(x.id, y.id))
	})
	i := 0
	for ; i < len(edge)-1 && edge[i].weight <= spare; i++ {
		spare -= edge[i].weight
	}
	last := edge[i] // the least likely of those that stay
	return s.keep(func(i int) bool {
		v := s.scores[s.ids[i]]
		return v > last.score || v == last.score && s.ids[i] >= last.id
	})
}
