package model

import (
	"context"
	"errors"
	"fmt"

	"github.com/qbranch/qbranch/infer/kernel"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/gptq"
)

// Model is a decoder whose weights lie in a checkpoint.
type Model struct {
	Config    Config
	Bits      int // of the quantised matrices; 0 when there are none
	GroupSize int // -1 = one group

	embed  kernel.Floats // (vocab, hidden)
	layers []layer
	norm   []float32 // (hidden)
	head   *kernel.Matrix
	freqs  []float32 // (headDim/2)
}

type layer struct {
	attnNorm, mlpNorm []float32 // (hidden)
	q, k, v, o        *kernel.Matrix
	router            *kernel.Matrix // hidden → experts; nil without experts
	experts           []expert       // one, without a router
}

// expert is a SwiGLU feed-forward: down(silu(gate(x)) · up(x)).
type expert struct{ gate, up, down *kernel.Matrix }

// loader builds a Model from tensors.
type loader struct {
	Config
	quant quant.Config
	files *Checkpoint
	model *Model
}

// Load builds a model from a checkpoint, which must stay open as long as the
// model is used. q is the quantisation as declared; the tensors' own shapes
// decide where the two differ.
func Load(ctx context.Context, cfg Config, q quant.Config, files *Checkpoint) (*Model, error) {
	l := &loader{Config: cfg, quant: q, files: files, model: &Model{Config: cfg, freqs: cfg.Rope.frequencies(cfg.HeadDim)}}
	err := kernel.Catch(func() error { return l.load(ctx) })
	if errors.Is(err, kernel.ErrFault) {
		err = shrunk(err)
	}
	if err != nil {
		return nil, err
	}
	return l.model, nil
}

// shrunk is what a fault of a mapped file means.
func shrunk(err error) error {
	return &Error{Kind: ErrCheckpoint, Reason: "a file changed while it was in use", Err: err,
		Help: "leave the files alone while the model runs; verify them, and fetch again those that differ"}
}

func (l *loader) load(ctx context.Context) error {
	var err error
	m := l.model
	if m.embed, err = l.files.floats("model.embed_tokens.weight", l.Vocab, l.Hidden); err != nil {
		return err
	}
	for i := range l.Layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		layer, err := l.layer(fmt.Sprintf("model.layers.%d.", i))
		if err != nil {
			return err
		}
		m.layers = append(m.layers, layer)
	}
	if m.norm, err = l.files.vector("model.norm.weight", l.Hidden); err != nil {
		return err
	}
	if l.Tied {
		m.head, err = kernel.NewDense(l.Hidden, l.Vocab, m.embed, nil)
		return err
	}
	m.head, err = l.linear("lm_head", l.Hidden, l.Vocab)
	return err
}

func (l *loader) layer(prefix string) (layer, error) {
	var out layer
	var err error
	if out.attnNorm, err = l.files.vector(prefix+"input_layernorm.weight", l.Hidden); err != nil {
		return out, err
	}
	if out.mlpNorm, err = l.files.vector(prefix+"post_attention_layernorm.weight", l.Hidden); err != nil {
		return out, err
	}
	heads, kv := l.Heads*l.HeadDim, l.KVHeads*l.HeadDim
	for _, p := range []struct {
		to   **kernel.Matrix
		name string
		k, n int
	}{
		{&out.q, "q_proj", l.Hidden, heads},
		{&out.k, "k_proj", l.Hidden, kv},
		{&out.v, "v_proj", l.Hidden, kv},
		{&out.o, "o_proj", heads, l.Hidden},
	} {
		if *p.to, err = l.linear(prefix+"self_attn."+p.name, p.k, p.n); err != nil {
			return out, err
		}
	}
	if l.Experts == 0 {
		e, err := l.expert(prefix+"mlp.", "gate_proj", "up_proj", "down_proj")
		out.experts = []expert{e}
		return out, err
	}
	return out, l.mixture(&out, prefix)
}

// mixture loads a router and its experts under either of their two spellings:
// that of transformers 4, and the one newer writers share with other models.
func (l *loader) mixture(out *layer, prefix string) error {
	block, gate, up, down := prefix+"block_sparse_moe.", "w1", "w3", "w2"
	if l.files.has(prefix + "mlp.gate.weight") {
		block, gate, up, down = prefix+"mlp.", "gate_proj", "up_proj", "down_proj"
	}
	var err error
	if out.router, err = l.linear(block+"gate", l.Hidden, l.Experts); err != nil {
		return err
	}
	for i := range l.Experts {
		e, err := l.expert(fmt.Sprintf("%sexperts.%d.", block, i), gate, up, down)
		if err != nil {
			return err
		}
		out.experts = append(out.experts, e)
	}
	return nil
}

func (l *loader) expert(prefix, gate, up, down string) (expert, error) {
	var e expert
	var err error
	if e.gate, err = l.linear(prefix+gate, l.Hidden, l.Intermediate); err != nil {
		return e, err
	}
	if e.up, err = l.linear(prefix+up, l.Hidden, l.Intermediate); err != nil {
		return e, err
	}
	e.down, err = l.linear(prefix+down, l.Intermediate, l.Hidden)
	return e, err
}

