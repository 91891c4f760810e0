//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// sets are the sets of instructions this machine has, the slowest first.
func sets() []*instructions {
	all := []*instructions{goInstructions, neon()}
	if cpu.ARM64.HasASIMDDP {
		all = append(all, dotprod())
	}
	return all
}

// neon is what every arm64 processor has: no dot product of bytes, so integers
// are multiplied in plain Go, and what surrounds that is not.
func neon() *instructions {
	isa := *goInstructions
	isa.name = "neon"
	isa.round = func(ints *[containerSlots]int16, values *[containerSlots]float32, most float32) float32 {
		return roundWith(ints, values, most, maxAbsNEON(values), roundIntsNEON)
	}
	isa.finish, isa.half, isa.read = finishNEON, halfNEON, readNEON
	isa.dotF32, isa.dotF16, isa.dotBF16, isa.dotRawF32 = dotF32NEON, dotF16NEON, dotBF16NEON, dotRawF32NEON
	isa.add, isa.multiply, isa.scale, isa.norm = addNEON, multiplyNEON, scaleNEON, normNEON
	isa.largest, isa.expSum, isa.silu, isa.geluTanh = largestNEON, expSumNEON, siluNEON, geluTanhNEON
	isa.gather, isa.dequantRow, isa.addProduct = gatherNEON, dequantRowNEON, addProductNEON
	isa.keyDots = byHeads(keyDots1NEON, keyDots4NEON)
	isa.valueSum = byHeads(valueSum1NEON, valueSum4NEON)
	return &isa
}

// dotprod has the dot product too, as most processors since 2018 do.
func dotprod() *instructions {
	isa := neon()
	isa.name = "dotprod"
	isa.regions = func(bits int) int { return 8 / bits }
	isa.arrange = func(dst *[containerBytes]byte, ints *[containerSlots]int16, bits int) {
		switch bits {
		case 2:
			arrange2NEON(dst, ints)
		case 4:
			arrange4NEON(dst, ints)
		default:
			arrange8NEON(dst, ints)
		}
	}
	isa.dot = byBits(dot2NEON, dot4NEON, dot8NEON)
	isa.unpack = byBits(unpack2NEON, unpack4NEON, unpack8NEON)
	isa.tile = tileNEON
	return isa
}
