package quant

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// smokeOf runs the text of four tokens over logits that give the next one this
// probability among ten, and generates tokens.
func smokeOf(p float64, generated ...int) Smoke {
	var s Smoke
	ids := []int{1, 2, 3, 4}
	var logits []float32
	for i := range ids {
		for token := range 10 {
			v := math.Log((1 - p) / 9)
			if token == ids[min(i+1, 3)] {
				v = math.Log(p)
			}
			logits = append(logits, float32(v)+7) // a constant makes no difference
		}
	}
	best := s.Observe(ids, logits, 10, nil)
	s.Observe(ids, logits, 10, best)
	s.Generate(generated)
	return s
}

// smokeCases are the runs that D12 is about, and those it is not about.
var smokeCases = []struct {
	name  string
	smoke Smoke
	want  []string
}{
	{"sound", smokeOf(0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7), nil},
	{"knows less than nothing", smokeOf(0.01), []string{"D12 fatal"}},
	{"knows little", func() Smoke { s := smokeOf(0.5); s.Perplexity, s.Vocab = 400, 32000; return s }(), []string{"D12 warn"}},
	{"unstable", func() Smoke { s := smokeOf(0.5); s.Stable = false; return s }(), []string{"D12 fatal"}},
	{"one run only", func() Smoke { s := smokeOf(0.5); s.Stable, s.Runs = false, 1; return s }(), nil},
	{"no numbers", func() Smoke {
		var s Smoke
		s.Observe([]int{1, 2}, []float32{1, 2, float32(math.NaN()), 4, 5, 6}, 3, nil)
		return s
	}(), []string{"D12 fatal"}},
	{"one token for ever", smokeOf(0.5, slices.Repeat([]int{0}, 32)...), []string{"D12 fatal"}},
	{"two tokens for ever", smokeOf(0.5, slices.Repeat([]int{0, 7}, 16)...), []string{"D12 warn"}},
	{"too few tokens to tell", smokeOf(0.5, 0, 0, 0), nil},
}

func TestSmoke(t *testing.T) {
	for _, tt := range smokeCases {
		var got []string
		for _, f := range tt.smoke.Findings() {
			got = append(got, f.Code+" "+string(f.Severity))
			if f.Message == "" || f.Hint == "" || f.Got == "" || f.Want == "" {
				t.Errorf("%s: says too little: %+v", tt.name, f)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if s := smokeOf(0.5); math.Abs(s.Perplexity-2) > 1e-4 || s.Tokens != 3 || !s.Finite || !s.Stable || s.Runs != 2 {
		t.Errorf("got %+v, want perplexity 2 over 3 tokens", s)
	}
	// Two runs that differ.
	var s Smoke
	best := s.Observe([]int{1, 2}, []float32{1, 2, 3, 1, 2, 3}, 3, nil)
	if s.Observe([]int{1, 2}, []float32{1, 2, 3, 3, 2, 1}, 3, best); s.Stable {
		t.Error("different answers taken for stable")
	}
	if f := SmokeFailure(errors.New("no\x1b")); f.Code != "D12" || f.Severity != Fatal || f.Message != "no\ufffd" || f.Hint == "" {
		t.Errorf("got %+v", f)
	}
}
