package quant

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"

	"github.com/qbranch/qbranch/quant/gptq"
)

// zeroKind is what the stored zero points of a matrix are.
type zeroKind int

const (
	zerosUnread zeroKind = iota
	zerosV1              // all as symmetric quantisation stores them in format gptq
	zerosV2              // all as symmetric quantisation stores them in format gptq_v2
	zerosOther           // not symmetric
)

// zeroStats is what the zero points of a module are.
type zeroStats struct {
	kind       zeroKind
	mean       float64 // of the stored fields
	maxed      int64   // fields of all ones
	overflowed int64   // words of AutoGPTQ's overflow
}

// readZeros classifies the qzeros of a module: all as symmetric quantisation
// stores them in v1, in v2, or neither; then they are counted.
func (w *worker) readZeros(f *facts) error {
	t, s := f.m.qzeros, f.shape
	if t.DType != "I32" && t.DType != "U32" {
		return nil // H6's
	}
	sym := w.symRows(s)
	is1, is2 := true, true
	err := w.stream(t, func(at int64, piece []byte) bool {
		clearFilling(s, at, piece)
		is1, is2 = is1 && onlyRows(sym[0], at, piece), is2 && onlyRows(sym[1], at, piece)
		return is1 || is2
	})
	z := &f.zeros
	switch {
	case err != nil:
		return err
	case is1:
		z.kind, z.mean = zerosV1, float64(gptq.SymZero(s.Bits)-1)
	case is2:
		z.kind, z.mean = zerosV2, float64(gptq.SymZero(s.Bits))
	default:
		z.kind = zerosOther
		return w.countZeros(f)
	}
	return nil
}

// clearFilling clears the bits of a piece of qzeros that only fill up the last
// word of a row. Writers leave anything there: GPTQModel, which subtracts ones
// from whole words, what it borrowed.
func clearFilling(s gptq.Shape, at int64, p []byte) {
	used := s.N * s.Bits % 32
	if used == 0 {
		return
	}
	row := int64(gptq.Words(s.N, s.Bits)) * 4
	for last := row - 4 - at%row; last < int64(len(p)); last += row {
		if last >= 0 { // a piece begins with a whole word
			word := p[last:][:4]
			binary.LittleEndian.PutUint32(word, binary.LittleEndian.Uint32(word)&(1<<used-1))
		}
	}
}

// symRows is a row of qzeros whose zero points are the symmetric one, stored
// less one as v1 does, and as it is.
func (w *worker) symRows(s gptq.Shape) [2][]byte {
	key := gptq.Shape{Bits: s.Bits, N: s.N}
	if rows, ok := w.sym[key]; ok {
		return rows
	}
	var rows [2][]byte
	for i := range rows {
		fields := make([]uint8, s.N)
		for j := range fields {
			fields[j] = uint8(gptq.SymZero(s.Bits) - 1 + i)
		}
		for _, word := range gptq.PackCols(fields, s.Bits, 1, s.N) {
			rows[i] = binary.LittleEndian.AppendUint32(rows[i], word)
		}
	}
	w.sym[key] = rows
	return rows
}

// countZeros counts the fields of an asymmetric file: their mean; those of all
// ones, which readers take for different zero points; and words that AutoGPTQ's
// packer spoiled: a zero of 0, less one, became all ones in every higher field
// of its word. What GPTQModel wrote borrowed from the neighbour instead, and the
// other formats have neither.
func (w *worker) countZeros(f *facts) error {
	s, z := f.shape, &f.zeros
	// 3-bit fields cross words: those that overflow are not counted.
	ones := w.d.cfg.Zeros(s.Bits) == gptq.ZeroV1 && s.Bits != 3
	width := gptq.Words(s.N, s.Bits)
	err := w.stream(f.m.qzeros, func(at int64, piece []byte) bool {
		clearFilling(s, at, piece)
		w.hist.addCols(s.Bits, width, at, piece)
		for ; ones && len(piece) >= 4; piece = piece[4:] {
			full := fullFields(binary.LittleEndian.Uint32(piece), s.Bits)
			n := bits.OnesCount32(full)
			z.maxed += int64(n)
			// All full fields are the highest ones, and more than one.
			if lead := bits.LeadingZeros32(^spread(full, s.Bits)); n > 1 && lead == n*s.Bits {
				z.overflowed++
			}
		}
		return true
	})
	count := w.hist.codes(s.Bits)
	z.mean = statsOf(count[:1<<s.Bits]).mean
	return err
}

