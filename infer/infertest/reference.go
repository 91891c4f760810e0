package infertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/infer/model"
	"github.com/qbranch/qbranch/quant/gptq"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// Bound is an arithmetic and how far a logit may be off with it, relative to the
// largest of its prompt, and a hidden state, relative to the largest of its layer.
type Bound struct {
	Compute   infer.Compute
	Tolerance float64
}

// Exact is the path that does as the reference does. Two float32 runs that add in
// different orders differ by about 1e-6.
var Exact = Bound{infer.Float32, 1e-5}

// Rounded is the default path on random weights, which round worse than trained
// ones: simulated, 14 bits for 128 inputs cost 3 to 6e-4.
var Rounded = Bound{infer.Int16, 1e-3}

// CheckReference loads a checkpoint and compares it with refDir/reference.safetensors:
// logits and hidden states of every prompt at every position, computed as a
// batch and token by token, and the greedy continuation of prompt 0, token for
// token wherever the reference's two best are further apart than the bound; all
// of it for each bound.
func CheckReference(t testing.TB, files infer.Files, refDir string, bounds ...Bound) {
	t.Helper()
	m, err := infer.Load(context.Background(), files, infer.LoadOptions{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ref := open(t, filepath.Join(refDir, "reference.safetensors"))
	for _, b := range bounds {
		prompts := 0
		for ; ref.has(fmt.Sprintf("prompt.%d.ids", prompts)); prompts++ {
			for _, batch := range []int{model.MaxBatch, 1} {
				checkPrompt(t, m, ref, b, prompts, batch)
			}
		}
		if prompts == 0 {
			t.Error("the reference has no prompts")
		}
		checkGreedy(t, m, ref, b)
	}
}

// checkPrompt compares one prompt, computed batch tokens at a time.
func checkPrompt(t testing.TB, m *infer.Model, ref reference, b Bound, prompt, batch int) {
	t.Helper()
	ids := ref.ints(t, fmt.Sprintf("prompt.%d.ids", prompt))
	s := m.NewSession(infer.SessionOptions{Capacity: len(ids), Compute: b.Compute})
	defer s.Close()
	s.Announce(len(ids))
	hidden := make([][]float32, m.Info().Layers+1)
	trace := func(level int, h []float32) { hidden[level] = append(hidden[level], h...) }
	var logits []float32
	for part := range slices.Chunk(ids, batch) {
		l, err := s.Forward(context.Background(), part, len(part), trace)
		if err != nil {
			t.Fatal(err)
		}
		logits = append(logits, l...)
	}
	name := fmt.Sprintf("prompt.%d.logits", prompt)
	compare(t, fmt.Sprintf("%s, %d at a time", name, batch), logits, ref.floats(t, name), b)
	for level, h := range hidden {
		name := fmt.Sprintf("prompt.%d.hidden.%d", prompt, level)
		if level == 0 && !ref.has(name) {
			break // recorded for some prompts only
		}
		compare(t, fmt.Sprintf("%s, %d at a time", name, batch), h, ref.floats(t, name), b)
	}
}

func compare(t testing.TB, name string, got, want []float32, b Bound) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		return
	}
	largest := largestOf(want)
	var off float64
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - float64(w)); !(d <= off) { // NaN is off
			off = d
		}
	}
	if !(off <= b.Tolerance*largest) {
		t.Errorf("%s, %s: off by %g of the largest, allowed %g", b.Compute, name, off/largest, b.Tolerance)
	}
}

// checkGreedy continues prompt 0 with the reference's tokens, each of which must
// have the largest logit.
func checkGreedy(t testing.TB, m *infer.Model, ref reference, b Bound) {
	t.Helper()
	prompt, want, margins := ref.ints(t, "prompt.0.ids"), ref.ints(t, "greedy.ids"), ref.floats(t, "greedy.margin")
	close := float32(b.Tolerance * largestOf(ref.floats(t, "prompt.0.logits")))
	s := m.NewSession(infer.SessionOptions{Capacity: len(prompt) + len(want), Compute: b.Compute})
	defer s.Close()
	s.Announce(len(prompt))
	next := prompt
	var err error
	for i, id := range want {
		var logits []float32
		for part := range slices.Chunk(next, model.MaxBatch) {
			if logits, err = s.Forward(context.Background(), part, 1, nil); err != nil {
				t.Fatal(err)
			}
		}
		best := 0
		for j, v := range logits {
			if v > logits[best] {
				best = j
			}
		}
		if best != id && margins[i] > close {
			t.Errorf("%s: greedy token %d: got %d, want %d, which is %g above the next", b.Compute, i, best, id, margins[i])
			return
		}
		next = []int{id}
	}
}

func largestOf(values []float32) float64 {
	var largest float64
	for _, v := range values {
		largest = max(largest, math.Abs(float64(v)))
	}
	return largest
}

// reference is an opened reference file.
type reference struct {
	header *safetensors.Header
	data   []byte
}

func open(t testing.TB, path string) reference {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := safetensors.Parse(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return reference{h, data}
}

func (r reference) has(name string) bool {
	_, ok := r.header.Lookup(name)
	return ok
}

func (r reference) raw(t testing.TB, name, dtype string) []byte {
	t.Helper()
	tensor, ok := r.header.Lookup(name)
	if !ok || tensor.DType != dtype {
		t.Fatalf("the reference has no %s of type %s", name, dtype)
	}
	return r.data[tensor.Offset : tensor.Offset+tensor.Size]
}

func (r reference) floats(t testing.TB, name string) []float32 {
	t.Helper()
	v, err := gptq.Floats("F32", r.raw(t, name, "F32"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (r reference) ints(t testing.TB, name string) []int {
	t.Helper()
	raw := r.raw(t, name, "I64")
	out := make([]int, len(raw)/8)
	for i := range out {
		out[i] = int(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	return out
}
