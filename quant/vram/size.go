package vram

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// The units of memory cards.
const (
	MiB = 1 << 20
	GiB = 1 << 30
)

// maxBytes is more than any size here can be. Arithmetic stops at it, so that
// nothing overflows: 64 pebibytes.
const maxBytes = 1 << 56

// units are what may follow a number. A single letter is missing on purpose: to
// some programs G is 10⁹, to others 2³⁰.
var units = [...]struct {
	name  string
	bytes int64
}{
	{"tib", 1 << 40}, {"gib", GiB}, {"mib", MiB}, {"kib", 1 << 10},
	{"tb", 1e12}, {"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3}, {"b", 1},
	{"t", 1 << 40}, {"g", GiB}, {"m", MiB}, {"k", 1 << 10},
}

// SizeError says that a text is not a size.
type SizeError struct {
	Text string
	file bool // it was to be one of files
}

// Error quotes the text.
func (e *SizeError) Error() string { return fmt.Sprintf("%q is not a size", e.Text) }

// Hint shows sizes.
func (e *SizeError) Hint() string {
	if e.file {
		return "write a size as 20GB, 18.5GiB or 20; a bare number is GB"
	}
	return "write a size as 24GiB, 24564MiB, 24.5GB or 24; a bare number is GiB"
}

// ParseSize reads a size of memory: a number, which may have a point, and KiB,
// MiB, GiB, TiB (powers of 1024), kB, MB, GB, TB (powers of 1000) or B in any
// case. T, G, M and K alone are powers of 1024, as cards are sold, and a bare
// number is GiB. A fraction of a byte is dropped. Nothing, less than a byte, and
// 2⁵⁶ bytes or more are a *SizeError.
func ParseSize(text string) (int64, error) { return parseSize(text, GiB) }

// ParseFileSize reads a size of files: as ParseSize, but a bare number is GB, as
// file sizes are written.
func ParseFileSize(text string) (int64, error) {
	n, err := parseSize(text, 1e9)
	if err != nil {
		err = &SizeError{Text: text, file: true}
	}
	return n, err
}

func parseSize(text string, unit int64) (int64, error) {
	s := strings.ToLower(strings.TrimSpace(text))
	for _, u := range units {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimRight(number, " "), u.bytes
			break
		}
	}
	n, err := scaleDecimal(s, unit)
	if err != nil || n < 1 || n >= maxBytes {
		return 0, &SizeError{Text: text}
	}
	return n, nil
}

var errDecimal = errors.New("not a decimal number")

// scaleDecimal is ⌊s·unit⌋, exactly. At most 18 digits count before and after
// the point.
func scaleDecimal(s string, unit int64) (int64, error) {
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || point && fraction == "" || len(whole) > 18 || len(fraction) > 18 {
		return 0, errDecimal
	}
	var n, f uint64
	ten := uint64(1)
	for _, c := range []byte(whole) {
		if c < '0' || c > '9' {
			return 0, errDecimal
		}
		n = n*10 + uint64(c-'0')
	}
	for _, c := range []byte(fraction) {
		if c < '0' || c > '9' {
			return 0, errDecimal
		}
		f, ten = f*10+uint64(c-'0'), ten*10
	}
	hi, lo := bits.Mul64(f, uint64(unit))
	part, _ := bits.Div64(hi, lo, ten) // f < ten, so the quotient is below unit
	return add(mul(int64(n), unit), int64(part)), nil
}

// GiBText is a number of bytes as this package and its callers write memory:
// GiB with two decimals, whatever the size, so that a column has one unit.
func GiBText(n int64) string {
	sign, u := "", uint64(n)
	if n < 0 {
		sign, u = "-", -u
	}
	hundredths := u>>30*100 + (u&(GiB-1)*100+GiB/2)>>30
	return fmt.Sprintf("%s%d.%02d GiB", sign, hundredths/100, hundredths%100)
}

// add, mul and divUp are of sizes that are not negative; they stop at maxBytes.
func add(a, b int64) int64 { return min(min(a, maxBytes)+min(b, maxBytes), maxBytes) }

func mul(a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi != 0 || lo > maxBytes {
		return maxBytes
	}
	return int64(lo)
}

func divUp(a, b int64) int64 { return (a + b - 1) / b }
