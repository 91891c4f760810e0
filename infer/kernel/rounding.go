//go:build (amd64 || arm64) && !purego

package kernel

import "math"

// roundWith is roundGo after its first step, with another's second one.
func roundWith(ints *[containerSlots]int16, values *[containerSlots]float32, most float32, largest uint32,
	round func(*[containerSlots]int16, *[containerSlots]float32, float32)) float32 {
	top := math.Float32frombits(largest)
	switch {
	case largest >= 0x7F800000:
		*ints = [containerSlots]int16{}
		return float32(math.NaN())
	case top < tiny:
		*ints = [containerSlots]int16{}
		return 0
	}
	round(ints, values, most/top)
	return top / most
}
