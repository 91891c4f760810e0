package model

import "context"

// Qwen 1.5, 2 and 2.5, whose queries, keys and values have biases, and Qwen 3,
// which normalises queries and keys instead.

func qwen2Config(f *fields, c *Config) {
	c.dimensions(f, Config{KVHeads: 32, Context: 32768, Eps: 1e-6})
	c.activation(f, "silu", "hidden_act")
	c.QKVBias = true
	c.qwenWindows(f)
	c.rope(f, ropeDefaults{theta: 10000})
}

func qwen3Config(f *fields, c *Config) {
	c.dimensions(f, Config{KVHeads: 32, HeadDim: 128, Context: 32768, Eps: 1e-6})
	c.activation(f, "silu", "hidden_act")
	c.QKVBias = f.flag(false, "attention_bias")
	c.OutBias = c.QKVBias
	c.QKNorm = true
	c.qwenWindows(f)
	c.rope(f, ropeDefaults{theta: 10000})
}

// qwenWindows gives the layers from max_window_layers on a window, if any.
func (c *Config) qwenWindows(f *fields) {
	first := f.integer(28, "max_window_layers")
	c.layerWindows(f, c.qwenWindow(f), func(layer int) bool { return layer >= first })
}

// qwenWindow is sliding_window, which counts only where use_sliding_window says so.
func (c *Config) qwenWindow(f *fields) int {
	if !f.flag(false, "use_sliding_window") || f.isNull("sliding_window") {
		return 0
	}
	return c.windowSize(f, 4096)
}

func loadQwen(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("model.embed_tokens", "lm_head")
	var layers sequential
	for i, p := range l.each(ctx, "model.layers.") {
		layers = append(layers, sequentialLayer{
			attnNorm: l.rmsNorm(p+"input_layernorm", l.Hidden),
			attn:     l.qwenAttention(i, p+"self_attn."),
			mlpNorm:  l.rmsNorm(p+"post_attention_layernorm", l.Hidden),
			mlp:      l.gatedMLP(p+"mlp.", "gate_proj", "up_proj", "down_proj", l.Intermediate),
		})
	}
	l.model.norm = l.rmsNorm("model.norm", l.Hidden)
	l.head(false, "lm_head")
	return layers, l.err // computed as llama.go does
}

func (l *loader) qwenAttention(layer int, prefix string) attention {
	a := l.attention(layer, prefix, "o_proj")
	if l.QKNorm {
		q, k := l.rmsNorm(prefix+"q_norm", l.HeadDim), l.rmsNorm(prefix+"k_norm", l.HeadDim)
		a.qNorm, a.kNorm = &q, &k
	}
	return a
}
