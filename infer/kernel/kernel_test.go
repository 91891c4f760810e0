package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant/gptq"
)

func TestHalf(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		if got, want := half(h), gptq.F16ToF32(h); math.Float32bits(got) != math.Float32bits(want) {
			t.Fatalf("half(%#04x): got %v, want %v", h, got, want)
		}
	}
}

func TestFloats(t *testing.T) {
	raw := []byte{0x00, 0x3C, 0x80, 0x3F, 0xFF, 0xFF}
	for _, test := range []struct {
		dtype string
		want  []float32
	}{
		{"F16", []float32{1, 1.875, float32(math.NaN())}},
		{"BF16", []float32{0.0078125, 1, float32(math.NaN())}},
	} {
		f, err := NewFloats(test.dtype, raw)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, f.Len())
		f.Read(got, 0)
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: got %v, want %v", test.dtype, got, test.want)
		}
		if i := f.FirstNotFinite(); i != 2 {
			t.Errorf("%s: FirstNotFinite: got %d, want 2", test.dtype, i)
		}
	}
	f, _ := NewFloats("F32", []byte{0, 0, 0x80, 0x7F})
	if i := f.FirstNotFinite(); i != 0 {
		t.Errorf("F32 infinity: got %d, want 0", i)
	}
	for dtype, raw := range map[string][]byte{"F64": make([]byte, 8), "F16": make([]byte, 3), "F32": make([]byte, 6)} {
		if _, err := NewFloats(dtype, raw); err == nil {
			t.Errorf("%d bytes of %s were accepted", len(raw), dtype)
		}
	}
}

// randomMatrix makes a matrix with random codes, zeros, scales and groups.
func randomMatrix(r *rand.Rand, bits, k, n, groupSize int, actOrder bool, zeros gptq.ZeroFormat) (*gptq.Matrix, Quantized) {
	g := 1
	if groupSize > 0 {
		g = (k + groupSize - 1) / groupSize
	}
	m := &gptq.Matrix{Bits: bits, GroupSize: groupSize, K: k, N: n, G: g, Zeros: zeros}
	m.QWeight = make([]uint32, gptq.Words(k, bits)*n)
	m.QZeros = make([]uint32, g*gptq.Words(n, bits))
	for i := range m.QWeight {
		m.QWeight[i] = r.Uint32()
	}
	for i := range m.QZeros {
		m.QZeros[i] = r.Uint32()
	}
	scales := make([]byte, 2*g*n)
	for i := range g * n {
		h := uint16(r.IntN(0x3C00)) // 0 … 1
		binary.LittleEndian.PutUint16(scales[2*i:], h)
		m.Scales = append(m.Scales, gptq.F16ToF32(h))
	}
	if actOrder {
		for _, row := range r.Perm(k) {
			m.GIdx = append(m.GIdx, int32(row%g))
		}
	}
	f, _ := NewFloats("F16", scales)
	q := Quantized{Bits: bits, K: k, N: n, G: g, GroupSize: groupSize, Scales: f, Zeros: zeros,
		QWeight: wordBytes(m.QWeight), QZeros: wordBytes(m.QZeros)}
	if m.GIdx != nil {
		q.GIdx = wordBytes(m.GIdx)
	}
	return m, q
}

func wordBytes[T uint32 | int32](words []T) []byte {
	raw := []byte{0} // off by one, so that every access is misaligned
	for _, w := range words {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(w))
	}
	return raw[1:]
}

