package kernel

import "encoding/binary"

// tileJob is what a tile is multiplied with; the fields are read by assembly.
type tileJob struct {
	regions     int // of a container, or of its planes
	regionBytes int // from a region to the next one
	rows        int // of words, 4 bytes in each region
	tokens      int
	xStride     int // bytes from a token's activations to the next one's
	scaleStep   int // values from a token's scale to the next one's
	sumStep     int
	scale       []float32 // of the activations
	sums        []int32   // of the activations
	scales      []float32 // (64) of the matrix
	zeros       []int32   // (64)
}

func dot4Go(acc []int32, w []byte, stride, rows int, x []byte, _ int) {
	for r := range rows {
		var q [8]int32
		for i := range q {
			q[i] = int32(int16(binary.LittleEndian.Uint16(x[16*r+2*i:])))
		}
		row := w[r*stride:][:4*len(acc)]
		for i := range acc {
			v := binary.LittleEndian.Uint32(row[4*i:])
			acc[i] += q[0]*int32(v&15) + q[1]*int32(v>>4&15) + q[2]*int32(v>>8&15) + q[3]*int32(v>>12&15) +
				q[4]*int32(v>>16&15) + q[5]*int32(v>>20&15) + q[6]*int32(v>>24&15) + q[7]*int32(v>>28)
		}
	}
}

func dot8Go(acc []int32, w []byte, stride, rows int, x []byte, _ int) {
	for r := range rows {
		var q [4]int32
		for i := range q {
			q[i] = int32(int16(binary.LittleEndian.Uint16(x[8*r+2*i:])))
		}
		row := w[r*stride:][:4*len(acc)]
		for i := range acc {
			acc[i] += q[0]*int32(row[4*i]) + q[1]*int32(row[4*i+1]) + q[2]*int32(row[4*i+2]) + q[3]*int32(row[4*i+3])
		}
	}
}

func dot2Go(acc []int32, w []byte, stride, rows int, x []byte, _ int) {
	for r := range rows {
		var q [16]int32
		for i := range q {
			q[i] = int32(int16(binary.LittleEndian.Uint16(x[32*r+2*i:])))
		}
		row := w[r*stride:][:4*len(acc)]
		for i := range acc {
			v := binary.LittleEndian.Uint32(row[4*i:])
			sum := acc[i]
			for j, q := range q {
				sum += q * int32(v>>(2*j)&3)
			}
			acc[i] = sum
		}
	}
}

func finishGo(y []float32, acc, zeros []int32, scales []float32, scale float32, sum int32) {
	acc, zeros, scales = acc[:len(y)], zeros[:len(y)], scales[:len(y)]
	for i := range y {
		y[i] += float32(float32(float32(acc[i]-zeros[i]*sum)*scale) * scales[i])
		acc[i] = 0
	}
}

