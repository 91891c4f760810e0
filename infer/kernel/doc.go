// Package kernel multiplies activations by the weights of a checkpoint as they
// lie in its files, and does the rest of a decoder's arithmetic on vectors.
//
//	Pool.Mul     y[t] = x[t]·W + bias for a batch of t tokens and several W with one input
//	Pool.Attend  attention over the keys and values of a layer (KV)
//	Pool.Run     parts of a task on several goroutines
//	Floats       half-precision values read where they are
//	RMSNorm, SiLU, Softmax, Add, …
//	Catch        memory faults of mapped files as errors
//
// # Integers
//
// Int16, the default, rounds the activations of every 128 inputs to 15 bits and
// multiplies them by the codes in integers:
//
//	y[n] += (Σ q·code[n] − zero[n]·Σ q) · scale of the activations · scale[n]
//
// once for every block of rows within one group. The parenthesis is exact, so the
// rounding of activations is all that differs from float32. Files are read as they
// lie: a row of words holds 32/bits inputs of every column, and a register of words
// gives codes of 16 columns with a shift and a mask. Only act-order with groups
// (inputs of a word in several groups) and 3 bits (codes across words) are put in
// order first, once (packed.go); the order of inputs is then that of the
// activations.
//
//	activations.go  rounding, one scale for 128 slots
//	packed.go       the order of inputs, blocks, re-packing
//	integer.go      the loops, and their slow twins
//	planes.go, pairs.go   how an instruction set wants activations arranged
//
// A product of few tokens is split into stretches of columns; eight rows of words
// are read side by side, which gives memory several places to fetch from, and the
// next eight are asked for meanwhile. A batch unpacks 64 columns of a block once
// and multiplies all tokens by them.
//
// Float32 dequantises tiles exactly as gptq.Dequantize does (float32.go).
//
// # Instruction sets
//
// Every kernel is a field of instructions. The plain Go ones are the slow twins;
// generated assembly (folder _asm, a module of its own) stands beside them for
// AVX2, AVX-512 with VNNI, and arm64 with dot products. Integers are exact and
// sums of floats have one order, with products added in one rounding (fma32) or
// rounded first, so that all sets give the same bits, which tests hold them to.
// QBRANCH_CPU chooses a set by name, and the tag purego leaves out assembly.
//
// # Guarantees
//
// Results do not depend on the number of threads, on how tokens are batched, nor
// on the machine. Nothing is allocated per call once a Pool has grown its scratch
// space. Every index that a kernel follows was checked when its matrix was made,
// and a mapped file that shrinks gives ErrFault.
package kernel
