package store

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sync/errgroup"
)

// BenchmarkIngest is the way of a 64 MiB blob through the store: WritePart for
// every part, Commit (SHA-256, fsync, rename).
func BenchmarkIngest(b *testing.B) {
	data := content(90, 64*PartSize)
	w := wantOf(data)
	s := openTest(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		in, err := s.Ingest(context.Background(), w)
		if err != nil {
			b.Fatal(err)
		}
		for i := range in.NumParts() {
			if err := in.WritePart(context.Background(), i, part(data, i)); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := in.Commit(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := os.Remove(s.Path(w.SHA256)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkWritePart is the hot path alone, marks included; it must not
// allocate.
func BenchmarkWritePart(b *testing.B) {
	data := content(91, PartSize)
	s := openTest(b)
	const n = 256
	in, err := s.Ingest(context.Background(), Want{Size: n * PartSize, SHA256: Digest{1}})
	if err != nil {
		b.Fatal(err)
	}
	defer in.Abort()
	b.SetBytes(PartSize)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == n { // the file is full: write it again
			b.StopTimer()
			in.pause()
			for k := range n {
				in.forget(k)
			}
			in.resume()
			i = 0
			b.StartTimer()
		}
		if err := in.WritePart(context.Background(), i, data); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkVerify(b *testing.B) {
	data := content(92, 64*PartSize)
	s := openTest(b)
	d := publishBlob(b, s, data)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Verify(context.Background(), d, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyLarge holds Verify and VerifyDeep of a blob of 2 GiB (256 MiB
// unless QBRANCH_LONG is 1), in memory where there is /dev/shm, against what they
// are bounded by: reading, and every core computing BLAKE3 of bytes that it has.
// The metric %min is the speed of Verify in percent of the slower of the two; the
// target is 80. Memory is one part per core, for VerifyDeep two parts in all.
func BenchmarkVerifyLarge(b *testing.B) {
	parts := 256
	if os.Getenv("QBRANCH_LONG") != "" {
		parts = 2048
	}
	dir := b.TempDir()
	if shm, err := os.MkdirTemp("/dev/shm", "qbranch-bench-"); err == nil {
		dir = shm
		b.Cleanup(func() { os.RemoveAll(shm) })
	}
	s, err := Open(filepath.Join(dir, "store"))
	if err != nil {
		b.Fatal(err)
	}
	data := content(94, PartSize)
	h := sha256.New()
	for range parts {
		h.Write(data)
	}
	in, err := s.Ingest(b.Context(), Want{Size: int64(parts) * PartSize, SHA256: Digest(h.Sum(nil))})
	if err != nil {
		b.Fatal(err)
	}
	for i := range parts {
		if err := in.WritePart(b.Context(), i, data); err != nil {
			b.Fatal(err)
		}
	}
	d, err := in.Commit(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	cores := runtime.GOMAXPROCS(0)
	each := func(work func(f *os.File, buf []byte, i int) error) func() error {
		return func() error {
			f, err := os.Open(s.Path(d))
			if err != nil {
				return err
			}
			defer f.Close()
			var g errgroup.Group
			for w := range cores {
				g.Go(func() error {
					buf := append([]byte(nil), data...)
					for i := w; i < parts; i += cores {
						if err := work(f, buf, i); err != nil {
							return err
						}
					}
					return nil
				})
			}
			return g.Wait()
		}
	}
	bounds := map[string]float64{} // seconds for the whole blob
	for _, bench := range []struct {
		name string
		run  func() error
	}{
		{"read", each(func(f *os.File, buf []byte, i int) error { return readPart(f, i, buf) })},
		{"blake3", each(func(_ *os.File, buf []byte, _ int) error { sumPart(buf); return nil })},
		{"verify", func() error { return s.Verify(b.Context(), d, 0, nil) }},
		{"deep", func() error { return s.VerifyDeep(b.Context(), d, nil, nil) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(parts) * PartSize)
			for b.Loop() {
				if err := bench.run(); err != nil {
					b.Fatal(err)
				}
			}
			bounds[bench.name] = b.Elapsed().Seconds() / float64(b.N)
			if slower := max(bounds["read"], bounds["blake3"]); bench.name == "verify" && slower > 0 {
				b.ReportMetric(100*slower/bounds["verify"], "%min")
			}
		})
	}
}
