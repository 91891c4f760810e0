package vram

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant"
)

// shape is config.json of a decoder with gated MLPs.
func shape(t testing.TB, kind string, hidden, inter, layers, heads, kv, vocab, positions int, more string) *quant.Model {
	t.Helper()
	m, err := quant.ParseModel(fmt.Appendf(nil, `{"model_type":%q,"hidden_size":%d,"intermediate_size":%d,"num_hidden_layers":%d,"num_attention_heads":%d,"num_key_value_heads":%d,"vocab_size":%d,"max_position_embeddings":%d%s}`,
		kind, hidden, inter, layers, heads, kv, vocab, positions, more))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func llama7B(t testing.TB) *quant.Model {
	return shape(t, "llama", 4096, 11008, 32, 32, 32, 32000, 2048, "")
}
func llama13B(t testing.TB) *quant.Model {
	return shape(t, "llama", 5120, 13824, 40, 40, 40, 32000, 2048, "")
}
func llama33B(t testing.TB) *quant.Model {
	return shape(t, "llama", 6656, 17920, 60, 52, 52, 32000, 2048, "")
}
func llama70B(t testing.TB) *quant.Model {
	return shape(t, "llama", 8192, 28672, 80, 64, 8, 32000, 4096, "")
}
func mistral7B(t testing.TB) *quant.Model {
	return shape(t, "mistral", 4096, 14336, 32, 32, 8, 32000, 32768, "")
}
func llama8B(t testing.TB, positions int) *quant.Model {
	return shape(t, "llama", 4096, 14336, 32, 32, 8, 128256, positions, "")
}
func phi3Mini(t testing.TB) *quant.Model {
	return shape(t, "phi3", 3072, 8192, 32, 32, 32, 32064, 131072, "")
}

// written is a checkpoint as AutoGPTQ writes it.
func written(t testing.TB, m *quant.Model, bits, groupSize int) Weights {
	t.Helper()
	cfg := quant.Config{Bits: bits, GroupSize: groupSize, HasGroupSize: true}
	l, err := quant.LayoutOf(cfg, m, quant.WriterOptions(cfg, m))
	if err != nil {
		t.Fatal(err)
	}
	return Layout(l)
}

// contextMiB is what a CUDA context takes, which torch.cuda.memory_allocated
// does not count: measured on an H200 with driver 580.
const contextMiB = 523

// published is what others measured, and what the formula says of it.
var published = []struct {
	what, engine string
	model        func(testing.TB) *quant.Model
	bits         int
	context      int
	measured     int64  // MiB, with the context
	off          string // "": within the range
	source       string
}{
	{"LLaMA 7B", "generic", llama7B, 4, 2048, 4891 + contextMiB, "below", "GPTQ-for-LLaMa README"},
	{"LLaMA 13B", "generic", llama13B, 4, 2048, 8747 + contextMiB, "below", "GPTQ-for-LLaMa README"},
	{"LLaMA 33B", "generic", llama33B, 4, 2048, 20570 + contextMiB, "", "GPTQ-for-LLaMa README"},
	{"LLaMA 7B", "exllama", llama7B, 4, 2048, 5092 + contextMiB, "", "ExLlama README"},
	{"LLaMA 13B", "exllama", llama13B, 4, 2048, 8975 + contextMiB, "", "ExLlama README"},
	{"LLaMA 33B", "exllama", llama33B, 4, 2048, 20544 + contextMiB, "", "ExLlama README"},
	{"LLaMA 7B", "transformers", llama7B, 4, 2048, 6058 + contextMiB, "", "ExLlama README (HF, 16-bit)"},
	{"LLaMA 13B", "transformers", llama13B, 4, 2048, 10563 + contextMiB, "", "ExLlama README (HF, 16-bit)"},
}

func (r Range) text() string {
	return fmt.Sprintf("%s | %s | %s", GiBText(r.Low), GiBText(r.Expected), GiBText(r.High))
}

// What others measured lies within the range, or is off as docs/vram.md says:
// every row of the page's table is made here.
func TestPublished(t *testing.T) {
	page, err := os.ReadFile("../../docs/vram.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range published {
		m := tc.model(t)
		r := Request{Weights: written(t, m, tc.bits, 128), Model: m, Bits: tc.bits, Context: tc.context, Engine: engine(t, tc.engine)}
		need, measured := r.Summary().Need, tc.measured*MiB
		off := ""
		if measured < need.Low {
			off = "below"
		}
		if measured > need.High {
			off = "above"
		}
		if off != tc.off {
			t.Errorf("%s in %s: got %q, want %q: need %s, measured %s", tc.what, tc.engine, off, tc.off, need.text(), GiBText(measured))
		}
		if d := max(need.Low-measured, measured-need.High); d > 200*MiB {
			t.Errorf("%s in %s: off by %s", tc.what, tc.engine, GiBText(d))
		}
		row := fmt.Sprintf("| %s, %d bit, 128g | %s | %d | %s | %s | %s |", tc.what, tc.bits, tc.engine, tc.context, need.text(), GiBText(measured), tc.source)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/vram.md has no row\n%s", row)
		}
	}
}

