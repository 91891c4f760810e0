package kernel

import (
	"encoding/binary"
	"sync/atomic"
)

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

// Read reads all of data once, on all goroutines, as fast as memory gives it,
// and returns the sum of its 64-bit words, the bytes after the last whole one
// left out: the most that anything that reads its weights from memory can reach.
func (p *Pool) Read(data []byte) (uint64, error) {
	var sum atomic.Uint64
	err := p.Run((len(data)+readPart-1)/readPart, func(part int) {
		at := part * readPart
		sum.Add(sumWords(data[at:min(at+readPart, len(data))]))
	})
	return sum.Load(), err
}

// sumWords adds up 64-bit words, eight sums at a time so that none waits for
// another.
func sumWords(b []byte) uint64 {
	var s [8]uint64
	for ; len(b) >= 64; b = b[64:] {
		line := b[:64:64]
		s[0] += binary.LittleEndian.Uint64(line)
		s[1] += binary.LittleEndian.Uint64(line[8:])
		s[2] += binary.LittleEndian.Uint64(line[16:])
		s[3] += binary.LittleEndian.Uint64(line[24:])
		s[4] += binary.LittleEndian.Uint64(line[32:])
		s[5] += binary.LittleEndian.Uint64(line[40:])
		s[6] += binary.LittleEndian.Uint64(line[48:])
		s[7] += binary.LittleEndian.Uint64(line[56:])
	}
	for ; len(b) >= 8; b = b[8:] {
		s[0] += binary.LittleEndian.Uint64(b)
	}
	return s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7]
}
