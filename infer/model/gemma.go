package model

import (
	"context"
	"math"

	"github.com/qbranch/qbranch/infer/kernel"
)

// Gemma and Gemma 2: embeddings are scaled, norms multiply by one more than their
// weights. Gemma 2 has a norm before and after each half of a layer, caps scores
// and logits, and gives every other layer a window.

func gemmaConfig(f *fields, c *Config) {
	c.dimensions(f, Config{KVHeads: 16, HeadDim: 256, Context: 8192, Eps: 1e-6, Tied: true})
	c.activation(f, "gelu_pytorch_tanh", "hidden_activation", "hidden_act")
	if c.Act == "gelu" {
		c.Act = "gelu_tanh" // what the first releases meant by "gelu"
	}
	c.gemmaAttention(f)
}

func gemma2Config(f *fields, c *Config) {
	c.dimensions(f, Config{KVHeads: 4, HeadDim: 256, Context: 8192, Eps: 1e-6, Tied: true})
	c.activation(f, "gelu_pytorch_tanh", "hidden_activation")
	c.gemmaAttention(f)
	c.ScoreScale = 1 / math.Sqrt(f.float(256, "query_pre_attn_scalar"))
	c.ScoreCap = f.cap(50, "attn_logit_softcapping")
	c.LogitCap = f.cap(30, "final_logit_softcapping")
	window := 0
	if !f.isNull("sliding_window") {
		window = c.windowSize(f, 4096)
	}
	c.layerWindows(f, window, func(layer int) bool { return layer%2 == 0 })
}

func (c *Config) gemmaAttention(f *fields) {
	c.QKVBias = f.flag(false, "attention_bias")
	c.OutBias = c.QKVBias
	c.rope(f, ropeDefaults{theta: 10000})
	if f.flag(false, "use_bidirectional_attention") {
		f.fail(unsupportedConfig("use_bidirectional_attention is not supported"))
	}
}

// cap reads a soft cap: null is none.
func (f *fields) cap(missing float64, name string) float64 {
	if f.isNull(name) {
		return 0
	}
	v := f.float(missing, name)
	if !(v > 0) {
		f.fail(badConfig("%s is %v", name, v))
	}
	return v
}

// gemmaNorm multiplies by one more than the stored weight.
func (l *loader) gemmaNorm(name string) norm {
	n := l.rmsNorm(name, l.Hidden)
	for i := range n.weight {
		n.weight[i]++
	}
	return n
}

func loadGemma(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("model.embed_tokens", "lm_head")
	l.model.embedScale = float32(math.Sqrt(float64(l.Hidden)))
	var layers sequential
	for i, p := range l.each(ctx, "model.layers.") {
		layers = append(layers, sequentialLayer{
			attnNorm: l.gemmaNorm(p + "input_layernorm"),
			attn:     l.attention(i, p+"self_attn.", "o_proj"),
			mlpNorm:  l.gemmaNorm(p + "post_attention_layernorm"),
			mlp:      l.gatedMLP(p+"mlp.", "gate_proj", "up_proj", "down_proj", l.Intermediate),
		})
	}
	l.model.norm = l.gemmaNorm("model.norm")
	l.head(false, "lm_head")
	return layers, l.err // computed as llama.go does
}

type gemma2 []gemma2Layer

type gemma2Layer struct {
	beforeAttn, afterAttn norm
	beforeMLP, afterMLP   norm
	attn                  attention
	mlp                   *gatedMLP
}

func loadGemma2(ctx context.Context, l *loader) (decoder, error) {
	l.embedding("model.embed_tokens", "lm_head")
	l.model.embedScale = float32(math.Sqrt(float64(l.Hidden)))
	var layers gemma2
	for i, p := range l.each(ctx, "model.layers.") {
		layers = append(layers, gemma2Layer{
			beforeAttn: l.gemmaNorm(p + "input_layernorm"),
			attn:       l.attention(i, p+"self_attn.", "o_proj"),
			afterAttn:  l.gemmaNorm(p + "post_attention_layernorm"),
			beforeMLP:  l.gemmaNorm(p + "pre_feedforward_layernorm"),
			mlp:        l.gatedMLP(p+"mlp.", "gate_proj", "up_proj", "down_proj", l.Intermediate),
			afterMLP:   l.gemmaNorm(p + "post_feedforward_layernorm"),
		})
	}
	l.model.norm = l.gemmaNorm("model.norm")
	l.head(false, "lm_head")
	return layers, l.err
}

// layer is h += norm(attention(norm(h))), then h += norm(mlp(norm(h))).
func (d gemma2) layer(s *Session, i int, h []float32) error {
	l := &d[i]
	n, out := s.norm[:len(h)], s.out[:len(h)]
	l.beforeAttn.apply(n, h)
	if err := l.attn.forward(s, n, out); err != nil {
		return err
	}
	l.afterAttn.apply(out, out)
	kernel.Add(h, out)
	l.beforeMLP.apply(n, h)
	if err := l.mlp.forward(s, n, out); err != nil {
		return err
	}
	l.afterMLP.apply(out, out)
	kernel.Add(h, out)
	return nil
}
