package model

import (
	"math"

	"github.com/qbranch/qbranch/infer/kernel"
)

// rmsNorm sets each row of dst, (tokens, len(weight)), to the row of src scaled
// to a root mean square of one, times weight.
func rmsNorm(dst, src, weight []float32, eps float64) {
	n := len(weight)
	for ; len(src) > 0; src, dst = src[n:], dst[n:] {
		var sum float64
		for _, v := range src[:n] {
			sum += float64(v) * float64(v)
		}
		scale := float32(1 / math.Sqrt(sum/float64(n)+eps))
		for i, v := range src[:n] {
			dst[i] = weight[i] * (v * scale)
		}
	}
}

// attentionBlock adds the output of a layer's attention to h, (tokens, hidden).
func (s *Session) attentionBlock(l *layer, h []float32) error {
	c := s.m.Config
	norm, q := s.norm[:len(h)], s.q[:s.tokens*c.Heads*c.HeadDim]
	width := c.KVHeads * c.HeadDim
	k := s.keys[s.layer][s.pos*width:][:s.tokens*width]
	v := s.values[s.layer][s.pos*width:][:s.tokens*width]
	rmsNorm(norm, h, l.attnNorm, c.Eps)
	if err := s.pool.Mul(l.q, norm, q, s.tokens); err != nil {
		return err
	}
	if err := s.pool.Mul(l.k, norm, k, s.tokens); err != nil {
		return err
	}
	if err := s.pool.Mul(l.v, norm, v, s.tokens); err != nil {
		return err
	}
	half := c.HeadDim / 2
	for t := range s.tokens {
		cos, sin := s.cos[t*half:][:half], s.sin[t*half:][:half]
		rotate(q[t*c.Heads*c.HeadDim:][:c.Heads*c.HeadDim], cos, sin)
		rotate(k[t*width:][:width], cos, sin)
	}
	if err := s.pool.Run(c.Heads, s.attention); err != nil {
		return err
	}
	out := s.out[:len(h)]
	if err := s.pool.Mul(l.o, s.att, out, s.tokens); err != nil {
		return err
	}
	for i, v := range out {
		h[i] += v
	}
	return nil
}

// attend computes one head for all tokens of the batch: each looks at the
// positions up to its own, within the window.
func (s *Session) attend(head int) {
	c := s.m.Config
	dim, width := c.HeadDim, c.KVHeads*c.HeadDim
	shared := head / (c.Heads / c.KVHeads) * dim // heads share keys and values
	keys, values := s.keys[s.layer][shared:], s.values[s.layer][shared:]
	scale := float32(1 / math.Sqrt(float64(dim)))
	for t := range s.tokens {
		last := s.pos + t
		first := 0
		if c.Window > 0 {
			first = max(0, last-c.Window+1)
		}
		q := s.q[(t*c.Heads+head)*dim:][:dim]
		scores := s.scores[head*s.room:][:last-first+1]
		for i := range scores {
			scores[i] = kernel.Dot(q, keys[(first+i)*width:][:dim]) * scale
		}
		softmax(scores)
		out := s.att[(t*c.Heads+head)*dim:][:dim]
		clear(out)
		for i, p := range scores {
			for j, v := range values[(first+i)*width:][:dim] {
				out[j] += float32(p * v)
			}
		}
	}
}

// softmax turns scores into probabilities in place.
func softmax(x []float32) {
	top := x[0]
	for _, v := range x {
		top = max(top, v)
	}
	var sum float64
	for i, v := range x {
		e := math.Exp(float64(v - top))
		x[i] = float32(e)
		sum += e
	}
	scale := float32(1 / sum)
	for i := range x {
		x[i] *= scale
	}
}

// feedForward adds the output of a layer's second half to h, (tokens, hidden).
func (s *Session) feedForward(l *layer, h []float32) error {
	c := s.m.Config
	norm, out := s.norm[:len(h)], s.out[:len(h)]
	rmsNorm(norm, h, l.mlpNorm, c.Eps)
	var err error
	if l.router == nil {
		err = s.runExpert(&l.experts[0], norm, out, s.tokens)
	} else {
		err = s.runMixture(l, norm, out)
	}
	if err != nil {
		return err
	}
	for i, v := range out {
		h[i] += v
	}
	return nil
}

// runExpert sets out = down(silu(gate(x)) · up(x)) for a number of tokens.
func (s *Session) runExpert(e *expert, x, out []float32, tokens int) error {
	gate, up := s.gate[:tokens*e.gate.N], s.up[:tokens*e.up.N]
	if err := s.pool.Mul(e.gate, x, gate, tokens); err != nil {
		return err
	}
	if err := s.pool.Mul(e.up, x, up, tokens); err != nil {
		return err
	}
	for i, g := range gate {
		gate[i] = float32(float64(g)/(1+math.Exp(-float64(g)))) * up[i]
	}
	return s.pool.Mul(e.down, gate, out, tokens)
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
	if err := s.pool.Mul(l.router, x, weights, s.tokens); err != nil {
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
	softmax(w)
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
