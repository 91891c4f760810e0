package model

import "context"

// Phi 3 and 4 are Llama with queries, keys and values in one matrix, gate and up
// in another, and long contexts by two sets of frequencies.

func phi3Config(f *fields, c *Config) {
	c.dimensions(f, Config{Context: 4096, Eps: 1e-5})
	c.activation(f, "silu", "hidden_act")
	c.window(f, 0)
	c.rope(f, ropeDefaults{theta: 10000, partial: 1, su: true})
}

func loadPhi3(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("model.embed_tokens", "lm_head")
	var layers sequential
	for i, p := range l.each(ctx, "model.layers.") {
		layers = append(layers, sequentialLayer{
			attnNorm: l.rmsNorm(p+"input_layernorm", l.Hidden),
			attn:     l.phi3Attention(i, p+"self_attn."),
			mlpNorm:  l.rmsNorm(p+"post_attention_layernorm", l.Hidden),
			mlp:      l.phi3FeedForward(p + "mlp."),
		})
	}
	l.model.norm = l.rmsNorm("model.norm", l.Hidden)
	l.head(false, "lm_head")
	return layers, l.err // computed as llama.go does
}

// phi3Attention is one matrix, unless a writer split it.
func (l *loader) phi3Attention(layer int, prefix string) attention {
	if l.files.hasLinear(prefix + "q_proj") {
		return l.attention(layer, prefix, "o_proj")
	}
	return l.fusedAttention(layer, prefix, "qkv_proj", "o_proj")
}

func (l *loader) phi3FeedForward(prefix string) feedForward {
	if l.files.hasLinear(prefix + "gate_proj") {
		return l.gatedMLP(prefix, "gate_proj", "up_proj", "down_proj", l.Intermediate)
	}
	return l.fusedMLP(prefix, "gate_up_proj", "down_proj", l.Intermediate)
}
