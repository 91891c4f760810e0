package gptq

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Golden words of the 3-bit stream, worked out by hand from the definition in
// IST-DASLab/gptq quant.py: 32 values in three words, values 10 and 21 split.
func TestPack3BitGolden(t *testing.T) {
	fill := func(f func(i int) uint8) []uint8 {
		v := make([]uint8, 32)
		for i := range v {
			v[i] = f(i)
		}
		return v
	}
	tests := []struct {
		name   string
		values []uint8
		words  []uint32
	}{
		{"i mod 8", fill(func(i int) uint8 { return uint8(i % 8) }), []uint32{0x88FAC688, 0xC688FAC6, 0xFAC688FA}},
		{"all 3, the symmetric zero of v1", fill(func(int) uint8 { return 3 }), []uint32{0xDB6DB6DB, 0xB6DB6DB6, 0x6DB6DB6D}},
		{"all 4, the symmetric zero of v2", fill(func(int) uint8 { return 4 }), []uint32{0x24924924, 0x49249249, 0x92492492}},
		{"value 10 spans words 0 and 1", fill(func(i int) uint8 { return map[bool]uint8{true: 7}[i == 10] }), []uint32{0xC0000000, 1, 0}},
		{"value 21 spans words 1 and 2", fill(func(i int) uint8 { return map[bool]uint8{true: 7}[i == 21] }), []uint32{0, 0x80000000, 3}},
	}
	for _, tt := range tests {
		if got := PackRows(tt.values, 3, 32, 1); !slices.Equal(got, tt.words) {
			t.Errorf("%s: PackRows = %08X, want %08X", tt.name, got, tt.words)
		}
		if got := PackCols(tt.values, 3, 1, 32); !slices.Equal(got, tt.words) {
			t.Errorf("%s: PackCols = %08X, want %08X", tt.name, got, tt.words)
		}
		if got := UnpackRows(tt.words, 3, 32, 1); !slices.Equal(got, tt.values) {
			t.Errorf("%s: UnpackRows = %d", tt.name, got)
		}
		if got := UnpackCols(tt.words, 3, 1, 32); !slices.Equal(got, tt.values) {
			t.Errorf("%s: UnpackCols = %d", tt.name, got)
		}
	}
}

// bitAt is the definition: bit j of value i is bit i*bits+j of the stream.
func bitAt(words []uint32, stride, bit int) uint8 {
	return uint8(words[bit/32*stride] >> (bit % 32) & 1)
}

func TestPackIsOneBitStream(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, bits := range []int{2, 3, 4, 8} {
		// 40 rows do not fill their last word at 3 bits.
		for _, dim := range [][2]int{{32, 5}, {64, 32}, {96, 1}, {40, 3}} {
			k, n := dim[0], dim[1]
			codes := make([]uint8, k*n)
			for i := range codes {
				codes[i] = uint8(rnd.UintN(1 << bits))
			}
			rows, cols := PackRows(codes, bits, k, n), PackCols(codes, bits, n, k)
			for i := range k {
				for c := range n {
					for j := range bits {
						if got, want := bitAt(rows[c:], n, i*bits+j), codes[i*n+c]>>j&1; got != want {
							t.Fatalf("%d bits %v: PackRows bit %d of (%d, %d) is %d, want %d", bits, dim, j, i, c, got, want)
						}
						width := Words(k, bits)
						if got, want := bitAt(cols[c*width:], 1, i*bits+j), codes[c*k+i]>>j&1; got != want {
							t.Fatalf("%d bits %v: PackCols bit %d of (%d, %d) is %d, want %d", bits, dim, j, c, i, got, want)
						}
					}
				}
			}
			if got := UnpackRows(rows, bits, k, n); !slices.Equal(got, codes) {
				t.Errorf("%d bits %v: UnpackRows is not the inverse", bits, dim)
			}
			if got := UnpackCols(cols, bits, n, k); !slices.Equal(got, codes) {
				t.Errorf("%d bits %v: UnpackCols is not the inverse", bits, dim)
			}
		}
	}
}

