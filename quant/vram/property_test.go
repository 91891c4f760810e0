package vram

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/quant"
)

// request makes up a question that makes sense.
func request(t testing.TB, rng *rand.Rand) Request {
	m := &quant.Model{Kind: "llama", Hidden: 1024 << rng.IntN(4), Layers: 1 + rng.IntN(80), HeadDim: 64 << rng.IntN(2), KVHeads: 4 << rng.IntN(4),
		Vocab: 32000 + rng.IntN(120000), MaxPositions: 2048 << rng.IntN(6), Tied: rng.IntN(4) == 0}
	m.Inter, m.Heads = 3*m.Hidden, m.Hidden/m.HeadDim
	if rng.IntN(3) == 0 {
		m.Window, m.WindowLayers = 1024<<rng.IntN(3), rng.IntN(m.Layers+1)
	}
	profiles := Profiles()
	r := Request{Weights: Total(GiB+rng.Int64N(60*GiB), FromTreeSizes, m), Model: m, Bits: []int{0, 2, 3, 4, 8}[rng.IntN(5)],
		Context: 1 + rng.IntN(40000), Batch: 1 + rng.IntN(4), Engine: profiles[rng.IntN(len(profiles))]}
	r.KV = r.Engine.KV[rng.IntN(len(r.Engine.KV))]
	for range 1 + rng.IntN(3) {
		size := 6*GiB + rng.Int64N(80*GiB)
		r.Cards = append(r.Cards, Card{Name: "card", Total: size, Free: size - rng.Int64N(GiB)})
	}
	if r.Engine.Layers && rng.IntN(3) == 0 {
		r.Split = SplitLayers
	}
	if r.Engine.Tensor && rng.IntN(3) == 0 && m.KVHeads%len(r.Cards) == 0 {
		r.Split = SplitTensor
	}
	return r
}

func rank(v Verdict) int {
	return map[Verdict]int{Fits: 0, Tight: 1, TooBig: 2}[v]
}

// More context, sequences or weights never need less, nor does a better verdict
// follow from them.
func TestMonotone(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		r := request(t, rng)
		before := r.Summary()
		if before.Verdict == Unknown {
			t.Fatalf("unknown: %s: %+v", before.Why, r)
		}
		more := r
		switch rng.IntN(4) {
		case 0:
			more.Context += 1 + rng.IntN(5000)
		case 1:
			more.Batch++
		case 2:
			w := r.Weights
			w.Bytes += rng.Int64N(GiB)
			more.Weights = w
		case 3:
			more.Engine.Overhead = r.Engine.Overhead.plus(exactly(rng.Int64N(GiB)))
		}
		after := more.Summary()
		if rank(after.Verdict) < rank(before.Verdict) {
			t.Fatalf("%s became %s:\n%+v\n%+v", before.Verdict, after.Verdict, r, more)
		}
		if r.Split != SplitLayers && (after.Need.Low < before.Need.Low || after.Need.Expected < before.Need.Expected || after.Need.High < before.Need.High) {
			t.Fatalf("need %v became %v:\n%+v\n%+v", before.Need, after.Need, r, more)
		}
		if n := before.Need; n.Low > n.Expected || n.Expected > n.High {
			t.Fatalf("need %v is not in order: %+v", n, r)
		}
	}
}

// The largest context fits, and one token more does not.
func TestMaxContextIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	checked := 0
	for range 5000 {
		r := request(t, rng)
		got := r.Summary()
		limit := max(r.Model.MaxPositions, r.Context)
		for _, tc := range []struct {
			n     int
			worst Verdict
		}{{got.MaxContext, Fits}, {got.MaxContextTight, Tight}} {
			at := r
			if tc.n > 0 {
				at.Context = tc.n
				if v := at.Summary().Verdict; rank(v) > rank(tc.worst) {
					t.Fatalf("%d tokens: got %s, want %s: %+v", tc.n, v, tc.worst, r)
				}
				checked++
			}
			if tc.n < limit {
				at.Context = tc.n + 1
				if v := at.Summary().Verdict; rank(v) <= rank(tc.worst) {
					t.Fatalf("%d tokens: got %s, want worse than %s: %+v", tc.n+1, v, tc.worst, r)
				}
			}
		}
		if got.MaxContext > got.MaxContextTight || (got.Verdict == Fits) != (got.MaxContext >= r.Context) {
			t.Fatalf("got %+v: %+v", got, r)
		}
	}
	if checked < 1000 {
		t.Fatalf("only %d contexts were checked", checked)
	}
}

