package quant

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/quant/gptq"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// CheckData judges the tensors themselves: g_idx, scales, zeros, biases.
// open gives a reader over a whole safetensors file; a reader that is also an
// io.Closer is closed. Headers that in does not have are read first; in.Files,
// or a Size method of the reader, gives the length of their files. The error
// is of open, of a reader, or of ctx; what is wrong with the data is a finding.
func CheckData(ctx context.Context, in Input, open func(path string) (io.ReaderAt, error)) ([]Finding, error) {
	d := &dataChecker{ctx: ctx, readers: map[string]io.ReaderAt{}, buf: make([]byte, chunk)}
	defer d.closeAll()
	in, broken, err := d.openAll(in, open)
	if err != nil {
		return nil, err
	}
	d.checker = newChecker(in)
	d.findings = broken // what Check finds is not repeated here
	d.counts, d.order = nil, nil
	if len(d.readModel()) > 0 {
		d.model = nil // J13's
	}
	d.expectedBias()
	for _, m := range d.inv.modules {
		if err := d.checkModuleData(m); err != nil {
			return nil, err
		}
	}
	d.judgeActOrder()
	d.judgeZeros()
	if err := d.checkPlainData(); err != nil {
		return nil, err
	}
	return d.sorted(), nil
}

// chunk is how much of a tensor is held in memory.
const chunk = 1 << 20

// dataChecker reads one tensor after the other.
type dataChecker struct {
	*checker
	ctx     context.Context
	readers map[string]io.ReaderAt
	buf     []byte // (chunk)

	noBias   map[string]bool // modules whose architecture has no bias
	act      actOrder
	zeros    zeroCount
	siblings map[string]sibling // by parent and kind, the first g_idx seen
}

// sibling is a module that shares its input with others.
type sibling struct {
	name string
	hash [sha256.Size]byte
}

// openAll opens the weight files and completes the headers.
func (d *dataChecker) openAll(in Input, open func(string) (io.ReaderAt, error)) (Input, []Finding, error) {
	headers := make(map[string]*safetensors.Header, len(in.Headers))
	for name, h := range in.Headers {
		headers[name] = h
	}
	var broken []Finding
	for _, file := range in.WeightFiles() {
		if err := d.ctx.Err(); err != nil {
			return in, nil, err
		}
		if _, listed := in.Files[file]; in.Files != nil && !listed {
			continue // H2's
		}
		r, err := open(file)
		if err != nil {
			return in, nil, fmt.Errorf("opening %s: %w", file, err)
		}
		d.readers[file] = r
		if headers[file] != nil {
			continue
		}
		size, ok := in.Files[file]
		if sized, has := r.(interface{ Size() int64 }); !ok && has {
			size = sized.Size()
		}
		h, err := safetensors.Parse(r, size)
		var fe *safetensors.FormatError
		switch {
		case errors.As(err, &fe):
			broken = append(broken, HeaderFinding(file, err))
		case err != nil:
			return in, nil, fmt.Errorf("reading %s: %w", file, err)
		default:
			headers[file] = h
		}
	}
	in.Headers = headers
	return in, broken, nil
}

func (d *dataChecker) closeAll() {
	for _, r := range d.readers {
		if c, ok := r.(io.Closer); ok {
			c.Close() // nothing was written: a failure to close loses nothing
		}
	}
}

func (d *dataChecker) expectedBias() {
	d.noBias = map[string]bool{}
	if d.model == nil || !d.model.Known() {
		return
	}
	d.model.each(d.newNaming, func(x linear) { d.noBias[x.name] = !x.bias }, func(plain) {})
}

// errStop ends a stream early without being an error.
var errStop = errors.New("seen enough")

// stream calls visit with successive pieces of a tensor, each a whole number of
// units, at most [chunk] bytes or one unit; first is the index of the first
// unit of a piece.
func (d *dataChecker) stream(t *placed, unit int, visit func(first int64, piece []byte) error) error {
	buf := d.buf
	if unit > len(buf) {
		buf = make([]byte, unit)
	}
	buf = buf[:len(buf)/unit*unit]
	r := t.Section(d.readers[t.file])
	for at := int64(0); at < t.Size; {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		piece := buf[:min(int64(len(buf)), t.Size-at)]
		if n, err := r.ReadAt(piece, at); n < len(piece) {
			return fmt.Errorf("reading tensor %q of %s at byte %d: %w", t.Name, t.file, t.Offset+at+int64(n), noEOF(err))
		}
		if err := visit(at/int64(unit), piece); err != nil {
			if err == errStop {
				return nil
			}
			return err
		}
		at += int64(len(piece))
	}
	return nil
}

// noEOF: the header promised the bytes, so the end of the file is unexpected.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (d *dataChecker) checkModuleData(m *module) error {
	if !m.whole() {
		return nil // H3's
	}
	s, err := m.shape()
	if err != nil || m.isAWQ() || !gptq.Supported(s.Bits) {
		return nil // H4's, H7's, J3's
	}
	for _, check := range []func(*module, gptq.Shape) error{d.checkCodes, d.checkScales, d.checkGroups, d.checkZeros, d.checkBias} {
		if err := check(m, s); err != nil {
			return err
		}
	}
	return nil
}

