package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/qbranch/qbranch/quant/gptq"
)

const (
	blockCols = 64 // columns that one goroutine works on at a time
	tileRows  = 32 // rows unpacked at a time: whole words at every width
)

// Matrix is one Linear, K inputs to N outputs, ready to be multiplied by. It
// refers to the stored bytes and is immutable.
type Matrix struct {
	K, N int
	bias []float32 // (N), or nil
	q    *Quantized
	d    Floats // (N, K) when q is nil
}

// Quantized describes a GPTQ Linear by its stored bytes, little-endian.
type Quantized struct {
	Bits, K, N, G int
	GroupSize     int // -1 = one group; used where GIdx is nil

	QWeight []byte // (Words(K), N) uint32
	QZeros  []byte // (G, Words(N)) uint32
	Scales  Floats // (G, N)
	GIdx    []byte // (K) int32, nil = row/GroupSize
	Zeros   gptq.ZeroFormat

	groups []int32 // (K), checked
}

// NewQuantized checks every length and index, so that multiplying cannot leave
// the slices, and returns the matrix. bias is (N) or nil.
func NewQuantized(q Quantized, bias []float32) (*Matrix, error) {
	shape := gptq.Shape{Bits: q.Bits, K: q.K, N: q.N, G: q.G}
	if !gptq.Supported(q.Bits) {
		return nil, fmt.Errorf("%d bits are not 2, 3, 4 or 8", q.Bits)
	}
	if q.K <= 0 || q.N <= 0 || !shape.Fits(q.GroupSize) {
		return nil, fmt.Errorf("%d groups do not follow from %d rows in groups of %d", q.G, q.K, q.GroupSize)
	}
	for _, c := range []struct {
		name      string
		got, want int
	}{
		{"qweight", len(q.QWeight), 4 * gptq.Words(q.K, q.Bits) * q.N},
		{"qzeros", len(q.QZeros), 4 * q.G * gptq.Words(q.N, q.Bits)},
		{"scales", q.Scales.Len(), q.G * q.N},
	} {
		if c.got != c.want {
			return nil, fmt.Errorf("%s holds %d, want %d", c.name, c.got, c.want)
		}
	}
	if bias != nil && len(bias) != q.N {
		return nil, fmt.Errorf("bias holds %d values, want %d", len(bias), q.N)
	}
	if err := q.readGroups(); err != nil {
		return nil, err
	}
	return &Matrix{K: q.K, N: q.N, bias: bias, q: &q}, nil
}

// readGroups settles the group of each row. All zeros beside more than one group
// means that the writer knew no act-order: rows are in sequence.
func (q *Quantized) readGroups() error {
	q.groups = make([]int32, q.K)
	if q.GIdx != nil {
		if len(q.GIdx) != 4*q.K {
			return fmt.Errorf("g_idx holds %d bytes, want %d", len(q.GIdx), 4*q.K)
		}
		zero := true
		for k := range q.groups {
			g := int32(binary.LittleEndian.Uint32(q.GIdx[4*k:]))
			if g < 0 || int(g) >= q.G {
				return fmt.Errorf("g_idx: row %d points at group %d of %d", k, g, q.G)
			}
			q.groups[k] = g
			zero = zero && g == 0
		}
		if !zero || q.G == 1 {
			return nil
		}
	}
	for k := range q.groups {
		if q.GroupSize > 0 {
			q.groups[k] = int32(k / q.GroupSize)
		}
	}
	return nil
}

// NewDense wraps an unquantised weight (n, k) as PyTorch stores it.
func NewDense(k, n int, weight Floats, bias []float32) (*Matrix, error) {
	if k <= 0 || n <= 0 || weight.Len() != k*n {
		return nil, fmt.Errorf("weight holds %d values, want %d×%d", weight.Len(), n, k)
	}
	if bias != nil && len(bias) != n {
		return nil, fmt.Errorf("bias holds %d values, want %d", len(bias), n)
	}
	return &Matrix{K: k, N: n, bias: bias, d: weight}, nil
}

// blocks is the number of parts that Mul splits a matrix into.
func (m *Matrix) blocks() int { return (m.N + blockCols - 1) / blockCols }

// scratchSize is the number of floats a goroutine needs.
func (m *Matrix) scratchSize() int {
	if m.q == nil {
		return m.K
	}
	return tileRows*blockCols + 2*m.q.G*blockCols
}

// scratch is what one goroutine works in; it grows to what the largest matrix
// needs and is then reused.
type scratch struct {
	floats []float32
	words  [maxWords][blockCols]uint32 // the words of one tile
}

// maxWords is the number of word rows that hold tileRows codes of 8 bits.
const maxWords = 8

