package vram

import (
	"errors"
	"math/big"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for _, tc := range []struct {
		text string
		want int64 // 0 = not a size
	}{
		{"24GiB", 24 << 30},
		{"24", 24 << 30}, // cards are sold in GiB
		{"24.5", 49 << 29},
		{"24GB", 24e9},
		{"24564MiB", 24564 << 20}, // as nvidia-smi prints an RTX 4090
		{"24564 mib", 24564 << 20},
		{" 16 gib ", 16 << 30},
		{"0.1GB", 1e8},
		{"1.5 kB", 1500},
		{"7968MiB", 7968 << 20},
		{"1B", 1},
		{"1TiB", 1 << 40},
		{"0.3GiB", 322122547}, // ⌊0.3·2³⁰⌋, not what floating point makes of it
		{"65535TiB", 65535 << 40},
		{"65536TiB", 0}, // more than any memory
		{"", 0},
		{"0", 0},
		{"0GiB", 0},
		{"-1", 0},
		{"24G", 24 << 30}, // as a bare number
		{"24g", 24 << 30},
		{"24564M", 24564 << 20},
		{"G", 0},
		{"GiB", 0},
		{"1e3", 0},
		{"1.", 0},
		{".5", 0},
		{"1.2.3", 0},
		{"0x10", 0},
		{"NaN", 0},
		{"24GiBGiB", 0},
		{"9999999999999999999", 0},
		{"٢٤", 0},
	} {
		got, err := ParseSize(tc.text)
		if got != tc.want || (err != nil) != (tc.want == 0) {
			t.Errorf("%q: got %d, %v, want %d", tc.text, got, err, tc.want)
		}
		var size *SizeError
		if err != nil && (!errors.As(err, &size) || !strings.Contains(size.Hint(), "GiB")) {
			t.Errorf("%q: error %#v", tc.text, err)
		}
	}
}

// A size is exactly what a computation without limits makes of it.
func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"24GiB", "0.3GiB", "24", "1.000000000000000001TB", "65536TiB", "1B"} {
		f.Add(s)
	}
	slow := map[string]int64{"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "b": 1, "": 1 << 30}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseSize(text)
		if err != nil {
			return
		}
		s := strings.ToLower(strings.TrimSpace(text))
		number := strings.TrimRight(s, "bgikmt ")
		unit, ok := slow[strings.TrimLeft(s[len(number):], " ")]
		exact, parsed := new(big.Rat).SetString(number)
		if !ok || !parsed {
			t.Fatalf("%q is %d, but is no size", text, got)
		}
		exact.Mul(exact, new(big.Rat).SetInt64(unit))
		if want := new(big.Int).Quo(exact.Num(), exact.Denom()); !want.IsInt64() || want.Int64() != got {
			t.Fatalf("%q: got %d, want %s", text, got, want)
		}
	})
}

func TestGiBText(t *testing.T) {
	for _, tc := range []struct {
		n    int64
		want string
	}{
		{0, "0.00 GiB"},
		{18845966336, "17.55 GiB"},
		{24 << 30, "24.00 GiB"},
		{5 << 20, "0.00 GiB"},
		{6 << 20, "0.01 GiB"},
		{1<<30 - 1, "1.00 GiB"},
		{-262160384, "-0.24 GiB"},
		{1 << 62, "4294967296.00 GiB"},
		{-1 << 63, "-8589934592.00 GiB"},
	} {
		if got := GiBText(tc.n); got != tc.want {
			t.Errorf("%d: got %s, want %s", tc.n, got, tc.want)
		}
	}
}
