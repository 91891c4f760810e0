package store

import (
	"context"
	"os"
	"testing"
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