func randomVector(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// The slow twin is gptq.Dequantize, multiplied in float64.
func TestMulQuantized(t *testing.T) {
	shapes := []struct{ k, n, groupSize int }{
		{64, 64, 32},
		{64, 128, -1},
		{96, 65, 32},   // a block of one column
		{256, 40, 128}, // less than a block, N not a multiple of 32
		{100, 33, 32},  // K not a multiple of the group nor of a word
		{70, 96, 100},  // a group larger than K
		{32, 7, 3},
	}
	for _, bits := range []int{2, 3, 4, 8} {
		for _, s := range shapes {
			for _, zeros := range []gptq.ZeroFormat{gptq.ZeroV1, gptq.ZeroV2, gptq.ZeroV1Carry} {
				for _, act := range []bool{false, true} {
					name := fmt.Sprintf("%d bits %d×%d group %d act-order %v zeros %d", bits, s.k, s.n, s.groupSize, act, zeros)
					r := rand.New(rand.NewPCG(1, uint64(bits*s.k)))
					ref, q := randomMatrix(r, bits, s.k, s.n, s.groupSize, act, zeros)
					checkMul(t, name, r, ref, q)
				}
			}
		}
	}
}

func checkMul(t *testing.T, name string, r *rand.Rand, ref *gptq.Matrix, q Quantized) {
	t.Helper()
	w, err := gptq.Dequantize(ref)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	bias := randomVector(r, q.N)
	m, err := NewQuantized(q, bias)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	const tokens = 3
	x := randomVector(r, tokens*q.K)
	y := make([]float32, tokens*q.N)
	p := NewPool(1, Float32)
	defer p.Close()
	if err := p.Mul(x, tokens, Output{M: m, Y: y}); err != nil {
		t.Fatal(err)
	}
	for tok := range tokens {
		for n := range q.N {
			want, size := float64(bias[n]), math.Abs(float64(bias[n]))
			for k := range q.K {
				v := float64(x[tok*q.K+k]) * float64(w[k*q.N+n])
				want += v
				size += math.Abs(v)
			}
			// Each of the K sums may lose half a unit in the last place.
			if got := float64(y[tok*q.N+n]); math.Abs(got-want) > 1e-6*size {
				t.Fatalf("%s: y[%d][%d]: got %v, want %v", name, tok, n, got, want)
			}
		}
	}
}

func TestMulDense(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	const k, n, tokens = 37, 70, 2
	for _, dtype := range []string{"F16", "BF16", "F32"} {
		values := randomVector(r, k*n)
		var raw []byte
		for i, v := range values {
			bits := math.Float32bits(v)
			switch dtype {
			case "F16":
				h := uint16(bits>>16&0x8000 | 0x3800 + bits>>20&0x3FF)
				raw = binary.LittleEndian.AppendUint16(raw, h)
				values[i] = gptq.F16ToF32(h)
			case "BF16":
				raw = binary.LittleEndian.AppendUint16(raw, uint16(bits>>16))
				values[i] = gptq.BF16ToF32(uint16(bits >> 16))
			case "F32":
				raw = binary.LittleEndian.AppendUint32(raw, bits)
			}
		}
		f, err := NewFloats(dtype, raw)
		if err != nil {
			t.Fatal(err)
		}
		m, err := NewDense(k, n, f, nil)
		if err != nil {
			t.Fatal(err)
		}
		x, y := randomVector(r, tokens*k), make([]float32, tokens*n)
		p := NewPool(2, Float32)
		if err := p.Mul(x, tokens, Output{M: m, Y: y}); err != nil {
			t.Fatal(err)
		}
		p.Close()
		for i, got := range y {
			var want float64
			for j := range k {
				want += float64(x[i/n*k+j]) * float64(values[i%n*k+j])
			}
			if math.Abs(float64(got)-want) > 1e-4 {
				t.Fatalf("%s: y[%d]: got %v, want %v", dtype, i, got, want)
			}
		}
	}
}

// The number of threads and the size of the batch change no bit.
func TestMulIsReproducible(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	_, q := randomMatrix(r, 4, 128, 300, 32, true, gptq.ZeroV1)
	m, err := NewQuantized(q, nil)
	if err != nil {
		t.Fatal(err)
	}
	const tokens = 5
	x := randomVector(r, tokens*q.K)
	want := make([]float32, tokens*q.N)
	one := NewPool(1, Float32)
	defer one.Close()
	for i := range tokens {
		if err := one.Mul(x[i*q.K:], 1, Output{M: m, Y: want[i*q.N:]}); err != nil {
			t.Fatal(err)
		}
	}
	for _, threads := range []int{1, 2, 3, 8} {
		p := NewPool(threads, Float32)
		got := make([]float32, tokens*q.N)
		for range 10 {
			if err := p.Mul(x, tokens, Output{M: m, Y: got}); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("%d threads: y[%d]: got %v, want %v", threads, i, got[i], want[i])
				}
			}
		}
		p.Close()
	}
}

func TestMulAllocates(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	_, q := randomMatrix(r, 3, 128, 256, 32, true, gptq.ZeroV1)
	m, err := NewQuantized(q, nil)
	if err != nil {
		t.Fatal(err)
	}
	x, y := randomVector(r, q.K), make([]float32, q.N)
	for _, threads := range []int{1, 2} {
		p := NewPool(threads, Float32)
		n := testing.AllocsPerRun(20, func() {
			if err := p.Mul(x, 1, Output{M: m, Y: y}); err != nil {
				t.Fatal(err)
			}
		})
		p.Close()
		if n != 0 {
			t.Errorf("%d threads: %v allocations per product, want none", threads, n)
		}
	}
}

