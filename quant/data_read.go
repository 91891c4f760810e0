package quant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math"

	"github.com/qbranch/qbranch/quant/gptq"
)

// worker reads one tensor after the other; what it works with is made once.
type worker struct {
	d    *dataChecker
	ctx  context.Context
	buf  []byte // (chunk)
	hist *histogram
	cols []int64 // (N) sums of the scales of each output of one matrix
	rows []int32 // (groups) rows of each group of one g_idx
	sum  hash.Hash
	sym  map[gptq.Shape][2][]byte // a row of qzeros as symmetric files of v1 and v2 have it, by bits and N
}

func newWorker(ctx context.Context, d *dataChecker) *worker {
	return &worker{d: d, ctx: ctx, buf: make([]byte, chunk), hist: new(histogram), sum: sha256.New(), sym: map[gptq.Shape][2][]byte{}}
}

// read finds out everything about a module, or about one other tensor.
func (w *worker) read(f *facts) error {
	if f.plain != nil {
		return w.readPlain(f)
	}
	for _, read := range []func(*facts) error{w.readCodes, w.readScales, w.readGroups, w.readZeros, w.readBias} {
		if err := read(f); err != nil {
			return err
		}
	}
	return nil
}

// stream calls visit with successive pieces of a tensor, each a multiple of 8
// bytes but for the last; at is the offset of a piece in the tensor. It ends
// when visit returns false.
func (w *worker) stream(t *placed, visit func(at int64, piece []byte) bool) error {
	r := w.d.readers[t.file]
	for at := int64(0); at < t.Size; {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		piece := w.buf[:min(int64(len(w.buf)), t.Size-at)]
		if n, err := r.ReadAt(piece, t.Offset+at); n < len(piece) {
			return fmt.Errorf("reading tensor %q of %s at byte %d: %w", t.Name, t.file, t.Offset+at+int64(n), noEOF(err))
		}
		if !visit(at, piece) {
			return nil
		}
		at += int64(len(piece))
	}
	return nil
}

// noEOF: the header promised the bytes, so the end of the file is unexpected.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// histogram counts codes without unpacking them one by one. Codes of 2, 4 and 8
// bits never cross a byte, so bytes are counted. Of the 32 codes of 3 bits in
// three words, ten lie whole in each word: these are counted by halves of five,
// and the two that cross words are left out.
type histogram struct {
	bytes [4][256]uint32
	fives [1 << 15]uint32
}

// addBytes counts the bytes of a piece. Neighbours go to different tables, so
// that equal ones do not wait for one another.
func (h *histogram) addBytes(p []byte) {
	for len(p) >= 8 {
		w := binary.LittleEndian.Uint64(p)
		h.bytes[0][byte(w)]++
		h.bytes[1][byte(w>>8)]++
		h.bytes[2][byte(w>>16)]++
		h.bytes[3][byte(w>>24)]++
		h.bytes[0][byte(w>>32)]++
		h.bytes[1][byte(w>>40)]++
		h.bytes[2][byte(w>>48)]++
		h.bytes[3][byte(w>>56)]++
		p = p[8:]
	}
	for _, b := range p {
		h.bytes[0][b]++
	}
}

// addFives counts words of 3-bit codes whose first whole code begins at bit.
func (h *histogram) addFives(p []byte, bit int) {
	for ; len(p) >= 4; p = p[4:] {
		w := binary.LittleEndian.Uint32(p) >> bit
		h.fives[w&(1<<15-1)]++
		h.fives[w>>15&(1<<15-1)]++
	}
}

// addRows counts a piece of qweight, whose rows of n words are packed along the
// columns: of 3 bits, three rows make one block.
func (h *histogram) addRows(bits, n int, at int64, p []byte) {
	if bits != 3 {
		h.addBytes(p)
		return
	}
	row := int64(n) * 4
	for len(p) > 0 {
		part := p[:min(int64(len(p)), row-at%row)]
		h.addFives(part, int(at/row%3))
		at, p = at+int64(len(part)), p[len(part):]
	}
}

// addCols counts a piece of qzeros, whose rows of width words are packed along
// the row: of 3 bits, three words make one block.
func (h *histogram) addCols(bits, width int, at int64, p []byte) {
	if bits != 3 {
		h.addBytes(p)
		return
	}
	for word := at / 4; len(p) >= 4; word, p = word+1, p[4:] {
		h.addFives(p[:4], int(word%int64(width)%3))
	}
}

// codes gives what was counted, code by code, and starts again.
func (h *histogram) codes(bits int) (count [256]int64) {
	if bits == 3 {
		for v, n := range h.fives {
			if n == 0 {
				continue
			}
			for i := 0; i < 15; i += 3 {
				count[v>>i&7] += int64(n)
			}
		}
		clear(h.fives[:])
		return count
	}
	for v := range 256 {
		n := int64(h.bytes[0][v]) + int64(h.bytes[1][v]) + int64(h.bytes[2][v]) + int64(h.bytes[3][v])
		for i := 0; n > 0 && i < 8; i += bits {
			count[v>>i&gptq.MaxCode(bits)] += n
		}
	}
	h.bytes = [4][256]uint32{}
	return count
}

// onlyRows compares a piece with a row that is repeated from the tensor's start.
func onlyRows(row []byte, at int64, p []byte) bool {
	for len(p) > 0 {
		part := row[at%int64(len(row)):]
		part = part[:min(len(part), len(p))]
		if !bytes.Equal(part, p[:len(part)]) {
			return false
		}
		at, p = at+int64(len(part)), p[len(part):]
	}
	return true
}

// finite says that no value of a piece is infinite or no number. It looks at
// eight bytes at a time: adding to what differs from an exponent of all ones
// sets the top bit of each value unless nothing differs.
func finite(dtype string, p []byte) bool {
	exponents, most := uint64(0x7C00_7C00_7C00_7C00), uint64(0x7FFF_7FFF_7FFF_7FFF)
	switch dtype {
	case "BF16":
		exponents = 0x7F80_7F80_7F80_7F80
	case "F32":
		exponents, most = 0x7F80_0000_7F80_0000, 0x7FFF_FFFF_7FFF_FFFF
	}
	all := ^uint64(0)
	for ; len(p) >= 8; p = p[8:] {
		w := binary.LittleEndian.Uint64(p)
		all &= (w&exponents ^ exponents) + most
	}
	if len(p) > 0 {
		var last [8]byte // zeros, which are finite
		copy(last[:], p)
		all &= (binary.LittleEndian.Uint64(last[:])&exponents ^ exponents) + most
	}
	return all&^most == ^most
}

// valueAt is the i-th value of a piece, by the rules of its type.
func valueAt(dtype string, p []byte, i int) float32 {
	switch dtype {
	case "F16":
		return gptq.F16ToF32(binary.LittleEndian.Uint16(p[2*i:]))
	case "BF16":
		return gptq.BF16ToF32(binary.LittleEndian.Uint16(p[2*i:]))
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(p[4*i:]))
}
