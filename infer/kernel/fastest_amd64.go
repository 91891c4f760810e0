//go:build amd64 && !purego

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// sets are the sets of instructions this machine has, the slowest first.
func sets() []*instructions {
	all := []*instructions{goInstructions}
	const f16c = 1 << 29
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && leaf1ECX()&f16c != 0 {
		all = append(all, avx2)
	}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VNNI {
		all = append(all, avx512)
	}
	return all
}

var avx2 = &instructions{
	name:    "avx2",
	regions: func(bits int) int { return 16 / bits },
	round: func(ints *[containerSlots]int16, values *[containerSlots]float32, most float32) float32 {
		return roundWith(ints, values, most, maxAbsAVX2(values), roundIntsAVX2)
	},
	arrange: func(dst *[containerBytes]byte, ints *[containerSlots]int16, bits int) {
		switch bits {
		case 2:
			arrange2AVX2(dst, ints)
		case 4:
			arrange4AVX2(dst, ints)
		default:
			arrange8AVX2(dst, ints)
		}
	},
	dot:    byBits(dot2AVX2, dot4AVX2, dot8AVX2),
	finish: finishAVX2,
	dotF32: dotF32AVX2, dotF16: dotF16AVX2, dotBF16: dotBF16AVX2, dotRawF32: dotRawF32AVX2,
	add: addAVX2, multiply: multiplyAVX2, scale: scaleAVX2, norm: normAVX2, largest: largestAVX2, expSum: expSumAVX2, silu: siluAVX2, geluTanh: geluTanhAVX2,
	keyDots:    byHeads(keyDots1AVX2, keyDots4AVX2),
	valueSum:   byHeads(valueSum1AVX2, valueSum4AVX2),
	dequantRow: dequantRowAVX2, addProduct: addProductAVX2,
	read:   readAVX2,
	half:   halfAVX2,
	gather: gatherWithAVX2,
	unpack: byBits(unpack2AVX2, unpack4AVX2, unpack8AVX2),
	tile: func(y []float32, tile, x []byte, d *tileJob) {
		tileAVX2(y, tile, x, (*byte)(unsafe.Pointer(d)))
	},
}

var avx512 = &instructions{
	name:    "avx512",
	regions: func(bits int) int { return 8 / bits },
	round: func(ints *[containerSlots]int16, values *[containerSlots]float32, most float32) float32 {
		return roundWith(ints, values, most, maxAbsAVX512(values), roundIntsAVX512)
	},
	arrange: func(dst *[containerBytes]byte, ints *[containerSlots]int16, bits int) {
		switch bits {
		case 2:
			arrange2AVX512(dst, ints)
		case 4:
			arrange4AVX512(dst, ints)
		default:
			arrange8AVX512(dst, ints)
		}
	},
	dot:    byBits(dot2AVX512, dot4AVX512, dot8AVX512),
	finish: finishAVX512,
	dotF32: dotF32AVX512, dotF16: dotF16AVX512, dotBF16: dotBF16AVX512, dotRawF32: dotRawF32AVX512,
	add: addAVX512, multiply: multiplyAVX512, scale: scaleAVX512, norm: normAVX512, largest: largestAVX512, expSum: expSumAVX512, silu: siluAVX512, geluTanh: geluTanhAVX512,
	keyDots:    byHeads(keyDots1AVX512, keyDots4AVX512),
	valueSum:   byHeads(valueSum1AVX512, valueSum4AVX512),
	read:       readAVX512,
	half:       halfAVX512,
	gather:     gatherWithAVX2, // as fast as memory already
	dequantRow: dequantRowAVX512, addProduct: addProductAVX512,
	unpack: byBits(unpack2AVX512, unpack4AVX512, unpack8AVX512),
	tile: func(y []float32, tile, x []byte, d *tileJob) {
		tileAVX512(y, tile, x, (*byte)(unsafe.Pointer(d)))
	},
}

func gatherWithAVX2(dst, src []byte, moves []move) {
	if len(moves) == 0 {
		clear(dst)
		return
	}
	gatherAVX2(dst, src, unsafe.Slice((*byte)(unsafe.Pointer(&moves[0])), len(moves)*int(unsafe.Sizeof(move{}))))
}
