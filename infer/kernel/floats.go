package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Floats is a sequence of floating-point values as stored: little-endian F16,
// BF16 or F32, at any alignment.
type Floats struct {
	dtype floatType
	raw   []byte
}

type floatType uint8

const (
	typeF32 floatType = iota
	typeF16
	typeBF16
)

// NewFloats wraps stored values; dtype is spelled as in safetensors.
func NewFloats(dtype string, raw []byte) (Floats, error) {
	f := Floats{raw: raw}
	switch dtype {
	case "F16":
		f.dtype = typeF16
	case "BF16":
		f.dtype = typeBF16
	case "F32":
		f.dtype = typeF32
	default:
		return Floats{}, fmt.Errorf("floating-point values of type %s", dtype)
	}
	if len(raw)%f.width() != 0 {
		return Floats{}, fmt.Errorf("%d bytes are not a whole number of %s values", len(raw), dtype)
	}
	return f, nil
}

func (f Floats) width() int {
	if f.dtype == typeF32 {
		return 4
	}
	return 2
}

// Len is the number of values.
func (f Floats) Len() int { return len(f.raw) / f.width() }

// Read converts len(dst) values from index i on.
func (f Floats) Read(dst []float32, i int) {
	n := len(dst) / lanes * lanes
	if f.dtype == typeF16 && n > 0 {
		fastest.half(dst[:n], f.raw[2*i:][:2*n], 0)
		dst, i = dst[n:], i+n
	}
	f.read(dst, i)
}

// read is Read in plain Go.
func (f Floats) read(dst []float32, i int) {
	switch f.dtype {
	case typeF32:
		raw := f.raw[4*i:][:4*len(dst)]
		for j := range dst {
			dst[j] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*j:]))
		}
	case typeBF16:
		raw := f.raw[2*i:][:2*len(dst)]
		for j := range dst {
			dst[j] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*j:])) << 16)
		}
	case typeF16:
		raw := f.raw[2*i:][:2*len(dst)]
		for j := range dst {
			dst[j] = half(binary.LittleEndian.Uint16(raw[2*j:]))
		}
	}
}

// dot is Dot of x and the values from index i on.
func (f Floats) dot(x []float32, i int) float32 {
	n := len(x) / lanes * lanes
	var sum float32
	switch f.dtype {
	case typeF16:
		sum = fastest.dotF16(x[:n], f.raw[2*i:])
	case typeBF16:
		sum = fastest.dotBF16(x[:n], f.raw[2*i:])
	default:
		sum = fastest.dotRawF32(x[:n], f.raw[4*i:])
	}
	var rest [lanes]float32
	f.read(rest[:len(x)-n], i+n)
	for j, v := range x[n:] {
		sum = fma32(v, rest[j], sum)
	}
	return sum
}

// dotStored is dotGo of stored values.
func dotStored(x []float32, raw []byte, typ floatType) float32 {
	f := Floats{dtype: typ, raw: raw}
	var acc [4][lanes]float32
	var row [lanes]float32
	for c := 0; c*lanes < len(x); c++ {
		f.read(row[:], c*lanes)
		to := &acc[c%4]
		for i, v := range x[c*lanes:][:lanes] {
			to[i] = fma32(v, row[i], to[i])
		}
	}
	return foldGo(&acc)
}

// half is gptq.F16ToF32 with one branch, for loops: the bits of a finite half,
// moved to their place in a float32, are 2^112 too small.
func half(h uint16) float32 {
	bits := uint32(h&0x7FFF)<<13 | uint32(h&0x8000)<<16
	if h&0x7C00 == 0x7C00 { // infinity, NaN
		return math.Float32frombits(bits | 0x7F800000)
	}
	return math.Float32frombits(bits) * 0x1p112
}

// FirstNotFinite returns the index of the first NaN or infinity, or -1.
func (f Floats) FirstNotFinite() int {
	n := f.Len()
	for i := range n {
		var bad bool
		switch f.dtype {
		case typeF32:
			bad = binary.LittleEndian.Uint32(f.raw[4*i:])&0x7F800000 == 0x7F800000
		case typeBF16:
			bad = binary.LittleEndian.Uint16(f.raw[2*i:])&0x7F80 == 0x7F80
		case typeF16:
			bad = binary.LittleEndian.Uint16(f.raw[2*i:])&0x7C00 == 0x7C00
		}
		if bad {
			return i
		}
	}
	return -1
}
