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
	isa.keyDots = func(heads int) func([]float32, int, []float32, int, []int16, []float32) {
		if heads == togetherHeads {
			return keyDots4NEON
		}
		return keyDots1NEON
	}
	isa.valueSum = func(heads int) func([]float32, int, []float32, int, int, []int16) {
		if heads == togetherHeads {
			return valueSum4NEON
		}
		return valueSum1NEON
	}
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
	isa.dot = func(bits int) func([]int32, []byte, int, int, []byte, int) {
		switch bits {
		case 2:
			return dot2NEON
		case 4:
			return dot4NEON
		}
		return dot8NEON
	}
	isa.unpack = func(bits int) func([]byte, []byte, int, int) {
		switch bits {
		case 2:
			return unpack2NEON
		case 4:
			return unpack4NEON
		}
		return unpack8NEON
	}
	isa.tile = tileNEON
	return isa
}