func halfGo(dst []float32, src []byte, _ int) {
	for i := range dst {
		dst[i] = half(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

const (
	lanes    = 16  // columns come in multiples of it
	intCols  = 512 // columns of a part of a product with few tokens
	tileCols = 64  // and of a batch
	passRows = 8   // rows of words read side by side: more would crowd the cache's sets
	fewMost  = 3   // tokens that are computed one by one
)

// xOffset is where a row of words begins in a container.
func (isa *instructions) xOffset(bits, row int) int {
	if isa.regions(bits) > 0 {
		return 4 * row
	}
	return 2 * (32 / bits) * row
}

func (j *product) batched() bool { return j.tokens > fewMost && j.isa.tile != nil }

func (j *product) intCols() int {
	if j.batched() {
		return tileCols
	}
	return intCols
}

// intScratch is what a goroutine needs for integer products.
type intScratch struct {
	acc     []int32   // (tokens, columns)
	y       []float32 // (tokens, columns)
	scales  []float32 // (columns) of one group
	zeros   []int32
	tail    [passRows * 4 * lanes]byte // the last few columns, filled up
	tile    []byte
	narrow  []byte // a block of fewer than 64 columns, filled up
	tileJob tileJob
	group   int32 // that scales and zeros are of; −1 = none
}

func (s *intScratch) take(tokens, cols int) {
	s.acc, s.y = grow(s.acc, tokens*cols), grow(s.y, tokens*cols)
	s.scales, s.zeros = grow(s.scales, cols), grow(s.zeros, cols)
	clear(s.acc)
	clear(s.y)
	s.group = -1
}

// part computes some columns for a few tokens, without bias.
func (p *packed) part(isa *instructions, s *scratch, a *activations, y []float32, tokens, n0, cols int) {
	c := &s.int
	padded := (cols + lanes - 1) / lanes * lanes
	c.take(tokens, padded)
	dot := isa.dot(p.in.bits)
	stride := 4 * p.n
	for i, b := range p.in.blocks {
		p.loadGroup(isa, c, b.group, n0, cols)
		container, row := p.in.container(b)
		for done := 0; done < int(b.rows); done += passRows {
			rows := min(passRows, int(b.rows)-done)
			at := isa.xOffset(p.in.bits, row+done)
			w := p.words[(int(b.row)+done)*stride+4*n0:]
			ahead := passRows * stride
			if int(b.row)+done+passRows >= p.in.rows { // nothing comes after
				ahead = 0
			}
			for t := range tokens {
				x := a.container(t, container)[at:]
				acc := c.acc[t*padded:][:padded]
				if full := cols / lanes * lanes; full == cols {
					dot(acc, w, stride, rows, x, ahead)
				} else {
					dot(acc[:full], w, stride, rows, x, ahead)
					dot(acc[full:], c.copyTail(w, stride, rows, full, cols), 4*lanes, rows, x, 0)
				}
			}
		}
		for t := range tokens {
			isa.finish(c.y[t*padded:][:padded], c.acc[t*padded:][:padded], c.zeros, c.scales,
				a.scales[t*p.in.containers()+container], a.sums[t*len(p.in.blocks)+i])
		}
	}
	for t := range tokens {
		copy(y[t*p.n+n0:][:cols], c.y[t*padded:])
	}
}

// copyTail copies the columns from full to cols of a few rows, 16 a row.
func (s *intScratch) copyTail(w []byte, stride, rows, full, cols int) []byte {
	for r := range rows {
		copy(s.tail[4*lanes*r:], w[r*stride+4*full:r*stride+4*cols])
	}
	return s.tail[:]
}

// loadGroup reads scales and zeros of a group, unless they are there.
func (p *packed) loadGroup(isa *instructions, s *intScratch, group int32, n0, cols int) {
	if s.group == group {
		return
	}
	q := p.q
	if q.Scales.dtype == typeF16 && cols%lanes == 0 {
		isa.half(s.scales[:cols], q.Scales.raw[2*(int(group)*q.N+n0):], 2*q.N)
	} else {
		q.Scales.Read(s.scales[:cols], int(group)*q.N+n0)
	}
	switch {
	case p.zero < 0:
		q.readZeros(s.zeros[:cols], int(group), n0)
	case s.group < 0:
		for i := range s.zeros {
			s.zeros[i] = p.zero
		}
	}
	s.group = group
}

// copyNarrow copies a block of fewer than 64 columns, 64 a row.
func (s *intScratch) copyNarrow(w []byte, stride, rows, cols int) []byte {
	s.narrow = grow(s.narrow, 4*tileCols*rows)
	for r := range rows {
		copy(s.narrow[4*tileCols*r:], w[r*stride:][:4*cols])
	}
	return s.narrow
}

// batchPart computes at most tileCols columns for many tokens, without bias.
func (p *packed) batchPart(isa *instructions, s *scratch, a *activations, y []float32, tokens, n0, cols int) {
	c := &s.int
	c.take(tokens, tileCols)
	c.tile = grow(c.tile, 2*containerSlots*tileCols)
	unpack := isa.unpack(p.in.bits)
	stride, containers := 4*p.n, p.in.containers()
	d := &c.tileJob
	*d = tileJob{regions: isa.regions(p.in.bits), regionBytes: 16 * p.in.bits, tokens: tokens, xStride: containers * containerBytes,
		scales: c.scales, zeros: c.zeros, scaleStep: containers, sumStep: len(p.in.blocks)}
	for i, b := range p.in.blocks {
		p.loadGroup(isa, c, b.group, n0, cols)
		container, row := p.in.container(b)
		d.rows, d.scale, d.sums = int(b.rows), a.scales[container:], a.sums[i:]
		w := p.words[int(b.row)*stride+4*n0:]
		if cols == tileCols {
			unpack(c.tile, w, stride, d.rows)
		} else {
			unpack(c.tile, c.copyNarrow(w, stride, d.rows, cols), 4*tileCols, d.rows)
		}
		isa.tile(c.y, c.tile, a.bytes[container*containerBytes+isa.xOffset(p.in.bits, row):], d)
	}
	for t := range tokens {
		copy(y[t*p.n+n0:][:cols], c.y[t*tileCols:])
	}
}
