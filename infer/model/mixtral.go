package model

import "context"

// Mixtral is Mistral with a mixture of experts in the place of the feed-forward.

func mixtralConfig(f *fields, c *Config) {
	c.dimensions(f, Config{KVHeads: 8, Context: 4096 * 32, Eps: 1e-5})
	c.activation(f, "silu", "hidden_act")
	c.window(f, 0)
	c.rope(f, ropeDefaults{theta: 1e6})
	c.Experts = f.integer(8, "num_local_experts", "num_experts")
	c.ExpertsPerToken = f.integer(2, "num_experts_per_tok")
	c.ExpertWidth = c.Intermediate
	c.ScaleChosen = true
	if c.Experts == 0 {
		f.fail(badConfig("num_local_experts is 0"))
	}
}

func loadMixtral(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("model.embed_tokens", "lm_head")
	var layers sequential
	for i, p := range l.each(ctx, "model.layers.") {
		layers = append(layers, sequentialLayer{
			attnNorm: l.rmsNorm(p+"input_layernorm", l.Hidden),
			attn:     l.attention(i, p+"self_attn.", "o_proj"),
			mlpNorm:  l.rmsNorm(p+"post_attention_layernorm", l.Hidden),
			mlp:      l.mixtralExperts(p),
		})
	}
	l.model.norm = l.rmsNorm("model.norm", l.Hidden)
	l.head(false, "lm_head")
	return layers, l.err // computed as llama.go does
}

// mixtralExperts are spelled as in transformers 4, or as newer writers do, who
// share the spelling of other models.
func (l *loader) mixtralExperts(layer string) *mixture {
	block := layer + "block_sparse_moe."
	if l.files.hasLinear(layer + "mlp.gate") {
		block = layer + "mlp."
	}
	if l.files.hasLinear(block + "experts.0.gate_proj") {
		return l.mixture(block, "gate_proj", "up_proj", "down_proj")
	}
	return l.mixture(block, "w1", "w3", "w2")
}
