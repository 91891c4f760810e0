package model

import (
	"context"

	"github.com/qbranch/qbranch/infer/kernel"
)

// Phi 1, 1.5 and 2: attention and feed-forward side by side after one norm,
// biases everywhere, and a part of each head turned.

func phiConfig(f *fields, c *Config) {
	if f.text("", "model_type") == "phi-msft" {
		c.firstPhi(f)
		return
	}
	c.dimensions(f, Config{Context: 2048, Eps: 1e-5})
	c.activation(f, "gelu_new", "hidden_act")
	c.QKVBias, c.OutBias, c.MLPBias = true, true, true
	c.QKNorm = f.flag(false, "qk_layernorm")
	c.rope(f, ropeDefaults{theta: 10000, partial: 0.5})
}

// firstPhi reads the config of the code that Phi 2 first came with, which has
// names of its own and queries, keys and values in one matrix.
func (c *Config) firstPhi(f *fields) {
	c.Hidden = f.need("n_embd")
	c.Layers = f.need("n_layer")
	c.Heads = f.need("n_head")
	c.KVHeads = f.integer(c.Heads, "n_head_kv")
	c.Intermediate = f.integer(4*c.Hidden, "n_inner")
	c.Vocab = (f.need("vocab_size") + 63) / 64 * 64 // that code rounds it up
	c.Context = f.integer(2048, "n_positions")
	c.Eps = f.float(1e-5, "layer_norm_epsilon")
	c.heads(0)
	c.activation(f, "gelu_new", "activation_function")
	c.QKVBias, c.OutBias, c.MLPBias = true, true, true
	c.rope(f, ropeDefaults{theta: 10000})
	c.Rope.Dim = f.integer(32, "rotary_dim")
}

type phi []phiLayer

type phiLayer struct {
	norm norm
	attn attention
	mlp  *plainMLP
}

func loadPhi(ctx context.Context, l *loader) (decoder, error) {
	if l.files.has("transformer.embd.wte.weight") {
		return loadFirstPhi(ctx, l)
	}
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

func loadFirstPhi(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("transformer.embd.wte", "lm_head.linear")
	var layers phi
	for i, p := range l.each(ctx, "transformer.h.") {
		layers = append(layers, phiLayer{
			norm: l.layerNorm(p+"ln", l.Hidden),
			attn: l.fusedAttention(i, p+"mixer.", "Wqkv", "out_proj"),
			mlp:  l.plainMLP(p+"mlp.", "fc1", "fc2", l.Intermediate),
		})
	}
	l.model.norm = l.layerNorm("lm_head.ln", l.Hidden)
	l.head(true, "lm_head.linear")
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
