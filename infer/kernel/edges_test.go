package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Sums of the largest integers by the largest codes are exact, in any number of
// rows; a container is arranged by one set and read by the same.
func TestDotExtremes(t *testing.T) {
	const stride = 4*80 + 8 // rows need not lie side by side
	r := rand.New(rand.NewPCG(20, 20))
	fills := map[string]func(i int) (byte, int16){
		"all the largest":  func(int) (byte, int16) { return 0xFF, most16 },
		"all the smallest": func(int) (byte, int16) { return 0xFF, -most16 },
		"alternating":      func(i int) (byte, int16) { return 0xFF, int16(1-i%2*2) * most16 },
		"middle codes":     func(i int) (byte, int16) { return 0x80, int16(i%2)*most16 - 64 },
		"zero codes":       func(int) (byte, int16) { return 0, most16 },
		"any":              func(int) (byte, int16) { return byte(r.Uint32()), int16(r.IntN(2*most16+1) - most16) },
	}
	for name, fill := range fills {
		for _, bits := range []int{2, 4, 8} {
			for rows := 1; rows <= passRows; rows++ {
				w := make([]byte, rows*stride)
				var ints [containerSlots]int16
				for i := range w {
					w[i], ints[i%containerSlots] = fill(i)
				}
				row := containerSlots/(32/bits) - rows // the last ones of the container
				var want []int32
				for _, isa := range sets() {
					var x [containerBytes]byte
					isa.arrange(&x, &ints, bits)
					acc := make([]int32, 80)
					for i := range acc {
						acc[i] = int32(i)
					}
					isa.dot(bits)(acc, w, stride, rows, x[isa.xOffset(bits, row):], 0)
					if want == nil {
						want = acc
					} else if !slices.Equal(acc, want) {
						t.Fatalf("%s, %d bits, %d rows by %s: got %v, want %v", name, bits, rows, isa.name, acc, want)
					}
				}
			}
		}
	}
}
