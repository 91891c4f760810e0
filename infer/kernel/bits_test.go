package kernel

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/qbranch/qbranch/quant/gptq"
)

// evenVector is a random vector from integers alone, the same on every platform.
func evenVector(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(int32(r.Uint32())) / (1 << 30)
	}
	return x
}

func hash(values ...[]float32) string {
	h := fnv.New64a()
	for _, v := range values {
		for _, f := range v {
			h.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(f)))
		}
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// Results are the same to the last bit on every platform, whichever instructions
// it has: what is recorded here was computed on amd64.
func TestBitsOnEveryPlatform(t *testing.T) {
	want := map[string]string{
		"2 bits float32":    "f892cc55c0350ddc",
		"2 bits int16":      "b474a6aa41c1fd77",
		"2 bits int8":       "b3ead712db9fbf4d",
		"3 bits float32":    "f25e73de18abce33",
		"3 bits int16":      "4021a657ab7574af",
		"3 bits int8":       "b6b22717c88cb96d",
		"4 bits float32":    "69e491074336d9d4",
		"4 bits int16":      "be0d4bd359a17597",
		"4 bits int8":       "9b3392976b4bc188",
		"8 bits float32":    "f1834bf372bdea42",
		"8 bits int16":      "3d2eac7027b5751e",
		"8 bits int8":       "93acb5fdc5e9c91e",
		"attention float32": "88b054f353430bec",
		"attention int16":   "83e92e6d4371cd9f",
		"RMSNorm":           "ddff12c7e506ce27",
		"LayerNorm":         "32fa7e07275110e3",
		"SiLU":              "e004ca72d90d5c19",
		"GELU":              "a8ddf0c97a808120",
		"GELUTanh":          "58423024652c5157",
		"Softmax":           "7493ca48722a32a8",
		"SoftCap":           "1726892ed993fd0a",
		"AddScaled":         "f6ffd28a740ae58c",
	}
	check := func(name string, values ...[]float32) {
		t.Helper()
		if got := hash(values...); got != want[name] {
			t.Errorf("%s: got bits %s, want %s", name, got, want[name])
		}
	}
	for _, bits := range []int{2, 3, 4, 8} {
		_, q := randomMatrix(rand.New(rand.NewPCG(30, uint64(bits))), bits, 320, 100, 64, bits == 4, gptq.ZeroV1)
		m, err := NewQuantized(q, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []Compute{Float32, Int16, Int8} {
			p := NewPool(2, c)
			var ys [][]float32
			for _, tokens := range []int{1, 5} {
				y := make([]float32, tokens*q.N)
				if err := p.Mul(evenVector(rand.New(rand.NewPCG(31, 31)), tokens*q.K), tokens, Output{M: m, Y: y}); err != nil {
					t.Fatal(err)
				}
				ys = append(ys, y)
			}
			p.Close()
			check(fmt.Sprintf("%d bits %s", bits, c), ys...)
		}
	}
	for _, c := range []Compute{Float32, Int16} {
		check("attention "+string(c), attentionOf(t, c))
	}
	const n = 100
	each := func(f func(x []float32)) []float32 {
		x := evenVector(rand.New(rand.NewPCG(32, 32)), n)
		for i := range x {
			x[i] *= 8
		}
		f(x)
		return x
	}
	weight := evenVector(rand.New(rand.NewPCG(33, 33)), n)
	check("RMSNorm", each(func(x []float32) { RMSNorm(x, x, weight, 1e-5) }))
	check("LayerNorm", each(func(x []float32) { LayerNorm(x, x, weight, weight, 1e-5) }))
	check("SiLU", each(SiLU))
	check("GELU", each(GELU))
	check("GELUTanh", each(GELUTanh))
	check("Softmax", each(Softmax))
	check("SoftCap", each(func(x []float32) { SoftCap(x, 3) }))
	check("AddScaled", each(func(x []float32) { AddScaled(x, weight, 0.3) }))
}

func attentionOf(t *testing.T, c Compute) []float32 {
	const heads, kvHeads, dim, positions, tokens = 6, 2, 48, 40, 2
	r := rand.New(rand.NewPCG(34, 34))
	p := NewPool(2, c)
	defer p.Close()
	keys, values := NewKeys(c, kvHeads, dim), NewValues(c, kvHeads, dim)
	keys.Grow(positions)
	values.Grow(positions)
	keys.Put(0, evenVector(r, positions*kvHeads*dim))
	values.Put(0, evenVector(r, positions*kvHeads*dim))
	out := make([]float32, tokens*heads*dim)
	a := &Attention{Keys: keys, Values: values, Heads: heads, Q: evenVector(r, tokens*heads*dim), Out: out,
		Pos: positions - tokens, Tokens: tokens, Scale: 0.2}
	if err := p.Attend(a); err != nil {
		t.Fatal(err)
	}
	return out
}
