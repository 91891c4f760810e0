package kernel

// arrangePlanesGo arranges integers for kernels that multiply bytes: an integer
// is 128·hi + lo, the hi bytes fill the first half of a container, the lo bytes
// the second. Within each the bytes of a region follow each other, four for every
// row of words: slots 0, 8/bits, 16/bits and 24/bits of the word, then in the next
// region those after them.
func arrangePlanesGo(dst *[containerBytes]byte, ints *[containerSlots]int16, bits int) {
	perWord, regions := 32/bits, 8/bits
	for slot, q := range ints {
		row, in := slot/perWord, slot%perWord
		at := in%regions*16*bits + 4*row + in/regions
		hi := (q + 64) >> 7
		dst[at], dst[containerSlots+at] = byte(hi), byte(q-hi<<7)
	}
}