// measuredHere is what testdata/measure.py printed on an NVIDIA H100 80GB HBM3,
// driver 580.159.04, PyTorch 2.11.0+cu130.
var measuredHere = []struct {
	what, engine, kernel string
	model                func(testing.TB) *quant.Model
	bits                 int
	context              int
	weights, used        int64 // bytes
	off                  string
}{
	{"LLaMA 7B, 4 bit, 128g", "generic", "buffer", llama7B, 4, 4096, 3896582144, 7557087232, ""},
	{"LLaMA 13B, 4 bit, 128g", "generic", "buffer", llama13B, 4, 512, 7259269120, 8846835712, ""},
	{"LLaMA 13B, 4 bit, 128g", "generic", "buffer", llama13B, 4, 4096, 7259269120, 12103712768, ""},
	{"LLaMA 13B, 4 bit, 128g", "generic", "buffer", llama13B, 4, 16384, 7259269120, 22295871488, ""},
	{"Llama 2 70B, 4 bit, 128g", "generic", "buffer", llama70B, 4, 4096, 36652007424, 40142635008, ""},
	{"Mixtral 8x7B, 4 bit, 128g", "generic", "buffer", mixtral8x7B, 4, 4096, 24696233984, 26370637824, ""},
	{"Mixtral 8x7B, 3 bit, 128g", "generic", "buffer", mixtral8x7B, 3, 4096, 18845966336, 21364736000, ""},
	{"Mixtral 8x7B, 3 bit, 128g", "generic", "buffer", mixtral8x7B, 3, 32768, 18845966336, 26179796992, "above"},
	{"LLaMA 7B, 4 bit, 128g", "gptqmodel", "torch", llama7B, 4, 4096, 3896582144, 7796162560, ""},
	{"LLaMA 13B, 4 bit, 128g", "gptqmodel", "torch", llama13B, 4, 4096, 7259269120, 12707692544, ""},
	{"Llama 2 70B, 4 bit, 128g", "gptqmodel", "torch", llama70B, 4, 4096, 36652007424, 41503686656, ""},
	{"Mixtral 8x7B, 4 bit, 128g", "gptqmodel", "torch", mixtral8x7B, 4, 4096, 24696233984, 26691502080, ""},
	{"Mixtral 8x7B, 3 bit, 128g", "gptqmodel", "torch", mixtral8x7B, 3, 4096, 18845966336, 21608005632, ""},
}

func mixtral8x7B(t testing.TB) *quant.Model {
	return shape(t, "mixtral", 4096, 14336, 32, 32, 8, 32002, 32768, `,"num_local_experts":8,"num_experts_per_tok":2`)
}

// What we measured lies within the range, or is off as docs/vram.md says.
func TestMeasuredHere(t *testing.T) {
	page, err := os.ReadFile("../../docs/vram.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range measuredHere {
		m := tc.model(t)
		w := written(t, m, tc.bits, 128)
		if w.Bytes != tc.weights {
			t.Errorf("%s: weights %d, the card held %d", tc.what, w.Bytes, tc.weights)
		}
		need := Request{Weights: w, Model: m, Bits: tc.bits, Context: tc.context, Engine: engine(t, tc.engine)}.Summary().Need
		off := ""
		if tc.used < need.Low {
			off = "below"
		}
		if tc.used > need.High {
			off = "above"
		}
		if off != tc.off {
			t.Errorf("%s in %s, %d tokens: got %q, want %q: need %s, measured %s", tc.what, tc.engine, tc.context, off, tc.off, need.text(), GiBText(tc.used))
		}
		row := fmt.Sprintf("| %s | %s | %s | %d | %s | %s |", tc.what, tc.kernel, tc.engine, tc.context, need.text(), GiBText(tc.used))
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/vram.md has no row\n%s", row)
		}
	}
}

// A 13B model of 2.65 bits a weight took 7968 MiB in all with 2048 tokens,
// as ExLlamaV2's author measured (exllamav2 #3): the origin of the upper end.
func TestPublishedExLlamaV2(t *testing.T) {
	m := llama13B(t)
	const quantised, embedding = 40 * (4*5120*5120 + 3*5120*13824), 32016 * 5120
	w := Weights{Bytes: quantised*265/800 + embedding*6/8 + 2*embedding, Embed: 2 * embedding, Head: embedding * 6 / 8, Source: FromShapes}
	got := Request{Weights: w, Model: m, Context: 2048, Engine: engine(t, "exllamav2")}.Summary().Need
	const measured = 7968 * MiB
	if measured < got.Expected || measured > got.High+8*MiB {
		t.Errorf("got %s, measured %s", got.text(), GiBText(measured))
	}
}

