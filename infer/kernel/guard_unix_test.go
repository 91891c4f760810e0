//go:build unix

package kernel

import (
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Weights may end where a mapping ends: kernels read nothing after them, nor
// before.
func TestKernelsStayInside(t *testing.T) {
	page := os.Getpagesize()
	data, err := unix.Mmap(-1, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(data)
	for _, guard := range [][]byte{data[:page], data[2*page:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	inside := data[page : 2*page]
	a := randomVector(rand.New(rand.NewPCG(22, 22)), 64)
	y := make([]float32, 64)
	for _, isa := range sets() {
		for _, at := range []struct {
			name string
			of   func(n int) []byte
		}{
			{"first", func(n int) []byte { return inside[:n] }},
			{"last", func(n int) []byte { return inside[page-n:] }},
		} {
			err := Catch(func() error {
				for _, cols := range []int{16, 32, 48, 64} {
					isa.half(y[:cols], at.of(2*cols), 1<<30)
					isa.dotF16(a[:cols], at.of(2*cols))
					isa.dotBF16(a[:cols], at.of(2*cols))
					isa.dotRawF32(a[:cols], at.of(4*cols))
					for _, bits := range []int{2, 4, 8} {
						for _, rows := range []int{1, 3, passRows} {
							acc, x := make([]int32, cols), at.of(containerBytes)
							isa.dot(bits)(acc, at.of(4*cols*rows), 4*cols, rows, x, passRows*4*cols)
							last := isa.xOffset(bits, containerSlots/(32/bits)-min(rows, 4))
							isa.dot(bits)(acc, at.of(4*cols*min(rows, 4)), 4*cols, min(rows, 4), x[last:], 0)
						}
					}
				}
				if isa.unpack != nil {
					for _, bits := range []int{2, 4, 8} {
						isa.unpack(bits)(make([]byte, 2*containerSlots*tileCols), at.of(8*4*tileCols), 4*tileCols, 8)
					}
				}
				isa.read(at.of(1024))
				return nil
			})
			if err != nil {
				t.Errorf("%s, bytes at the %s of a page: %v", isa.name, at.name, err)
			}
		}
	}
}
