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

// Tolerance is how far a logit may be off, relative to the largest of its
// prompt, and a hidden state, relative to the largest of its layer. Two float32
// runs that add in different orders differ by about 1e-6.
const Tolerance = 1e-5

// CheckReference loads a checkpoint and compares it with refDir/reference.safetensors:
// logits and hidden states of every prompt at every position, computed as a
// batch and token by token, and the greedy continuation of prompt 0 to its last
// token.
func CheckReference(t testing.TB, files infer.Files, refDir string) {
	t.Helper()
	m, err := infer.Load(context.Background(), files, infer.LoadOptions{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ref := open(t, filepath.Join(refDir, "reference.safetensors"))
	prompts := 0
	for ; ref.has(fmt.Sprintf("prompt.%d.ids", prompts)); prompts++ {
		for _, batch := range []int{model.MaxBatch, 1} {
			checkPrompt(t, m, ref, prompts, batch)
		}
	}
	if prompts == 0 {
		t.Error("the reference has no prompts")
	}
	checkGreedy(t, m, ref)
}

// checkPrompt compares one prompt, computed batch tokens at a time.
func checkPrompt(t testing.TB, m *infer.Model, ref reference, prompt, batch int) {
	t.Helper()
	ids := ref.ints(t, fmt.Sprintf("prompt.%d.ids", prompt))
	s := m.NewSession(infer.SessionOptions{Capacity: len(ids), Compute: infer.Float32})
	defer s.Close()
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
	compare(t, fmt.Sprintf("%s, %d at a time", name, batch), logits, ref.floats(t, name))
	for level, h := range hidden {
		name := fmt.Sprintf("prompt.%d.hidden.%d", prompt, level)
		if level == 0 && !ref.has(name) {
			break // recorded for some prompts only
		}
		compare(t, fmt.Sprintf("%s, %d at a time", name, batch), h, ref.floats(t, name))
	}
}

func compare(t testing.TB, name string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		return
	}
	var largest, off float64
	for i, w := range want {
		largest = max(largest, math.Abs(float64(w)))
		if d := math.Abs(float64(got[i]) - float64(w)); !(d <= off) { // NaN is off
			off = d
		}
	}
	if !(off <= Tolerance*largest) {
		t.Errorf("%s: off by %g of the largest, allowed %g", name, off/largest, Tolerance)
	}
}

// checkGreedy continues prompt 0 with the largest logit each time.
func checkGreedy(t testing.TB, m *infer.Model, ref reference) {
	t.Helper()
	prompt, want := ref.ints(t, "prompt.0.ids"), ref.ints(t, "greedy.ids")
	s := m.NewSession(infer.SessionOptions{Capacity: len(prompt) + len(want), Compute: infer.Float32})
	defer s.Close()
	next := prompt
	for i, id := range want {
		logits, err := s.Forward(context.Background(), next, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		best := 0
		for j, v := range logits {
			if v > logits[best] {
				best = j
			}
		}
		if best != id {
			t.Errorf("greedy token %d: got %d, want %d", i, best, id)
			return
		}
		next = []int{best}
	}
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
