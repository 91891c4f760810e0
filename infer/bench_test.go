package infer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// What a token reads is the sum of the tensors it needs, to the byte.
func TestBenchTraffic(t *testing.T) {
	for _, test := range []struct {
		name   string
		share  int64 // one expert in so many is chosen
		hidden int64
		kv     int64 // bytes of keys and values a position has
	}{
		{"llama-4bit-32g-sym", 1, 128, 2 * 2 * (128*2 + 4*4)},      // two layers, 16 bits and a scale for each of 4 heads
		{"mixtral-4bit-64g-sharded", 2, 128, 2 * 2 * (64*2 + 2*4)}, // 2 of 4 experts, 2 of 4 heads
	} {
		t.Run(test.name, func(t *testing.T) {
			files, err := infer.FilesInDir(filepath.Join("testdata/checkpoints", test.name))
			if err != nil {
				t.Fatal(err)
			}
			const prompt, tokens = 9, 4
			r, err := infer.Bench(context.Background(), files, infer.BenchOptions{Prompt: prompt, Tokens: tokens, Rounds: 1, Read: 1 << 12})
			if err != nil {
				t.Fatal(err)
			}
			matrices, zeros := matrixBytes(t, files, test.share)
			// Matrices with the same zero everywhere may be read without their zeros.
			if got := r.Traffic.Matrices; got != matrices+zeros && got != matrices {
				t.Errorf("matrices: got %d bytes, want %d and %d of zeros, or none of them", got, matrices, zeros)
			}
			if got, want := r.Traffic.Norms, 5*test.hidden*4; got != want {
				t.Errorf("norms: got %d bytes, want %d", got, want)
			}
			if got, want := r.Traffic.Embedding, 2*test.hidden; got != want {
				t.Errorf("embedding: got %d bytes, want %d", got, want)
			}
			// Positions 9 to 12, each of which sees itself and those before.
			if got, want := r.Traffic.KV, (10+11+12+13)*test.kv/tokens; got != want {
				t.Errorf("keys and values: got %d bytes, want %d", got, want)
			}
			if r.Prefill <= 0 || r.Decode <= 0 || r.Read <= 0 || r.Load <= 0 {
				t.Errorf("got %+v, want speeds above zero", r)
			}
		})
	}
}

// matrixBytes sums what multiplying by every matrix reads, one expert in share,
// and apart from that the zero points.
func matrixBytes(t *testing.T, files infer.Files, share int64) (matrices, zeros int64) {
	for name, path := range files {
		if filepath.Ext(name) != ".safetensors" || strings.HasPrefix(name, "reference") {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		h, err := safetensors.Parse(f, info.Size())
		if err != nil {
			t.Fatal(err)
		}
		for _, tensor := range h.Tensors {
			size := tensor.Size
			if strings.Contains(tensor.Name, ".experts.") {
				size /= share
			}
			switch suffix := tensor.Name[strings.LastIndexByte(tensor.Name, '.'):]; {
			case suffix == ".qzeros":
				zeros += size
			case suffix == ".qweight", suffix == ".scales", tensor.Name == "lm_head.weight", strings.HasSuffix(tensor.Name, "gate.weight"):
				matrices += size
			case suffix == ".bias":
				matrices += 2 * size // kept as F32
			}
		}
	}
	return matrices, zeros
}

func TestBenchRefuses(t *testing.T) {
	files, err := infer.FilesInDir("testdata/checkpoints/llama-4bit-32g-sym")
	if err != nil {
		t.Fatal(err)
	}
	_, err = infer.Bench(context.Background(), files, infer.BenchOptions{Prompt: 250, Tokens: 7})
	if !errors.Is(err, infer.ErrRequest) {
		t.Errorf("got error %v for more tokens than the model has positions, want ErrRequest", err)
	}
	_, err = infer.Bench(context.Background(), files, infer.BenchOptions{LoadOptions: infer.LoadOptions{Memory: 1}})
	hinted(t, "memory", err, infer.ErrMemory, "keys and values of")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := infer.Bench(ctx, files, infer.BenchOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v after a cancellation, want that", err)
	}
}