// fullFields marks the lowest bit of every field of all ones.
func fullFields(word uint32, width int) uint32 {
	full := word
	for shift := 1; shift < width; shift++ {
		full &= word >> shift
	}
	lowest := uint32(0)
	for at := 0; at < 32; at += width {
		lowest |= 1 << at
	}
	return full & lowest
}

// spread turns the lowest bit of each field into a field of all ones.
func spread(lowest uint32, width int) uint32 { return lowest * uint32(gptq.MaxCode(width)) }

// zeroCount sums up the modules.
type zeroCount struct {
	v1, v2, other            int
	firstV1, firstV2, firstO string
	denied, unsaid           tally // not symmetric, though sym is true; is not stated
	maxed, overflowed        int64
	wordAt                   string  // the first overflowed
	offset                   float64 // mean code less mean stored zero point, over measured modules
	measured                 int
}

func (d *dataChecker) zeroCount() zeroCount {
	var z zeroCount
	set := func(first *string, f *facts) {
		if *first == "" {
			*first = f.m.qzeros.Name
		}
	}
	for i := range d.facts {
		f := &d.facts[i]
		if f.m == nil {
			continue
		}
		switch f.zeros.kind {
		case zerosUnread:
			continue
		case zerosV1:
			z.v1++
			set(&z.firstV1, f)
		case zerosV2:
			z.v2++
			set(&z.firstV2, f)
		default:
			z.other++
			set(&z.firstO, f)
			switch sym := f.says.sym; {
			case isTrue(sym):
				z.denied.add(f.m.qzeros.Name)
			case sym == nil && len(d.sources) > 0:
				z.unsaid.add(f.m.qzeros.Name)
			}
		}
		if z.maxed += f.zeros.maxed; f.zeros.overflowed > 0 {
			z.overflowed += f.zeros.overflowed
			set(&z.wordAt, f)
		}
		// Of 8 bits one step is too small beside how far the mean of weights
		// is from zero.
		// Fields that only fill up a word are no zero points.
		filled := f.shape.N*f.shape.Bits%32 != 0
		if f.codes.enough(f.shape.Bits) && f.shape.Bits <= 4 && f.codes.spike >= noise && !filled {
			z.offset += f.codes.mean - f.zeros.mean
			z.measured++
		}
	}
	if z.measured > 0 {
		z.offset /= float64(z.measured)
	}
	return z
}

// format is how the zero points are stored, by the data alone; "" where it does
// not tell. Where all are the symmetric one their value says it. Otherwise the
// mean of the weights does: it is zero or nearly, so that the mean code is the
// mean zero point, one more than what v1 stores.
func (z zeroCount) format() string {
	near := func(want float64) bool { return z.measured > 0 && z.offset > want-0.25 && z.offset < want+0.25 }
	switch {
	case z.v1 > 0 && z.v2 == 0 && z.other == 0, z.other > 0 && near(1):
		return "gptq"
	case z.v2 > 0 && z.v1 == 0 && z.other == 0, z.other > 0 && near(0):
		return "gptq_v2"
	}
	return ""
}

