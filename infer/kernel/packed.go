package kernel

import (
	"encoding/binary"
	"slices"

	"github.com/qbranch/qbranch/quant/gptq"
)

// packed is a quantised matrix as the integer kernels read it: words of 2, 4 or 8
// bits, inputs sorted by group, every group beginning a word. Most files are
// like that and are read where they lie. Act-order with groups and 3 bits are
// not; their codes are moved once, 3 bits into 4.
type packed struct {
	in    *inputs
	n     int
	words []byte     // (in.rows, n) uint32
	q     *Quantized // scales and zeros
	zero  int32      // that of every group and column; −1 = they differ
}

// inputs is the order in which a matrix takes its inputs, slot by slot, and how
// slots are divided.
type inputs struct {
	bits   int     // of a slot's code
	k      int     // inputs
	rows   int     // of words, of 32/bits slots each
	perm   []int32 // (slots) the input of each slot, −1 = none; nil = slot i is input i
	blocks []block
}

// block is what is summed in one go: rows of words that lie in one group and in
// one container.
type block struct{ row, rows, group int32 }

// containerSlots is how many slots share one scale of their activations.
const containerSlots = 128

func (in *inputs) perWord() int    { return 32 / in.bits }
func (in *inputs) slots() int      { return in.rows * in.perWord() }
func (in *inputs) containers() int { return (in.slots() + containerSlots - 1) / containerSlots }

// container is where a block's activations are: the container, and the row in it.
func (in *inputs) container(b block) (c, row int) {
	rows := containerSlots / in.perWord()
	return int(b.row) / rows, int(b.row) % rows
}

// MoveVersion changes with the places that codes are moved to: what was stored by
// another version is of no use.
const MoveVersion = 1

// Prepare makes a quantised matrix ready for integer products. Mul does it where
// it was not done before. A memory fault on the way leaves it as it was.
func (m *Matrix) Prepare() *packed {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.packed != nil {
		return m.packed
	}
	p := plan(m.q)
	p.zero = m.q.uniformZero()
	if p.words == nil && m.stored != nil {
		if words := m.stored(); len(words) == p.size() {
			p.words = words
		}
	}
	if p.words == nil {
		p.words = make([]byte, p.size())
		p.moveCodes(fastest)
	}
	m.packed = p
	return p
}

// MovedBytes is what the codes of a quantised matrix take once they are moved, 0
// where they are read as they lie in the file.
func (m *Matrix) MovedBytes() int {
	if m.q == nil {
		return 0
	}
	if p := plan(m.q); p.words == nil {
		return p.size()
	}
	return 0
}

// Move writes the moved codes to dst, MovedBytes of it.
func (m *Matrix) Move(dst []byte) {
	p := plan(m.q)
	clear(dst)
	p.words = dst[:p.size()]
	p.moveCodes(fastest)
}

// Stored gives what Move wrote before, to be read instead of moving codes again.
// It is called when the matrix is first used, and may return nil.
func (m *Matrix) Stored(words func() []byte) { m.stored = words }

// plan is a packed matrix without its zero, and without words where codes have to
// be moved.
func plan(q *Quantized) *packed {
	p := &packed{n: q.N, q: q}
	if q.Bits != 3 && q.sorted() {
		p.in = &inputs{bits: q.Bits, k: q.K, rows: gptq.Words(q.K, q.Bits)}
		p.in.divide(q.group)
		p.words = q.QWeight
		return p
	}
	p.in = regroup(q)
	return p
}

// size is the length of words.
func (p *packed) size() int { return 4 * p.in.rows * p.n }

// sorted reports whether groups follow each other, and change only between words.
func (q *Quantized) sorted() bool {
	for k := 1; k < q.K; k++ {
		before, g := q.group(k-1), q.group(k)
		if g < before || g != before && k%(32/q.Bits) != 0 {
			return false
		}
	}
	return true
}

// regroup sorts inputs by group, and lets each group begin a word.
func regroup(q *Quantized) *inputs {
	in := &inputs{bits: max(q.Bits, 4), k: q.K}
	if q.Bits == 2 {
		in.bits = 2
	}
	members := make([][]int32, q.G)
	for k := range q.K {
		g := q.group(k)
		members[g] = append(members[g], int32(k))
	}
	var groups []int32 // of each slot
	for g, list := range members {
		for len(list)%in.perWord() != 0 {
			list = append(list, -1)
		}
		in.perm = append(in.perm, list...)
		groups = append(groups, slices.Repeat([]int32{int32(g)}, len(list))...)
	}
	in.rows = len(in.perm) / in.perWord()
	in.divide(func(slot int) int32 { return groups[slot] })
	return in
}

