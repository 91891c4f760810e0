package gptq

// ZeroFormat says how the fields of qzeros give the zero points.
type ZeroFormat int

const (
	// ZeroV1 stores zero−1 in every field: checkpoint_format "gptq", or none.
	// A field of all ones can only mean zero 0, so a reader takes
	// (field+1) modulo 2^bits. Source: AutoGPTQ QuantLinear.pack.
	ZeroV1 ZeroFormat = iota
	// ZeroV2 stores the zero itself: checkpoint_format "gptq_v2" and "gptq_p".
	ZeroV2
	// ZeroV1Carry is what GPTQModel makes of an asymmetric v1 file of 2, 4 or
	// 8 bits: it subtracts a packed constant of ones from whole words, with
	// borrow into the next field, so the exact inverse adds it with carry.
	// Source: GPTQModel utils/model.py.
	ZeroV1Carry
)

// SymZero is the zero point of symmetric quantisation, 2^(bits−1).
func SymZero(bits int) int { return 1 << (bits - 1) }

// ZeroPoints reads qzeros, (g, Words(n, bits)) words, into (g, n) zero points.
// The caller has checked the length.
func ZeroPoints(qzeros []uint32, bits, g, n int, format ZeroFormat) []uint8 {
	if format == ZeroV1Carry && bits != 3 {
		ones := uint32(0)
		for at := 0; at < 32; at += bits {
			ones |= 1 << at
		}
		words := make([]uint32, len(qzeros))
		for i, w := range qzeros {
			words[i] = w + ones
		}
		return UnpackCols(words, bits, g, n)
	}
	zeros := UnpackCols(qzeros, bits, g, n)
	if format == ZeroV2 {
		return zeros
	}
	for i, z := range zeros {
		zeros[i] = (z + 1) & uint8(MaxCode(bits))
	}
	return zeros
}

// SymFormat recognises symmetric zeros by the data: all fields 2^(bits−1)−1
// (v1) or all 2^(bits−1) (v2). Some files carry the wrong label, so for a
// symmetric checkpoint the data decides. ok is false when the fields differ,
// which means asymmetric or damaged.
func SymFormat(qzeros []uint32, bits, g, n int) (format ZeroFormat, ok bool) {
	fields := UnpackCols(qzeros, bits, g, n)
	for _, f := range fields {
		if f != fields[0] {
			return 0, false
		}
	}
	switch {
	case len(fields) == 0:
		return 0, false
	case int(fields[0]) == SymZero(bits)-1:
		return ZeroV1, true
	case int(fields[0]) == SymZero(bits):
		return ZeroV2, true
	}
	return 0, false
}