func TestSymmetricZeroWords(t *testing.T) {
	tests := []struct {
		bits   int
		word   uint32
		format ZeroFormat
	}{
		{2, 0x55555555, ZeroV1}, {4, 0x77777777, ZeroV1}, {8, 0x7F7F7F7F, ZeroV1},
		{2, 0xAAAAAAAA, ZeroV2}, {4, 0x88888888, ZeroV2}, {8, 0x80808080, ZeroV2},
	}
	for _, tt := range tests {
		n := 32 / tt.bits
		if got, ok := SymFormat([]uint32{tt.word}, tt.bits, 1, n); !ok || got != tt.format {
			t.Errorf("SymFormat(%08X, %d bits) = %d, %v", tt.word, tt.bits, got, ok)
		}
		for _, z := range ZeroPoints([]uint32{tt.word}, tt.bits, 1, n, tt.format) {
			if int(z) != SymZero(tt.bits) {
				t.Errorf("%d bits, format %d: zero %d, want %d", tt.bits, tt.format, z, SymZero(tt.bits))
			}
		}
	}
	if got, ok := SymFormat([]uint32{0xDB6DB6DB, 0xB6DB6DB6, 0x6DB6DB6D}, 3, 1, 32); !ok || got != ZeroV1 {
		t.Errorf("SymFormat of the 3-bit v1 words = %d, %v", got, ok)
	}
	for _, word := range []uint32{0x77777778, 0x66666666, 0xFFFFFFFF} { // differing, equal but odd, all ones
		if got, ok := SymFormat([]uint32{word}, 4, 1, 8); ok {
			t.Errorf("SymFormat(%08X) = %d", word, got)
		}
	}
	if _, ok := SymFormat(nil, 4, 0, 8); ok {
		t.Error("SymFormat of nothing")
	}
}

func TestZeroRules(t *testing.T) {
	// Fields 0..7 store 15, 5, 0, … : a stored 15 can only mean zero 0.
	word := uint32(0x0000005F)
	if got, want := ZeroPoints([]uint32{word}, 4, 1, 8, ZeroV1), []uint8{0, 6, 1, 1, 1, 1, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("v1: got %d, want %d", got, want)
	}
	if got, want := ZeroPoints([]uint32{word}, 4, 1, 8, ZeroV2), []uint8{15, 5, 0, 0, 0, 0, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("v2: got %d, want %d", got, want)
	}
	// GPTQModel subtracts 0x11… from the whole word: zeros 0, 5 become
	// 0x50 - 0x11 = 0x3F, which only the add with carry undoes.
	zeros := []uint8{0, 5, 1, 2, 3, 0, 15, 9}
	stored := PackCols(zeros, 4, 1, 8)[0] - 0x11111111
	if got := ZeroPoints([]uint32{stored}, 4, 1, 8, ZeroV1Carry); !slices.Equal(got, zeros) {
		t.Errorf("carry: got %d, want %d", got, zeros)
	}
	// At 3 bits GPTQModel works on fields, so the rule is that of v1.
	if got, want := ZeroPoints([]uint32{0, 0, 7 << 29}, 3, 1, 32, ZeroV1Carry), ZeroPoints([]uint32{0, 0, 7 << 29}, 3, 1, 32, ZeroV1); !slices.Equal(got, want) || got[31] != 0 {
		t.Errorf("3 bits: got %d, want %d", got, want)
	}
}

// FuzzPack: packing what was unpacked gives the words back.
func FuzzPack(f *testing.F) {
	f.Add(uint8(3), []byte{0x88, 0xC6, 0xFA, 0x88, 0xC6, 0xFA, 0x88, 0xC6, 0xFA, 0x88, 0xC6, 0xFA})
	f.Add(uint8(8), []byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, width uint8, raw []byte) {
		bits := []int{2, 3, 4, 8}[width%4]
		words, err := Words32(raw[:len(raw)&^3])
		if err != nil {
			t.Fatal(err)
		}
		words = words[:len(words)/bits*bits] // whole blocks of 32 values
		n := len(words) * 32 / bits
		if got := PackCols(UnpackCols(words, bits, 1, n), bits, 1, n); !slices.Equal(got, words) {
			t.Errorf("columns: got %08X, want %08X", got, words)
		}
		if got := PackRows(UnpackRows(words, bits, n, 1), bits, n, 1); !slices.Equal(got, words) {
			t.Errorf("rows: got %08X, want %08X", got, words)
		}
	})
}
