package model

import (
	"context"
	"slices"
)

// The mixtures of experts of Qwen: those of Qwen 1.5 and 2 have an expert beside
// them that every token uses; in both, some layers may be dense.

func qwen2MoEConfig(f *fields, c *Config) {
	c.dimensions(f, Config{KVHeads: 16, Context: 32768, Eps: 1e-6})
	c.activation(f, "silu", "hidden_act")
	c.QKVBias = f.flag(true, "qkv_bias")
	upTo := f.integer(28, "max_window_layers")
	c.layerWindows(f, c.qwenWindow(f), func(layer int) bool { return layer%2 == 0 && layer < upTo })
	c.rope(f, ropeDefaults{theta: 10000})
	c.Experts = f.integer(60, "num_experts", "num_local_experts")
	c.ExpertsPerToken = f.integer(4, "num_experts_per_tok")
	c.ExpertWidth = f.integer(1408, "moe_intermediate_size")
	c.SharedWidth = f.integer(5632, "shared_expert_intermediate_size")
	c.ScaleChosen = f.flag(false, "norm_topk_prob")
	c.sparseLayers(f)
}

func qwen3MoEConfig(f *fields, c *Config) {
	c.dimensions(f, Config{KVHeads: 4, Context: 32768, Eps: 1e-6})
	c.activation(f, "silu", "hidden_act")
	c.QKVBias = f.flag(false, "attention_bias")
	c.OutBias = c.QKVBias
	c.QKNorm = true
	c.layerWindows(f, c.qwenWindow(f), func(int) bool { return true })
	c.rope(f, ropeDefaults{theta: 10000})
	c.Experts = f.integer(128, "num_experts", "num_local_experts")
	c.ExpertsPerToken = f.integer(8, "num_experts_per_tok")
	c.ExpertWidth = f.integer(768, "moe_intermediate_size")
	c.ScaleChosen = f.flag(false, "norm_topk_prob")
	c.sparseLayers(f)
}

// sparseLayers settles which layers have experts: every so many, but for a list.
func (c *Config) sparseLayers(f *fields) {
	step := f.integer(1, "decoder_sparse_step")
	var dense []int
	f.read(&dense, "a list of layers", "mlp_only_layers")
	if step < 1 {
		f.fail(badConfig("decoder_sparse_step is %d", step))
		return
	}
	c.Sparse = make([]bool, min(max(c.Layers, 0), maxLayers))
	for i := range c.Sparse {
		c.Sparse[i] = c.Experts > 0 && (i+1)%step == 0 && !slices.Contains(dense, i)
	}
}

func loadQwenMoE(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("model.embed_tokens", "lm_head")
	var layers sequential
	for i, p := range l.each(ctx, "model.layers.") {
		layers = append(layers, sequentialLayer{
			attnNorm: l.rmsNorm(p+"input_layernorm", l.Hidden),
			attn:     l.qwenAttention(i, p+"self_attn."),
			mlpNorm:  l.rmsNorm(p+"post_attention_layernorm", l.Hidden),
			mlp:      l.qwenFeedForward(i, p+"mlp."),
		})
	}
	l.model.norm = l.rmsNorm("model.norm", l.Hidden)
	l.head(false, "lm_head")
	return layers, l.err // computed as llama.go does
}

func (l *loader) qwenFeedForward(layer int, prefix string) feedForward {
	if l.Sparse[layer] {
		return l.mixture(prefix, "gate_proj", "up_proj", "down_proj")
	}
	return l.gatedMLP(prefix, "gate_proj", "up_proj", "down_proj", l.Intermediate)
}
