package model

import (
	"context"

	"github.com/qbranch/qbranch/infer/kernel"
)

// Phi 1, 1.5 and 2: attention and feed-forward side by side after one norm,
// biases everywhere, and a part of each head turned.

func phiConfig(f *fields, c *Config) {
	c.dimensions(f, Config{Context: 2048, Eps: 1e-5})
	c.activation(f, "gelu_new", "hidden_act")
	c.QKVBias, c.OutBias, c.MLPBias = true, true, true
	c.QKNorm = f.flag(false, "qk_layernorm")
	c.rope(f, ropeDefaults{theta: 10000, partial: 0.5})
}

type phi []phiLayer

type phiLayer struct {
	norm norm
	attn attention
	mlp  *plainMLP
}

func loadPhi(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("model.embed_tokens", "lm_head")
	var layers phi
	for i, p := range l.each(ctx, "model.layers.") {
		layer := phiLayer{
			norm: l.layerNorm(p+"input_layernorm", l.Hidden),
			attn: l.attention(i, p+"self_attn.", "dense"),
			mlp:  l.plainMLP(p+"mlp.", "fc1", "fc2", l.Intermediate),
		}
		if l.QKNorm {
			q, k := l.layerNorm(p+"self_attn.q_layernorm", l.HeadDim), l.layerNorm(p+"self_attn.k_layernorm", l.HeadDim)
			layer.attn.qNorm, layer.attn.kNorm = &q, &k
		}
		layers = append(layers, layer)
	}
	l.model.norm = l.layerNorm("model.final_layernorm", l.Hidden)
	l.head(true, "lm_head")
	return layers, l.err
}

// layer is h += attention(n) + mlp(n), n = norm(h).
func (d phi) layer(s *Session, i int, h []float32) error {
	l := &d[i]
	n, out := s.norm[:len(h)], s.out[:len(h)]
	l.norm.apply(n, h)
	if err := l.attn.forward(s, n, out); err != nil {
		return err
	}
	kernel.Add(h, out)
	if err := l.mlp.forward(s, n, out); err != nil {
		return err
	}
	kernel.Add(h, out)
	return nil
}
