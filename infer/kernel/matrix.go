package kernel

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/qbranch/qbranch/quant/gptq"
)

// Matrix is one Linear, K inputs to N outputs, ready to be multiplied by. It
// refers to the stored bytes and is immutable.
type Matrix struct {
	K, N int
	bias []float32 // (N), or nil
	q    *Quantized
	d    Floats // (N, K) when q is nil

	mu     sync.Mutex
	packed *packed       // of q, for integer products; nil until it is needed
	stored func() []byte // codes that were moved before, see Stored
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

	groups []int32 // (K), checked; nil = in sequence
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
// means that the writer knew no act-order: rows are in sequence, and groups stays
// nil, as it does where g_idx says the same.
func (q *Quantized) readGroups() error {
	if q.GIdx == nil {
		return nil
	}
	if len(q.GIdx) != 4*q.K {
		return fmt.Errorf("g_idx holds %d bytes, want %d", len(q.GIdx), 4*q.K)
	}
	zero, sequence := true, true
	groups := make([]int32, q.K) // a copy, since the file may change after it was checked
	for k := range groups {
		g := int32(binary.LittleEndian.Uint32(q.GIdx[4*k:]))
		if g < 0 || int(g) >= q.G {
			return fmt.Errorf("g_idx: row %d points at group %d of %d", k, g, q.G)
		}
		groups[k] = g
		zero = zero && g == 0
		sequence = sequence && g == q.group(k)
	}
	if !zero && !sequence {
		q.groups = groups
	}
	return nil
}

// group is that of row k.
func (q *Quantized) group(k int) int32 {
	switch {
	case q.groups != nil:
		return q.groups[k]
	case q.GroupSize > 0:
		return int32(k / q.GroupSize)
	}
	return 0
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
