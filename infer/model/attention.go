package model

import (
	"github.com/qbranch/qbranch/infer/kernel"
)

// attention is causal multi-head attention with rotary embeddings, over the keys
// and values of one layer.
type attention struct {
	q, k, v *kernel.Matrix
	qkv     *kernel.Matrix // instead, the three in one
	o       *kernel.Matrix

	qNorm, kNorm *norm // of each head, before it is turned; nil = none
	layer        int
	window       int // positions attended to; 0 = all
}

// attention loads the matrices of a layer that has one each.
func (l *loader) attention(layer int, prefix, out string) attention {
	heads, kv := l.Heads*l.HeadDim, l.KVHeads*l.HeadDim
	return attention{
		q:      l.linear(prefix+"q_proj", l.Hidden, heads, l.QKVBias),
		k:      l.linear(prefix+"k_proj", l.Hidden, kv, l.QKVBias),
		v:      l.linear(prefix+"v_proj", l.Hidden, kv, l.QKVBias),
		o:      l.linear(prefix+out, heads, l.Hidden, l.OutBias),
		layer:  layer,
		window: l.windowOf(layer),
	}
}

// fusedAttention loads a layer that has queries, keys and values in one matrix.
func (l *loader) fusedAttention(layer int, prefix, qkv, out string) attention {
	width := (l.Heads + 2*l.KVHeads) * l.HeadDim
	l.model.fused = max(l.model.fused, width)
	return attention{
		qkv:    l.linear(prefix+qkv, l.Hidden, width, l.QKVBias),
		o:      l.linear(prefix+out, l.Heads*l.HeadDim, l.Hidden, l.OutBias),
		layer:  layer,
		window: l.windowOf(layer),
	}
}

// forward sets out to the attention of x, both (tokens, hidden), and keeps the
// keys and values.
func (a *attention) forward(s *Session, x, out []float32) error {
	c := &s.m.Config
	q := s.q[:s.tokens*c.Heads*c.HeadDim]
	k, v := s.k[:s.tokens*c.KVHeads*c.HeadDim], s.v[:s.tokens*c.KVHeads*c.HeadDim]
	if err := a.project(s, x, q, k, v); err != nil {
		return err
	}
	if a.qNorm != nil {
		a.qNorm.apply(q, q)
		a.kNorm.apply(k, k)
	}
	s.rope.apply(q, s.tokens, c.Heads, c.HeadDim)
	s.rope.apply(k, s.tokens, c.KVHeads, c.HeadDim)
	s.keys[a.layer].Put(s.pos, k)
	s.values[a.layer].Put(s.pos, v)
	s.touchKV(a)
	s.attending = kernel.Attention{
		Keys: s.keys[a.layer], Values: s.values[a.layer],
		Heads: c.Heads, Q: q, Out: s.att[:len(q)], Pos: s.pos, Tokens: s.tokens,
		Window: a.window, Scale: float32(c.ScoreScale), Cap: float32(c.ScoreCap),
	}
	if err := s.pool.Attend(&s.attending); err != nil {
		return err
	}
	return s.pool.Mul(s.att, s.tokens, kernel.Output{M: a.o, Y: out})
}

// project computes queries, keys and values.
func (a *attention) project(s *Session, x, q, k, v []float32) error {
	if a.qkv == nil {
		return s.pool.Mul(x, s.tokens, kernel.Output{M: a.q, Y: q}, kernel.Output{M: a.k, Y: k}, kernel.Output{M: a.v, Y: v})
	}
	fused := s.fused[:s.tokens*a.qkv.N]
	if err := s.pool.Mul(x, s.tokens, kernel.Output{M: a.qkv, Y: fused}); err != nil {
		return err
	}
	// Every group has its share of the queries, then of the keys, then of the
	// values.
	c := &s.m.Config
	groups := max(c.Groups, 1)
	queries, keys := c.Heads/groups*c.HeadDim, c.KVHeads/groups*c.HeadDim
	for i := 0; len(fused) > 0; i++ {
		copy(q[i*queries:][:queries], fused)
		copy(k[i*keys:][:keys], fused[queries:])
		copy(v[i*keys:][:keys], fused[queries+keys:])
		fused = fused[queries+2*keys:]
	}
	return nil
}
