package infer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// loadPacked loads a checkpoint with a folder for packed matrices, however few
// they are, and returns the logits of three tokens.
func loadPacked(t *testing.T, name, cache string) []float32 {
	t.Helper()
	files, err := FilesInDir(filepath.Join("testdata/checkpoints", name))
	if err != nil {
		t.Fatal(err)
	}
	o := LoadOptions{Threads: 2}
	m, err := Load(context.Background(), files, o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	weights, err := files.weights()
	if err != nil {
		t.Fatal(err)
	}
	o.CacheDir = cache
	if err := m.usePacked(context.Background(), weights, o, 0); err != nil {
		t.Fatal(err)
	}
	s := m.NewSession(SessionOptions{Capacity: 3})
	defer s.Close()
	logits, err := s.Forward(context.Background(), []int{1, 17, 300}, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(logits)
}

// With a file, without one, with a bad one: the same logits, to the last bit.
func TestPacked(t *testing.T) {
	for _, test := range []struct {
		name  string
		files int
	}{
		{"llama-4bit-32g-act-asym", 1},
		{"llama-2bit-32g-act", 1},
		{"llama-3bit-32g-dynamic-rope", 1}, // no act-order, but 3 bits become 4
		{"mixtral-4bit-32g-v2-act", 1},
		{"llama-4bit-32g-sym", 0}, // read as it lies
	} {
		t.Run(test.name, func(t *testing.T) {
			want := loadPacked(t, test.name, "")
			dir := filepath.Join(t.TempDir(), "packed")
			for _, step := range []string{"written", "read"} {
				if got := loadPacked(t, test.name, dir); !slices.Equal(got, want) {
					t.Errorf("%s: other logits than without a file", step)
				}
				entries, err := filepath.Glob(filepath.Join(dir, "*"))
				if err != nil || len(entries) != test.files {
					t.Fatalf("%s: got files %q, %v, want %d", step, entries, err, test.files)
				}
			}
			if test.files == 0 {
				return
			}
			entries, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(entries[0])
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)-1] ^= 1 // in the last matrix
			if err := os.WriteFile(entries[0], data, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := loadPacked(t, test.name, dir); !slices.Equal(got, want) {
				t.Error("other logits with a file that has a wrong bit")
			}
			if _, err := os.Stat(entries[0]); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file that has a wrong bit: got %v, want it removed", err)
			}
			if got := loadPacked(t, test.name, dir); !slices.Equal(got, want) {
				t.Error("other logits with a file that was written anew")
			}
			if files, size, err := ClearPacked(dir); files != 1 || size != int64(len(data)) || err != nil {
				t.Errorf("ClearPacked: got %d files of %d bytes, %v", files, size, err)
			}
			blocked := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(blocked, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := loadPacked(t, test.name, filepath.Join(blocked, "packed")); !slices.Equal(got, want) {
				t.Error("other logits where no file can be written")
			}
		})
	}
}

// A model is known by digests where there are any, else by its files.
func TestPackedKey(t *testing.T) {
	files, err := FilesInDir("testdata/checkpoints/llama-4bit-32g-act-asym")
	if err != nil {
		t.Fatal(err)
	}
	weights, err := files.weights()
	if err != nil {
		t.Fatal(err)
	}
	byFile, err := packedKey(weights, nil)
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{weights[0].Name: "0123"}
	byDigest, err := packedKey(weights, digests)
	if err != nil || byDigest == byFile {
		t.Errorf("got %x with a digest and %x without, %v", byDigest, byFile, err)
	}
	weights[0].Path = "somewhere else"
	if got, err := packedKey(weights, digests); got != byDigest || err != nil {
		t.Errorf("got another key for the same digest elsewhere, or error %v", err)
	}
	if _, err := packedKey(weights, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v for a file that is not there", err)
	}
}

func TestPackedCancelled(t *testing.T) {
	files, err := FilesInDir("testdata/checkpoints/llama-4bit-32g-act-asym")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(context.Background(), files, LoadOptions{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	weights, err := files.weights()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	if err := m.usePacked(ctx, weights, LoadOptions{CacheDir: dir}, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that of the context", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("got %v, %v left behind", entries, err)
	}
}
