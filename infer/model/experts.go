package model

import (
	"fmt"
	"math"

	"github.com/qbranch/qbranch/infer/kernel"
)

// mixture is a mixture of experts: each token goes through those that the router
// prefers, weighted, and through the shared expert if there is one.
type mixture struct {
	router  *kernel.Matrix // hidden → experts
	experts []*gatedMLP

	shared     *gatedMLP      // every token's; nil = none
	sharedGate *kernel.Matrix // hidden → 1, its weight before the sigmoid
}

// mixture loads a router and its experts.
func (l *loader) mixture(prefix, gate, up, down string) *mixture {
	m := &mixture{router: l.linear(prefix+"gate", l.Hidden, l.Experts, false)}
	for i := 0; i < l.Experts && l.err == nil; i++ {
		m.experts = append(m.experts, l.gatedMLP(fmt.Sprintf("%sexperts.%d.", prefix, i), gate, up, down, l.ExpertWidth))
	}
	if l.SharedWidth > 0 {
		m.shared = l.gatedMLP(prefix+"shared_expert.", gate, up, down, l.SharedWidth)
		m.sharedGate = l.linear(prefix+"shared_expert_gate", l.Hidden, 1, false)
	}
	return m
}

// routing holds the buffers of mixtures.
type routing struct {
	logits  []float32 // (tokens, experts)
	gate    []float32 // (tokens) of the shared expert
	chosen  []int     // (tokens, perToken) experts, ascending for each token
	weights []float32 // (tokens, perToken) of theirs
	count   []int     // (experts) tokens that chose it
	taken   []bool    // (experts) in the search for one token
	rows    []int     // (tokens) places in chosen of those that chose one expert
	in, out []float32 // (tokens, hidden) of them
}

func newRouting(c *Config, batch int) routing {
	return routing{
		logits:  make([]float32, batch*c.Experts),
		gate:    make([]float32, batch),
		chosen:  make([]int, batch*c.ExpertsPerToken),
		weights: make([]float32, batch*c.ExpertsPerToken),
		count:   make([]int, c.Experts),
		taken:   make([]bool, c.Experts),
		rows:    make([]int, 0, batch),
		in:      make([]float32, batch*c.Hidden),
		out:     make([]float32, batch*c.Hidden),
	}
}

func (m *mixture) forward(s *Session, x, out []float32) error {
	if err := m.choose(s, x); err != nil {
		return err
	}
	clear(out)
	if s.tokens == 1 {
		if err := m.runOne(s, x, out); err != nil {
			return err
		}
	} else {
		for e := range m.experts {
			if s.routing.count[e] == 0 {
				continue
			}
			if err := m.runExpert(s, e, x, out); err != nil {
				return err
			}
		}
	}
	return m.runShared(s, x, out)
}

// choose fills routing: for each token the experts with the largest of the
// router's probabilities, the first of equals winning.
func (m *mixture) choose(s *Session, x []float32) error {
	c, r := &s.m.Config, &s.routing
	logits := r.logits[:s.tokens*c.Experts]
	if err := s.pool.Mul(x, s.tokens, kernel.Output{M: m.router, Y: logits}); err != nil {
		return err
	}
	clear(r.count)
	for t := range s.tokens {
		p := logits[t*c.Experts:][:c.Experts]
		kernel.Softmax(p)
		chosen, weights := r.chosen[t*c.ExpertsPerToken:][:c.ExpertsPerToken], r.weights[t*c.ExpertsPerToken:][:c.ExpertsPerToken]
		sum := r.pick(chosen, weights, p)
		for i, e := range chosen {
			r.count[e]++
			if c.ScaleChosen {
				weights[i] /= sum
			}
		}
	}
	m.announce(s)
	return nil
}

// announce says which experts' bytes are read next, where they may not be in
// memory: those of the batch, in the order in which they are computed. The first
// are waited for while the others come.
func (m *mixture) announce(s *Session) {
	if s.ahead == nil {
		return
	}
	for e, n := range s.routing.count {
		if n == 0 {
			continue
		}
		for _, w := range []*kernel.Matrix{m.experts[e].gate, m.experts[e].up, m.experts[e].down} {
			w.Regions(s.wantAhead)
		}
	}
}

// pick finds the len(chosen) largest of p, in ascending order of their place, and
// returns the sum of them.
func (r *routing) pick(chosen []int, weights, p []float32) float32 {
	clear(r.taken)
	var sum float32
	for range chosen {
		best := -1
		for e, v := range p {
			if !r.taken[e] && (best < 0 || v > p[best]) {
				best = e
			}
		}
		r.taken[best] = true
		sum += p[best]
	}
	n := 0
	for e, taken := range r.taken {
		if taken {
			chosen[n], weights[n] = e, p[e]
			n++
		}
	}
	return sum
}

// runOne adds the experts of a batch of one token to out. They share their input,
// so that gates and ups are one multiplication.
func (m *mixture) runOne(s *Session, x, out []float32) error {
	r, width := &s.routing, s.m.Config.ExpertWidth
	outs := s.outs[:0]
	for i, e := range r.chosen[:s.m.Config.ExpertsPerToken] {
		outs = append(outs,
			kernel.Output{M: m.experts[e].gate, Y: s.gate[i*width:][:width]},
			kernel.Output{M: m.experts[e].up, Y: s.up[i*width:][:width]})
	}
	if err := s.pool.Mul(x, 1, outs...); err != nil {
		return err
	}
	all := s.m.Config.ExpertsPerToken * width
	s.activate(s.gate[:all])
	kernel.Multiply(s.gate[:all], s.up[:all])
	for i, e := range r.chosen[:s.m.Config.ExpertsPerToken] {
		if err := s.pool.Mul(s.gate[i*width:][:width], 1, kernel.Output{M: m.experts[e].down, Y: r.out}); err != nil {
			return err
		}
		kernel.AddScaled(out, r.out[:len(out)], r.weights[i])
	}
	return nil
}

// runExpert adds expert e to the rows of out whose tokens chose it. Experts run
// in order, so that a token's sum does not depend on its neighbours.
func (m *mixture) runExpert(s *Session, e int, x, out []float32) error {
	c, r := &s.m.Config, &s.routing
	r.rows = r.rows[:0]
	for i, chosen := range r.chosen[:s.tokens*c.ExpertsPerToken] {
		if chosen == e {
			copy(r.in[len(r.rows)*c.Hidden:][:c.Hidden], x[i/c.ExpertsPerToken*c.Hidden:])
			r.rows = append(r.rows, i)
		}
	}
	if err := m.experts[e].run(s, r.in, r.out, len(r.rows)); err != nil {
		return err
	}
	for j, i := range r.rows {
		kernel.AddScaled(out[i/c.ExpertsPerToken*c.Hidden:][:c.Hidden], r.out[j*c.Hidden:][:c.Hidden], r.weights[i])
	}
	return nil
}

// runShared adds the shared expert to out, by its gate.
func (m *mixture) runShared(s *Session, x, out []float32) error {
	if m.shared == nil {
		return nil
	}
	hidden, r := s.m.Config.Hidden, &s.routing
	if err := s.pool.Mul(x, s.tokens, kernel.Output{M: m.sharedGate, Y: r.gate}); err != nil {
		return err
	}
	if err := m.shared.run(s, x, r.out, s.tokens); err != nil {
		return err
	}
	for t := range s.tokens {
		weight := 1 / (1 + math.Exp(-float64(r.gate[t]))) // sigmoid
		kernel.AddScaled(out[t*hidden:][:hidden], r.out[t*hidden:][:hidden], float32(weight))
	}
	return nil
}
