package model

import (
	"math"

	"github.com/qbranch/qbranch/infer/kernel"
)

// attentionBlock adds the output of a layer's attention to h, (tokens, hidden).
func (s *Session) attentionBlock(l *layer, h []float32) error {
	c := s.m.Config
	norm, q := s.norm[:len(h)], s.q[:s.tokens*c.Heads*c.HeadDim]
	width := c.KVHeads * c.HeadDim
	k, v := s.k[:s.tokens*width], s.v[:s.tokens*width]
	kernel.RMSNorm(norm, h, l.attnNorm, c.Eps)
	if err := s.pool.Mul(norm, s.tokens, kernel.Output{M: l.q, Y: q}, kernel.Output{M: l.k, Y: k}, kernel.Output{M: l.v, Y: v}); err != nil {
		return err
	}
	half := c.HeadDim / 2
	for t := range s.tokens {
		cos, sin := s.cos[t*half:][:half], s.sin[t*half:][:half]
		rotate(q[t*c.Heads*c.HeadDim:][:c.Heads*c.HeadDim], cos, sin)
		rotate(k[t*width:][:width], cos, sin)
	}
	s.keys[s.layer].Put(s.pos, k)
	s.values[s.layer].Put(s.pos, v)
	if err := s.pool.Run(c.Heads, s.attention); err != nil {
		return err
	}
	out := s.out[:len(h)]
	if err := s.pool.Mul(s.att, s.tokens, kernel.Output{M: l.o, Y: out}); err != nil {
		return err
	}
	kernel.Add(h, out)
	return nil
}

// attend computes one head for all tokens of the batch: each looks at the
// positions up to its own, within the window.
func (s *Session) attend(head int) {
	c := s.m.Config
	dim := c.HeadDim
	shared := head / (c.Heads / c.KVHeads) // heads share keys and values
	scale := float32(1 / math.Sqrt(float64(dim)))
	for t := range s.tokens {
		last := s.pos + t
		first := 0
		if c.Window > 0 {
			first = max(0, last-c.Window+1)
		}
		q := s.q[(t*c.Heads+head)*dim:][:dim]
		scores := s.scores[head*s.room:][:last-first+1]
		s.keys[s.layer].Dots(scores, q, shared, first)
		for i := range scores {
			scores[i] *= scale
		}
		kernel.Softmax(scores)
		s.values[s.layer].Sum(s.att[(t*c.Heads+head)*dim:][:dim], scores, shared, first)
	}
}

// feedForward adds the output of a layer's second half to h, (tokens, hidden).
func (s *Session) feedForward(l *layer, h []float32) error {
	c := s.m.Config
	norm, out := s.norm[:len(h)], s.out[:len(h)]
	kernel.RMSNorm(norm, h, l.mlpNorm, c.Eps)
	var err error
	if l.router == nil {
		err = s.runExpert(&l.experts[0], norm, out, s.tokens)
	} else {
		err = s.runMixture(l, norm, out)
	}
	if err != nil {
		return err
	}
	kernel.Add(h, out)
	return nil
}

// runExpert sets out = down(silu(gate(x)) · up(x)) for a number of tokens.
func (s *Session) runExpert(e *expert, x, out []float32, tokens int) error {
	gate, up := s.gate[:tokens*e.gate.N], s.up[:tokens*e.up.N]
	if err := s.pool.Mul(x, tokens, kernel.Output{M: e.gate, Y: gate}, kernel.Output{M: e.up, Y: up}); err != nil {
		return err
	}
	kernel.SiLU(gate)
	kernel.Multiply(gate, up)
	return s.pool.Mul(gate, tokens, kernel.Output{M: e.down, Y: out})
}

// mixture holds the buffers of a mixture of experts.
type mixture struct {
	router  []float32 // (tokens, experts), then their weights; 0 = not chosen
	in, out []float32 // (tokens, hidden) of the tokens that chose an expert
	rows    []int     // (tokens) which they are
	chosen  []bool    // (experts)
}

func newMixture(c Config, batch int) mixture {
	return mixture{
		router: make([]float32, batch*c.Experts),
		in:     make([]float32, batch*c.Hidden),
		out:    make([]float32, batch*c.Hidden),
		rows:   make([]int, 0, batch),
		chosen: make([]bool, c.Experts),
	}
}

// runMixture sets out to the weighted sum of each token's experts. Experts run
// in order, each on the tokens that chose it, so that a token's sum does not
// depend on its neighbours.
func (s *Session) runMixture(l *layer, x, out []float32) error {
	c, m := s.m.Config, &s.moe
	weights := m.router[:s.tokens*c.Experts]
	if err := s.pool.Mul(x, s.tokens, kernel.Output{M: l.router, Y: weights}); err != nil {
		return err
	}
	for t := range s.tokens {
		m.choose(weights[t*c.Experts:][:c.Experts], c.ExpertsPerToken)
	}
	clear(out)
	for e := range l.experts {
		m.rows = m.rows[:0]
		for t := range s.tokens {
			if weights[t*c.Experts+e] != 0 {
				copy(m.in[len(m.rows)*c.Hidden:], x[t*c.Hidden:][:c.Hidden])
				m.rows = append(m.rows, t)
			}
		}
		if len(m.rows) == 0 {
			continue
		}
		if err := s.runExpert(&l.experts[e], m.in, m.out, len(m.rows)); err != nil {
			return err
		}
		for i, t := range m.rows {
			w := weights[t*c.Experts+e]
			for j, v := range m.out[i*c.Hidden:][:c.Hidden] {
				out[t*c.Hidden+j] += float32(w * v)
			}
		}
	}
	return nil
}

// choose turns the router's logits into weights: softmax over all experts, the n
// largest of them scaled to a sum of one, the others zero. The first of equals
// wins.
func (m *mixture) choose(w []float32, n int) {
	kernel.Softmax(w)
	clear(m.chosen)
	var sum float32
	for range n {
		best := -1
		for e, v := range w {
			if !m.chosen[e] && (best < 0 || v > w[best]) {
				best = e
			}
		}
		m.chosen[best] = true
		sum += w[best]
	}
	for e := range w {
		if m.chosen[e] {
			w[e] /= sum
		} else {
			w[e] = 0
		}
	}
}