// What the cards bear adds up to the whole, and terms add up to the need.
func TestSharesAddUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		r := request(t, rng)
		e := r.Estimate()
		p, _ := r.plan()
		var weights, kv int64
		layers, need, worst := 0, Range{}, Fits
		for _, s := range e.Cards {
			weights, kv, layers, need = weights+s.Weights, kv+s.KV, layers+s.Layers, need.plus(s.Need)
			if rank(s.Verdict) > rank(worst) {
				worst = s.Verdict
			}
		}
		slop := int64(len(e.Cards)) // tensor parallel rounds up on every card
		if r.Split != SplitTensor {
			slop = 0
		}
		if d := weights - p.weight; d < 0 || d > slop {
			t.Fatalf("weights %d on cards, %d in all: %+v", weights, p.weight, r)
		}
		if d := kv - p.cache.bytes(int64(p.Context)); d < 0 || d > slop {
			t.Fatalf("cache %d on cards, %d in all: %+v", kv, p.cache.bytes(int64(p.Context)), r)
		}
		if p.Split == SplitLayers && layers != r.Model.Layers {
			t.Fatalf("%d layers on cards, %d in all: %+v", layers, r.Model.Layers, r)
		}
		if need != e.Need || worst != e.Verdict {
			t.Fatalf("cards need %v (%s), in all %v (%s): %+v", need, worst, e.Need, e.Verdict, r)
		}
		var low, expected, high int64
		for _, term := range e.Terms {
			low, expected, high = low+term.Low, expected+term.Expected, high+term.High
		}
		if (Range{low, expected, high}) != e.Need {
			t.Fatalf("terms add up to %d %d %d, need %v: %+v", low, expected, high, e.Need, r)
		}
	}
}

// Every advice is followed, and leads where it says.
func TestAdviceIsTrue(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	followed := map[string]int{}
	for range 5000 {
		r := request(t, rng)
		e := r.Estimate()
		if e.Verdict == Fits && len(e.Advice) > 0 {
			t.Fatalf("advice for what fits: %+v", e.Advice)
		}
		for i, a := range e.Advice {
			if i > 0 && rank(a.Verdict) < rank(e.Advice[i-1].Verdict) {
				t.Fatalf("advice is not in order: %+v", e.Advice)
			}
			after, ok := follow(r, a)
			if !ok {
				continue
			}
			followed[a.Kind]++
			if v := after.Summary().Verdict; v != a.Verdict {
				t.Fatalf("%+v: got %s: %+v", a, v, r)
			}
		}
	}
	for _, kind := range []string{AdviseContext, AdviseBatch, AdviseKV, AdviseFree, AdviseFraction, AdviseSplit, AdviseEngine, AdviseSmaller, AdviseMore, AdviseCards} {
		if followed[kind] == 0 {
			t.Errorf("no advice %q was followed", kind)
		}
	}
}

// follow does what an advice says.
func follow(r Request, a Advice) (Request, bool) {
	r.Cards = slices.Clone(r.Cards)
	p, _ := r.plan()
	best := r.Cards[p.best]
	switch a.Kind {
	case AdviseContext:
		r.Context = a.Context
	case AdviseBatch:
		r.Batch = a.Batch
	case AdviseFraction:
		r.Engine.Fraction = 950
	case AdviseKV:
		r.KV = a.KV
	case AdviseFree:
		r.Cards = []Card{{Name: best.Name, Total: best.Total, Free: best.Free + a.Bytes}}
	case AdviseSplit:
		r.Split = a.Split
	case AdviseCards:
		r.Cards, r.Split = append(slices.Clone(r.Cards), r.Cards[len(r.Cards)-1]), a.Split
	case AdviseEngine:
		r.Engine, _ = ProfileFor(a.Engine)
	case AdviseSmaller:
		r.Weights.Bytes -= a.Bytes
	case AdviseMore:
		for i := range r.Cards {
			r.Cards[i] = Card{Name: "larger", Total: a.Bytes, Free: a.Bytes}
		}
	default:
		return r, false
	}
	return r, true
}

