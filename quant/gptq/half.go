package gptq

import (
	"encoding/binary"
	"fmt"
	"math"
)

// F16ToF32 converts an IEEE 754 half, exactly; a NaN keeps its payload.
func F16ToF32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h>>10) & 0x1f
	frac := uint32(h & 0x3ff)
	switch exp {
	case 0: // zero and subnormals: frac · 2^-24
		v := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(v))
	case 0x1f: // infinities and NaN
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// BF16ToF32 converts a bfloat16, exactly: it is the upper half of a float32.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// Floats decodes little-endian F16, BF16 or F32 values, named as in
// safetensors. len(raw) must be a whole number of them.
func Floats(dtype string, raw []byte) ([]float32, error) {
	width := 2
	if dtype == "F32" {
		width = 4
	}
	if len(raw)%width != 0 {
		return nil, fmt.Errorf("decoding %s: %d bytes are not a whole number of values", dtype, len(raw))
	}
	out := make([]float32, len(raw)/width)
	for i := range out {
		switch dtype {
		case "F16":
			out[i] = F16ToF32(binary.LittleEndian.Uint16(raw[2*i:]))
		case "BF16":
			out[i] = BF16ToF32(binary.LittleEndian.Uint16(raw[2*i:]))
		case "F32":
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		default:
			return nil, fmt.Errorf("decoding %s: not a float type that checkpoints use", dtype)
		}
	}
	return out, nil
}

// Words32 decodes little-endian 32-bit words. len(raw) must be a multiple of 4.
func Words32(raw []byte) ([]uint32, error) {
	if len(raw)%4 != 0 {
		return nil, fmt.Errorf("decoding I32: %d bytes are not a whole number of words", len(raw))
	}
	out := make([]uint32, len(raw)/4)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	return out, nil
}
