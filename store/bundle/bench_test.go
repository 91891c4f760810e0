package bundle

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/qbranch/qbranch/store"
)

// benchSize is the length of the weights, which do not compress.
const benchSize = 256 << 20

// benchStore is a store with one big file; TMPDIR says on which disk.
func benchStore(b *testing.B) (*store.Store, Manifest) {
	st := openStore(b)
	snap := put(b, st, "acme/llama", "main", commitA, map[string][]byte{"config.json": []byte("{}"), "model.safetensors": noise(1, benchSize)})
	m, err := NewManifest(b.Context(), st, []store.Snapshot{snap})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSize)
	b.ReportAllocs()
	return st, m
}

func BenchmarkExport(b *testing.B) {
	st, m := benchStore(b)
	path := filepath.Join(b.TempDir(), "x.tar.zst")
	for b.Loop() {
		if err := WriteFile(path, func(w io.Writer) error {
			_, err := Export(context.Background(), st, m, w, Options{})
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// benchArchive is a bundle in a file.
func benchArchive(b *testing.B) string {
	st, m := benchStore(b)
	path := filepath.Join(b.TempDir(), "x.tar.zst")
	if err := WriteFile(path, func(w io.Writer) error {
		_, err := Export(context.Background(), st, m, w, Options{})
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return path
}

func BenchmarkCheck(b *testing.B) {
	path := benchArchive(b)
	for b.Loop() {
		readBundle(b, path, func(a *Archive) error { return Check(context.Background(), a, Options{}) })
	}
}

func BenchmarkImport(b *testing.B) {
	path := benchArchive(b)
	dir := b.TempDir()
	for b.Loop() {
		readBundle(b, path, func(a *Archive) error {
			st, err := store.Open(filepath.Join(dir, "store"))
			if err != nil {
				return err
			}
			_, err = Import(context.Background(), st, a, Options{})
			return err
		})
		b.StopTimer()
		if err := os.RemoveAll(filepath.Join(dir, "store")); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func readBundle(b *testing.B, path string, use func(a *Archive) error) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close() // only read from
	a, err := Open(f)
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	if err := use(a); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStream is the frames and the tar alone: nothing is hashed.
func BenchmarkStream(b *testing.B) {
	file, err := os.ReadFile(benchArchive(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := newStream(bytes.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, onlyReader{s}); err != nil {
			b.Fatal(err)
		}
		s.close()
	}
}
