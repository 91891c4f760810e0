package model

import (
	"context"
	"fmt"

	"github.com/qbranch/qbranch/infer/kernel"
)

// StableLM 3B, Zephyr and 2: Llama with layer norms, a part of each head turned
// and, in the 12B, queries and keys normalised and both halves side by side.

func stableLMConfig(f *fields, c *Config) {
	c.dimensions(f, Config{KVHeads: 32, Context: 4096, Eps: 1e-5})
	c.heads(0)
	c.activation(f, "silu", "hidden_act")
	c.QKVBias = f.flag(false, "use_qkv_bias")
	c.QKNorm = f.flag(false, "qk_layernorm")
	c.Parallel = f.flag(false, "use_parallel_residual")
	c.rope(f, ropeDefaults{theta: 10000, partial: 0.25})
}

type stableLM []stableLMLayer

type stableLMLayer struct {
	attnNorm norm
	mlpNorm  *norm // nil = both halves side by side
	attn     attention
	mlp      *gatedMLP
}

func loadStableLM(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("model.embed_tokens", "lm_head")
	var layers stableLM
	for i, p := range l.each(ctx, "model.layers.") {
		layer := stableLMLayer{
			attnNorm: l.layerNorm(p+"input_layernorm", l.Hidden),
			attn:     l.attention(i, p+"self_attn.", "o_proj"),
			mlp:      l.gatedMLP(p+"mlp.", "gate_proj", "up_proj", "down_proj", l.Intermediate),
		}
		if l.QKNorm {
			layer.attn.qNorm = l.normsOfHeads(p+"self_attn.q_layernorm.", l.Heads)
			layer.attn.kNorm = l.normsOfHeads(p+"self_attn.k_layernorm.", l.KVHeads)
		}
		if !l.Parallel {
			n := l.layerNorm(p+"post_attention_layernorm", l.Hidden)
			layer.mlpNorm = &n
		}
		layers = append(layers, layer)
	}
	l.model.norm = l.layerNorm("model.norm", l.Hidden)
	l.head(false, "lm_head")
	return layers, l.err
}

// normsOfHeads reads a norm for each head, as one.
func (l *loader) normsOfHeads(prefix string, heads int) *norm {
	n := norm{width: l.HeadDim, mean: true, eps: l.Eps}
	for h := 0; h < heads && l.err == nil; h++ {
		n.weight = append(n.weight, l.vector(fmt.Sprintf("%snorms.%d.weight", prefix, h), l.HeadDim)...)
	}
	return &n
}

// layer is h += attention(n), then h += mlp(norm(h)) or mlp(n), n = norm(h).
func (d stableLM) layer(s *Session, i int, h []float32) error {
	l := &d[i]
	n, out := s.norm[:len(h)], s.out[:len(h)]
	l.attnNorm.apply(n, h)
	if err := l.attn.forward(s, n, out); err != nil {
		return err
	}
	kernel.Add(h, out)
	if l.mlpNorm != nil {
		l.mlpNorm.apply(n, h)
	}
	if err := l.mlp.forward(s, n, out); err != nil {
		return err
	}
	kernel.Add(h, out)
	return nil
}
