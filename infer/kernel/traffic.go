package kernel

import "sync/atomic"

// bytes is what one multiplication reads of the matrix: codes as they lie in
// memory, scales, zero points unless all are the same, and bias.
func (m *Matrix) bytes(c Compute) int64 {
	n := 4 * int64(len(m.bias))
	if m.q == nil {
		return n + m.d.Bytes()
	}
	n += m.q.Scales.Bytes()
	if c == Float32 {
		return n + int64(len(m.q.QWeight)+len(m.q.QZeros))
	}
	p := m.Prepare()
	if p.zero < 0 {
		n += int64(len(m.q.QZeros))
	}
	return n + int64(len(p.words))
}

// Regions calls f with the bytes that multiplying will read of the matrix, where
// they lie; the codes left out if they have to be moved and are not yet.
func (m *Matrix) Regions(f func([]byte)) {
	if m.q == nil {
		f(m.d.raw)
		return
	}
	m.mu.Lock()
	p := m.packed
	m.mu.Unlock()
	switch {
	case p != nil:
		f(p.words)
	case m.MovedBytes() == 0:
		f(m.q.QWeight)
	}
	f(m.q.Scales.raw)
	f(m.q.QZeros)
}

// Bytes is the size of the stored values.
func (f Floats) Bytes() int64 { return int64(len(f.raw)) }

// Touched is what multiplying has read of matrices so far, in bytes: each one as
// often as it was multiplied, for whatever number of tokens.
func (p *Pool) Touched() int64 { return p.touched }

// readPart is what one goroutine takes at a time of what Read reads.
const readPart = 1 << 20

// Read reads all of data once, on all goroutines, as fast as memory gives it: the
// most that anything that reads its weights from memory can reach. It returns all
// bytes, but those after the last whole 512, or-ed together.
func (p *Pool) Read(data []byte) (byte, error) {
	var sum atomic.Uint32
	err := p.Run((len(data)+readPart-1)/readPart, func(part int) {
		at := part * readPart
		if n := min(readPart, len(data)-at) / 512 * 512; n > 0 {
			sum.Or(uint32(p.isa.read(data[at : at+n])))
		}
	})
	return byte(sum.Load()), err
}
