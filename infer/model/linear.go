package model

import (
	"fmt"

	"github.com/qbranch/qbranch/infer/kernel"
	"github.com/qbranch/qbranch/quant/gptq"
)

// linear loads a Linear of k inputs and n outputs, quantised or not. needBias
// says that it must have a bias; whatever is in the file is used.
func (l *loader) linear(name string, k, n int, needBias bool) *kernel.Matrix {
	if l.err != nil {
		return nil
	}
	m, err := l.readLinear(name, k, n, needBias)
	if err != nil {
		l.err = err
		return nil
	}
	l.model.matrices = append(l.model.matrices, Named{name, m})
	return m
}

func (l *loader) readLinear(name string, k, n int, needBias bool) (*kernel.Matrix, error) {
	var bias []float32
	if needBias || l.files.has(name+".bias") {
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

// packed finds the codes, the zero points and the scales of a matrix.
func (l *loader) packed(name string) (parts [3]Tensor, err error) {
	for i, suffix := range []string{".qweight", ".qzeros", ".scales"} {
		if parts[i], err = l.files.get(name + suffix); err != nil {
			return parts, err
		}
		if t := parts[i]; i < 2 && t.DType != "I32" {
			return parts, &Error{Kind: ErrUnsupported, File: t.File, Tensor: t.Name, Reason: "packed in " + t.DType + ", only I32 is supported"}
		}
	}
	return parts, nil
}

// quantized reads a matrix of codes. The tensors' own shapes decide what they are.
func (l *loader) quantized(name string, k, n int, bias []float32) (*kernel.Matrix, error) {
	parts, err := l.packed(name)
	if err != nil {
		return nil, err
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
	bits, groupSize := l.declared(name)
	if bits != 0 && bits != shape.Bits {
		// The tensors could be run all the same, but a checkpoint that contradicts
		// itself is not proved by a text.
		return nil, badTensor(qweight, "%d-bit codes, but %s says bits %d", shape.Bits, l.quant.File, bits)
	}
	q.Bits, q.K, q.N, q.G = shape.Bits, shape.K, shape.N, shape.G
	if q.GroupSize = groupSize; !shape.Fits(q.GroupSize) {
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
