package vram

import (
	"slices"
	"testing"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// Tensors are told by their names, in the words of each architecture.
func TestHeaders(t *testing.T) {
	for _, tc := range []struct {
		name  string
		sizes map[string]int64
		want  Weights
	}{
		{"llama", map[string]int64{"model.embed_tokens.weight": 100, "lm_head.weight": 90, "model.norm.weight": 1,
			"model.layers.0.self_attn.q_proj.qweight": 5, "model.layers.0.mlp.up_proj.scales": 2, "model.layers.1.mlp.up_proj.scales": 3},
			Weights{Bytes: 201, Embed: 100, Head: 90, Layers: []int64{7, 3}}},
		{"tied", map[string]int64{"model.embed_tokens.weight": 100, "model.layers.0.x": 5},
			Weights{Bytes: 105, Embed: 100, Layers: []int64{5}}},
		{"falcon", map[string]int64{"transformer.word_embeddings.weight": 7, "transformer.h.2.mlp.dense_h_to_4h.qweight": 4, "lm_head.weight": 7},
			Weights{Bytes: 18, Embed: 7, Head: 7, Layers: []int64{0, 0, 4}}},
		{"gpt-neox", map[string]int64{"gpt_neox.embed_in.weight": 7, "gpt_neox.layers.0.attention.dense.qweight": 4, "embed_out.weight": 8},
			Weights{Bytes: 19, Embed: 7, Head: 8, Layers: []int64{4}}},
		{"a quantised head", map[string]int64{"lm_head.qweight": 4, "lm_head.scales": 2, "model.embed_tokens.weight": 7},
			Weights{Bytes: 13, Embed: 7, Head: 6}},
		{"numbers that are no layers", map[string]int64{"model.layers.9999999.x": 1, "model.layers.-1.x": 1, "model.layers.x.y": 1, "experts.3.w1": 1, "": 1, "lm_head": 1},
			Weights{Bytes: 6}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &safetensors.Header{}
			for name, size := range tc.sizes {
				h.Tensors = append(h.Tensors, safetensors.Tensor{Name: name, Size: size})
			}
			got := Headers([]*safetensors.Header{nil, h})
			if got.Bytes != tc.want.Bytes || got.Embed != tc.want.Embed || got.Head != tc.want.Head || !slices.Equal(got.Layers, tc.want.Layers) || got.Source != FromTensorHeaders {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// The three sources of one checkpoint lead to the same need.
func TestSourcesAgree(t *testing.T) {
	for _, m := range []*quant.Model{llama13B(t), mistral7B(t), shape(t, "mixtral", 4096, 14336, 32, 32, 8, 32002, 32768, `,"num_local_experts":8,"num_experts_per_tok":2`)} {
		cfg := quant.Config{Bits: 3, GroupSize: 128, HasGroupSize: true}
		l, err := quant.LayoutOf(cfg, m, quant.WriterOptions(cfg, m))
		if err != nil {
			t.Fatal(err)
		}
		h := &safetensors.Header{}
		for _, x := range l.Tensors {
			h.Tensors = append(h.Tensors, safetensors.Tensor{Name: x.Name, Size: x.Bytes})
		}
		var needs []Range
		for _, w := range []Weights{Headers([]*safetensors.Header{h}), Layout(l), Total(l.DataBytes(), FromTreeSizes, m)} {
			for _, e := range []string{"generic", "exllamav2"} {
				needs = append(needs, Request{Weights: w, Model: m, Engine: engine(t, e)}.Summary().Need)
			}
		}
		for i := 2; i < len(needs); i++ {
			if needs[i] != needs[i%2] {
				t.Errorf("%s: needs %v", m.Kind, needs)
			}
		}
	}
}

// What is not known is not guessed.
func TestTotal(t *testing.T) {
	if got := Total(100, FromTreeSizes, llama7B(t)); got.Embed != 0 || got.Head != 0 || got.Bytes != 100 {
		t.Errorf("embeddings larger than the file: %+v", got)
	}
	if got := Total(GiB, FromTreeSizes, nil); got.Embed != 0 {
		t.Errorf("without config.json: %+v", got)
	}
}
