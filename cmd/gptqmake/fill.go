package main

import (
	"encoding/binary"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"regexp"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/gptq"
)

// deviation is the standard deviation of all matrices: that of a trained model's
// first guess, and about what training leaves.
const deviation = 0.02

const (
	tableSize = 4096 // entries of a table that random numbers choose from
	block     = 32   // codes of one column that come together, a whole number of words at every width
)

// filler makes the contents of tensors. Random numbers choose from tables of
// values, which makes gigabytes in seconds.
type filler struct {
	bits, group int
	asym, v2    bool
	actOrder    bool
	seed        uint64

	codes  [tableSize][]uint32 // (bits) words, 32 codes
	scale  float64             // the mean one
	floats [tableSize]uint16   // F16, a normal distribution
	norms  [tableSize]uint16   // F16, around 1
}

func newFiller(o options) *filler {
	f := &filler{bits: o.bits, group: o.group, asym: o.asym, v2: o.v2, actOrder: o.actOrder, seed: o.seed}
	r := f.random("tables")
	zero, limit := gptq.SymZero(f.bits), gptq.MaxCode(f.bits)
	// A quantiser stretches the codes over what lies in a group, which is five or
	// six standard deviations of it.
	spread := float64(limit) / 5.5
	var sum float64
	for i := range f.codes {
		var codes [block]uint8
		for j := range codes {
			c := min(max(int(math.Round(r.NormFloat64()*spread))+zero, 0), limit)
			codes[j] = uint8(c)
			sum += float64((c - zero) * (c - zero))
		}
		f.codes[i] = gptq.PackRows(codes[:], f.bits, block, 1)
	}
	f.scale = deviation / math.Sqrt(sum/(tableSize*block))
	for i := range f.floats {
		f.floats[i] = half(deviation * r.NormFloat64())
		f.norms[i] = half(0.75 + 0.5*r.Float64())
	}
	return f
}

// random is the stream of random numbers of a name, so that a tensor does not
// depend on the others.
func (f *filler) random(name string) *rand.Rand {
	h := fnv.New64a()
	io.WriteString(h, name) // a hash takes everything
	return rand.New(rand.NewPCG(f.seed, h.Sum64()))
}

// fill writes the contents of a tensor.
func (f *filler) fill(w io.Writer, t quant.LayoutTensor) error {
	r := f.random(t.Name)
	switch {
	case t.Part == "qweight":
		return f.qweight(w, r, t.Shape[0], int(t.Shape[1]))
	case t.Part == "qzeros":
		return f.qzeros(w, r, t.Shape[0], int(t.Shape[1])*32/f.bits)
	case t.Part == "g_idx":
		return f.groups(w, t)
	case t.Part == "bias":
		_, err := w.Write(make([]byte, t.Bytes))
		return err
	case t.Part == "scales":
		return f.scales(w, r, t.Shape[0], int(t.Shape[1]))
	case t.Role == quant.RoleNorm:
		return choose(w, r, &f.norms, t.Bytes)
	}
	return choose(w, r, &f.floats, t.Bytes)
}

// qweight writes rows words of n columns, a block of 32 inputs at a time.
func (f *filler) qweight(w io.Writer, r *rand.Rand, rows int64, n int) error {
	buf := make([]byte, 4*f.bits*n)
	for ; rows > 0; rows -= int64(f.bits) {
		for col := range n {
			for i, word := range f.codes[r.Uint64()%tableSize] {
				binary.LittleEndian.PutUint32(buf[4*(i*n+col):], word)
			}
		}
		if _, err := w.Write(buf[:4*n*int(min(rows, int64(f.bits)))]); err != nil {
			return err
		}
	}
	return nil
}

// qzeros writes the zero points of groups rows and n columns: the middle of the
// codes, or one beside it.
func (f *filler) qzeros(w io.Writer, r *rand.Rand, groups int64, n int) error {
	fields := make([]uint8, n)
	buf := make([]byte, 0, n*f.bits/8)
	for range groups {
		for i := range fields {
			zero := gptq.SymZero(f.bits)
			if f.asym {
				zero += r.IntN(3) - 1
			}
			if !f.v2 {
				zero--
			}
			fields[i] = uint8(zero)
		}
		buf = buf[:0]
		for _, word := range gptq.PackCols(fields, f.bits, 1, n) {
			buf = binary.LittleEndian.AppendUint32(buf, word)
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// scales writes the scales of groups rows and n columns. Those of one column are
// more alike than others, as in trained matrices.
func (f *filler) scales(w io.Writer, r *rand.Rand, groups int64, n int) error {
	columns := make([]float64, n)
	for i := range columns {
		columns[i] = f.scale * (0.75 + 0.5*r.Float64())
	}
	buf := make([]byte, 2*n)
	for range groups {
		for i, s := range columns {
			binary.LittleEndian.PutUint16(buf[2*i:], half(s*(0.9+0.2*r.Float64())))
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// sameInput are the matrices that share their input and, since a quantiser
// orders rows by what comes in, their g_idx.
var sameInput = regexp.MustCompile(`(q_proj|k_proj|v_proj|gate_proj|up_proj|w1|w3)\.g_idx$`)

func (f *filler) groups(w io.Writer, t quant.LayoutTensor) error {
	k := int(t.Shape[0])
	order := make([]int, k) // order[i] is the row that was quantised as number i
	for i := range order {
		order[i] = i
	}
	if f.actOrder {
		order = f.random(sameInput.ReplaceAllString(t.Name, "input")).Perm(k)
	}
	buf := make([]byte, 4*k)
	for i, row := range order {
		if f.group > 0 {
			binary.LittleEndian.PutUint32(buf[4*row:], uint32(i/f.group))
		}
	}
	_, err := w.Write(buf)
	return err
}

// choose writes bytes of half floats, entries of a table.
func choose(w io.Writer, r *rand.Rand, table *[tableSize]uint16, bytes int64) error {
	buf := make([]byte, 1<<16)
	for bytes > 0 {
		part := buf[:min(bytes, int64(len(buf)))]
		for i := 0; i+1 < len(part); i += 2 {
			binary.LittleEndian.PutUint16(part[i:], table[r.Uint64()%tableSize])
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		bytes -= int64(len(part))
	}
	return nil
}

// half rounds to the nearest half float; x is far inside the range.
func half(x float64) uint16 {
	sign := uint16(0)
	if math.Signbit(x) {
		sign, x = 0x8000, -x
	}
	if x < 1.0/(1<<14) { // subnormal
		return sign | uint16(math.RoundToEven(x*(1<<24)))
	}
	fraction, exponent := math.Frexp(x) // x = fraction·2^exponent, 0.5 ≤ fraction < 1
	// A fraction that is rounded up to 2 carries into the exponent, as it should.
	return sign | (uint16(exponent+13)<<10 + uint16(math.RoundToEven(fraction*2048)))
}