func (s *scratch) take(n int) []float32 {
	if len(s.floats) < n {
		s.floats = make([]float32, n)
	}
	return s.floats[:n]
}

// mulBlock computes y[t][n] for one block of columns and all tokens.
func (m *Matrix) mulBlock(s *scratch, x, y []float32, tokens, block int) {
	n0 := block * blockCols
	cols := min(blockCols, m.N-n0)
	if m.q == nil {
		m.denseBlock(s, x, y, tokens, n0, cols)
	} else {
		for t := range tokens {
			clear(y[t*m.N+n0:][:cols])
		}
		m.q.block(s, x, y, tokens, n0, cols)
	}
	if m.bias == nil {
		return
	}
	bias := m.bias[n0:][:cols]
	for t := range tokens {
		for i, v := range y[t*m.N+n0:][:cols] {
			y[t*m.N+n0+i] = v + bias[i]
		}
	}
}

func (m *Matrix) denseBlock(s *scratch, x, y []float32, tokens, n0, cols int) {
	row := s.take(m.scratchSize())[:m.K]
	for n := n0; n < n0+cols; n++ {
		m.d.Read(row, n*m.K)
		for t := range tokens {
			y[t*m.N+n] = Dot(x[t*m.K:][:m.K], row)
		}
	}
}

// block adds x·W to y for cols columns from n0 on, a multiple of blockCols.
func (q *Quantized) block(s *scratch, x, y []float32, tokens, n0, cols int) {
	space := s.take(tileRows*blockCols + 2*q.G*blockCols)
	tile, space := space[:tileRows*blockCols], space[tileRows*blockCols:]
	scales, zeros := space[:q.G*blockCols], space[q.G*blockCols:]
	for g := range q.G {
		q.Scales.Read(scales[g*blockCols:][:cols], g*q.N+n0)
		q.readZeros(zeros[g*blockCols:][:cols], g, n0)
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
func (q *Quantized) readZeros(dst []float32, g, n0 int) {
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
	for i := range dst {
		at := (n0 + i) * q.Bits
		word, shift := at/32, at%32
		v := (binary.LittleEndian.Uint32(row[4*word:]) + carry) >> shift
		if shift+q.Bits > 32 { // a code that ends in the next word, which 3 bits have
			v |= binary.LittleEndian.Uint32(row[4*word+4:]) << (32 - shift)
		}
		dst[i] = float32((v + plus) & mask)
	}
}

// unpack dequantises rows k0… of cols columns into tile, (tileRows, blockCols).
// k0 is a multiple of tileRows and so begins a word.
func (q *Quantized) unpack(s *scratch, tile, scales, zeros []float32, k0, rows, n0, cols int) {
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
		g := int(q.groups[k0+r]) * blockCols
		dst := tile[r*blockCols:][:cols]
		scale, zero := scales[g:][:cols], zeros[g:][:cols]
		lo := s.words[word][:cols]
		if shift+uint(q.Bits) <= 32 {
			dequantRow(dst, scale, zero, lo, shift, mask)
		} else {
			dequantSplit(dst, scale, zero, lo, s.words[word+1][:cols], shift, mask)
		}
	}
}

// dequantRow is W = scale·(code − zero) for one row whose codes lie within a word.
func dequantRow(dst, scale, zero []float32, words []uint32, shift uint, mask uint32) {
	scale, zero, words = scale[:len(dst)], zero[:len(dst)], words[:len(dst)]
	for i := range dst {
		code := float32(int32(words[i] >> (shift & 31) & mask))
		dst[i] = scale[i] * (code - zero[i])
	}
}

// dequantSplit is dequantRow for codes that lie across two words.
func dequantSplit(dst, scale, zero []float32, lo, hi []uint32, shift uint, mask uint32) {
	scale, zero, lo, hi = scale[:len(dst)], zero[:len(dst)], lo[:len(dst)], hi[:len(dst)]
	for i := range dst {
		code := float32(int32((lo[i]>>(shift&31) | hi[i]<<((32-shift)&31)) & mask))
		dst[i] = scale[i] * (code - zero[i])
	}
}

// addProduct is y += x·tile for len(x) rows, four at a time.
func addProduct(y, x, tile []float32) {
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

// Dot is the inner product of two vectors of the same length, in an order that
// depends on the length alone.
func Dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += float32(a[i] * b[i])
		s1 += float32(a[i+1] * b[i+1])
		s2 += float32(a[i+2] * b[i+2])
		s3 += float32(a[i+3] * b[i+3])
	}
	for ; i < len(a); i++ {
		s0 += float32(a[i] * b[i])
	}
	return (s0 + s1) + (s2 + s3)
}
