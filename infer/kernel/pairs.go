package kernel

import "encoding/binary"

// arrangePairsGo arranges integers for kernels that multiply pairs of them: slots
// r and r+16/bits of a word make region r, whose pairs, four bytes for every row
// of words, follow each other.
func arrangePairsGo(dst *[containerBytes]byte, ints *[containerSlots]int16, bits int) {
	perWord, regions := 32/bits, 16/bits
	for slot, q := range ints {
		row, in := slot/perWord, slot%perWord
		at := in%regions*16*bits + 4*row + in/regions*2
		binary.LittleEndian.PutUint16(dst[at:], uint16(q))
	}
}