// Whatever dimensions a config.json states, nothing panics, overflows or is
// called fitting that is not.
func FuzzEstimate(f *testing.F) {
	f.Add(int64(18845966336), 32, 8, 128, 4096, 14336, 32002, 32768, 0, 0, 4096, 1, int64(24*GiB), uint8(0), uint8(0))
	f.Add(int64(math.MaxInt64), math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt, 1, 1, 0, 0, int64(math.MaxInt64), uint8(3), uint8(1))
	f.Add(int64(math.MinInt64), -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, int64(math.MinInt64), uint8(6), uint8(2))
	f.Add(int64(1), 4096, 1<<30, 1<<30, 1<<30, 1<<30, 1<<30, 1<<30, 1<<30, 4096, 1<<30, 1<<20, int64(1), uint8(9), uint8(1))
	f.Fuzz(func(t *testing.T, bytes int64, layers, kvHeads, headDim, hidden, inter, vocab, positions, window, windowLayers, context, batch int, free int64, which, split uint8) {
		m := &quant.Model{Kind: "llama", Layers: layers, KVHeads: kvHeads, Heads: kvHeads, HeadDim: headDim, Hidden: hidden, Inter: inter, Vocab: vocab,
			MaxPositions: positions, Window: window, WindowLayers: windowLayers}
		profiles := Profiles()
		r := Request{Weights: Total(bytes, FromTreeSizes, m), Model: m, Context: context, Batch: batch, Engine: profiles[int(which)%len(profiles)],
			Cards: []Card{{Total: free, Free: free}, {Total: free, Free: free / 2}}, Split: []Split{SplitNone, SplitLayers, SplitTensor}[split%3]}
		e := r.Estimate()
		if e.Need.Low < 0 || e.Need.Low > e.Need.Expected || e.Need.Expected > e.Need.High || e.Need.High > absurd {
			t.Fatalf("need %v", e.Need)
		}
		if e.Verdict == Fits && (e.Need.High > 2*max(free, 0) || e.Need.Low < min(bytes/2, 1<<50)) && free < math.MaxInt64/2 {
			t.Fatalf("fits: %+v", e)
		}
		if e.Verdict == Unknown && e.Why == "" {
			t.Fatalf("unknown without a reason: %+v", e)
		}
		if _, err := json.Marshal(e); err != nil {
			t.Fatal(err)
		}
	})
}

// The layers on two cards and the matrices on four, by hand.
func TestSplits(t *testing.T) {
	m := llama70B(t)
	w := written(t, m, 4, 128)
	e := engine(t, "exllamav2")
	layers := Request{Weights: w, Model: m, Context: 4096, Engine: e, Split: SplitLayers,
		Cards: []Card{{"big", 24 * GiB, 24 * GiB}, {"small", 16 * GiB, 16 * GiB}, {"unused", 8 * GiB, 8 * GiB}}}
	got := layers.Estimate()
	// A layer takes 0.4145 GiB and its cache 16 MiB: (24 − 2.2)/0.4301 = 50.7 layers.
	if len(got.Cards) != 2 || got.Cards[0].Layers != 50 || got.Cards[1].First != 50 || got.Cards[1].Layers != 30 || got.Verdict != Fits {
		t.Errorf("layers: got %+v", got)
	}
	if alone := (Request{Weights: w, Model: m, Context: 4096, Engine: e, Cards: layers.Cards}).Summary(); alone.Verdict != TooBig {
		t.Errorf("cards were added up: %+v", alone)
	}
	tensor := Request{Weights: w, Model: m, Context: 4096, Engine: engine(t, "vllm"), Split: SplitTensor,
		Cards: []Card{{"a", 24 * GiB, 24 * GiB}, {"b", 24 * GiB, 24 * GiB}, {"c", 24 * GiB, 24 * GiB}, {"d", 24 * GiB, 23 * GiB}}}
	both := tensor.Estimate()
	if both.Verdict != Fits || len(both.Cards) != 4 || both.Cards[3].KV != 4096*80<<10 {
		t.Errorf("tensor: got %+v", both)
	}
	tensor.Cards[3].Free = 9 * GiB // the smallest slack decides
	if got := tensor.Summary(); got.Verdict != TooBig {
		t.Errorf("a card that is full: got %+v", got)
	}
	tensor.Cards = tensor.Cards[:3]
	if got := tensor.Summary(); got.Verdict != Refused || got.Why == "" {
		t.Errorf("8 heads over 3 cards: got %+v", got)
	}
}
