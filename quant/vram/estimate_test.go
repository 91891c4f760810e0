package vram

import (
	"testing"

	"github.com/qbranch/qbranch/quant"
)

// mixtral is the shape of Mixtral 8x7B.
func mixtral() *quant.Model {
	return &quant.Model{Kind: "mixtral", Hidden: 4096, Inter: 14336, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128,
		Vocab: 32002, Experts: 8, ExpertsPerToken: 2, MaxPositions: 32768}
}

func card(size int64) []Card { return []Card{{Name: "card", Total: size, Free: size}} }

func engine(t testing.TB, id string) Profile {
	t.Helper()
	p, ok := ProfileFor(id)
	if !ok {
		t.Fatalf("no profile %q", id)
	}
	return p
}

// The eight branches of Mixtral 8x7B on a card of 24 GiB, in bytes of tensors.
func TestMixtralOn24GiB(t *testing.T) {
	const (
		b4gNone, b4g128, b4g32 = 23811006464, 24696233984, 27417288704
		b3gNone, b3g128, b3g32 = 18005000192, 18845966336, 21430968320
		b8gNone, b8g128        = 47035031552, 48097304576
	)
	for _, tc := range []struct {
		name    string
		bytes   int64
		engine  string
		context int
		want    Verdict
	}{
		{"3bit-128g fits with room", b3g128, "generic", 4096, Fits},
		{"3bit none", b3gNone, "generic", 4096, Fits},
		{"3bit-32g: the highest need is 22.7 GiB", b3g32, "generic", 4096, Fits},
		{"4bit none is tight", b4gNone, "generic", 4096, Tight},
		{"4bit none with the embedding in RAM, tiny context", b4gNone, "exllamav2", 256, Tight},
		{"4bit-128g", b4g128, "generic", 4096, TooBig},
		{"4bit-128g, even with the embedding in RAM", b4g128, "exllamav2", 4096, TooBig},
		{"4bit-32g", b4g32, "generic", 4096, TooBig},
		{"8bit none", b8gNone, "generic", 4096, TooBig},
		{"8bit-128g", b8g128, "generic", 4096, TooBig},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := Request{Weights: Total(tc.bytes, FromTreeSizes, mixtral()), Model: mixtral(), Context: tc.context,
				Engine: engine(t, tc.engine), Cards: card(24 * GiB)}
			if got := r.Summary(); got.Verdict != tc.want {
				t.Errorf("got %+v, want %s", got, tc.want)
			}
		})
	}
}

func BenchmarkSummary(b *testing.B) {
	r := Request{Weights: Total(18845966336, FromTreeSizes, mixtral()), Model: mixtral(), Engine: engine(b, "exllamav2"), Cards: card(24 * GiB)}
	b.ReportAllocs()
	for b.Loop() {
		r.Summary()
	}
}

func BenchmarkEstimate(b *testing.B) {
	r := Request{Weights: Total(24696233984, FromTreeSizes, mixtral()), Model: mixtral(), Engine: engine(b, "vllm"), Cards: card(24 * GiB)}
	b.ReportAllocs()
	for b.Loop() {
		r.Estimate()
	}
}
