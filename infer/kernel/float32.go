package kernel

import (
	"encoding/binary"

	"github.com/qbranch/qbranch/quant/gptq"
)

const (
	blockCols = 64 // columns that one goroutine works on at a time
	tileRows  = 32 // rows unpacked at a time: whole words at every width
)

// floatScratch is what a goroutine needs for float32 products.
type floatScratch struct {
	floats []float32
	words  [maxWords][blockCols]uint32 // the words of one tile
}

// maxWords is the number of word rows that hold tileRows codes of 8 bits.
const maxWords = 8

func (s *floatScratch) take(n int) []float32 {
	if len(s.floats) < n {
		s.floats = make([]float32, n)
	}
	return s.floats[:n]
}

// floatPart computes y[t][n] for some columns and all tokens, without bias.
func (m *Matrix) floatPart(s *scratch, x, y []float32, tokens, n0, cols int) {
	if m.q == nil {
		m.denseBlock(&s.float, x, y, tokens, n0, cols)
		return
	}
	for t := range tokens {
		clear(y[t*m.N+n0:][:cols])
	}
	m.q.block(&s.float, x, y, tokens, n0, cols)
}

func (m *Matrix) denseBlock(s *floatScratch, x, y []float32, tokens, n0, cols int) {
	if tokens == 1 {
		for n := n0; n < n0+cols; n++ {
			y[n] = m.d.dot(x[:m.K], n*m.K)
		}
		return
	}
	row := s.take(m.K)
	for n := n0; n < n0+cols; n++ {
		m.d.Read(row, n*m.K)
		for t := range tokens {
			y[t*m.N+n] = Dot(x[t*m.K:][:m.K], row)
		}
	}
}

// block adds x·W to y for cols columns from n0 on, a multiple of blockCols.
func (q *Quantized) block(s *floatScratch, x, y []float32, tokens, n0, cols int) {
	space := s.take(tileRows*blockCols + 2*q.G*blockCols)
	tile, space := space[:tileRows*blockCols], space[tileRows*blockCols:]
	scales, zeros := space[:q.G*blockCols], space[q.G*blockCols:]
	for g := range q.G {
		q.Scales.Read(scales[g*blockCols:][:cols], g*q.N+n0)
		var z [blockCols]int32
		q.readZeros(z[:cols], g, n0)
		for i, v := range z[:cols] {
			zeros[g*blockCols+i] = float32(v)
		}
	}
	for k0 := 0; k0 < q.K; k0 += tileRows {
		rows := min(tileRows, q.K-k0)
		q.unpack(s, tile, scales, zeros, k0, rows, n0, cols)
		for t := range tokens {
			addProduct(y[t*q.N+n0:][:cols], x[t*q.K+k0:][:rows], tile)
		}
	}
}

// readZeros decodes the zero points of group g for len(dst) columns from n0 on.
func (q *Quantized) readZeros(dst []int32, g, n0 int) {
	width := gptq.Words(q.N, q.Bits)
	row := q.QZeros[4*g*width:][:4*width]
	mask := uint32(1)<<q.Bits - 1
	carry, plus := uint32(0), uint32(1) // v1 stores zero−1
	switch {
	case q.Zeros == gptq.ZeroV2:
		plus = 0
	case q.Zeros == gptq.ZeroV1Carry && q.Bits != 3: // the 1 is added to whole words
		carry, plus = ^uint32(0)/mask, 0
	}
	if q.Bits == 4 && n0%8 == 0 {
		n := len(dst) / 8 * 8
		readZeros4(dst[:n], row[n0/2:], carry, plus)
		dst, n0 = dst[n:], n0+n
	}
	for i := range dst {
		at := (n0 + i) * q.Bits
		word, shift := at/32, at%32
		v := (binary.LittleEndian.Uint32(row[4*word:]) + carry) >> shift
		if shift+q.Bits > 32 { // a code that ends in the next word, which 3 bits have
			v |= binary.LittleEndian.Uint32(row[4*word+4:]) << (32 - shift)
		}
		dst[i] = int32((v + plus) & mask)
	}
}

