package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/qbranch/qbranch/quant/gptq"
)

// Every set of instructions gives the bits of the plain Go one, one token or
// many, whatever the shape: columns and inputs that fill no register, groups of
// all sizes, an order of rows, zero points of all kinds, misaligned bytes.
func TestIntegerTwins(t *testing.T) {
	shapes := []struct{ k, n, group int }{
		{256, 128, 128}, {4096, 96, 128}, {512, 64, 32}, {512, 100, 64}, {300, 65, 100},
		{1024, 512, -1}, {1024, 640, 16}, {960, 40, 192}, {70, 7, 20}, {640, 48, 1024},
	}
	for _, bits := range []int{2, 3, 4, 8} {
		for i, s := range shapes {
			if testing.Short() && (i+bits)%4 != 0 {
				continue
			}
			for _, act := range []bool{false, true} {
				zeros := []gptq.ZeroFormat{gptq.ZeroV1, gptq.ZeroV2, gptq.ZeroV1Carry}[(i+bits)%3]
				r := rand.New(rand.NewPCG(uint64(bits), uint64(i)))
				_, q := randomMatrix(r, bits, s.k, s.n, s.group, act, zeros)
				if i%2 == 0 { // symmetric
					for j := range q.QZeros {
						q.QZeros[j] = map[int]byte{2: 0x55, 3: 0, 4: 0x77, 8: 0x7F}[bits]
					}
				}
				for _, tokens := range []int{1, 3, 7} {
					name := fmt.Sprintf("%d bits %d×%d group %d act-order %v %d tokens", bits, s.k, s.n, s.group, act, tokens)
					checkTwins(t, name, q, activationsFor(r, tokens*s.k), tokens)
				}
			}
		}
	}
}

// activationsFor has what rounding meets: a heavy tail, blocks of zeros, one value
// that is all.
func activationsFor(r *rand.Rand, n int) []float32 {
	x := randomVector(r, n)
	for i := range x {
		switch {
		case i/containerSlots%5 == 3:
			x[i] = 0
		case i/containerSlots%5 == 4 && i%containerSlots != 0:
			x[i] = float32(math.Copysign(1, float64(x[i]))) // all saturate
		case r.IntN(50) == 0:
			x[i] *= 100
		}
	}
	return x
}

func checkTwins(t *testing.T, name string, q Quantized, x []float32, tokens int) {
	t.Helper()
	m, err := NewQuantized(q, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, compute := range []Compute{Int16, Int8} {
		var want []float32
		for _, isa := range sets() {
			p := newPool(2, compute, isa)
			y := make([]float32, tokens*q.N)
			err := p.Mul(x, tokens, Output{M: m, Y: y})
			p.Close()
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = y
				continue
			}
			equalBits(t, fmt.Sprintf("%s, %s by %s", name, compute, isa.name), y, want)
		}
	}
}