// What vLLM said of itself: the cache that is left must lie between what the
// lowest and the highest need leave.
func TestPublishedVLLM(t *testing.T) {
	const hundredth = GiB / 100
	for _, tc := range []struct {
		name                 string
		context              int
		total, weights, left int64 // GiB/100
		fraction             int
	}{
		{"an A100 with 40 GB, the whole context at a time (#12330)", 131072, 3950, 1496, 1112, 900},
		{"80 GB (#10511)", 8192, 7922, 1496, 5329, 900},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := engine(t, "vllm")
			e.Fraction = tc.fraction
			m := llama8B(t, tc.context)
			r := Request{Weights: Total(tc.weights*hundredth, FromTreeSizes, m), Model: m, Context: tc.context, Engine: e, Cards: card(tc.total * hundredth)}
			got := r.Summary()
			kv := int64(tc.context) * 128 << 10
			most, least := got.Fills-(got.Need.Low-kv), got.Fills-(got.Need.High-kv)
			if left := tc.left * hundredth; left > most || left < least {
				t.Errorf("got %s to %s left for the cache, vLLM had %s", GiBText(least), GiBText(most), GiBText(left))
			}
			want := tc.total * hundredth * 9 / 10
			if d := got.Fills - want; d < -1 || d > 1 {
				t.Errorf("fills %s, want %s", GiBText(got.Fills), GiBText(want))
			}
		})
	}
}

// Which layers of a split attend to everything: in Gemma 2 every second, from the
// second on; in Gemma 3 every sixth.
func TestLayersThatSlide(t *testing.T) {
	for _, tc := range []struct{ layers, sliding, period int }{{42, 21, 2}, {26, 13, 2}, {48, 40, 6}} {
		c := cache{layers: tc.layers, sliding: tc.sliding}
		for l := range tc.layers {
			if got, want := c.slides(l), (l+1)%tc.period != 0; got != want {
				t.Errorf("layer %d of %d, %d of which slide: got %v, want %v", l, tc.layers, tc.sliding, got, want)
			}
		}
	}
}

// Facts about caches that others state.
func TestKVPerToken(t *testing.T) {
	for _, tc := range []struct {
		name string
		m    *quant.Model
		kv   KVType
		want int64 // bytes a token
	}{
		{"Llama 2 7B", llama7B(t), KVFP16, 512 << 10},
		{"Llama 2 13B", llama13B(t), KVFP16, 800 << 10},
		{"Llama 2 70B, eight key-value heads", llama70B(t), KVFP16, 320 << 10},
		{"Mistral 7B", mistral7B(t), KVFP16, 128 << 10},
		{"Mixtral 8x7B", mixtral(), KVFP16, 131072},
		{"Phi-3 mini (exllamav2 #425)", phi3Mini(t), KVFP16, 384 << 10},
		{"Phi-3 mini with q4 (exllamav2 #425)", phi3Mini(t), KVQ4, 108 << 10},
		{"Mixtral with fp8", mixtral(), KVFP8, 65536},
		{"Mixtral with q8", mixtral(), KVQ8, 69632},
	} {
		c, why := cacheOf(tc.m, &Profile{}, 1, tc.kv)
		if got := c.bytes(1); got != tc.want || why != "" {
			t.Errorf("%s: got %d (%s), want %d", tc.name, got, why, tc.want)
		}
		if got := c.bytes(4096); got != 4096*tc.want {
			t.Errorf("%s: got %d for 4096 tokens, want %d", tc.name, got, 4096*tc.want)
		}
	}
}

// Windows and latent attention, layer by layer.
func TestCacheShapes(t *testing.T) {
	gemma := shape(t, "gemma2", 3584, 14336, 42, 16, 8, 256000, 8192, `,"head_dim":256,"sliding_window":4096`)
	early := shape(t, "mixtral", 4096, 14336, 32, 32, 8, 32000, 32768, `,"num_local_experts":8,"num_experts_per_tok":2,"sliding_window":4096`)
	sliding := shape(t, "mistral", 4096, 14336, 32, 32, 8, 32000, 32768, `,"sliding_window":4096`)
	latent := &quant.Model{Kind: "deepseek_v2", Layers: 27, KVHeads: 16, HeadDim: 128, LatentDim: 576}
	for _, tc := range []struct {
		name    string
		m       *quant.Model
		p       Profile
		context int
		want    int64
	}{
		{"every other layer slides", gemma, Profile{}, 8192, 2 * 8 * 256 * 2 * (21*4096 + 21*8192)},
		{"the window is not reached", gemma, Profile{}, 4096, 2 * 8 * 256 * 2 * 42 * 4096},
		{"an engine that keeps all of it", gemma, Profile{FullCache: true}, 8192, 2 * 8 * 256 * 2 * 42 * 8192},
		{"every layer slides", sliding, Profile{}, 32768, 4096 * 131072},
		{"a Mixtral attends to everything, whatever it says", early, Profile{}, 32768, 4 * GiB},
		{"latent attention", latent, Profile{}, 1000, 27 * 576 * 2 * 1000},
	} {
		c, why := cacheOf(tc.m, &tc.p, 1, KVFP16)
		if got := c.bytes(int64(tc.context)); got != tc.want || why != "" {
			t.Errorf("%s: got %d (%s), want %d", tc.name, got, why, tc.want)
		}
		var sum int64
		for l := range c.layers {
			sum += c.layer(c.slides(l), int64(tc.context))
		}
		if sum != tc.want {
			t.Errorf("%s: layer by layer %d, want %d", tc.name, sum, tc.want)
		}
	}
}