// divide makes blocks; group is that of a slot.
func (in *inputs) divide(group func(slot int) int32) {
	perWord := in.perWord()
	for row := range in.rows {
		g := group(row * perWord)
		n := len(in.blocks)
		if n > 0 && in.blocks[n-1].group == g && row*perWord%containerSlots != 0 {
			in.blocks[n-1].rows++
			continue
		}
		in.blocks = append(in.blocks, block{row: int32(row), rows: 1, group: g})
	}
}

// move is one code, or a part of it, on its way from a word of the file to a word
// of packed; the fields are read by assembly.
type move struct {
	from  int64  // bytes to the row of words that it is in
	shift uint32 // to its place there
	mask  uint32 // of its bits, at the bottom
	to    uint64 // its place in the new word
}

// moves lists the codes of every row of new words.
func (p *packed) moves() [][]move {
	bits, perWord := p.q.Bits, p.in.perWord()
	mask := uint32(1)<<bits - 1
	all := make([][]move, p.in.rows)
	list := make([]move, 0, 2*len(p.in.perm)) // shared, to allocate once
	for row := range all {
		first := len(list)
		for i, k := range p.in.perm[row*perWord:][:perWord] {
			if k < 0 {
				continue
			}
			from, shift, to := int64(int(k)*bits/32*4*p.n), int(k)*bits%32, i*p.in.bits
			list = append(list, move{from: from, shift: uint32(shift), mask: mask, to: uint64(to)})
			if over := shift + bits - 32; over > 0 { // the code ends in the next word
				list = append(list, move{from: from + int64(4*p.n), mask: mask >> (bits - over), to: uint64(to + bits - over)})
			}
		}
		all[row] = list[first:]
	}
	return all
}

// moveCols is how many columns of codes are moved before the next ones: as many
// as let all their rows, which are read out of order, stay in a cache.
const moveCols = 128

// moveCodes fills words from the file's.
func (p *packed) moveCodes(isa *instructions) {
	moves := p.moves()
	for n0 := 0; n0 < p.n; n0 += moveCols {
		cols := min(moveCols, p.n-n0)
		full := cols / lanes * lanes
		if isa.gather == nil {
			full = 0
		}
		for row, list := range moves {
			dst, src := p.words[4*(row*p.n+n0):][:4*cols], p.q.QWeight[4*n0:]
			if full > 0 {
				isa.gather(dst[:4*full], src, list)
			}
			if full < cols {
				gatherGo(dst[4*full:], src[4*full:], list)
			}
		}
	}
}

// gatherGo is the kernel gather.
func gatherGo(dst, src []byte, moves []move) {
	clear(dst)
	for _, m := range moves {
		from := src[m.from:][:len(dst)]
		for i := 0; i < len(dst); i += 4 {
			v := binary.LittleEndian.Uint32(from[i:]) >> (m.shift & 31) & m.mask << (m.to & 31)
			binary.LittleEndian.PutUint32(dst[i:], binary.LittleEndian.Uint32(dst[i:])|v)
		}
	}
}

// uniformZero returns the zero point where all groups and columns have the same,
// as in every symmetric checkpoint, else −1.
func (q *Quantized) uniformZero() int32 {
	var first [32]int32
	n := min(q.N, len(first))
	q.readZeros(first[:n], 0, 0)
	for _, z := range first[1:n] {
		if z != first[0] {
			return -1
		}
	}
	// All words are then the first one, or the three that hold 32 fields of 3 bits;
	// a last word that is not full may hold anything and costs a slower path.
	period := 4 * gptq.Words(32, q.Bits)
	if q.Bits != 3 {
		period = 4
	}
	if len(q.QZeros) < period || !repeats(q.QZeros, period) {
		return -1
	}
	return first[0]
}

// repeats reports whether data repeats its first period bytes.
func repeats(data []byte, period int) bool {
	const chunk = 3 << 12
	first := data[:min(chunk, len(data))/period*period]
	for i := period; i < len(first); i++ {
		if first[i] != first[i-period] {
			return false
		}
	}
	for ; len(data) > len(first); data = data[len(first):] {
		if string(data[:len(first)]) != string(first) {
			return false
		}
	}
	return string(data) == string(first[:len(data)])
}