// judgeZeros compares the stored zero points with sym and checkpoint_format.
func (d *dataChecker) judgeZeros() {
	z, cfg := d.zeroCount(), d.cfg
	label := "gptq"
	if cfg.Zeros(4) == gptq.ZeroV2 {
		label = "gptq_v2"
	}
	is := z.format()
	switch {
	case z.denied.n > 0:
		d.add(Finding{
			Code: "D7", Severity: Fatal, Where: z.denied.first, Field: "sym",
			Got: "other zero points", Want: "the symmetric one everywhere",
			Message: fmt.Sprintf("sym is true, but the zero points of %d matrices are not symmetric: engines that skip them answer with noise", z.denied.n),
			Hint:    "set sym to false in both configuration files, or verify the file",
		})
	case z.unsaid.n > 0:
		d.add(Finding{
			Code: "D7", Severity: Warn, Where: z.unsaid.first, Field: "sym",
			Got: "nothing", Want: "sym false",
			Message: fmt.Sprintf("sym is not stated, and the zero points of %d matrices are not symmetric: AutoGPTQ takes it for true", z.unsaid.n),
			Hint:    "set sym to false in both configuration files",
		})
	case z.v1 > 0 && z.v2 > 0 && (cfg.Sym == nil || *cfg.Sym):
		d.add(Finding{
			Code: "D7", Severity: Fatal, Where: z.firstV2, Field: "checkpoint_format",
			Got: "gptq and gptq_v2", Want: "one of them",
			Message: fmt.Sprintf("%d matrices store their zero points as v1, %d as v2: no engine reads both", z.v1, z.v2),
			Hint:    "the export is broken: choose another branch",
		})
	case is != "" && is != label:
		d.mislabelled(z, is)
	}
	d.judgeOverflow(z)
	if z.other == 0 && z.v1+z.v2 > 0 && cfg.Sym != nil && !*cfg.Sym {
		d.add(Finding{
			Code: "D7", Severity: Info, Where: "qzeros", Field: "sym",
			Got: "sym false", Want: "sym true",
			Message: "every zero point is the symmetric one, but sym is false: engines that only load symmetric files refuse it for nothing",
			Hint:    "set sym to true in both configuration files",
		})
	}
}

// mislabelled reports zero points of the other format: certain where they are
// symmetric, very likely where the mean of the codes says it.
func (d *dataChecker) mislabelled(z zeroCount, is string) {
	f := Finding{
		Code: "D7", Severity: Fatal, Where: z.firstV2, Field: "checkpoint_format",
		Got: d.cfg.Format, Want: is,
		Message: fmt.Sprintf("labelled %s, zeros are %s: engines that believe the label are off by one everywhere", d.cfg.Format, short(is)),
		Hint:    "set checkpoint_format to " + is + " in both configuration files",
	}
	if is == "gptq" {
		f.Where = z.firstV1
	}
	if z.other > 0 {
		f.Severity, f.Where = Warn, z.firstO
		f.Message += fmt.Sprintf(" (the codes average %.2f above the stored zero points: 1 in v1, 0 in v2)", z.offset)
		f.Hint = "compare the output with that of another branch; if it is noise, " + f.Hint
	}
	d.add(f)
}

// short is what people call a format's zero points.
func short(format string) string {
	if format == "gptq_v2" {
		return "v2"
	}
	return "v1"
}

func (d *dataChecker) judgeOverflow(z zeroCount) {
	f := Finding{Code: "D7", Severity: Warn, Where: z.firstO, Field: "checkpoint_format", Want: "none",
		Hint: "prefer a symmetric branch or one in format gptq_v2"}
	switch {
	case z.overflowed > 0:
		f.Where, f.Got = z.wordAt, strconv.FormatInt(z.overflowed, 10)
		f.Message = fmt.Sprintf("%d words of zero points look overflowed, as AutoGPTQ's packer did with zero points of 0: what stood there is lost", z.overflowed)
	case z.maxed > 0:
		f.Got = strconv.FormatInt(z.maxed, 10)
		f.Message = fmt.Sprintf("%d zero points of 0 are stored as all ones: some engines read them as the largest zero plus one", z.maxed)
	default:
		return
	}
	d.add(f)
}
