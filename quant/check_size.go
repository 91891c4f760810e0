package quant

import (
	"fmt"
	"strconv"
	"strings"
)

// sizes says what the tensors take and what they are for, before any of them is
// fetched.
func (c *checker) sizes() {
	if !c.inv.complete {
		return // what the missing headers describe is not known
	}
	var total, quantised, weights int64
	for _, t := range c.inv.tensors {
		total += t.Size
	}
	for _, m := range c.inv.modules {
		for _, t := range []*placed{m.qweight, m.qzeros, m.scales, m.gidx, m.bias} {
			if t != nil {
				quantised += t.Size
			}
		}
		if m.whole() {
			if s, err := m.shape(); err == nil {
				weights += int64(s.K) * int64(s.N)
			}
		}
	}
	if weights == 0 {
		return
	}
	f := Finding{
		Code: "H13", Severity: Info, Where: firstOf(c.inv.files),
		Got: strconv.FormatInt(total, 10), Want: "tensor bytes that fit the memory they are for",
		Message: fmt.Sprintf("the tensors take %s: %s weights of %.3f bits each, and %s that are not quantised",
			decimal(total, "B"), billions(weights), 8*float64(quantised)/float64(weights), decimal(total-quantised, "B")),
		Hint: "qbranch fit says what memory that needs",
	}
	c.add(f)
}

// billions writes a number of weights as people count them.
func billions(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f billion", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2f million", float64(n)/1e6)
	}
	return strconv.FormatInt(n, 10)
}

// decimal writes a number with a decimal prefix: 24.70 GB, 46.44 G.
func decimal(n int64, unit string) string {
	for _, p := range []struct {
		prefix string
		size   float64
	}{{"G", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if float64(n) >= p.size {
			return fmt.Sprintf("%.2f %s", float64(n)/p.size, p.prefix+unit)
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", n, unit))
}
