package kernel

import (
	"encoding/binary"
	"math"
	"slices"
)

// activations are a batch of inputs, rounded to integers and arranged as the
// integer kernels read them: for every container of 128 slots 256 bytes, whose
// arrangement is the instruction set's, and one scale. What a slot stands for is
// the integer times the scale.
type activations struct {
	in     *inputs
	bytes  []byte    // (tokens, containers, containerBytes)
	scales []float32 // (tokens, containers)
	sums   []int32   // (tokens, blocks) of the integers in a block

	temps []container // (tokens) what a token's goroutine works in

	task func(token int) // made once
	job  *product
	most float32
}

// container is one on its way from values to integers.
type container struct {
	values [containerSlots]float32
	ints   [containerSlots]int16
}

const (
	containerBytes = 2 * containerSlots

	// The largest integer of a container: what splits into two signed bytes as
	// 128·hi + lo, and what is one.
	most16 = 127 * 128
	most8  = 127
)

// activations rounds the inputs of this call in the order of in, unless another
// matrix with the same order had it done. It returns their number.
func (p *Pool) activations(in *inputs) (int, error) {
	j := &p.job
	for i := range j.acts[:j.used] {
		if j.acts[i].in.same(in) {
			return i, nil
		}
	}
	if j.used == len(j.acts) {
		j.acts = append(j.acts, activations{})
		for i := range j.acts { // the slice may have moved
			a := &j.acts[i]
			a.task = a.token
		}
	}
	a := &j.acts[j.used]
	j.used++
	a.in, a.job, a.most = in, j, most16
	if p.compute == Int8 {
		a.most = most8
	}
	a.bytes = grow(a.bytes, j.tokens*in.containers()*containerBytes)
	a.scales = grow(a.scales, j.tokens*in.containers())
	a.temps = grow(a.temps, j.tokens)
	a.sums = grow(a.sums, j.tokens*len(in.blocks))
	if j.tokens == 1 {
		a.token(0)
		return j.used - 1, nil
	}
	return j.used - 1, p.Run(j.tokens, a.task)
}

func grow[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return make([]T, n)
}

func (in *inputs) same(other *inputs) bool {
	return in == other || in.bits == other.bits && in.k == other.k && in.rows == other.rows &&
		len(in.blocks) == len(other.blocks) && slices.Equal(in.blocks, other.blocks) && slices.Equal(in.perm, other.perm)
}

// token rounds one token's inputs.
func (a *activations) token(t int) {
	in := a.in
	x := a.job.x[t*in.k:][:in.k]
	containers := in.containers()
	temp := &a.temps[t]
	values, ints := &temp.values, &temp.ints
	next := 0 // block
	for c := range containers {
		first := c * containerSlots
		if in.perm == nil {
			n := copy(values[:], x[first:min(first+containerSlots, in.k)])
			clear(values[n:])
		} else {
			clear(values[:])
			for i, k := range in.perm[first:min(first+containerSlots, len(in.perm))] {
				if k >= 0 {
					values[i] = x[k]
				}
			}
		}
		a.scales[t*containers+c] = a.job.isa.round(ints, values, a.most)
		for ; next < len(in.blocks); next++ {
			b := in.blocks[next]
			of, row := in.container(b)
			if of != c {
				break
			}
			var sum int32
			for _, v := range ints[row*in.perWord():][:int(b.rows)*in.perWord()] {
				sum += int32(v)
			}
			a.sums[t*len(in.blocks)+next] = sum
		}
		a.job.isa.arrange(a.container(t, c), ints, in.bits)
	}
}

func (a *activations) container(t, c int) *[containerBytes]byte {
	return (*[containerBytes]byte)(a.bytes[(t*a.in.containers()+c)*containerBytes:])
}

// tiny is what is rounded to zero: its inverse could overflow.
const tiny = 0x1p-100

// roundGo is the kernel round.
func roundGo(ints *[containerSlots]int16, values *[containerSlots]float32, most float32) float32 {
	return roundWith(ints, values, most, largestBits(values[:]), roundIntsGo)
}

// roundWith rounds a container's values to integers of at most most, halves to the
// even one, with round, and returns their scale; largest is the bits of their
// largest magnitude. A value that is no finite number makes the scale NaN, and with
// it all that is computed from it.
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

// largestBits are the bits of the largest magnitude; those of infinities and NaN
// are larger than any number's.
func largestBits(values []float32) uint32 {
	var largest uint32
	for _, v := range values {
		largest = max(largest, math.Float32bits(v)&0x7FFFFFFF)
	}
	return largest
}

func roundIntsGo(ints *[containerSlots]int16, values *[containerSlots]float32, inverse float32) {
	for i, v := range values {
		ints[i] = int16(math.RoundToEven(float64(v * inverse)))
	}
}

// arrangeGo keeps integers in the order of slots, little-endian.
func arrangeGo(dst *[containerBytes]byte, ints *[containerSlots]int16, _ int) {
	for i, v := range ints {
		binary.LittleEndian.PutUint16(dst[2*i:], uint16(v))
	}
}
