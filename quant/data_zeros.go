package quant

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/qbranch/qbranch/quant/gptq"
)

// zeroCount counts modules by what their stored zero points are.
type zeroCount struct {
	v1, v2, other            int
	firstV1, firstV2, firstO string
	maxed                    int64 // fields of all ones
	overflowed               int64 // words of AutoGPTQ's overflow
	wordAt                   string
}

// checkZeros classifies the qzeros of a module: all as symmetric quantisation
// stores them in v1, in v2, or neither.
func (d *dataChecker) checkZeros(m *module, s gptq.Shape) error {
	if t := m.qzeros.DType; t != "I32" && t != "U32" {
		return nil // H6's
	}
	width := gptq.Words(s.N, s.Bits)
	v1, v2 := symWords(s.Bits, s.N, 1), symWords(s.Bits, s.N, 0)
	is1, is2 := true, true
	err := d.stream(m.qzeros, 4*width, func(first int64, piece []byte) error {
		for at := 0; at < len(piece); at += 4 {
			word, col := binary.LittleEndian.Uint32(piece[at:]), at/4%width
			is1, is2 = is1 && word == v1[col], is2 && word == v2[col]
			if !is1 && !is2 {
				return errStop
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	z := &d.zeros
	switch {
	case is1:
		z.v1++
		setFirst(&z.firstV1, m.qzeros.Name)
	case is2:
		z.v2++
		setFirst(&z.firstV2, m.qzeros.Name)
	default:
		z.other++
		setFirst(&z.firstO, m.qzeros.Name)
		return d.countMaxed(m, s)
	}
	return nil
}

func setFirst(s *string, name string) {
	if *s == "" {
		*s = name
	}
}

// symWords is one row of qzeros whose n zero points are the symmetric one less
// minus.
func symWords(bits, n, minus int) []uint32 {
	fields := make([]uint8, n)
	for i := range fields {
		fields[i] = uint8(gptq.SymZero(bits) - minus)
	}
	return gptq.PackCols(fields, bits, 1, n)
}

// countMaxed counts fields of all ones in an asymmetric v1 file, which readers
// take for different zero points, and words that AutoGPTQ's packer spoiled: a
// zero of 0, less one, became all ones in every higher field of its word.
func (d *dataChecker) countMaxed(m *module, s gptq.Shape) error {
	if d.cfg.Zeros(s.Bits) != gptq.ZeroV1 || s.Bits == 3 {
		return nil // 3-bit fields cross words; the other formats do not overflow
	}
	maxed := uint32(gptq.MaxCode(s.Bits))
	return d.stream(m.qzeros, 4, func(_ int64, piece []byte) error {
		for at := 0; at < len(piece); at += 4 {
			word := binary.LittleEndian.Uint32(piece[at:])
			n, run := 0, 0 // fields of all ones, and how many of them lead the word
			for shift := 0; shift < 32; shift += s.Bits {
				if word>>shift&maxed == maxed {
					n, run = n+1, run+1
				} else {
					run = 0
				}
			}
			d.zeros.maxed += int64(n)
			if n > 1 && n == run {
				d.zeros.overflowed++
				setFirst(&d.zeros.wordAt, m.qzeros.Name)
			}
		}
		return nil
	})
}

// judgeZeros compares the stored zero points with sym and checkpoint_format.
func (d *dataChecker) judgeZeros() {
	z, cfg := d.zeros, d.cfg
	labelledV2 := cfg.Zeros(4) == gptq.ZeroV2
	symmetric := cfg.Sym == nil || *cfg.Sym
	switch {
	case z.other > 0 && isTrue(cfg.Sym):
		d.add(Finding{
			Code: "D7", Severity: Fatal, Where: z.firstO,
			Got: "other zero points", Want: "the symmetric one everywhere",
			Message: fmt.Sprintf("sym is true, but the zero points of %d matrices are not symmetric: engines that skip them answer with noise", z.other),
			Hint:    "set sym to false in both configuration files, or verify the file",
		})
	case z.v1 > 0 && z.v2 > 0 && symmetric:
		d.add(Finding{
			Code: "D7", Severity: Fatal, Where: z.firstV2,
			Got: "gptq and gptq_v2", Want: "one of them",
			Message: fmt.Sprintf("%d matrices store their zero points as v1, %d as v2: no engine reads both", z.v1, z.v2),
			Hint:    "the export is broken: choose another branch",
		})
	case z.v2 > 0 && z.other == 0 && symmetric && !labelledV2:
		d.mislabelled(z.firstV2, "gptq_v2", cfg.Format)
	case z.v1 > 0 && z.other == 0 && symmetric && labelledV2:
		d.mislabelled(z.firstV1, "gptq", cfg.Format)
	}
	if z.overflowed > 0 {
		d.add(Finding{
			Code: "D7", Severity: Warn, Where: z.wordAt,
			Got:     strconv.FormatInt(z.overflowed, 10),
			Message: fmt.Sprintf("%d words of zero points look overflowed, as AutoGPTQ's packer did with zero points of 0: what stood there is lost", z.overflowed),
			Hint:    "prefer a symmetric branch or one in format gptq_v2",
		})
	} else if z.maxed > 0 {
		d.add(Finding{
			Code: "D7", Severity: Warn, Where: z.firstO,
			Got:     strconv.FormatInt(z.maxed, 10),
			Message: fmt.Sprintf("%d zero points of 0 are stored as all ones: some engines read them as the largest zero plus one", z.maxed),
			Hint:    "prefer a symmetric branch or one in format gptq_v2",
		})
	}
}

func (d *dataChecker) mislabelled(where, data, label string) {
	d.add(Finding{
		Code: "D7", Severity: Fatal, Where: where,
		Got: label, Want: data,
		Message: fmt.Sprintf("checkpoint_format is %s, but the zero points are stored as in %s: engines that believe it are off by one everywhere", label, data),
		Hint:    "set checkpoint_format to " + data + " in both configuration files",
	})
}
