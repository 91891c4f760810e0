package app

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseRate reads bytes per second: a number, then nothing, k, M, G (decimal) or
// Ki, Mi, Gi (binary), then an optional B and an optional /s.
// At least 1, less than 1e15.
func ParseRate(s string) (int64, error) {
	digits := strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(s, "/s"), "B"), "kKMGi")
	unit := strings.TrimSuffix(strings.TrimSuffix(s[len(digits):], "/s"), "B")
	scale, ok := map[string]float64{"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9,
		"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}[unit]
	n, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(n*scale >= 1 && n*scale < 1e15) {
		return 0, fmt.Errorf("%q is not a rate", s)
	}
	return int64(n * scale), nil
}
