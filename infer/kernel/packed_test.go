package kernel

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/quant/gptq"
)

// What Move writes is what a matrix uses by itself, and what is stored of the
// right length is used instead.
func TestMove(t *testing.T) {
	for _, test := range []struct {
		bits, group int
		act         bool
	}{{4, 32, true}, {2, 16, true}, {8, 64, true}, {3, 32, false}, {3, -1, false}, {3, 48, true}, {4, 20, true}} {
		r := rand.New(rand.NewPCG(1, uint64(test.bits)))
		const k, n = 160, 64
		_, q := randomMatrix(r, test.bits, k, n, test.group, test.act, gptq.ZeroV1)
		x := randomVector(r, k)
		mul := func(stored func() []byte) []float32 {
			m, err := NewQuantized(q, nil)
			if err != nil {
				t.Fatal(err)
			}
			m.Stored(stored)
			p := NewPool(1, Int16)
			defer p.Close()
			y := make([]float32, n)
			if err := p.Mul(x, 1, Output{m, y}); err != nil {
				t.Fatal(err)
			}
			return y
		}
		m, err := NewQuantized(q, nil)
		if err != nil {
			t.Fatal(err)
		}
		moved := bytes.Repeat([]byte{0xaa}, m.MovedBytes()) // to be overwritten
		m.Move(moved)
		want := mul(nil)
		if got := mul(func() []byte { return moved }); !slices.Equal(got, want) {
			t.Errorf("%+v: other results with moved codes", test)
		}
		if got := mul(func() []byte { return moved[4:] }); !slices.Equal(got, want) {
			t.Errorf("%+v: codes of another length were used", test)
		}
		if got := mul(func() []byte { return make([]byte, len(moved)) }); slices.Equal(got, want) {
			t.Errorf("%+v: what is stored was not used", test)
		}
	}
	_, q := randomMatrix(rand.New(rand.NewPCG(1, 1)), 4, 64, 64, 32, false, gptq.ZeroV1)
	if m, err := NewQuantized(q, nil); err != nil || m.MovedBytes() != 0 {
		t.Errorf("got %d bytes to move of a matrix that is read as it lies, %v", m.MovedBytes(), err)
	}
}

func BenchmarkMove(b *testing.B) {
	for _, bits := range []int{3, 4} {
		b.Run(string(rune('0'+bits))+"bit", func(b *testing.B) {
			_, q := randomMatrix(rand.New(rand.NewPCG(1, 1)), bits, 2048, 2048, 128, true, gptq.ZeroV1)
			m, err := NewQuantized(q, nil)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, m.MovedBytes())
			b.SetBytes(int64(len(dst)))
			for b.Loop() {
				m.Move(dst)
			}
		})
	}
}