// checkCodes: a layer that was skipped or badly packed is all zeros or all
// ones. Reading stops at the first word that is neither.
func (d *dataChecker) checkCodes(m *module, _ gptq.Shape) error {
	zeros, ones := true, true
	err := d.stream(m.qweight, 4, func(_ int64, piece []byte) error {
		for i := 0; i+4 <= len(piece); i += 4 {
			w := binary.LittleEndian.Uint32(piece[i:])
			zeros, ones = zeros && w == 0, ones && w == math.MaxUint32
			if !zeros && !ones {
				return errStop
			}
		}
		return nil
	})
	if err == nil && (zeros || ones) {
		word := "00000000"
		if ones {
			word = "FFFFFFFF"
		}
		d.count(word, Finding{
			Code: "D9", Severity: Fatal, Where: m.qweight.Name,
			Got:     word,
			Message: fmt.Sprintf("every word is %s: the layer was not quantised or not written", word),
			Hint:    "the export is broken: choose another branch",
		})
	}
	return err
}

// checkScales: finite, and above zero.
func (d *dataChecker) checkScales(m *module, s gptq.Shape) error {
	if !isFloat(m.scales.DType) {
		return nil // H6's
	}
	odd, firstOdd := int64(0), ""
	err := d.floats(m.scales, func(i int64, v float32) error {
		if v != v || math.IsInf(float64(v), 0) {
			d.count("finite", Finding{
				Code: "D6", Severity: Fatal, Where: m.scales.Name,
				Got: fmt.Sprint(v), Want: "a finite number",
				Message: fmt.Sprintf("[%d][%d] is %v: so is every output of this column", i/int64(s.N), i%int64(s.N), v),
				Hint:    "the export is broken: choose another branch",
			})
			return errStop
		}
		if v <= 0 {
			if odd == 0 {
				firstOdd = fmt.Sprintf("[%d][%d] is %v", i/int64(s.N), i%int64(s.N), v)
			}
			odd++
		}
		return nil
	})
	if odd > 0 {
		d.count("sign", Finding{
			Code: "D6", Severity: Warn, Where: m.scales.Name,
			Got: strconv.FormatInt(odd, 10), Want: "above 0",
			Message: fmt.Sprintf("%d scales are zero or negative, the first, %s; quantisers never write such", odd, firstOdd),
			Hint:    "the layer may have seen no calibration text",
		})
	}
	return err
}

// floats visits every value of a float tensor with its index.
func (d *dataChecker) floats(t *placed, visit func(i int64, v float32) error) error {
	unit := 2
	if t.DType == "F32" {
		unit = 4
	}
	return d.stream(t, unit, func(first int64, piece []byte) error {
		for i := 0; i < len(piece); i += unit {
			var v float32
			switch t.DType {
			case "F16":
				v = gptq.F16ToF32(binary.LittleEndian.Uint16(piece[i:]))
			case "BF16":
				v = gptq.BF16ToF32(binary.LittleEndian.Uint16(piece[i:]))
			default:
				v = math.Float32frombits(binary.LittleEndian.Uint32(piece[i:]))
			}
			if err := visit(first+int64(i/unit), v); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkBias: where the architecture has none, engines differ in whether they
// add it, so it must be zero.
func (d *dataChecker) checkBias(m *module, _ gptq.Shape) error {
	if m.bias == nil || !isFloat(m.bias.DType) {
		return nil
	}
	return d.floats(m.bias, func(i int64, v float32) error {
		switch {
		case v != v || math.IsInf(float64(v), 0):
			d.notFinite(m.bias, i, v)
			return errStop
		case v != 0 && d.noBias[m.name]:
			d.count("bias", Finding{
				Code: "D8", Severity: Warn, Where: m.bias.Name,
				Got: fmt.Sprint(v), Want: "0",
				Message: fmt.Sprintf("[%d] is %v, though the architecture has no bias: AutoGPTQ adds it, transformers drops it", i, v),
				Hint:    "compare the output of two engines",
			})
			return errStop
		}
		return nil
	})
}

func (d *dataChecker) notFinite(t *placed, i int64, v float32) {
	d.count("plain", Finding{Code: "D11", Severity: Fatal, Where: t.Name, Got: fmt.Sprint(v), Want: "a finite number",
		Message: fmt.Sprintf("value %d of %v is %v", i, t.Shape, v), Hint: "the export is broken: choose another branch"})
}

// checkPlainData: the tensors that stay in floating point are finite.
func (d *dataChecker) checkPlainData() error {
	part := map[string]bool{}
	for _, m := range d.inv.modules {
		for _, t := range []*placed{m.scales, m.bias} {
			if t != nil {
				part[t.Name] = true
			}
		}
	}
	for _, file := range d.inv.files {
		h := d.in.Headers[file]
		if h == nil {
			continue
		}
		for _, t := range h.Tensors {
			p := d.inv.tensors[t.Name]
			if part[t.Name] || !isFloat(t.DType) || p.file != file || strings.HasSuffix(t.Name, ".inv_freq") {
				continue
			}
			err := d.floats(p, func(i int64, v float32) error {
				if v != v || math.IsInf(float64(v), 0) {
					d.notFinite(p, i, v)
					return errStop
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
