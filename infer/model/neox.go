package model

import (
	"context"

	"github.com/qbranch/qbranch/infer/kernel"
)

// GPT-NeoX, which Pythia and RedPajama-INCITE are: queries, keys and values in one
// matrix, head by head; attention and feed-forward side by side or not.

func neoXConfig(f *fields, c *Config) {
	c.dimensions(f, Config{Context: 2048, Eps: 1e-5})
	c.KVHeads, c.Groups = c.Heads, c.Heads
	c.heads(0)
	c.activation(f, "gelu", "hidden_act")
	c.QKVBias = f.flag(true, "attention_bias")
	c.OutBias, c.MLPBias = c.QKVBias, true
	c.Parallel = f.flag(true, "use_parallel_residual")
	c.rope(f, ropeDefaults{theta: 10000, partial: 0.25})
}

type neoX struct {
	parallel bool
	layers   []neoXLayer
}

type neoXLayer struct {
	attnNorm, mlpNorm norm
	attn              attention
	mlp               *plainMLP
}

func loadNeoX(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("gpt_neox.embed_in", "embed_out")
	d := neoX{parallel: l.Parallel}
	for i, p := range l.each(ctx, "gpt_neox.layers.") {
		d.layers = append(d.layers, neoXLayer{
			attnNorm: l.layerNorm(p+"input_layernorm", l.Hidden),
			attn:     l.fusedAttention(i, p+"attention.", "query_key_value", "dense"),
			mlpNorm:  l.layerNorm(p+"post_attention_layernorm", l.Hidden),
			mlp:      l.plainMLP(p+"mlp.", "dense_h_to_4h", "dense_4h_to_h", l.Intermediate),
		})
	}
	l.model.norm = l.layerNorm("gpt_neox.final_layer_norm", l.Hidden)
	l.head(false, "embed_out", "lm_head")
	return d, l.err
}

// layer is h += attention(norm(h)) + mlp(norm'(h)), or the second after the first.
func (d neoX) layer(s *Session, i int, h []float32) error {
	l := &d.layers[i]
	n, out := s.norm[:len(h)], s.out[:len(h)]
	l.attnNorm.apply(n, h)
	if err := l.attn.forward(s, n, out); err != nil {
		return err
	}
	if d.parallel {
		l.mlpNorm.apply(n, h)
		kernel.Add(h, out)
	} else {
		kernel.Add(h, out)
		l.mlpNorm.apply(n, h)
	}
	if err := l.mlp.forward(s, n, out); err != nil {
		return err
	}
	kernel.Add(h, out)
	return nil
}
