package kernel

// Attention is causal attention over the positions of a layer: every query looks
// at the positions up to its own. Heads share keys and values evenly.
type Attention struct {
	Keys, Values *KV
	Heads        int       // of the queries
	Q, Out       []float32 // (tokens, Heads·dim)
	Pos          int       // position of the first token
	Tokens       int
	Window       int     // positions looked at, its own included; 0 = all
	Scale        float32 // of scores
	Cap          float32 // scores are bent to stay below it; 0 = not

	heads int // of a part
}

// togetherHeads is how many heads with the same keys are computed together.
const togetherHeads = 4

// Attend computes a.Out. The error is ErrFault.
func (p *Pool) Attend(a *Attention) error {
	p.attention = a
	defer func() { p.attention = nil }()
	// A part is all heads with the same keys, which are then read from memory
	// once, unless that leaves goroutines without work.
	a.heads = a.Heads / a.Keys.heads
	if a.Keys.heads < 2*len(p.spaces) {
		a.heads = togetherHeads
	}
	return p.run(a.Keys.heads * a.groups())
}

// groups is the number of parts that the queries of a key head are split into.
func (a *Attention) groups() int {
	return (a.Heads/a.Keys.heads + a.heads - 1) / a.heads
}

// part computes some heads with the same keys, for all tokens.
func (a *Attention) part(isa *instructions, s *scratch, part int) {
	groups, dim := a.groups(), a.Keys.dim
	shared := part / groups
	perKey := a.Heads / a.Keys.heads
	head := part % groups * a.heads
	heads := min(a.heads, perKey-head)
	head += shared * perKey
	for t := range a.Tokens {
		last := a.Pos + t
		first := 0
		if a.Window > 0 {
			first = max(0, last-a.Window+1)
		}
		at := (t*a.Heads + head) * dim
		q, out := a.Q[at:][:heads*dim], a.Out[at:][:heads*dim]
		if a.Keys.ints == nil {
			for h := range heads {
				a.float(s, out[h*dim:][:dim], q[h*dim:][:dim], shared, first, last-first+1)
			}
			continue
		}
		for h := 0; h < heads; h += togetherHeads {
			n := min(togetherHeads, heads-h)
			a.int(isa, s, out[h*dim:][:n*dim], q[h*dim:][:n*dim], shared, n, first, last-first+1)
		}
	}
}

// float computes one head.
func (a *Attention) float(s *scratch, out, q []float32, shared, first, n int) {
	dim, width := a.Keys.dim, a.Keys.heads*a.Keys.dim
	s.scores = grow(s.scores, n)
	scores := s.scores
	for i := range scores {
		scores[i] = Dot(q, a.Keys.floats[(first+i)*width+shared*dim:][:dim]) * a.Scale
	}
	a.bend(scores)
	Softmax(scores)
	clear(out)
	for i, p := range scores {
		for j, v := range a.Values.floats[(first+i)*width+shared*dim:][:dim] {
			out[j] += float32(p * v)
		}
	}
}

func (a *Attention) bend(scores []float32) {
	if a.Cap > 0 {
		SoftCap(scores, a.Cap)
	}
}

// int computes up to four heads with the same keys together.
func (a *Attention) int(isa *instructions, s *scratch, out, q []float32, shared, heads, first, n int) {
	dim := a.Keys.dim
	if dim%lanes != 0 { // what no kernel is made for
		isa = goInstructions
	}
	tile := first / tilePositions
	positions := (first+n+tilePositions-1)/tilePositions*tilePositions - tile*tilePositions
	stride := positions + lanes
	s.scores = grow(s.scores, togetherHeads*stride)
	keys, scales := a.Keys.ints[shared][tile*tilePositions*dim:], a.Keys.scales[shared][tile*tilePositions:][:positions]
	together := heads
	if heads < togetherHeads {
		together = 1
	}
	for h := 0; h < heads; h += together {
		isa.keyDots(together)(s.scores[h*stride:], stride, q[h*dim:], dim, keys, scales)
	}
	var sums [togetherHeads]float32
	for h := range heads {
		scores := s.scores[h*stride+first%tilePositions:][:n]
		isa.scaleAll(scores, a.Scale)
		a.bend(scores)
		sums[h] = isa.exponentials(scores)
		isa.multiplyAll(scores, a.Values.scales[shared][first:][:n])
	}
	for h := 0; h < heads; h += together {
		isa.valueSum(together)(out[h*dim:][:together*dim], dim, s.scores[h*stride+first%tilePositions:], stride, n, a.Values.ints[shared][first*dim:])
	}
	for h := range heads {
		isa.scaleAll(out[h*dim:][:dim], 1/sums[h])
	}
}

// keyDots1Go is the kernel keyDots for one head.
func keyDots1Go(scores []float32, _ int, q []float32, dim int, keys []int16, scales []float32) {
	for i, scale := range scales {
		tile := keys[i/tilePositions*tilePositions*dim+i%tilePositions:]
		var sums [4]float32
		for d := range dim {
			sums[d%4] = fma32(q[d], float32(tile[d*tilePositions]), sums[d%4])
		}
		scores[i] = float32(float32(float32(sums[0]+sums[1])+float32(sums[2]+sums[3])) * scale)
	}
}

func keyDots4Go(scores []float32, stride int, q []float32, dim int, keys []int16, scales []float32) {
	for h := range togetherHeads {
		keyDots1Go(scores[h*stride:], stride, q[h*dim:], dim, keys, scales)
	}
}

// valueSum1Go is the kernel valueSum for one head.
func valueSum1Go(out []float32, dim int, weights []float32, _, n int, values []int16) {
	clear(out[:dim])
	for i, w := range weights[:n] {
		for d, v := range values[i*dim:][:dim] {
			out[d] = fma32(w, float32(v), out[d])
		}
	}
}

func valueSum4Go(out []float32, dim int, weights []float32, stride, n int, values []int16) {
	for h := range togetherHeads {
		valueSum1Go(out[h*dim:], dim, weights[h*stride:], stride, n, values)
	}
}