// readZeros4 is readZeros for whole words of 4 bits.
func readZeros4(dst []int32, words []byte, carry, plus uint32) {
	for ; len(dst) >= 8; dst, words = dst[8:], words[4:] {
		v := binary.LittleEndian.Uint32(words) + carry
		d := (*[8]int32)(dst)
		d[0], d[1] = int32((v+plus)&15), int32((v>>4+plus)&15)
		d[2], d[3] = int32((v>>8+plus)&15), int32((v>>12+plus)&15)
		d[4], d[5] = int32((v>>16+plus)&15), int32((v>>20+plus)&15)
		d[6], d[7] = int32((v>>24+plus)&15), int32((v>>28+plus)&15)
	}
}

// unpack dequantises rows k0… of cols columns into tile, (tileRows, blockCols).
// k0 is a multiple of tileRows and so begins a word.
func (q *Quantized) unpack(s *floatScratch, tile, scales, zeros []float32, k0, rows, n0, cols int) {
	first := k0 / 32 * q.Bits
	for w := range gptq.Words(rows, q.Bits) {
		src := q.QWeight[4*((first+w)*q.N+n0):][:4*cols]
		for i := range cols {
			s.words[w][i] = binary.LittleEndian.Uint32(src[4*i:])
		}
	}
	mask := uint32(1)<<q.Bits - 1
	for r := range rows {
		word, shift := r*q.Bits/32, uint(r*q.Bits%32)
		g := int(q.group(k0+r)) * blockCols
		dst := tile[r*blockCols:][:cols]
		scale, zero := scales[g:][:cols], zeros[g:][:cols]
		lo := s.words[word][:cols]
		if shift+uint(q.Bits) <= 32 {
			n := cols / lanes * lanes
			if n > 0 {
				fastest.dequantRow(dst[:n], scale, zero, lo, uint64(shift), mask)
			}
			dequantRowGo(dst[n:], scale[n:], zero[n:], lo[n:], uint64(shift), mask)
		} else {
			dequantSplit(dst, scale, zero, lo, s.words[word+1][:cols], shift, mask)
		}
	}
}

// dequantRowGo is W = scale·(code − zero) for one row whose codes lie within a word.
func dequantRowGo(dst, scale, zero []float32, words []uint32, shift uint64, mask uint32) {
	scale, zero, words = scale[:len(dst)], zero[:len(dst)], words[:len(dst)]
	for i := range dst {
		code := float32(int32(words[i] >> (shift & 31) & mask))
		dst[i] = scale[i] * (code - zero[i])
	}
}

// dequantSplit is dequantRowGo for codes that lie across two words.
func dequantSplit(dst, scale, zero []float32, lo, hi []uint32, shift uint, mask uint32) {
	scale, zero, lo, hi = scale[:len(dst)], zero[:len(dst)], lo[:len(dst)], hi[:len(dst)]
	for i := range dst {
		code := float32(int32((lo[i]>>(shift&31) | hi[i]<<((32-shift)&31)) & mask))
		dst[i] = scale[i] * (code - zero[i])
	}
}

// addProduct is y += x·tile for len(x) rows.
func addProduct(y, x, tile []float32) {
	if len(y)%lanes == 0 && len(x)%4 == 0 {
		fastest.addProduct(y, x, tile)
		return
	}
	addProductGo(y, x, tile)
}

// addProductGo is addProduct, four rows at a time and then those left.
func addProductGo(y, x, tile []float32) {
	n := len(y)
	k := 0
	for ; k+4 <= len(x); k += 4 {
		x0, x1, x2, x3 := x[k], x[k+1], x[k+2], x[k+3]
		w0 := tile[k*blockCols:][:n]
		w1 := tile[(k+1)*blockCols:][:n]
		w2 := tile[(k+2)*blockCols:][:n]
		w3 := tile[(k+3)*blockCols:][:n]
		for i := range y {
			a := float32(x0*w0[i]) + float32(x1*w1[i])
			b := float32(x2*w2[i]) + float32(x3*w3[i])
			y[i] += a + b
		}
	}
	for ; k < len(x); k++ {
		w := tile[k*blockCols:][:n]
		for i := range y {
			y[i] += float32(x[k] * w[i])
		}
	}
}
