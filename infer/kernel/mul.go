package kernel

// Output is a matrix and where its product goes.
type Output struct {
	M *Matrix
	Y []float32 // (tokens, M.N)
}

// product is one call of Mul, split into parts.
type product struct {
	isa    *instructions
	x      []float32
	tokens int
	outs   []output
	acts   []activations // used so far in this call, then reused
	used   int
}

type output struct {
	m     *Matrix
	y     []float32
	acts  int // its activations, for integer products; -1 = float32
	cols  int // columns of a part
	first int // its first part
}

// Mul sets Y[t] = x[t]·W + bias for t < tokens and each of the outputs, which
// share the input x, (tokens, K). The error is ErrFault.
func (p *Pool) Mul(x []float32, tokens int, outs ...Output) error {
	j := &p.job
	j.isa, j.x, j.tokens, j.outs, j.used = p.isa, x, tokens, j.outs[:0], 0
	for _, o := range outs {
		p.touched += o.M.bytes(p.compute)
		out := output{m: o.M, y: o.Y[:tokens*o.M.N], acts: -1, cols: blockCols}
		if o.M.q != nil && p.compute != Float32 {
			packed := o.M.Prepare()
			var err error
			if out.acts, err = p.activations(packed.in); err != nil {
				return err
			}
			out.cols = j.intCols()
		}
		j.outs = append(j.outs, out)
	}
	parts := 0
	for i := range j.outs {
		o := &j.outs[i]
		o.first = parts
		parts += (o.m.N + o.cols - 1) / o.cols
	}
	return p.run(parts)
}

// part computes some columns of one of the outputs.
func (j *product) part(s *scratch, part int) {
	i := len(j.outs) - 1
	for j.outs[i].first > part {
		i--
	}
	o := &j.outs[i]
	n0 := (part - o.first) * o.cols
	cols := min(o.cols, o.m.N-n0)
	switch {
	case o.acts < 0:
		o.m.floatPart(s, j.x, o.y, j.tokens, n0, cols)
	case j.batched():
		o.m.packed.batchPart(j.isa, s, &j.acts[o.acts], o.y, j.tokens, n0, cols)
	default:
		o.m.packed.part(j.isa, s, &j.acts[o.acts], o.y, j.tokens, n0, cols)
	}
	if o.m.bias == nil {
		return
	}
	bias := o.m.bias[n0:][:cols]
	for t := range j.tokens {
		for i, v := range o.y[t*o.m.N+n0:][:cols] {
			o.y[t*o.m.N+n0+i] = v + bias[i]
		}
	}
}

// scratch is what one goroutine works in; it grows to what the largest matrix
// needs and is then reused.
type scratch struct {
	float floatScratch
	int   intScratch

	scores []float32 // of attention
}
