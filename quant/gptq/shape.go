package gptq

// Shape is what the tensors of a Linear say about it, without any
// configuration file.
type Shape struct {
	Bits int // code width, 1 to 8: not necessarily a supported one
	K, N int // inputs, outputs
	G    int // groups
}

// DeriveShape recovers a Shape from the shapes of qweight [Words(K), N],
// qzeros [G, Words(N)] and scales [G, N]; gidx is nil where there is no g_idx
// [K]. The error is a [*Error].
func DeriveShape(qweight, qzeros, scales, gidx []int64) (Shape, error) {
	for _, t := range []struct {
		name string
		dims []int64
	}{{"qweight", qweight}, {"qzeros", qzeros}, {"scales", scales}} {
		if len(t.dims) != 2 || t.dims[0] <= 0 || t.dims[1] <= 0 || t.dims[0] > maxDim || t.dims[1] > maxDim {
			return Shape{}, errorf(t.name, "shape %v is not that of a matrix", t.dims)
		}
	}
	if gidx != nil && (len(gidx) != 1 || gidx[0] <= 0 || gidx[0] > maxDim) {
		return Shape{}, errorf("g_idx", "shape %v is not that of a vector", gidx)
	}
	if qweight[1] != scales[1] {
		return Shape{}, errorf("qweight", "%d columns, scales have %d", qweight[1], scales[1])
	}
	if qzeros[0] != scales[0] {
		return Shape{}, errorf("qzeros", "%d groups, scales have %d", qzeros[0], scales[0])
	}
	s := Shape{N: int(scales[1]), G: int(scales[0])}
	for bits := 1; bits <= 8; bits++ {
		if Words(s.N, bits) != int(qzeros[1]) {
			continue
		}
		s.Bits, s.K = bits, int(qweight[0])*32/bits
		if gidx == nil {
			return s, nil
		}
		// K need not fill its last word: g_idx knows it exactly.
		if s.K = int(gidx[0]); Words(s.K, bits) == int(qweight[0]) {
			return s, nil
		}
	}
	if s.Bits == 0 {
		return Shape{}, errorf("qzeros", "%d words for %d columns are no code width", qzeros[1], s.N)
	}
	return Shape{}, errorf("g_idx", "%d rows, but %d words of qweight hold %d at %d bits", gidx[0], qweight[0], int(qweight[0])*32/s.Bits, s.Bits)
}

// Fits says whether a group size gives this number of groups. -1 and any size
// from K upwards mean one group.
func (s Shape) Fits(groupSize int) bool {
	if groupSize == -1 {
		return s.G == 1
	}
	return groupSize > 0 && s.G == (s.K-1)/groupSize+1
}

// GroupSize is the most plausible group size: -1 for one group, K/G where it
// divides, else the power of two that fits, else the smallest that fits; 0 when
// none does.
func (s Shape) GroupSize() int {
	if s.G == 1 {
		return -1
	}
	if s.K%s.G == 0 {
		return s.K / s.G
	}
	for size := 1; size < s.K; size *= 2 {
		if s.Fits(size) {
			return size
		}
	}
	if size := (s.K-1)/s.G + 1; s.Fits(size) {
		return size
	}
	return 0
}
