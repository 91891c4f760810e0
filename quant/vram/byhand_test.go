package vram

import (
	"testing"

	"github.com/qbranch/qbranch/quant"
)

// Needs and largest contexts that a program of its own computed from the formula
// and the names and shapes of every tensor, layer by layer.
func TestByHand(t *testing.T) {
	llama7B, llama13B := shape(t, "llama", 4096, 11008, 32, 32, 32, 32000, 4096, ""), shape(t, "llama", 5120, 13824, 40, 40, 40, 32000, 4096, "")
	mistral := shape(t, "mistral", 4096, 14336, 32, 32, 8, 32000, 32768, `,"sliding_window":4096`)
	mixtral := shape(t, "mixtral", 4096, 14336, 32, 32, 8, 32000, 32768, `,"num_local_experts":8,"num_experts_per_tok":2,"sliding_window":4096`)
	qwen := shape(t, "qwen3_moe", 2048, 6144, 48, 32, 4, 151936, 40960,
		`,"head_dim":128,"num_experts":128,"num_experts_per_tok":8,"moe_intermediate_size":768,"sliding_window":null,"use_sliding_window":false`)
	gemma := shape(t, "gemma2", 3584, 14336, 42, 16, 8, 256000, 8192, `,"head_dim":256,"sliding_window":4096,"tie_word_embeddings":true`)
	for _, tc := range []struct {
		name           string
		m              *quant.Model
		bits           int
		weights        int64
		engine         string
		context, batch int
		kv             KVType
		card           int64 // GiB
		need           Range
		most, tight    int // tokens
	}{
		{"Llama 2 7B", llama7B, 4, 3896582144, "exllama", 4096, 1, KVFP16, 8, Range{6640705536, 7070621696, 8144363520}, 4096, 4096},
		{"Llama 2 13B, two sequences", llama13B, 4, 8002693120, "exllamav2", 4096, 2, KVQ4, 12, Range{10421233664, 10851149824, 11924891648}, 4096, 4096},
		{"Llama 2 70B, no group", llama70B(t), 4, 35331866624, "generic", 4096, 1, KVFP16, 48, Range{37532827648, 37962743808, 39036485632}, 4096, 4096},
		{"Mistral 7B, within its window", mistral, 8, 7675453440, "generic", 32768, 3, KVFP16, 12, Range{10144849920, 10574766080, 11648507904}, 32768, 32768},
		{"Mistral 7B, all of the cache", mistral, 8, 7675453440, "exllamav2", 32768, 1, KVQ8, 12, Range{10553794560, 10983710720, 12057452544}, 32768, 32768},
		{"Mixtral 8x7B, 3 bits", mixtral, 3, 18845933568, "vllm", 8192, 2, KVFP8, 24, Range{20335960064, 21596610560, 23207223296}, 8082, 20370},
		{"Mixtral 8x7B, no group", mixtral, 4, 23810973696, "autogptq", 2048, 1, KVFP16, 24, Range{24733720576, 26103161088, 27176902912}, 0, 0},
		{"Qwen3 30B-A3B", qwen, 4, 16924176384, "vllm", 40960, 1, KVFP16, 24, Range{21366992896, 22561320960, 25770356736}, 24824, 40960},
		{"Gemma 2 9B, every other layer slides", gemma, 4, 6166694912, "generic", 8192, 4, KVFP16, 12, Range{15481195520, 15911111680, 16984853504}, 3164, 3945},
		{"Gemma 2 9B, tied: nothing stays in RAM", gemma, 4, 6166694912, "exllamav2", 8192, 1, KVFP16, 12, Range{9844050944, 10273967104, 11347708928}, 8192, 8192},
	} {
		r := Request{Weights: Total(tc.weights, FromTensorHeaders, tc.m), Model: tc.m, Bits: tc.bits, Context: tc.context, Batch: tc.batch,
			KV: tc.kv, Engine: engine(t, tc.engine), Cards: card(tc.card * GiB)}
		if got := r.Summary(); got.Need != tc.need || got.MaxContext != tc.most || got.MaxContextTight != tc.tight {
			t.Errorf("%s in %s: got %v, %d and %d tokens, want %v, %d and %d", tc.name, tc.engine, got.Need, got.MaxContext, got.MaxContextTight, tc.need, tc.most, tc.tight)
		}
	}
}
