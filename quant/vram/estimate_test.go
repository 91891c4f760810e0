package vram

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/engines"
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

// The eight branches of a Mixtral 8x7B on a card of 24 GiB. docs/vram.md has the
// same table.
func TestMixtralOn24GiB(t *testing.T) {
	page, err := os.ReadFile("../../docs/vram.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		branch string
		bytes  int64 // of all tensors
		want   Verdict
	}{
		{"3bit, no group", 18005000192, Fits},
		{"3bit-128g", 18845966336, Fits},
		{"3bit-32g", 21430968320, Fits},
		{"4bit, no group", 23811006464, Tight},
		{"4bit-128g", 24696233984, TooBig},
		{"4bit-32g", 27417288704, TooBig},
		{"8bit, no group", 47035031552, TooBig},
		{"8bit-128g", 48097304576, TooBig},
	} {
		r := Request{Weights: Total(tc.bytes, FromTensorHeaders, mixtral()), Model: mixtral(), Engine: engine(t, "generic"), Cards: card(24 * GiB)}
		got := r.Summary()
		if got.Verdict != tc.want || got.Context != 4096 {
			t.Errorf("%s: got %+v, want %s", tc.branch, got, tc.want)
		}
		context := func(n int) string {
			if n == 0 {
				return "none"
			}
			return fmt.Sprint(n)
		}
		row := fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", tc.branch, GiBText(tc.bytes), got.Need.text(),
			strings.ReplaceAll(string(got.Verdict), "_", " "), context(got.MaxContext), context(got.MaxContextTight))
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/vram.md has no row\n%s", row)
		}
	}
}

// The engine decides where there is no room to spare: without a group, 4 bits
// fit a card of 24 GiB only with the embedding in main memory, and only with a
// cache that is small.
func TestEnginesOn24GiB(t *testing.T) {
	const b4gNone, b4g128, b3g128 = 23811006464, 24696233984, 18845966336
	almost := []Card{{"a card with a desktop on it", 24 * GiB, 24 * GiB * 96 / 100}}
	for _, tc := range []struct {
		name, engine string
		bytes        int64
		bits, tokens int
		cards        []Card
		want         Verdict
	}{
		{"the common case", "exllamav2", b4gNone, 4, 256, almost, TooBig},
		{"an empty card, tiny context", "exllamav2", b4gNone, 4, 256, card(24 * GiB), Tight},
		{"an empty card, the default", "exllamav2", b4gNone, 4, 4096, card(24 * GiB), Tight},
		{"a desktop takes a gigabyte", "generic", b4gNone, 4, 4096, almost, TooBig},
		{"AutoGPTQ's kernel for 4 bits needs a gigabyte itself", "autogptq", b4gNone, 4, 256, card(24 * GiB), TooBig},
		{"vLLM takes nine tenths of the card", "vllm", b4gNone, 4, 256, card(24 * GiB), TooBig},
		{"4bit-128g fits nowhere", "exllamav2", b4g128, 4, 4096, card(24 * GiB), TooBig},
		{"3bit-128g in AutoGPTQ", "autogptq", b3g128, 3, 4096, card(24 * GiB), Fits},
		{"3bit-128g in GPTQModel", "gptqmodel", b3g128, 3, 4096, almost, Fits},
		{"3bit-128g in an old vLLM", "vllm", b3g128, 3, 4096, card(24 * GiB), Fits},
	} {
		r := Request{Weights: Total(tc.bytes, FromTreeSizes, mixtral()), Model: mixtral(), Bits: tc.bits, Context: tc.tokens, Engine: engine(t, tc.engine), Cards: tc.cards}
		if got := r.Summary(); got.Verdict != tc.want {
			t.Errorf("%s: got %+v, want %s", tc.name, got, tc.want)
		}
	}
	// 17.6 GiB of weights, 4096 tokens of cache and working memory are about 19.6 GiB.
	got := Request{Weights: Total(b3g128, FromTreeSizes, mixtral()), Model: mixtral(), Bits: 3, Engine: engine(t, "vllm")}.Summary()
	if d := got.Need.Expected - GiB*196/10; d < -GiB/10 || d > GiB/10 {
		t.Errorf("3bit-128g: got %s, want about 19.6 GiB", got.Need.text())
	}
}

