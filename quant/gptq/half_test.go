package gptq

import (
	"math"
	"math/big"
	"testing"
)

// Every half against the definition of IEEE 754: sign · significand · 2^exponent.
func TestF16ToF32Exhaustive(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		got := F16ToF32(h)
		exp, frac := int(h>>10&0x1f), int64(h&0x3ff)
		negative := h>>15 == 1
		if exp == 31 {
			if frac == 0 && !math.IsInf(float64(got), 1-2*int(h>>15)) || frac != 0 && got == got {
				t.Fatalf("%04x: got %v", h, got)
			}
			continue
		}
		significand, exponent := frac, -24 // subnormal
		if exp > 0 {
			significand, exponent = frac+1024, exp-25
		}
		want, exact := new(big.Float).SetMantExp(new(big.Float).SetInt64(significand), exponent).Float32()
		if negative {
			want = -want
		}
		if exact != big.Exact || got != want || math.Signbit(float64(got)) != negative {
			t.Fatalf("%04x: got %v, want %v", h, got, want)
		}
	}
}

func TestBF16ToF32Exhaustive(t *testing.T) {
	for i := range 1 << 16 {
		if got, want := math.Float32bits(BF16ToF32(uint16(i))), uint32(i)<<16; got != want {
			t.Fatalf("%04x: got %08x, want %08x", i, got, want)
		}
	}
}

func TestFloats(t *testing.T) {
	tests := []struct {
		dtype string
		raw   []byte
		want  []float32
	}{
		{"F16", []byte{0x00, 0x3c, 0x00, 0xc0}, []float32{1, -2}},
		{"BF16", []byte{0x80, 0x3f, 0x00, 0xc0}, []float32{1, -2}},
		{"F32", []byte{0, 0, 0x80, 0x3f}, []float32{1}},
		{"F16", nil, []float32{}},
	}
	for _, tt := range tests {
		got, err := Floats(tt.dtype, tt.raw)
		if err != nil || len(got) != len(tt.want) {
			t.Fatalf("Floats(%s) = %v, %v", tt.dtype, got, err)
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("Floats(%s) = %v, want %v", tt.dtype, got, tt.want)
			}
		}
	}
	for _, bad := range []struct {
		dtype string
		n     int
	}{{"F16", 3}, {"F32", 6}, {"I32", 4}, {"", 2}} {
		if got, err := Floats(bad.dtype, make([]byte, bad.n)); err == nil {
			t.Errorf("Floats(%q, %d bytes) = %v", bad.dtype, bad.n, got)
		}
	}
	if got, err := Words32([]byte{1, 2, 3, 4}); err != nil || got[0] != 0x04030201 {
		t.Errorf("Words32 = %08x, %v", got, err)
	}
	if _, err := Words32([]byte{1, 2, 3}); err == nil {
		t.Error("Words32 of three bytes")
	}
}
