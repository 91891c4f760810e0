package quant

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// scaleStats is what the scales of a module are.
type scaleStats struct {
	n, odd, tiny int64 // all, zero or negative, below the smallest normal number of F16
	firstOdd     int64
	least, most  float32 // of those above zero
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
	var s scaleStats
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
			return true
		}
		for i := range len(piece) / int(unit) {
			s.add(at/unit+int64(i), valueAt(t.DType, piece, i))
		}
		return true
	})
	if err == nil && !bad {
		f.judgeScales(s)
	}
	return err
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

func unitOf(dtype string) int64 {
	if dtype == "F32" {
		return 4
	}
	return 2
}

// notFiniteAt is the index of the first value that is infinite or no number, -1
// for none.
func notFiniteAt(dtype string, p []byte) int {
	if finite(dtype, p) {
		return -1
	}
	for i := range len(p) / int(unitOf(dtype)) {
		if v := float64(valueAt(dtype, p, i)); v != v || math.IsInf(v, 0) {
			return i
		}
	}
	return -1
}

// readBias: where the architecture has none, engines differ in whether they add
// it, so it must be zero.
func (w *worker) readBias(f *facts) error {
	t := f.m.bias
	if t == nil || !isFloat(t.DType) {
		return nil
	}
	unit, nonzero := unitOf(t.DType), int64(0)
	var first int64
	var value float32
	err := w.stream(t, func(at int64, piece []byte) bool {
		if i := notFiniteAt(t.DType, piece); i >= 0 {
			f.notFinite(t, at/unit+int64(i), valueAt(t.DType, piece, i))
			nonzero = 0
			return false
		}
		if !w.d.noBias[f.m.name] {
			return true
		}
		for i := range len(piece) / int(unit) {
			if v := valueAt(t.DType, piece, i); v != 0 {
				if nonzero == 0 {
					first, value = at/unit+int64(i), v
				}
				nonzero++
			}
		}
		return true
	})
	if err == nil && nonzero > 0 {
		f.count("bias", Finding{
			Code: "D8", Severity: Warn, Where: t.Name,
			Got: fmt.Sprint(value), Want: "0",
			Message: fmt.Sprintf("[%d] is %v, though the architecture has no bias, and %d of %d are not zero: AutoGPTQ adds them, transformers drops them",
				first, value, nonzero, t.Elements()),
			Hint: "compare the output of two engines",
		})
	}
	return err
}

func (f *facts) notFinite(t *placed, i int64, v float32) {
	f.count("plain", Finding{Code: "D11", Severity: Fatal, Where: t.Name, Got: fmt.Sprint(v), Want: "a finite number",
		Message: fmt.Sprintf("value %d of %v is %v", i, t.Shape, v), Hint: "the export is broken: choose another branch"})
}

// readPlain: the tensors that stay in floating point are finite, and the
// embedding has a row for every token.
func (w *worker) readPlain(f *facts) error {
	t := f.plain
	if strings.HasSuffix(t.Name, ".inv_freq") {
		return nil // follows from the configuration, and is ignored
	}
	err := w.stream(t, func(at int64, piece []byte) bool {
		i := notFiniteAt(t.DType, piece)
		if i >= 0 {
			f.notFinite(t, at/unitOf(t.DType)+int64(i), valueAt(t.DType, piece, i))
		}
		return i < 0
	})
	if err == nil && isEmbedding(t.Name) && len(t.Shape) == 2 && len(f.found) == 0 {
		err = w.readAddedRows(f)
	}
	return err
}

func isEmbedding(name string) bool {
	for _, suffix := range []string{"embed_tokens.weight", "embed_in.weight", "word_embeddings.weight", "wte.weight"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// readAddedRows looks at the rows of tokens that were added to the vocabulary,
// as chat formats do: one without a row breaks engines, one of zeros was never
// trained.
func (w *worker) readAddedRows(f *facts) error {
	t := f.plain
	rows, size := t.Shape[0], t.Shape[1]*unitOf(t.DType)
	added := w.d.in.addedTokens()
	if size > chunk {
		return nil // no model is this wide
	}
	for _, id := range slices.Sorted(maps.Keys(added)) {
		missing := Finding{Code: "D11", Severity: Warn, Where: t.Name, Got: strconv.FormatInt(id, 10)}
		if id >= rows {
			missing.Want = fmt.Sprintf("below %d", rows)
			missing.Message = fmt.Sprintf("token %d, %s, has no row: there are %d", id, added[id].text, rows)
			missing.Hint = "engines stop or read outside the tensor when it is used: do not use the token"
			f.count("beyond", missing)
			continue
		}
		row := w.buf[:size]
		if n, err := w.d.readers[t.file].ReadAt(row, t.Offset+id*size); n < len(row) {
			return fmt.Errorf("reading tensor %q of %s: %w", t.Name, t.file, noEOF(err))
		}
		if added[id].later && allZero(row) && !strings.Contains(strings.ToLower(added[id].text), "pad") {
			missing.Want = "a row of numbers"
			missing.Message = fmt.Sprintf("the row of token %d, %s, is all zeros: it was never trained", id, added[id].text)
			missing.Hint = "prompts in the format that uses it will not work well"
			f.count("zeros", missing)
		}
	}
	return nil
}

// maxAdded bounds the tokens that are looked at; real models have up to a
// thousand.
const maxAdded = 4096

// addedToken is a token beside those that the vocabulary was made with.
type addedToken struct {
	text  string
	later bool // it stands in added_tokens.json, which has none of the original ones
}

// addedTokens are the tokens that added_tokens.json and tokenizer_config.json
// name, by id. Files that make no sense add none: they are not judged here.
func (in Input) addedTokens() map[int64]addedToken {
	added := map[int64]addedToken{}
	var byName map[string]int64
	if json.Unmarshal(in.JSON["added_tokens.json"], &byName) == nil {
		for name, id := range byName {
			added[id] = addedToken{name, true}
		}
	}
	var config struct {
		Decoder map[string]struct {
			Content string `json:"content"`
		} `json:"added_tokens_decoder"`
	}
	if json.Unmarshal(in.JSON["tokenizer_config.json"], &config) == nil {
		for text, token := range config.Decoder {
			if id, err := strconv.ParseInt(text, 10, 64); err == nil {
				added[id] = addedToken{cmp.Or(added[id].text, token.Content), added[id].later}
			}
		}
	}
	maps.DeleteFunc(added, func(id int64, _ addedToken) bool { return id < 0 || id > math.MaxInt32 })
	if len(added) > maxAdded {
		return nil
	}
	return added
}
