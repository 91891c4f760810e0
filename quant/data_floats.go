package quant

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

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
