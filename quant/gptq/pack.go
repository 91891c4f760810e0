package gptq

// Supported says whether codes of this width are handled: 2, 3, 4 and 8 bits.
func Supported(bits int) bool { return bits == 2 || bits == 3 || bits == 4 || bits == 8 }

// MaxCode is the largest code of a width, 2^bits − 1.
func MaxCode(bits int) int { return 1<<bits - 1 }

// Words is the number of 32-bit words n codes of a width take.
func Words(n, bits int) int { return (n*bits + 31) / 32 }

// field reads value i of a bit stream whose word w is words[w*stride].
func field(words []uint32, stride, bits, i int) uint32 {
	word, shift := i*bits/32, i*bits%32
	v := words[word*stride] >> shift
	if shift+bits > 32 { // the value ends in the next word, which 3 bits do
		v |= words[(word+1)*stride] << (32 - shift)
	}
	return v & (1<<bits - 1)
}

// putField writes value i of a bit stream that is still zero there.
func putField(words []uint32, stride, bits, i int, v uint32) {
	word, shift := i*bits/32, i*bits%32
	words[word*stride] |= v << shift
	if shift+bits > 32 {
		words[(word+1)*stride] |= v >> (32 - shift)
	}
}

// UnpackRows reads qweight, (Words(k, bits), n) words packed along K, into
// (k, n) codes. The caller has checked the length.
func UnpackRows(qweight []uint32, bits, k, n int) []uint8 {
	codes := make([]uint8, k*n)
	for col := range n {
		for row := range k {
			codes[row*n+col] = uint8(field(qweight[col:], n, bits, row))
		}
	}
	return codes
}

// UnpackCols reads qzeros, (g, Words(n, bits)) words packed along N, into
// (g, n) fields as stored. The caller has checked the length.
func UnpackCols(qzeros []uint32, bits, g, n int) []uint8 {
	fields := make([]uint8, g*n)
	width := Words(n, bits)
	for group := range g {
		row := qzeros[group*width : (group+1)*width]
		for col := range n {
			fields[group*n+col] = uint8(field(row, 1, bits, col))
		}
	}
	return fields
}

// PackRows is the inverse of [UnpackRows].
func PackRows(codes []uint8, bits, k, n int) []uint32 {
	qweight := make([]uint32, Words(k, bits)*n)
	for col := range n {
		for row := range k {
			putField(qweight[col:], n, bits, row, uint32(codes[row*n+col]))
		}
	}
	return qweight
}

// PackCols is the inverse of [UnpackCols].
func PackCols(fields []uint8, bits, g, n int) []uint32 {
	width := Words(n, bits)
	qzeros := make([]uint32, g*width)
	for group := range g {
		for col := range n {
			putField(qzeros[group*width:(group+1)*width], 1, bits, col, uint32(fields[group*n+col]))
		}
	}
	return qzeros
}
