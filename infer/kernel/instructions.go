package kernel

// The generators are a module of their own: see _asm/README.md.
//
//go:generate go -C _asm run ./avx2 -out ../avx2_amd64.s -stubs ../avx2_amd64.go -pkg kernel
//go:generate go -C _asm run ./avx512 -out ../avx512_amd64.s -stubs ../avx512_amd64.go -pkg kernel
//go:generate go -C _asm run ./arm64

import "encoding/binary"

// instructions are the kernels in one instruction set. Columns and vectors are
// given in multiples of 16. The plain Go ones are the slow twins of the rest:
// integers are exact, and operations on floats follow one order, so all sets give
// the same bits.
type instructions struct {
	name string

	// round and arrange prepare a container of activations.
	round   func(ints *[containerSlots]int16, values *[containerSlots]float32, most float32) float32
	arrange func(dst *[containerBytes]byte, ints *[containerSlots]int16, bits int)

	// dot adds the products of rows of words by a container's activations to acc;
	// x begins at the row of the container. Rows lie stride bytes apart, and
	// those ahead bytes further will be read next.
	dot func(bits int) func(acc []int32, w []byte, stride, rows int, x []byte, ahead int)

	// finish is y += (acc − zeros·sum)·scale·scales, and acc = 0.
	finish func(y []float32, acc, zeros []int32, scales []float32, scale float32, sum int32)

	// regions is how many stretches of a container hold what rows of words are
	// multiplied with, four bytes a row in each; 0 = all that a row needs follows
	// each other, two bytes a slot.
	regions func(bits int) int

	// half converts float16 values; those ahead bytes further will be next.
	half func(dst []float32, src []byte, ahead int)

	// gather sets dst to (src[from:] >> shift & mask) << to of all moves, word by
	// word; nil = plain Go.
	gather func(dst, src []byte, moves []move)

	// unpack and tile are for batches of tokens; nil = one by one. unpack writes
	// the codes of rows of words in 64 columns, one byte or two each, and tile
	// does dot and finish for every token with them.
	unpack func(bits int) func(tile []byte, w []byte, stride, rows int)
	tile   func(y []float32, tile []byte, x []byte, d *tileJob)

	// Vectors: inner products with values as they are stored, dst += src,
	// dst *= src, x *= factor, dst = src·scale·weight, the largest of x, x =
	// exp(x − top) and its sum, x = x·sigmoid(x), and the same with GELU by tanh. A NaN in x need not be the
	// largest: its exponential is NaN all the same.
	dotF32          func(a, b []float32) float32
	dotF16, dotBF16 func(a []float32, b []byte) float32
	dotRawF32       func(a []float32, b []byte) float32
	add, multiply   func(dst, src []float32)
	scale           func(x []float32, factor float32)
	norm            func(dst, src, weight []float32, scale float32)
	largest         func(x []float32) float32
	expSum          func(x []float32, top float32) float32
	silu, geluTanh  func(x []float32)

	// Attention, for 1 or 4 heads with the same keys. keyDots sets scores, rows
	// of stride, to queries, (heads, dim), times keys, (positions/16, dim, 16), times
	// their scales, (positions). valueSum sets out, (heads, dim), to the sum of n
	// values, (n, dim), times their weights, rows of stride.
	keyDots  func(heads int) func(scores []float32, stride int, q []float32, dim int, keys []int16, scales []float32)
	valueSum func(heads int) func(out []float32, dim int, weights []float32, stride, n int, values []int16)

	// The float path: dst = scale·(code − zero), the codes being where shift and
	// mask say in each word, and y += x·tile, rows of 64 columns, four at a time.
	dequantRow func(dst, scale, zero []float32, words []uint32, shift uint64, mask uint32)
	addProduct func(y, x, tile []float32)

	// read reads a multiple of 512 bytes, to measure how fast that is, and returns
	// them or-ed together.
	read func(p []byte) byte
}

var goInstructions = &instructions{
	name: "go", regions: func(int) int { return 0 }, round: roundGo, arrange: arrangeGo, finish: finishGo, half: halfGo,
	dotF32: dotGo, add: addGo, multiply: multiplyGo, scale: scaleGo, norm: normGo, largest: largestGo, expSum: expSumGo, silu: siluGo, geluTanh: geluTanhGo,
	dotF16:     func(a []float32, b []byte) float32 { return dotStored(a, b, typeF16) },
	dotBF16:    func(a []float32, b []byte) float32 { return dotStored(a, b, typeBF16) },
	dotRawF32:  func(a []float32, b []byte) float32 { return dotStored(a, b, typeF32) },
	keyDots:    byHeads(keyDots1Go, keyDots4Go),
	valueSum:   byHeads(valueSum1Go, valueSum4Go),
	dequantRow: dequantRowGo, addProduct: addProductGo,
	read: readGo,
	dot:  byBits(dot2Go, dot4Go, dot8Go),
}

// readGo is the kernel read.
func readGo(p []byte) byte {
	var a, b uint64
	for ; len(p) >= 16; p = p[16:] {
		a |= binary.LittleEndian.Uint64(p)
		b |= binary.LittleEndian.Uint64(p[8:])
	}
	a |= b
	a |= a >> 32
	a |= a >> 16
	return byte(a | a>>8)
}

// byBits is the choice of one of three kernels by the bits of a code.
func byBits[F any](two, four, eight F) func(bits int) F {
	return func(bits int) F {
		switch bits {
		case 2:
			return two
		case 4:
			return four
		}
		return eight
	}
}

// byHeads is the choice of one of two kernels by the heads it computes together.
func byHeads[F any](one, together F) func(heads int) F {
	return func(heads int) F {
		if heads == togetherHeads {
			return together
		}
		return one
	}
}
