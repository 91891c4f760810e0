package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// scaleStats is what the scales of a module are.
type scaleStats struct {
	n, odd, tiny int64 // all, zero or negative, below the smallest normal number of F16
	firstOdd     int64
	least, most  float32 // of those above zero

	spread likeness
}

// smallestHalf is the smallest normal number of F16: below it precision is lost
// bit by bit.
const smallestHalf = 1.0 / (1 << 14)

func (s *scaleStats) add(i int64, v float32) {
	s.n++
	if v <= 0 {
		if s.odd == 0 {
			s.firstOdd = i
		}
		s.odd++
		return
	}
	if s.least == 0 || v < s.least {
		s.least = v
	}
	s.most = max(s.most, v)
}

// addHalves is add of F16 values that are all finite. Above zero they are
// ordered as their bits are, so that few need to be converted.
func (s *scaleStats) addHalves(first int64, p []byte) {
	least, most := uint16(math.MaxUint16), uint16(0)
	tiny := int64(0)
	for i := 0; i+2 <= len(p); i += 2 {
		h := binary.LittleEndian.Uint16(p[i:])
		if h-1 >= 0x7FFF { // 0, -0 or below
			if s.odd == 0 {
				s.firstOdd = first + int64(i/2)
			}
			s.odd++
			continue
		}
		if h < 0x0400 {
			tiny++
		}
		least, most = min(least, h), max(most, h)
	}
	s.n += int64(len(p) / 2)
	s.tiny += tiny
	if most == 0 {
		return
	}
	var two [4]byte
	binary.LittleEndian.PutUint16(two[:], least)
	binary.LittleEndian.PutUint16(two[2:], most)
	if low := valueAt("F16", two[:], 0); s.least == 0 || low < s.least {
		s.least = low
	}
	s.most = max(s.most, valueAt("F16", two[:], 1))
}

// readScales: finite, above zero, and of one order of magnitude or a few.
func (w *worker) readScales(f *facts) error {
	t := f.m.scales
	if !isFloat(t.DType) {
		return nil // H6's
	}
	if cap(w.cols) < f.shape.N {
		w.cols = make([]int64, f.shape.N)
	}
	s := scaleStats{spread: likeness{cols: w.cols[:f.shape.N]}}
	clear(s.spread.cols)
	cols, unit := int64(f.shape.N), unitOf(t.DType)
	bad := false
	err := w.stream(t, func(at int64, piece []byte) bool {
		if i := notFiniteAt(t.DType, piece); i >= 0 {
			v, n := valueAt(t.DType, piece, i), at/unit+int64(i)
			bad = true
			f.count("finite", Finding{
				Code: "D6", Severity: Fatal, Where: t.Name,
				Got: fmt.Sprint(v), Want: "a finite number",
				Message: fmt.Sprintf("[%d][%d] is %v: so is every output of this column", n/cols, n%cols, v),
				Hint:    "the export is broken: choose another branch",
			})
			return false
		}
		if t.DType == "F16" {
			s.addHalves(at/unit, piece)
			s.spread.add(at/unit, piece)
			return true
		}
		for i := range len(piece) / int(unit) {
			s.add(at/unit+int64(i), valueAt(t.DType, piece, i))
		}
		return true
	})
	if err == nil && !bad {
		f.judgeScales(s)
		if s.odd == 0 && t.DType == "F16" {
			f.likeness = s.spread.ratio(f.shape.G)
		}
	}
	return err
}

// likeness tells how much more alike the scales of one output are than those of
// different outputs: the F of an analysis of variance over outputs, with what
// the groups differ in taken out. Rows of weights differ in length, so that it
// is 2 and more where there are several groups; where scales stand in the wrong
// places, or the weights are noise, it is 1.
//
// The bits of positive halves, read as integers, grow with their logarithm.
type likeness struct {
	cols    []int64 // (N) sum of each output
	row     int64   // of the group being read
	rows    float64 // squares of the sums of groups before it
	all     int64
	squares int64
}

func (l *likeness) add(first int64, p []byte) {
	n := int64(len(l.cols))
	for c := first % n; len(p) >= 2; c, p = c+1, p[2:] {
		if c == n {
			l.endRow()
			c = 0
		}
		v := int64(binary.LittleEndian.Uint16(p))
		l.cols[c] += v
		l.row += v
		l.squares += v * v
	}
}

func (l *likeness) endRow() {
	l.rows += float64(l.row) * float64(l.row)
	l.all += l.row
	l.row = 0
}

// ratio is the F, 0 where it cannot be told: with one group, or without
// differences.
func (l *likeness) ratio(groups int) float64 {
	l.endRow()
	g, n := float64(groups), float64(len(l.cols))
	if groups < 2 || len(l.cols) < 32 {
		return 0
	}
	mean := float64(l.all) / (g * n)
	common := float64(l.all) * mean
	between := 0.0
	for _, sum := range l.cols {
		d := float64(sum)/g - mean
		between += g * d * d
	}
	within := float64(l.squares) - common - (l.rows/n - common) - between
	if within <= 0 || between <= 0 {
		return 0
	}
	return between / (n - 1) * (g - 1) * (n - 1) / within
}

// leastLikeness is the likeness below which scales do not belong to the outputs
// they stand at. Chance alone makes the median of many matrices 1; in trained
// ones it is 2 and more.
const leastLikeness = 1.3

// judgeLikeness looks at all matrices, since one alone may be like noise.
func (d *dataChecker) judgeLikeness() {
	var all []float64
	for i := range d.facts {
		if f := d.facts[i].likeness; f > 0 {
			all = append(all, f)
		}
	}
	slices.Sort(all)
	if len(all) < 8 || all[len(all)/2] >= leastLikeness || d.cfg.Rotation != "" {
		return
	}
	d.add(Finding{
		Code: "D6", Severity: Warn, Where: "scales",
		Got: fmt.Sprintf("%.2f", all[len(all)/2]), Want: fmt.Sprintf("above %.1f", leastLikeness),
		Message: fmt.Sprintf("the scales of one output are no more alike than those of different outputs (F is %.2f over %d matrices, 1 in noise): they stand in the wrong places, or the weights were never trained",
			all[len(all)/2], len(all)),
		Hint: "compare the output with another branch's",
	})
}

func (f *facts) judgeScales(s scaleStats) {
	cols := int64(f.shape.N)
	odd := Finding{Code: "D6", Severity: Warn, Where: f.m.scales.Name, Hint: "the layer may have seen no calibration text: compare the output with another branch's"}
	if s.odd > 0 {
		odd.Got, odd.Want = strconv.FormatInt(s.odd, 10), "above 0"
		odd.Message = fmt.Sprintf("%d of %d scales are zero or negative, the first [%d][%d]; quantisers never write such", s.odd, s.n, s.firstOdd/cols, s.firstOdd%cols)
		f.count("sign", odd)
	}
	switch {
	case s.tiny > s.n/10:
		odd.Got, odd.Want = strconv.FormatInt(s.tiny, 10), fmt.Sprintf("above %.1e", smallestHalf)
		odd.Message = fmt.Sprintf("%d of %d scales are so small that F16 keeps few of their digits", s.tiny, s.n)
		f.count("tiny", odd)
	case s.least > 0 && float64(s.most) > 1e6*float64(s.least):
		odd.Got, odd.Want = fmt.Sprintf("%.1e to %.1e", s.least, s.most), "a ratio below 1e6"
		odd.Message = fmt.Sprintf("the scales reach from %.1e to %.1e: no layer's weights do", s.least, s.most)
		f.count("ratio", odd)
	}
}
