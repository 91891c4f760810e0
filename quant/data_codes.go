package quant

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// codeStats is what the codes of a qweight are.
type codeStats struct {
	n     int64   // codes counted
	used  int     // different ones
	mean  float64 // of all
	spike float64 // how likely two codes are equal, times their number: 1 for noise, more for weights
}

// enough says that there are so many codes that chance plays no part.
func (c codeStats) enough(bits int) bool { return c.n >= 256<<bits }

// readCodes counts the codes. A layer that was skipped or badly packed is all
// zeros or all ones, or ends in zeros; noise has every code equally often, and
// weights mostly have those around zero.
func (w *worker) readCodes(f *facts) error {
	t, s := f.m.qweight, f.shape
	zeros := zeroRun{}
	err := w.stream(t, func(at int64, piece []byte) bool {
		zeros.add(at, piece)
		w.hist.addRows(s.Bits, s.N, at, piece)
		return true
	})
	count := w.hist.codes(s.Bits)
	if err != nil {
		return err
	}
	f.codes = statsOf(count[:1<<s.Bits])
	switch last := 1<<s.Bits - 1; {
	case f.codes.n == 0:
	case count[0] == f.codes.n:
		f.wrote("00000000")
	case count[last] == f.codes.n:
		f.wrote("FFFFFFFF")
	default:
		f.judgeZeroRun(zeros)
		f.judgeCodes()
	}
	return nil
}

func (f *facts) wrote(word string) {
	f.count(word, Finding{
		Code: "D9", Severity: Fatal, Where: f.m.qweight.Name,
		Got: word, Want: "codes of weights",
		Message: fmt.Sprintf("every word is %s: the layer was not quantised or not written", word),
		Hint:    "the export is broken: choose another branch",
	})
}

// zeroRun finds the longest run of zeros, in blocks of 4 KiB from the start of
// the tensor: a code of 0 is rare, a block of them is a page that was never
// written.
type zeroRun struct{ from, length, best, bestAt int64 }

const zeroBlock = 4 << 10

func (z *zeroRun) add(at int64, p []byte) {
	for len(p) > 0 {
		n := min(zeroBlock, len(p))
		if !allZero(p[:n]) {
			z.length = 0
		} else {
			if z.length == 0 {
				z.from = at
			}
			if z.length += int64(n); z.length > z.best {
				z.best, z.bestAt = z.length, z.from
			}
		}
		at, p = at+int64(n), p[n:]
	}
}

// allZero stops at the first word that is not, which is nearly always the first.
func allZero(p []byte) bool {
	for ; len(p) >= 8; p = p[8:] {
		if binary.LittleEndian.Uint64(p) != 0 {
			return false
		}
	}
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

func (f *facts) judgeZeroRun(z zeroRun) {
	if z.best < 2*zeroBlock {
		return
	}
	f.count("run", Finding{
		Code: "D9", Severity: Fatal, Where: f.m.qweight.Name,
		Got: fmt.Sprintf("%d bytes of zeros", z.best), Want: "codes of weights",
		Message: fmt.Sprintf("bytes %d to %d of %d are zeros: that part was not written", z.bestAt, z.bestAt+z.best, f.m.qweight.Size),
		Hint:    "verify the file against the hub's digest; if it is the same there, choose another branch",
	})
}

func statsOf(count []int64) codeStats {
	var s codeStats
	sum, squares := 0.0, 0.0
	for code, n := range count {
		if n > 0 {
			s.used++
		}
		s.n += n
		sum += float64(code) * float64(n)
		squares += float64(n) * float64(n)
	}
	if s.n == 0 {
		return s
	}
	n := float64(s.n)
	s.mean = sum / n
	s.spike = float64(len(count))*squares/(n*n) - float64(len(count)-1)/n // less what chance alone gives
	return s
}

// noise is the spike below which codes are evenly spread. Weights in the
// smallest groups that are in use, of 16, have 1.07; in groups of 128 1.5.
const noise = 1.02

// judgeCodes: the histogram of weights is a bell around zero, and uses most of
// its codes.
func (f *facts) judgeCodes() {
	c, bits := f.codes, f.shape.Bits
	if !c.enough(bits) {
		return
	}
	odd := Finding{Code: "D10", Severity: Warn, Where: f.m.qweight.Name,
		Hint: "the layer may be packed in another way or with other bits than it says: compare the output with another branch's"}
	switch codes := 1 << bits; {
	case c.used <= codes/2:
		odd.Got, odd.Want = strconv.Itoa(c.used), fmt.Sprintf("most of %d", codes)
		odd.Message = fmt.Sprintf("only %d of %d codes are used", c.used, codes)
		f.count("used", odd)
	case c.spike < noise:
		odd.Got, odd.Want = fmt.Sprintf("%.3f", c.spike), fmt.Sprintf("above %.2f", noise)
		odd.Message = "every code is equally frequent, as in noise; weights have most codes around zero"
		f.count("flat", odd)
	case c.mean < float64(codes)/4 || c.mean > float64(codes)*3/4:
		odd.Got, odd.Want = fmt.Sprintf("%.1f", c.mean), fmt.Sprintf("around %d", codes/2)
		odd.Message = fmt.Sprintf("the codes average %.1f of 0 to %d: they are not spread around zero", c.mean, codes-1)
		f.count("mean", odd)
	}
}
