package sample

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

func next(t *testing.T, s *Sampler, logits []float32) int {
	t.Helper()
	id, err := s.Next(logits)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestGreedy(t *testing.T) {
	s := New(Options{}, 4)
	if got := next(t, s, []float32{1, 3, 3, -2}); got != 1 {
		t.Errorf("got %d, want 1: the first of equals", got)
	}
	if got := next(t, s, []float32{float32(math.Inf(-1)), -5, -4, -6}); got != 2 {
		t.Errorf("got %d, want 2", got)
	}
}

// The penalty also applies without a temperature, once per token, towards zero
// for positive logits and away from it for negative ones.
func TestRepetitionPenalty(t *testing.T) {
	tests := []struct {
		seen   []int
		logits []float32
		want   int
	}{
		{[]int{0}, []float32{3, 2, 1}, 1},        // 3/2 < 2
		{[]int{0, 0}, []float32{5, 2, 1}, 0},     // 5/2, not 5/4
		{[]int{0}, []float32{-1, -1.5, -9}, 1},   // −2
		{[]int{0, 99, -1}, []float32{9, 2}, 0},   // ids outside are ignored
		{[]int{0, 1}, []float32{3, 2.5, 1}, 0},   // both are halved
		{[]int{0, 1, 2}, []float32{0, -1, 1}, 2}, // zero stays zero
	}
	for _, test := range tests {
		s := New(Options{RepetitionPenalty: 2}, len(test.logits))
		s.Observe(test.seen...)
		if got := next(t, s, test.logits); got != test.want {
			t.Errorf("%v after %v: got %d, want %d", test.logits, test.seen, got, test.want)
		}
	}
	// What was picked counts as seen.
	s := New(Options{RepetitionPenalty: 2}, 2)
	if a, b := next(t, s, []float32{3, 2}), next(t, s, []float32{3, 2}); a != 0 || b != 1 {
		t.Errorf("got %d, %d, want 0, 1", a, b)
	}
}

// which returns the ids that occur in many draws.
func which(t *testing.T, o Options, logits []float32) []int {
	t.Helper()
	s := New(o, len(logits))
	found := make(map[int]bool)
	for range 2000 {
		found[next(t, s, logits)] = true
	}
	var ids []int
	for id := range found {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func TestTopKAndTopP(t *testing.T) {
	log := func(p ...float64) []float32 {
		var l []float32
		for _, v := range p {
			l = append(l, float32(math.Log(v)))
		}
		return l
	}
	logits := log(0.4, 0.1, 0.3, 0.2)
	tests := []struct {
		name   string
		o      Options
		logits []float32
		want   []int
	}{
		{"all", Options{Temperature: 1}, logits, []int{0, 1, 2, 3}},
		{"top-k 1", Options{Temperature: 1, TopK: 1}, logits, []int{0}},
		{"top-k 2", Options{Temperature: 1, TopK: 2}, logits, []int{0, 2}},
		{"top-k beyond", Options{Temperature: 1, TopK: 9}, logits, []int{0, 1, 2, 3}},
		{"top-k keeps equals of the last", Options{Temperature: 1, TopK: 2}, []float32{5, 4, 4, 1}, []int{0, 1, 2}},
		{"top-p tiny keeps one", Options{Temperature: 1, TopP: 0.01}, logits, []int{0}},
		{"top-p 0.6", Options{Temperature: 1, TopP: 0.6}, logits, []int{0, 2}},               // 0.4 + 0.3 reach it
		{"top-p 0.75", Options{Temperature: 1, TopP: 0.75}, logits, []int{0, 2, 3}},          // + 0.2
		{"top-p after temperature", Options{Temperature: 0.25, TopP: 0.7}, logits, []int{0}}, // 0.4⁴ is 0.72 of the sum
		{"top-p after top-k", Options{Temperature: 1, TopK: 2, TopP: 0.5}, logits, []int{0}}, // 0.4/0.7 > 0.5
		{"min-p 0.49", Options{Temperature: 1, MinP: 0.49}, logits, []int{0, 2, 3}},          // 0.2 is half of 0.4
		{"min-p 1 keeps the likeliest", Options{Temperature: 1, MinP: 1}, logits, []int{0}},
		{"min-p after temperature", Options{Temperature: 0.5, MinP: 0.3}, logits, []int{0, 2}}, // 0.25 is less
		{"a temperature next to zero", Options{Temperature: 1e-40}, logits, []int{0}},
		{"logits next to the largest float", Options{Temperature: 1}, []float32{3e38, -3e38, 3e38}, []int{0, 2}},
		{"penalty before temperature", Options{Temperature: 0.01, RepetitionPenalty: 1}, logits, []int{0}},
	}
	for _, test := range tests {
		if got := which(t, test.o, test.logits); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// What an independent program makes of the same options, in float32 and with full
// sorts (testdata/reference.py): the same tokens stay, as probable.
func TestReference(t *testing.T) {
	data, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Logits      []float32
		Seen        []int
		Penalty     float64
		Temperature float64
		TopK        int     `json:"top_k"`
		TopP        float64 `json:"top_p"`
		MinP        float64 `json:"min_p"`
		Kept        [][2]float64
	}
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 50 {
		t.Fatalf("only %d rows", len(rows))
	}
	for i, row := range rows {
		s := New(Options{Temperature: row.Temperature, TopK: row.TopK, TopP: row.TopP, MinP: row.MinP, RepetitionPenalty: row.Penalty}, len(row.Logits))
		s.Observe(row.Seen...)
		next(t, s, row.Logits)
		var sum float64
		for _, w := range s.weights {
			sum += w
		}
		ids := make(map[int]float64)
		for j, id := range s.ids {
			if p := s.weights[j] / sum; p > 1e-15 {
				ids[int(id)] = p
			}
		}
		if len(ids) != len(row.Kept) {
			t.Errorf("row %d, %+v: %d tokens stay, want %d", i, s.Options, len(ids), len(row.Kept))
			continue
		}
		for _, k := range row.Kept {
			if p := ids[int(k[0])]; math.Abs(p-k[1]) > 2e-6*k[1]+1e-12 { // float32 arithmetic on some hundred numbers
				t.Errorf("row %d, token %v: probability %v, want %v", i, k[0], p, k[1])
			}
		}
	}
}

// The table and the series agree with the exponential, to the limit and at it.
func TestWeights(t *testing.T) {
	for d := 0.0; d <= maxFall; d += 0.00371 {
		s := New(Options{Temperature: 1}, 2)
		next(t, s, []float32{0, float32(-d)})
		if len(s.weights) != 2 {
			t.Fatalf("%v below the top: %d tokens stay, want 2", d, len(s.weights))
		}
		if want := math.Exp(float64(float32(-d))); math.Abs(s.weights[1]/want-1) > 1e-11 {
			t.Errorf("e^-%v: got %v, want %v", d, s.weights[1], want)
		}
	}
	s := New(Options{Temperature: 1}, 2)
	if next(t, s, []float32{0, -maxFall - 0.001}); len(s.weights) != 1 {
		t.Errorf("%d tokens stay, want 1", len(s.weights))
	}
}

// A text that begins anew is penalised by its own tokens alone.
func TestForget(t *testing.T) {
	s := New(Options{RepetitionPenalty: 2}, 2)
	next(t, s, []float32{3, 2})
	s.Forget()
	if got := next(t, s, []float32{3, 2}); got != 0 {
		t.Errorf("got %d, want 0", got)
	}
}

// Draws follow the probabilities: 20000 draws of p = 0.25 lie within 5 standard
// deviations (306) of 5000. The seed is fixed, so this does not flicker.
func TestDistribution(t *testing.T) {
	s := New(Options{Temperature: 1, Seed: 1}, 2)
	n := 0
	for range 20000 {
		n += next(t, s, []float32{float32(math.Log(3)), 0})
	}
	if n < 5000-306 || n > 5000+306 {
		t.Errorf("%d of 20000, want about 5000", n)
	}
}

// The numbers are part of the contract: a seed gives the same text for ever.
func TestSeed(t *testing.T) {
	draw := func(seed uint64) []int {
		s := New(Options{Temperature: 1, Seed: seed}, 10)
		var ids []int
		for range 12 {
			ids = append(ids, next(t, s, make([]float32, 10)))
		}
		return ids
	}
	tests := []struct {
		seed uint64
		want []int
	}{
		{0, []int{5, 9, 0, 5, 9, 1, 3, 4, 4, 5, 1, 8}},
		{42, []int{5, 7, 7, 5, 1, 9, 5, 5, 7, 1, 2, 2}},
	}
	for _, test := range tests {
		if got := draw(test.seed); !slices.Equal(got, test.want) {
			t.Errorf("seed %d: got %v, want %v", test.seed, got, test.want)
		}
	}
}

// The same on every platform also with everything that is computed on the way.
func TestSeedWithOptions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, 5000)
	for i := range logits {
		logits[i] = float32(rng.IntN(2000))/100 - 20
	}
	tests := []struct {
		o    Options
		want []int
	}{
		{Options{Temperature: 1.3}, []int{2743, 4736, 146, 2574, 4792, 895, 1588, 2038}},
		{Options{Temperature: 0.8, TopP: 0.9}, []int{2743, 4737, 165, 2615, 4792, 854, 1563, 2015}},
		{Options{Temperature: 2, TopK: 300, TopP: 0.95, MinP: 0.01, RepetitionPenalty: 1.1}, []int{2705, 4736, 165, 2615, 4787, 810, 1556, 1958}},
	}
	for _, test := range tests {
		s := New(test.o, len(logits))
		var got []int
		for range 8 {
			got = append(got, next(t, s, logits))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: got %#v, want %v", test.o, got, test.want)
		}
	}
}

func TestNotFinite(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, logits := range [][]float32{{1, nan}, {inf, 1}, {-inf, -inf}} {
		for _, temp := range []float64{0, 1} {
			if _, err := New(Options{Temperature: temp}, 2).Next(logits); !errors.Is(err, ErrNotFinite) {
				t.Errorf("%v: got error %v, want ErrNotFinite", logits, err)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	nan := math.NaN()
	for _, o := range []Options{
		{Temperature: -1}, {Temperature: nan}, {Temperature: math.Inf(1)}, {TopP: -0.1}, {TopP: 1.1}, {TopP: nan},
		{TopK: -1}, {MinP: -0.1}, {MinP: 1.1}, {MinP: nan}, {RepetitionPenalty: -1}, {RepetitionPenalty: nan},
	} {
		if o.Check() == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	if err := (Options{Temperature: 0.7, TopP: 1, TopK: 40, RepetitionPenalty: 1.1}).Check(); err != nil {
		t.Error(err)
	}
}

func TestNextAllocates(t *testing.T) {
	for _, o := range []Options{
		{}, {RepetitionPenalty: 1.1}, {Temperature: 1}, {Temperature: 1, TopP: 0.9},
		{Temperature: 1, TopK: 5, TopP: 0.9, MinP: 0.1, RepetitionPenalty: 1.1},
	} {
		s := New(o, 1000)
		logits := logitsLike(1000, 3)
		if n := testing.AllocsPerRun(10, func() { next(t, s, logits) }); n != 0 {
			t.Errorf("%+v: %v allocations per token, want none", o, n)
		}
	}
}
