package vram

// scratch is the working memory that the engine states apart from its overhead.
func (p *plan) scratch(context int) Range {
	switch p.Engine.scratch {
	case gptqScratch:
		return p.gptqScratch()
	case graphScratch:
		return p.activations(context)
	}
	return Range{}
}

// widest is the dimensions of the largest matrix, as far as config.json says.
func (p *plan) widest() (in, out int64) {
	m := p.Model
	if m == nil {
		return 0, 0
	}
	in = int64(max(m.Hidden, 0))
	out = max(int64(m.Inter), mul(int64(max(m.Heads, 0)), int64(max(m.HeadDim, 0))), in)
	return min(in, 1<<24), min(out, 1<<24)
}

// gptqScratch is what AutoGPTQ's kernels allocate: one matrix in 16 bits for
// those that unpack it, and for 4 bits, where the ExLlamaV2 kernel is the
// default, room for 2048 rows of the widest output besides (AutoGPTQ,
// nn_modules/qlinear/qlinear_exllamav2.py: 2·in·out + 128, out·2048·8·4 + 128).
// The kernels in PyTorch hold up to five matrices at once while they unpack one:
// see testdata/measure.py.
func (p *plan) gptqScratch() Range {
	in, out := p.widest()
	one := mul(2, mul(in, out))
	kernel := add(add(one, 256), mul(out, 2048*8*4))
	r := Range{one, one, mul(5, one)}
	if p.Bits == 4 {
		r.Expected = kernel
	}
	if p.Bits == 4 || p.Bits == 0 {
		r.High = max(r.High, kernel)
	}
	r.High = max(r.High, r.Expected)
	return r
}

// chunk is how many tokens vLLM computes at a time unless told otherwise; older
// versions computed the whole context.
const chunk = 8192

// activations is the peak of activations while vLLM measures itself: for every
// token of a chunk some 2·(6·hidden + 3·intermediate) bytes, and 4 bytes for
// every entry of the vocabulary and each of 256 sequences. With the overhead it
// is taken to be at least 1.5 GiB.
func (p *plan) activations(context int) Range {
	one, high := int64(0), int64(0)
	if m := p.Model; m != nil {
		token := mul(2, add(mul(6, int64(max(m.Hidden, 0))), mul(3, int64(max(m.Inter, 0)))))
		logits := mul(4*256, int64(max(m.Vocab, 0)))
		tokens := mul(int64(context), int64(p.Batch))
		one = add(mul(token, min(tokens, chunk)), logits)
		high = add(mul(token, max(int64(context), min(tokens, chunk))), logits)
	}
	floor := 3*GiB/2 - p.Engine.Overhead.Expected
	return Range{Low: min(one, 192*MiB), Expected: max(one, floor), High: max(high, floor)}
}
