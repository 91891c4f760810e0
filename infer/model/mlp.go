package model

import "github.com/qbranch/qbranch/infer/kernel"

// feedForward is the second half of a layer.
type feedForward interface {
	// forward sets out to the result for x, both (tokens, hidden).
	forward(s *Session, x, out []float32) error
}

// gatedMLP is down(act(gate(x)) · up(x)).
type gatedMLP struct{ gate, up, down *kernel.Matrix }

func (l *loader) gatedMLP(prefix, gate, up, down string, width int) *gatedMLP {
	l.model.wide = max(l.model.wide, width)
	return &gatedMLP{
		gate: l.linear(prefix+gate, l.Hidden, width, l.MLPBias),
		up:   l.linear(prefix+up, l.Hidden, width, l.MLPBias),
		down: l.linear(prefix+down, width, l.Hidden, l.MLPBias),
	}
}

func (m *gatedMLP) forward(s *Session, x, out []float32) error { return m.run(s, x, out, s.tokens) }

// run is forward for a number of tokens.
func (m *gatedMLP) run(s *Session, x, out []float32, tokens int) error {
	gate, up := s.gate[:tokens*m.gate.N], s.up[:tokens*m.up.N]
	if err := s.pool.Mul(x, tokens, kernel.Output{M: m.gate, Y: gate}, kernel.Output{M: m.up, Y: up}); err != nil {
		return err
	}
	s.activate(gate)
	kernel.Multiply(gate, up)
	return s.pool.Mul(gate, tokens, kernel.Output{M: m.down, Y: out})
}

// fusedMLP is a gatedMLP whose gate and up are one matrix.
type fusedMLP struct{ gateUp, down *kernel.Matrix }

func (l *loader) fusedMLP(prefix, gateUp, down string, width int) *fusedMLP {
	l.model.wide, l.model.fused = max(l.model.wide, width), max(l.model.fused, 2*width)
	return &fusedMLP{
		gateUp: l.linear(prefix+gateUp, l.Hidden, 2*width, l.MLPBias),
		down:   l.linear(prefix+down, width, l.Hidden, l.MLPBias),
	}
}

func (m *fusedMLP) forward(s *Session, x, out []float32) error {
	fused := s.fused[:s.tokens*m.gateUp.N]
	if err := s.pool.Mul(x, s.tokens, kernel.Output{M: m.gateUp, Y: fused}); err != nil {
		return err
	}
	width := m.down.K
	gate, up := s.gate[:s.tokens*width], s.up[:s.tokens*width]
	for t := range s.tokens {
		copy(gate[t*width:][:width], fused[2*t*width:])
		copy(up[t*width:][:width], fused[(2*t+1)*width:])
	}
	s.activate(gate)
	kernel.Multiply(gate, up)
	return s.pool.Mul(gate, s.tokens, kernel.Output{M: m.down, Y: out})
}

// plainMLP is down(act(up(x))).
type plainMLP struct{ up, down *kernel.Matrix }

func (l *loader) plainMLP(prefix, up, down string, width int) *plainMLP {
	l.model.wide = max(l.model.wide, width)
	return &plainMLP{
		up:   l.linear(prefix+up, l.Hidden, width, l.MLPBias),
		down: l.linear(prefix+down, width, l.Hidden, l.MLPBias),
	}
}

func (m *plainMLP) forward(s *Session, x, out []float32) error {
	up := s.up[:s.tokens*m.up.N]
	if err := s.pool.Mul(x, s.tokens, kernel.Output{M: m.up, Y: up}); err != nil {
		return err
	}
	s.activate(up)
	return s.pool.Mul(up, s.tokens, kernel.Output{M: m.down, Y: out})
}

// activate applies the function of the feed-forward.
func (s *Session) activate(x []float32) {
	switch s.m.Config.Act {
	case "gelu":
		kernel.GELU(x)
	case "gelu_tanh":
		kernel.GELUTanh(x)
	default:
		kernel.SiLU(x)
	}
}
