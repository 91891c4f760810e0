package model

import (
	"context"

	"github.com/qbranch/qbranch/infer/kernel"
)

// Falcon, first called RefinedWeb: the 7B shares one key and one value among all
// heads, the 40B and later ("new decoder architecture") one among a group, and
// some have a norm each for attention and feed-forward. ALiBi, which Falcon-RW
// has, is refused.

func falconConfig(f *fields, c *Config) {
	c.Hidden = f.need("hidden_size", "n_embed")
	c.Layers = f.need("num_hidden_layers", "n_layer")
	c.Heads = f.need("num_attention_heads", "n_head")
	c.Vocab = f.need("vocab_size")
	c.Intermediate = f.integer(4*c.Hidden, "ffn_hidden_size")
	c.Context = f.integer(2048, "max_position_embeddings")
	c.Eps = f.float(1e-5, "layer_norm_epsilon")
	c.Tied = f.flag(true, "tie_word_embeddings")
	c.heads(0)
	c.activation(f, "gelu", "activation")
	c.QKVBias = f.flag(false, "bias")
	c.OutBias, c.MLPBias = c.QKVBias, c.QKVBias
	if f.flag(false, "alibi") {
		f.fail(unsupportedConfig("alibi is not supported, only rotary embeddings"))
	}
	c.falconHeads(f)
	c.rope(f, ropeDefaults{theta: 10000})
}

func (c *Config) falconHeads(f *fields) {
	grouped := f.flag(f.text("", "model_type") == "RefinedWeb", "new_decoder_architecture")
	norms := f.integer(2, "num_ln_in_parallel_attn")
	keys := f.integer(c.Heads, "num_kv_heads", "n_head_kv")
	multi := f.flag(true, "multi_query")
	c.Parallel = f.flag(true, "parallel_attn")
	switch {
	case grouped:
		c.KVHeads, c.Groups, c.TwoNorms = keys, keys, norms == 2
		c.Parallel = true
	case multi:
		c.KVHeads, c.Groups = 1, 1
	default:
		c.KVHeads, c.Groups = c.Heads, c.Heads
	}
}

type falcon struct {
	parallel bool
	layers   []falconLayer
}

type falconLayer struct {
	attnNorm norm
	mlpNorm  *norm // nil = what attention is given
	attn     attention
	mlp      *plainMLP
}

func loadFalcon(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("transformer.word_embeddings", "lm_head")
	d := falcon{parallel: l.Parallel}
	for i, p := range l.each(ctx, "transformer.h.") {
		first, second := "input_layernorm", ""
		switch {
		case l.TwoNorms:
			first, second = "ln_attn", "ln_mlp"
		case !l.Parallel:
			second = "post_attention_layernorm"
		}
		layer := falconLayer{
			attnNorm: l.layerNorm(p+first, l.Hidden),
			attn:     l.fusedAttention(i, p+"self_attention.", "query_key_value", "dense"),
			mlp:      l.plainMLP(p+"mlp.", "dense_h_to_4h", "dense_4h_to_h", l.Intermediate),
		}
		if second != "" {
			n := l.layerNorm(p+second, l.Hidden)
			layer.mlpNorm = &n
		}
		d.layers = append(d.layers, layer)
	}
	l.model.norm = l.layerNorm("transformer.ln_f", l.Hidden)
	l.head(false, "lm_head")
	return d, l.err
}

// layer is h += attention(norm(h)) + mlp(norm'(h)), or the second after the first.
func (d falcon) layer(s *Session, i int, h []float32) error {
	l := &d.layers[i]
	n, out := s.norm[:len(h)], s.out[:len(h)]
	l.attnNorm.apply(n, h)
	if err := l.attn.forward(s, n, out); err != nil {
		return err
	}
	if !d.parallel {
		kernel.Add(h, out)
	}
	if l.mlpNorm != nil {
		l.mlpNorm.apply(n, h)
	}
	if d.parallel {
		kernel.Add(h, out)
	}
	if err := l.mlp.forward(s, n, out); err != nil {
		return err
	}
	kernel.Add(h, out)
	return nil
}