// linear loads a Linear of k inputs and n outputs, quantised or not.
func (l *loader) linear(name string, k, n int) (*kernel.Matrix, error) {
	var bias []float32
	if l.files.has(name + ".bias") {
		// Writers before 2024 store a bias of zeros with every quantised Linear.
		var err error
		if bias, err = l.files.vector(name+".bias", n); err != nil {
			return nil, err
		}
	}
	if l.files.has(name + ".qweight") {
		return l.quantized(name, k, n, bias)
	}
	weight, err := l.files.floats(name+".weight", n, k)
	if err != nil {
		return nil, err
	}
	m, err := kernel.NewDense(k, n, weight, bias)
	if err != nil {
		return nil, badTensor(l.files.tensors[name+".weight"], "%v", err)
	}
	return m, nil
}

func (l *loader) quantized(name string, k, n int, bias []float32) (*kernel.Matrix, error) {
	var parts [3]Tensor
	for i, suffix := range []string{".qweight", ".qzeros", ".scales"} {
		t, err := l.files.get(name + suffix)
		if err != nil {
			return nil, err
		}
		if i < 2 && t.DType != "I32" {
			return nil, &Error{Kind: ErrUnsupported, File: t.File, Tensor: t.Name, Reason: "packed in " + t.DType + ", only I32 is supported"}
		}
		parts[i] = t
	}
	qweight, qzeros, scales := parts[0], parts[1], parts[2]
	q := kernel.Quantized{QWeight: qweight.Data, QZeros: qzeros.Data}
	var gidx []int64 // the shape of g_idx
	if t, ok := l.files.tensors[name+".g_idx"]; ok {
		if t.DType != "I32" {
			return nil, badTensor(t, "dtype %s, want I32", t.DType)
		}
		q.GIdx, gidx = t.Data, t.Shape
	}
	shape, err := gptq.DeriveShape(qweight.Shape, qzeros.Shape, scales.Shape, gidx)
	if err != nil {
		return nil, &Error{Kind: ErrCheckpoint, File: qweight.File, Tensor: name, Err: err}
	}
	if gidx == nil && gptq.Words(k, shape.Bits) == int(qweight.Shape[0]) {
		shape.K = k // the words hold a few more rows than there are
	}
	if shape.K != k || shape.N != n {
		return nil, badTensor(qweight, "%d inputs and %d outputs, want %d and %d", shape.K, shape.N, k, n)
	}
	if !gptq.Supported(shape.Bits) {
		return nil, &Error{Kind: ErrUnsupported, File: qweight.File, Tensor: qweight.Name,
			Reason: fmt.Sprintf("%d-bit codes are not supported, only 2, 3, 4 and 8", shape.Bits)}
	}
	if declared := l.quant.Bits; declared != 0 && declared != shape.Bits && len(l.quant.Dynamic) == 0 {
		// The tensors could be run all the same, but a checkpoint that contradicts
		// itself is not proved by a text.
		return nil, badTensor(qweight, "%d-bit codes, but %s says bits %d", shape.Bits, l.quant.File, declared)
	}
	q.Bits, q.K, q.N, q.G = shape.Bits, shape.K, shape.N, shape.G
	if q.GroupSize = l.quant.GroupSize; !shape.Fits(q.GroupSize) {
		q.GroupSize = shape.GroupSize()
	}
	if q.Zeros, err = l.zeroFormat(qzeros, shape); err != nil {
		return nil, err
	}
	if q.Scales, err = l.files.floats(name+".scales", shape.G, shape.N); err != nil {
		return nil, err
	}
	if i := q.Scales.FirstNotFinite(); i >= 0 {
		return nil, badTensor(scales, "value %d (group %d, column %d) is not a finite number", i, i/n, i%n)
	}
	m, err := kernel.NewQuantized(q, bias)
	if err != nil {
		return nil, badTensor(qweight, "%v", err)
	}
	if l.model.Bits == 0 {
		l.model.Bits, l.model.GroupSize = q.Bits, q.GroupSize
	}
	return m, nil
}

// zeroFormat settles how zero points are stored: as declared, unless symmetric
// data tell it themselves, since some files carry the wrong label.
func (l *loader) zeroFormat(qzeros Tensor, s gptq.Shape) (gptq.ZeroFormat, error) {
	if l.quant.Sym == nil || *l.quant.Sym {
		words, err := gptq.Words32(qzeros.Data)
		if err != nil {
			return 0, badTensor(qzeros, "%v", err)
		}
		if format, ok := gptq.SymFormat(words, s.Bits, s.G, s.N); ok {
			return format, nil
		}
	}
	if l.quant.Format == "gptq_p" && s.Bits == 3 {
		return 0, &Error{Kind: ErrUnsupported, File: qzeros.File, Tensor: qzeros.Name, Reason: "planar 3-bit packing (gptq_p)"}
	}
	return l.quant.Zeros(s.Bits), nil
}
