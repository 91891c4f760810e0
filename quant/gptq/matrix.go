package gptq

import "fmt"

// Matrix is one quantised Linear as stored.
type Matrix struct {
	Bits      int // 2, 3, 4 or 8
	GroupSize int // -1 = one group for all K rows
	K, N      int // inputs, outputs
	G         int // groups, ceil(K/GroupSize)

	QWeight []uint32   // (Words(K, Bits), N)
	QZeros  []uint32   // (G, Words(N, Bits))
	Scales  []float32  // (G, N)
	GIdx    []int32    // (K) row → group; nil = sequential
	Zeros   ZeroFormat // how QZeros is read
}

// Error says what is wrong with a matrix.
type Error struct {
	Field  string // "qweight", "qzeros", "scales", "g_idx", "bits" or "group_size"
	Reason string // with values
}

// Error is the field and the reason.
func (e *Error) Error() string { return fmt.Sprintf("gptq %s: %s", e.Field, e.Reason) }

// Hint says what to do next.
func (e *Error) Hint() string {
	return "the checkpoint's tensors contradict one another: verify the files, then ask whoever made it"
}

func errorf(field, format string, args ...any) *Error {
	return &Error{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// maxDim bounds K and N: the largest Linear ever published is far below, and
// products of two such numbers stay within an int64.
const maxDim = 1 << 24

// Validate checks every length and every index, so that nothing that reads the
// matrix afterwards can leave its slices. The error is a [*Error].
func (m *Matrix) Validate() error {
	if !Supported(m.Bits) {
		return errorf("bits", "%d bits are not 2, 3, 4 or 8", m.Bits)
	}
	if m.K <= 0 || m.N <= 0 || m.K > maxDim || m.N > maxDim {
		return errorf("qweight", "a matrix of %d×%d", m.K, m.N)
	}
	s := Shape{Bits: m.Bits, K: m.K, N: m.N, G: m.G}
	if !s.Fits(m.GroupSize) {
		return errorf("group_size", "%d groups do not follow from %d rows in groups of %d", m.G, m.K, m.GroupSize)
	}
	if want := Words(m.K, m.Bits) * m.N; len(m.QWeight) != want {
		return errorf("qweight", "%d words, want %d", len(m.QWeight), want)
	}
	if want := m.G * Words(m.N, m.Bits); len(m.QZeros) != want {
		return errorf("qzeros", "%d words, want %d", len(m.QZeros), want)
	}
	if want := m.G * m.N; len(m.Scales) != want {
		return errorf("scales", "%d values, want %d", len(m.Scales), want)
	}
	if m.GIdx == nil {
		return nil
	}
	if len(m.GIdx) != m.K {
		return errorf("g_idx", "%d rows, want %d", len(m.GIdx), m.K)
	}
	for row, g := range m.GIdx {
		if g < 0 || int(g) >= m.G {
			return errorf("g_idx", "row %d points at group %d of %d", row, g, m.G)
		}
	}
	return nil
}

// Groups gives the group of each row, (K). A missing g_idx is sequential, and
// so is one of all zeros beside more than one group: writers before act-order
// left it that way. Call it on a valid matrix.
func (m *Matrix) Groups() []int32 {
	if m.GIdx != nil && !(m.G > 1 && allZero(m.GIdx)) {
		return m.GIdx
	}
	groups := make([]int32, m.K)
	if m.GroupSize > 0 {
		for row := range groups {
			groups[row] = int32(row / m.GroupSize)
		}
	}
	return groups
}

func allZero(gidx []int32) bool {
	for _, g := range gidx {
		if g != 0 {
			return false
		}
	}
	return true
}

// Dequantize returns W as (K, N): the slow twin of every kernel. Each product is
// exact in float32: a scale has at most 11 significant bits and code−zero at
// most 9. Note that the weight of a PyTorch Linear is the transpose, (N, K).
func Dequantize(m *Matrix) ([]float32, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	codes := UnpackRows(m.QWeight, m.Bits, m.K, m.N)
	zeros := ZeroPoints(m.QZeros, m.Bits, m.G, m.N, m.Zeros)
	w := make([]float32, m.K*m.N)
	for row, g := range m.Groups() {
		base := int(g) * m.N
		for col := range m.N {
			q := int(codes[row*m.N+col]) - int(zeros[base+col])
			w[row*m.N+col] = m.Scales[base+col] * float32(q)
		}
	}
	return w, nil
}
