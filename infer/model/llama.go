package model

import (
	"context"

	"github.com/qbranch/qbranch/infer/kernel"
)

// Llama, which Vicuna, CodeLlama, TinyLlama, Yi, DeepSeek and many more are, and
// Mistral, which differs by its sliding window.

func llamaConfig(f *fields, c *Config) {
	c.dimensions(f, Config{Context: 2048, Eps: 1e-6})
	c.activation(f, "silu", "hidden_act")
	c.QKVBias = f.flag(false, "attention_bias")
	c.OutBias = c.QKVBias
	c.MLPBias = f.flag(false, "mlp_bias")
	c.rope(f, ropeDefaults{theta: 10000})
}

func mistralConfig(f *fields, c *Config) {
	c.dimensions(f, Config{KVHeads: 8, Context: 4096 * 32, Eps: 1e-6})
	c.activation(f, "silu", "hidden_act")
	c.window(f, 4096)
	c.rope(f, ropeDefaults{theta: 10000})
}

// sequential is a decoder whose layers attend first and feed forward then, each
// half after a norm of its own.
type sequential []sequentialLayer

type sequentialLayer struct {
	attnNorm, mlpNorm norm
	attn              attention
	mlp               feedForward
}

func loadLlama(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("model.embed_tokens", "lm_head")
	var layers sequential
	for i, p := range l.each(ctx, "model.layers.") {
		first, second := "input_layernorm", "post_attention_layernorm"
		if l.files.has(p + "ln1.weight") { // Yi, before it called itself Llama
			first, second = "ln1", "ln2"
		}
		layers = append(layers, sequentialLayer{
			attnNorm: l.rmsNorm(p+first, l.Hidden),
			attn:     l.attention(i, p+"self_attn.", "o_proj"),
			mlpNorm:  l.rmsNorm(p+second, l.Hidden),
			mlp:      l.gatedMLP(p+"mlp.", "gate_proj", "up_proj", "down_proj", l.Intermediate),
		})
	}
	l.model.norm = l.rmsNorm("model.norm", l.Hidden)
	l.head(false, "lm_head")
	return layers, l.err
}

// layer is h += attention(norm(h)), then h += mlp(norm(h)).
func (d sequential) layer(s *Session, i int, h []float32) error {
	l := &d[i]
	n, out := s.norm[:len(h)], s.out[:len(h)]
	l.attnNorm.apply(n, h)
	if err := l.attn.forward(s, n, out); err != nil {
		return err
	}
	kernel.Add(h, out)
	l.mlpNorm.apply(n, h)
	if err := l.mlp.forward(s, n, out); err != nil {
		return err
	}
	kernel.Add(h, out)
	return nil
}