func equalBits(t *testing.T, name string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: value %d: got %v (%#x), want %v (%#x)", name, i, got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

// The integer path is the float path but for the rounding of activations.
func TestIntegerPathIsClose(t *testing.T) {
	for _, compute := range []struct {
		name Compute
		most float64
	}{{Int16, 2e-4}, {Int8, 2e-2}} {
		for _, bits := range []int{2, 3, 4, 8} {
			r := rand.New(rand.NewPCG(7, uint64(bits)))
			_, q := randomMatrix(r, bits, 1024, 256, 128, true, gptq.ZeroV2)
			m, err := NewQuantized(q, nil)
			if err != nil {
				t.Fatal(err)
			}
			x := randomVector(r, q.K)
			var y [2][]float32
			for i, c := range []Compute{Float32, compute.name} {
				y[i] = make([]float32, q.N)
				p := NewPool(1, c)
				if err := p.Mul(x, 1, Output{M: m, Y: y[i]}); err != nil {
					t.Fatal(err)
				}
				p.Close()
			}
			var off, size float64
			for i := range y[0] {
				off += math.Pow(float64(y[0][i]-y[1][i]), 2)
				size += math.Pow(float64(y[0][i]), 2)
			}
			if e := math.Sqrt(off / size); e > compute.most || e == 0 {
				t.Errorf("%s, %d bits: off by %g, allowed %g and never nothing", compute.name, bits, e, compute.most)
			}
		}
	}
}

// What is not a number stays none, whichever way it goes.
func TestIntegerPathKeepsNaN(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	_, q := randomMatrix(r, 4, 256, 64, 128, false, gptq.ZeroV1)
	m, err := NewQuantized(q, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		for _, tokens := range []int{1, 5} {
			for _, isa := range sets() {
				x := randomVector(r, tokens*q.K)
				x[(tokens-1)*q.K+130] = bad
				y := make([]float32, tokens*q.N)
				p := newPool(1, Int16, isa)
				if err := p.Mul(x, tokens, Output{M: m, Y: y}); err != nil {
					t.Fatal(err)
				}
				p.Close()
				for i, v := range y {
					if last := i/q.N == tokens-1; last != (v != v) {
						t.Fatalf("%s, %v among %d tokens: y[%d] is %v", isa.name, bad, tokens, i, v)
					}
				}
			}
		}
	}
}

// So do those of the float path.
func TestFloatTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	words := make([]uint32, blockCols)
	for i := range words {
		words[i] = r.Uint32()
	}
	scale, zero, x, tile := randomVector(r, blockCols), randomVector(r, blockCols), randomVector(r, tileRows), randomVector(r, tileRows*blockCols)
	for _, isa := range sets()[1:] {
		for _, n := range []int{16, 48, 64} {
			for _, shift := range []uint64{0, 4, 28} {
				got, want := make([]float32, n), make([]float32, n)
				isa.dequantRow(got, scale, zero, words, shift, 15)
				dequantRowGo(want, scale, zero, words, shift, 15)
				equalBits(t, fmt.Sprintf("dequantRow of %d by %s", n, isa.name), got, want)
			}
			for _, rows := range []int{4, 32} {
				got, want := randomVector(r, n), make([]float32, n)
				copy(want, got)
				isa.addProduct(got, x[:rows], tile)
				addProductGo(want, x[:rows], tile)
				equalBits(t, fmt.Sprintf("addProduct of %d×%d by %s", rows, n, isa.name), got, want)
			}
		}
	}
}

// Kernels on vectors give the bits of their plain Go twins.
func TestVectorTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, n := range []int{16, 32, 48, 64, 80, 256, 1008} {
		a, b, w := randomVector(r, n), randomVector(r, n), randomVector(r, n)
		for i := range a {
			a[i] *= float32(math.Exp(6 * r.NormFloat64()))
		}
		raw := make([]byte, 4*n+1)
		for i := range raw {
			raw[i] = byte(r.Uint32())
			if i%2 == 0 {
				raw[i] &= 0xBF // no infinity, at an odd address
			}
		}
		for _, isa := range sets()[1:] {
			for name, run := range map[string]func(isa *instructions) []float32{
				"dotF32":    func(isa *instructions) []float32 { return []float32{isa.dotF32(a, b)} },
				"dotF16":    func(isa *instructions) []float32 { return []float32{isa.dotF16(a, raw[1:])} },
				"dotBF16":   func(isa *instructions) []float32 { return []float32{isa.dotBF16(a, raw[1:])} },
				"dotRawF32": func(isa *instructions) []float32 { return []float32{isa.dotRawF32(b, raw[1:])} },
				"half":      func(isa *instructions) []float32 { y := make([]float32, n); isa.half(y, raw[1:], 0); return y },
				"add":       func(isa *instructions) []float32 { y := append([]float32(nil), a...); isa.add(y, b); return y },
				"multiply":  func(isa *instructions) []float32 { y := append([]float32(nil), a...); isa.multiply(y, b); return y },
				"scale":     func(isa *instructions) []float32 { y := append([]float32(nil), a...); isa.scale(y, 0.3); return y },
				"norm":      func(isa *instructions) []float32 { y := make([]float32, n); isa.norm(y, a, w, 0.7); return y },
				"largest":   func(isa *instructions) []float32 { return []float32{isa.largest(a)} },
				"silu":      func(isa *instructions) []float32 { y := append([]float32(nil), a...); isa.silu(y); return y },
				"geluTanh":  func(isa *instructions) []float32 { y := append([]float32(nil), a...); isa.geluTanh(y); return y },
				"expSum": func(isa *instructions) []float32 {
					y := append([]float32(nil), a...)
					return append(y, isa.expSum(y, 1.5))
				},
			} {
				equalBits(t, fmt.Sprintf("%s of %d by %s", name, n, isa.name), run(isa), run(goInstructions))
			}
		}
	}
}

func TestGatherTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	const row, rows = 4*112 + 1, 5
	src, want, got := make([]byte, row*rows), make([]byte, row), make([]byte, row)
	for n := range 200 {
		for i := range src {
			src[i] = byte(r.Uint32())
		}
		moves := make([]move, n%40)
		for i := range moves {
			moves[i] = move{from: int64(r.IntN(rows) * row), shift: uint32(r.IntN(32)), mask: r.Uint32(), to: uint64(r.IntN(32))}
		}
		gatherGo(want[1:], src[1:], moves)
		for _, isa := range sets() {
			if isa.gather == nil {
				continue
			}
			for i := range got {
				got[i] = byte(r.Uint32())
			}
			isa.gather(got[1:], src[1:], moves)
			if string(got[1:]) != string(want[1:]) {
				t.Fatalf("%s, %d moves: got %x, want %x", isa.name, len(moves), got, want)
			}
		}
	}
}

func TestAttentionTwins(t *testing.T) {
	for _, s := range []struct{ heads, kvHeads, dim, positions, window int }{
		{8, 2, 64, 37, 0}, {8, 8, 128, 50, 0}, {6, 2, 80, 33, 10}, {5, 1, 16, 100, 17}, {4, 4, 24, 20, 0},
	} {
		var want []float32
		for _, isa := range sets() {
			p := newPool(2, Int16, isa)
			keys, values := NewKeys(Int16, s.kvHeads, s.dim), NewValues(Int16, s.kvHeads, s.dim)
			r := rand.New(rand.NewPCG(10, uint64(s.dim)))
			keys.Grow(s.positions)
			values.Grow(s.positions)
			keys.Put(0, randomVector(r, s.positions*s.kvHeads*s.dim))
			values.Put(0, randomVector(r, s.positions*s.kvHeads*s.dim))
			const tokens = 3
			out := make([]float32, tokens*s.heads*s.dim)
			a := &Attention{Keys: keys, Values: values, Heads: s.heads, Q: randomVector(r, tokens*s.heads*s.dim), Out: out,
				Pos: s.positions - tokens, Tokens: tokens, Window: s.window, Scale: 0.1, Cap: float32(s.dim % 64)}
			if err := p.Attend(a); err != nil {
				t.Fatal(err)
			}
			p.Close()
			if want == nil {
				want = out
				continue
			}
			equalBits(t, fmt.Sprintf("%+v by %s", s, isa.name), out, want)
		}
	}
}

// Integers instead of floats change attention by less than 1e-4.
func TestAttentionPathsAgree(t *testing.T) {
	const heads, kvHeads, dim, positions = 8, 2, 64, 90
	var out [2][]float32
	for i, c := range []Compute{Float32, Int16} {
		r := rand.New(rand.NewPCG(11, 11))
		p := NewPool(2, c)
		keys, values := NewKeys(c, kvHeads, dim), NewValues(c, kvHeads, dim)
		for pos := range positions {
			keys.Grow(pos + 1)
			values.Grow(pos + 1)
			keys.Put(pos, randomVector(r, kvHeads*dim))
			values.Put(pos, randomVector(r, kvHeads*dim))
		}
		out[i] = make([]float32, heads*dim)
		a := &Attention{Keys: keys, Values: values, Heads: heads, Q: randomVector(r, heads*dim), Out: out[i], Pos: positions - 1, Tokens: 1, Window: 71, Scale: 0.2}
		if err := p.Attend(a); err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	for i, v := range out[0] {
		if d := math.Abs(float64(v - out[1][i])); !(d < 1e-4) {
			t.Fatalf("value %d: %v in float32, %v in integers", i, v, out[1][i])
		}
	}
}

func TestFMA32(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	for range 100000 {
		x, y := float32(r.NormFloat64()), float32(r.NormFloat64())
		z := float32(r.NormFloat64() * math.Pow(2, float64(r.IntN(60)-30)))
		// Right to the last bit: a float64 sum and what it lost.
		got := fma32(x, y, z)
		exact := float64(x)*float64(y) - float64(got) // exact where the two are close
		if below, above := math.Nextafter32(got, float32(math.Inf(-1))), math.Nextafter32(got, float32(math.Inf(1))); math.Abs(exact+float64(z)) > float64(above-below)/4*1.0001 {
			t.Fatalf("fma32(%v, %v, %v) = %v is not the nearest", x, y, z, got)
		}
	}
	// Halfway but for what float64 loses: rounding twice would give the even one.
	x, y := float32(1+0x1p-12), float32(1+0x1p-12) // 1 + 2^-11 + 2^-24
	if got, want := fma32(x, y, 0x1p-60), float32(1+0x1p-11+0x1p-23); got != want {
		t.Errorf("just above the middle: got %b, want %b", got, want)
	}
	if got, want := fma32(x, y, -0x1p-60), float32(1+0x1p-11); got != want {
		t.Errorf("just below the middle: got %b, want %b", got, want)
	}
}