// A question that cannot be answered is not answered.
func TestUnknown(t *testing.T) {
	good := Request{Weights: Total(18845966336, FromTreeSizes, mixtral()), Model: mixtral(), Engine: engine(t, "generic"), Cards: card(24 * GiB)}
	for _, tc := range []struct {
		name   string
		change func(*Request)
		want   Verdict
	}{
		{"nothing is wrong", func(*Request) {}, Fits},
		{"no card", func(r *Request) { r.Cards = nil }, Unknown},
		{"what is free is not known", func(r *Request) { r.Cards[0].Free = -1 }, Unknown},
		{"nothing is free", func(r *Request) { r.Cards[0].Free = 0 }, TooBig},
		{"no weights", func(r *Request) { r.Weights = Weights{} }, Unknown},
		{"no config.json", func(r *Request) { r.Model = nil }, Unknown},
		{"no config.json, and the weights alone are too big", func(r *Request) { r.Model, r.Weights.Bytes = nil, 30*GiB }, TooBig},
		{"a config.json without layers", func(r *Request) { r.Model = &quant.Model{KVHeads: 8, HeadDim: 128} }, Unknown},
		{"more layers than there can be", func(r *Request) { r.Model = &quant.Model{KVHeads: 8, HeadDim: 128, Layers: 1 << 40} }, Unknown},
		{"heads of another world", func(r *Request) { r.Model = &quant.Model{KVHeads: 1 << 40, HeadDim: 1 << 40, Layers: 32} }, Unknown},
		{"a context below nothing", func(r *Request) { r.Context = -1 }, Unknown},
		{"a batch below nothing", func(r *Request) { r.Batch = -1 }, Unknown},
		{"one of two cards is not known", func(r *Request) {
			r.Cards, r.Split = []Card{{"a", 24 * GiB, 24 * GiB}, {"b", 24 * GiB, -1}}, SplitLayers
		}, Unknown},
		{"a split nobody knows", func(r *Request) {
			r.Cards, r.Split = []Card{{"a", 24 * GiB, 24 * GiB}, {"b", 24 * GiB, 24 * GiB}}, "diagonal"
		}, Unknown},
		{"an engine that cannot split matrices", func(r *Request) {
			r.Cards, r.Split, r.Engine = []Card{{"a", 24 * GiB, 24 * GiB}, {"b", 24 * GiB, 24 * GiB}}, SplitTensor, engine(t, "autogptq")
		}, Refused},
		{"an engine that lays no layers on cards", func(r *Request) {
			r.Cards, r.Split, r.Engine = []Card{{"a", 24 * GiB, 24 * GiB}, {"b", 24 * GiB, 24 * GiB}}, SplitLayers, engine(t, "tgi")
		}, Refused},
	} {
		r := good
		r.Cards = slices.Clone(good.Cards)
		tc.change(&r)
		got := r.Estimate()
		if got.Verdict != tc.want || (got.Verdict == Unknown || got.Verdict == Refused) != (got.Why != "") {
			t.Errorf("%s: got %+v, want %s", tc.name, got.Summary, tc.want)
		}
		if (got.Verdict == Unknown || got.Verdict == Refused) && got.MaxContext != 0 {
			t.Errorf("%s: a context of %d fits", tc.name, got.MaxContext)
		}
	}
}

// Defaults: the model's context up to 4096, one sequence, the engine's cache.
func TestDefaults(t *testing.T) {
	r := Request{Weights: Total(4*GiB, FromTreeSizes, nil), Model: llama7B(t)}
	got := r.Summary()
	if got.Context != 2048 || got.Batch != 1 || got.KV != KVFP16 || got.Engine != "generic" {
		t.Errorf("got %+v", got)
	}
	r.Model = mixtral()
	if got := r.Summary().Context; got != 4096 {
		t.Errorf("got a context of %d", got)
	}
	r.KV, r.Engine = KVQ4, engine(t, "vllm")
	e := r.Estimate()
	if e.KV != KVFP16 || len(e.Notes) == 0 || !strings.Contains(strings.Join(e.Notes, "\n"), "no q4 cache") {
		t.Errorf("a cache the engine does not have: %+v", e)
	}
	r.Engine = engine(t, "cpu")
	if got := r.Summary(); got.KV != KVFP32 {
		t.Errorf("got %+v", got)
	}
}

// The page lists what is assumed of each engine.
func TestProfilesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/vram.md")
	if err != nil {
		t.Fatal(err)
	}
	yes := map[bool]string{true: "yes", false: "no"}
	for _, p := range Profiles() {
		fills := "no"
		if p.Fraction > 0 {
			fills = fmt.Sprintf("%d.%d %%", p.Fraction/10, p.Fraction%10)
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s | %s |", p.ID, p.Name, p.Overhead.text(), yes[p.EmbedInRAM], fills)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/vram.md has no row\n%s", row)
		}
		if got, ok := ProfileFor(p.ID); !ok || got.Name != p.Name {
			t.Errorf("ProfileFor(%q) = %+v", p.ID, got)
		}
	}
	if p, ok := ProfileFor("no such engine"); ok || p.ID != "generic" {
		t.Errorf("got %+v, %v", p, ok)
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

func BenchmarkSummarySplit(b *testing.B) {
	r := Request{Weights: Total(36652007424, FromTreeSizes, llama70B(b)), Model: llama70B(b), Engine: engine(b, "exllamav2"), Split: SplitLayers,
		Cards: []Card{{"a", 24 * GiB, 24 * GiB}, {"b", 24 * GiB, 24 * GiB}}}
	b.ReportAllocs()
	for b.Loop() {
		r.Summary()
	}
}

// Every engine of the table has a profile.
func TestEnginesHaveProfiles(t *testing.T) {
	for _, e := range engines.Engines() {
		if _, ok := ProfileFor(e.Profile); !ok || e.Profile == "" {
			t.Errorf("%s: no profile %q", e.ID, e.Profile)
		}
	}
}

func TestParseKVType(t *testing.T) {
	for text, want := range map[string]KVType{"": KVFP16, "fp16": KVFP16, "fp8": KVFP8, "q8": KVQ8, "q4": KVQ4, "fp32": KVFP32, "FP16": KVFP16, "Q8": KVQ8} {
		if got, err := ParseKVType(text); got != want || err != nil {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"q2", "FP16 ", "16"} {
		if got, err := ParseKVType(text); err == nil {
			t.Errorf("%q: got %q", text, got)
		}
	}
}
