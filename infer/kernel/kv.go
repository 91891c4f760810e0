package kernel

import "math"

// KV holds the keys or the values of one layer, position by position. On the
// integer paths a vector is 16-bit integers and a scale: half of float32, and as
// exact as the activations it comes from.
type KV struct {
	heads, dim int
	room       int // positions

	floats []float32 // (room, heads·dim), for Float32

	// Otherwise, for every head: keys lie in tiles of 16 positions, (room/16, dim, 16),
	// values by position, (room, dim).
	keys   bool
	ints   [][]int16   // (heads)
	scales [][]float32 // (heads)(room)
}

// tilePositions is how many positions the keys of a tile are of.
const tilePositions = 16

// NewKeys is for heads vectors of dim values a position that queries are
// multiplied with.
func NewKeys(c Compute, heads, dim int) *KV { return newKV(c, heads, dim, true) }

// NewValues is for those that are added up.
func NewValues(c Compute, heads, dim int) *KV { return newKV(c, heads, dim, false) }

func newKV(c Compute, heads, dim int, keys bool) *KV {
	kv := &KV{heads: heads, dim: dim, keys: keys}
	if c != Float32 {
		kv.ints, kv.scales = make([][]int16, heads), make([][]float32, heads)
	}
	return kv
}

// Bytes is what n positions take, all heads of them.
func (c *KV) Bytes(n int) int64 { return KVBytes(c.ints == nil, n, c.heads, c.dim) }

// KVBytes is what n positions of heads vectors of dim values take, in float32 or
// in integers.
func KVBytes(float bool, n, heads, dim int) int64 {
	if float {
		return int64(n) * int64(heads) * int64(dim) * 4
	}
	return int64(n) * int64(heads) * (int64(dim)*2 + 4)
}

// Grow makes room for n positions; what is there stays.
func (c *KV) Grow(n int) {
	// Kernels work on 16 positions at a time, from any one on.
	n = (n+tilePositions-1)/tilePositions*tilePositions + tilePositions
	if n <= c.room {
		return
	}
	c.room = n
	if c.ints == nil {
		c.floats = append(make([]float32, 0, n*c.heads*c.dim), c.floats...)[:n*c.heads*c.dim]
		return
	}
	for h := range c.ints {
		c.ints[h] = append(make([]int16, 0, n*c.dim), c.ints[h]...)[:n*c.dim]
		c.scales[h] = append(make([]float32, 0, n), c.scales[h]...)[:n]
	}
}

// Put stores x, (positions, heads·dim), from position pos on.
func (c *KV) Put(pos int, x []float32) {
	if c.ints == nil {
		copy(c.floats[pos*c.heads*c.dim:], x)
		return
	}
	for ; len(x) > 0; pos++ {
		for h := range c.heads {
			c.put(pos, h, x[:c.dim])
			x = x[c.dim:]
		}
	}
}

// put rounds one vector. One that is not finite gets the scale NaN.
func (c *KV) put(pos, head int, x []float32) {
	largest := largestBits(x)
	to, step := c.ints[head][pos*c.dim:], 1
	if c.keys {
		to, step = c.ints[head][pos/tilePositions*tilePositions*c.dim+pos%tilePositions:], tilePositions
	}
	const most = 32767
	top := math.Float32frombits(largest)
	inverse, scale := most/top, top/most
	switch {
	case largest >= 0x7F800000:
		inverse, scale = 0, float32(math.NaN())
		x = x[:0]
	case top < tiny:
		inverse, scale = 0, 0
	}
	for i, v := range x {
		to[i*step] = int16(math.RoundToEven(float64(v * inverse)))
	}
	c.scales[head][pos] = scale
}