func TestRunCoversEveryPart(t *testing.T) {
	p := NewPool(3, Float32)
	defer p.Close()
	for _, parts := range []int{0, 1, 2, 100} {
		done := make([]int, parts)
		if err := p.Run(parts, func(i int) { done[i]++ }); err != nil {
			t.Fatal(err)
		}
		for i, n := range done {
			if n != 1 {
				t.Errorf("%d parts: part %d ran %d times", parts, i, n)
			}
		}
	}
}

func TestBadMatrices(t *testing.T) {
	tests := []struct {
		name string
		edit func(*Quantized)
		says string
	}{
		{"5 bits", func(q *Quantized) { q.Bits = 5 }, "5 bits"},
		{"no rows", func(q *Quantized) { q.K = 0 }, "0 rows"},
		{"groups and size differ", func(q *Quantized) { q.GroupSize = 64 }, "groups of 64"},
		{"short qweight", func(q *Quantized) { q.QWeight = q.QWeight[4:] }, "qweight"},
		{"short qzeros", func(q *Quantized) { q.QZeros = q.QZeros[4:] }, "qzeros"},
		{"short scales", func(q *Quantized) { q.Scales.raw = q.Scales.raw[2:] }, "scales"},
		{"short g_idx", func(q *Quantized) { q.GIdx = q.GIdx[4:] }, "g_idx"},
		{"g_idx beyond the groups", func(q *Quantized) { binary.LittleEndian.PutUint32(q.GIdx[8:], 4) }, "row 2 points at group 4 of 4"},
		{"g_idx negative", func(q *Quantized) { binary.LittleEndian.PutUint32(q.GIdx, ^uint32(0)) }, "group -1"},
	}
	for _, test := range tests {
		_, q := randomMatrix(rand.New(rand.NewPCG(5, 5)), 4, 128, 64, 32, true, gptq.ZeroV1)
		test.edit(&q)
		if _, err := NewQuantized(q, nil); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got error %v, want one saying %q", test.name, err, test.says)
		}
	}
	_, q := randomMatrix(rand.New(rand.NewPCG(5, 5)), 4, 128, 64, 32, false, gptq.ZeroV1)
	if _, err := NewQuantized(q, make([]float32, 3)); err == nil {
		t.Error("a bias of the wrong length was accepted")
	}
	f, _ := NewFloats("F32", make([]byte, 24))
	if _, err := NewDense(2, 2, f, nil); err == nil {
		t.Error("a dense weight of the wrong length was accepted")
	}
	if _, err := NewDense(2, 3, f, make([]float32, 2)); err == nil {
		t.Error("a dense bias of the wrong length was accepted")
	}
}

// BenchmarkMul multiplies by a matrix of 4 MB at 4 bits, which no first-level
// cache holds, on one thread. Bytes are those of the codes.
func BenchmarkMul(b *testing.B) {
	for _, isa := range sets() {
		for _, bits := range []int{2, 3, 4, 8} {
			for _, tokens := range []int{1, 32} {
				b.Run(fmt.Sprintf("%s/%dbit/tokens=%d", isa.name, bits, tokens), func(b *testing.B) {
					benchmarkMul(b, newPool(1, Int16, isa), bits, tokens)
				})
			}
		}
	}
	b.Run("float32/4bit/tokens=32", func(b *testing.B) { benchmarkMul(b, NewPool(1, Float32), 4, 32) })
}

func benchmarkMul(b *testing.B, p *Pool, bits, tokens int) {
	defer p.Close()
	r := rand.New(rand.NewPCG(6, 6))
	_, q := randomMatrix(r, bits, 2048, 4096, 128, false, gptq.ZeroV1)
	m, err := NewQuantized(q, nil)
	if err != nil {
		b.Fatal(err)
	}
	m.Prepare()
	x, y := randomVector(r, tokens*q.K), make([]float32, tokens*q.N)
	b.SetBytes(int64(len(q.QWeight)))
	for b.Loop() {
		if err := p.Mul(x, tokens, Output{M: m, Y: y}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(tokens*q.K*q.N)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
}
