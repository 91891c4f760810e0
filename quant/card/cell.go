package card

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// The functions below read one cell. They return nil and true for a cell that
// says nothing, nil and false for one that cannot be read.

func blank(s string) bool {
	switch strings.ToLower(s) {
	case "", "-", "–", "—", "n/a", "?":
		return true
	}
	return false
}

func number(s string) (*float64, bool) {
	if blank(s) {
		return nil, true
	}
	if !decimal.MatchString(s) {
		return nil, false
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, false
	}
	return &v, true
}

var decimal = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,15})?$`)

// count reads a whole number, perhaps with thousands separators.
func count(s string) (*int, bool) {
	if blank(s) {
		return nil, true
	}
	if grouped.MatchString(s) {
		s = strings.ReplaceAll(s, ",", "")
	}
	v, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return nil, false
	}
	n := int(v)
	return &n, true
}

var grouped = regexp.MustCompile(`^[0-9]{1,3}(,[0-9]{3})+$`)

// groupSize reads "128", "128g", and "None" or -1, which both mean no groups.
func groupSize(s string) (*int, bool) {
	switch strings.ToLower(s) {
	case "none", "no", "-1", "-1g":
		return nil, true
	}
	v, ok := count(strings.TrimSuffix(s, "g"))
	if v != nil && *v == 0 {
		return nil, false
	}
	return v, ok
}

func yesNo(s string) (*bool, bool) {
	switch strings.ToLower(s) {
	case "yes", "true":
		return ptr(true), true
	case "no", "false":
		return ptr(false), true
	}
	return nil, blank(s)
}

var sizeCell = regexp.MustCompile(`(?i)^~?\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*([KMGT]?i?B)?$`)

// size reads "23.81 GB", "40.85GB", "1.9 GiB", or a bare number whose unit
// stands in the header. Without any unit it cannot be read.
func size(s, headerUnit string) (*int64, bool) {
	if blank(s) {
		return nil, true
	}
	m := sizeCell.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	unit := m[2]
	if unit == "" {
		unit = headerUnit
	}
	factor := unitBytes(unit)
	if factor == 0 {
		return nil, false
	}
	exact, ok := new(big.Rat).SetString(m[1])
	if !ok {
		return nil, false
	}
	exact.Mul(exact, new(big.Rat).SetInt64(factor))
	exact.Add(exact, big.NewRat(1, 2)) // rounds half up
	v := new(big.Int).Quo(exact.Num(), exact.Denom())
	if !v.IsInt64() {
		return nil, false
	}
	n := v.Int64()
	return &n, true
}

// unitBytes is the bytes of a unit; 0 when it is none.
func unitBytes(unit string) int64 {
	switch strings.ToLower(unit) {
	case "b":
		return 1
	case "kb":
		return 1e3
	case "mb":
		return 1e6
	case "gb":
		return 1e9
	case "tb":
		return 1e12
	case "kib":
		return 1 << 10
	case "mib":
		return 1 << 20
	case "gib":
		return 1 << 30
	case "tib":
		return 1 << 40
	}
	return 0
}
