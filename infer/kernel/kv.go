package kernel

// KV holds the keys or the values of one layer, position by position.
type KV struct {
	heads, dim int
	data       []float32 // (room, heads·dim)
}

// NewKV is for heads vectors of dim values a position.
func NewKV(c Compute, heads, dim int) *KV { return &KV{heads: heads, dim: dim} }

// Grow makes room for n positions; what is there stays.
func (c *KV) Grow(n int) {
	width := c.heads * c.dim
	if n*width > len(c.data) {
		c.data = append(make([]float32, 0, n*width), c.data...)[:n*width]
	}
}

// Put stores x, (positions, heads·dim), from position pos on.
func (c *KV) Put(pos int, x []float32) { copy(c.data[pos*c.heads*c.dim:], x) }

// Dots sets scores[i] = q · vector[first+i] of a head, where q is (dim).
func (c *KV) Dots(scores, q []float32, head, first int) {
	width := c.heads * c.dim
	data := c.data[head*c.dim:]
	for i := range scores {
		scores[i] = Dot(q, data[(first+i)*width:][:c.dim])
	}
}

// Sum sets out, (dim), to the sum of weights[i]·vector[first+i] of a head.
func (c *KV) Sum(out, weights []float32, head, first int) {
	width := c.heads * c.dim
	data := c.data[head*c.dim:]
	clear(out)
	for i, p := range weights {
		for j, v := range data[(first+i)*width:][:c.dim] {
			out[j] += float32(p * v)
		}
	}
}
