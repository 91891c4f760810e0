package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/gptq"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// makeCheckpoint writes a checkpoint of the tiny shape unless a flag says another.
func makeCheckpoint(t *testing.T, flags ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	args := append([]string{"-preset", "tiny"}, flags...)
	if err := run(append(args, dir), io.Discard, io.Discard); err != nil {
		t.Fatalf("gptqmake %v: %v", flags, err)
	}
	return dir
}

var kinds = []struct {
	name  string
	flags []string
}{
	{"plain", nil},
	{"2 bits", []string{"-bits", "2", "-group", "32", "-asym", "-v2"}},
	{"3 bits", []string{"-bits", "3", "-act-order", "-v2", "-asym"}},
	{"8 bits", []string{"-bits", "8", "-group", "-1", "-zero-bias"}},
	{"shards", []string{"-shard", "100000", "-act-order"}},
	{"experts", []string{"-preset", "tiny-moe", "-v2"}},
	{"sparse", []string{"-preset", "tiny-moe", "-group", "-1", "-sparse"}},
}

// What is made is run, with moderate hidden states and no two positions alike.
func TestRuns(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			files, err := infer.FilesInDir(makeCheckpoint(t, kind.flags...))
			if err != nil {
				t.Fatal(err)
			}
			m, err := infer.Load(context.Background(), files, infer.LoadOptions{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			r, err := m.Generate(context.Background(), infer.Request{Prompt: "Hi", Raw: true, MaxTokens: 4, IgnoreEOS: true, KeepLogits: true}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var sum float64
			for _, v := range r.Logits {
				sum += float64(v) * float64(v)
			}
			if got := math.Sqrt(sum / float64(len(r.Logits))); !(got > 0.05 && got < 5) {
				t.Errorf("got logits of deviation %g, want something like a model's", got)
			}
		})
	}
}

// The finished checkpoint is what its configuration says, as far as quant can
// tell; one of holes is not.
func TestSound(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			dir := makeCheckpoint(t, kind.flags...)
			in := quant.Input{Files: make(map[string]int64), JSON: make(map[string][]byte), Headers: make(map[string]*safetensors.Header)}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				info, err := e.Info()
				if err != nil {
					t.Fatal(err)
				}
				in.Files[e.Name()] = info.Size()
				if filepath.Ext(e.Name()) == ".json" {
					if in.JSON[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
						t.Fatal(err)
					}
					continue
				}
				f, err := os.Open(filepath.Join(dir, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if in.Headers[e.Name()], err = safetensors.Parse(f, info.Size()); err != nil {
					t.Fatal(err)
				}
			}
			findings, err := quant.CheckData(context.Background(), in, func(path string) (io.ReaderAt, error) { return os.Open(filepath.Join(dir, path)) })
			if err != nil {
				t.Fatal(err)
			}
			var bad []quant.Finding
			for _, f := range append(findings, quant.Check(in)...) {
				if f.Severity == quant.Fatal || f.Severity == quant.Warn {
					bad = append(bad, f)
				}
			}
			if holes := kind.name == "sparse"; (len(bad) > 0) != holes {
				t.Errorf("got findings %+v, want some: %v", bad, holes)
			}
		})
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	sum := func(flags ...string) [32]byte {
		data, err := os.ReadFile(filepath.Join(makeCheckpoint(t, flags...), "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(data)
	}
	first := sum("-act-order", "-asym")
	if got := sum("-act-order", "-asym"); got != first {
		t.Error("two files of the same seed differ")
	}
	if got := sum("-act-order", "-asym", "-seed", "1"); got == first {
		t.Error("two files of different seeds are equal")
	}
}

// Matrices of one input have one act-order; it is a permutation of the groups.
func TestActOrder(t *testing.T) {
	f := newFiller(options{bits: 4, group: 32, actOrder: true})
	read := func(name string) string {
		var buf writer
		if err := f.fill(&buf, quant.LayoutTensor{Name: name, Part: "g_idx", Shape: []int64{128}}); err != nil {
			t.Fatal(err)
		}
		return string(buf)
	}
	q, k, o := read("model.layers.0.self_attn.q_proj.g_idx"), read("model.layers.0.self_attn.k_proj.g_idx"), read("model.layers.0.self_attn.o_proj.g_idx")
	if q != k || q == o {
		t.Errorf("q and k equal: %v, q and o equal: %v, want true and false", q == k, q == o)
	}
	var count [4]int
	sorted := true
	for i := 0; i < len(q); i += 4 {
		g := binary.LittleEndian.Uint32([]byte(q[i:]))
		count[g]++
		sorted = sorted && g == uint32(i/4/32)
	}
	if count != [4]int{32, 32, 32, 32} || sorted {
		t.Errorf("got groups of %v rows, in order: %v; want 32 each, in another order", count, sorted)
	}
}

type writer []byte

func (w *writer) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

// The rounding is that of the inverse conversion: every half comes back.
func TestHalf(t *testing.T) {
	for h := range uint16(0x7c00) {
		x := float64(gptq.F16ToF32(h))
		next := float64(gptq.F16ToF32(h + 1))
		if got := half(x); got != h {
			t.Fatalf("half(%g): got %#x, want %#x", x, got, h)
		}
		if got := half(-x); got != h|0x8000 && h != 0 {
			t.Fatalf("half(%g): got %#x, want %#x", -x, got, h|0x8000)
		}
		if got := half(x + (next-x)*0.75); got != h+1 && h != 0x7bff {
			t.Fatalf("half of three quarters beyond %g: got %#x, want %#x", x, got, h+1)
		}
	}
}

// What cannot be asked for is refused before anything is written.
func TestRefused(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "model")
	for _, args := range [][]string{
		{}, {fresh, fresh}, {"-preset", "huge", fresh}, {"-bits", "5", fresh}, {"-group", "0", fresh}, {"-layers", "-1", fresh},
		{"-sparse", fresh}, {"-shard", "-1", fresh}, {full},
	} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("gptqmake %v: got no error", args)
		}
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a refused call left a folder behind")
	}
}
