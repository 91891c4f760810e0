package fetch

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/hubtest"
)

const benchSize = 256 << 20

// loopback serves one file of benchSize and returns a client of it.
func loopback(b *testing.B) (*hub.Client, hub.Commit, hub.File) {
	b.Helper()
	if testing.Short() {
		b.Skip("moves 256 MiB")
	}
	server, err := hubtest.Start(hubtest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { server.Close() })
	err = server.Add(hubtest.RepoData{ID: "o/n", Branches: map[string]map[string][]byte{"main": {weights: random(1, benchSize)}}})
	if err != nil {
		b.Fatal(err)
	}
	client, err := hub.NewClient(hub.Options{Endpoint: server.URL()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close() })
	commit, err := client.Revision(b.Context(), testRepo, "main")
	if err != nil {
		b.Fatal(err)
	}
	files, err := client.Tree(b.Context(), testRepo, commit)
	if err != nil {
		b.Fatal(err)
	}
	return client, commit, files[0]
}

// BenchmarkFetch is everything: ranges, BLAKE3, journal, fdatasync, SHA-256.
// Compare it with BenchmarkCopy, which only moves the same bytes from the same
// server.
func BenchmarkFetch(b *testing.B) {
	client, commit, file := loopback(b)
	for _, conns := range []int{1, 4, 8} {
		b.Run(fmt.Sprintf("connections=%d", conns), func(b *testing.B) {
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				dir := b.TempDir()
				s := openStore(b, dir)
				p, err := MakePlan(testRepo, "main", commit, []hub.File{file}, s)
				if err != nil {
					b.Fatal(err)
				}
				f := Fetcher{Hub: client, Store: s, Connections: conns}
				if _, err := f.Run(b.Context(), p); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := os.RemoveAll(dir); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkCopy is io.Copy of one request's body, to nowhere and to a file.
func BenchmarkCopy(b *testing.B) {
	client, commit, file := loopback(b)
	for _, to := range []string{"nowhere", "file"} {
		b.Run(to, func(b *testing.B) {
			b.SetBytes(benchSize)
			b.ReportAllocs()
			path := filepath.Join(b.TempDir(), "out")
			for b.Loop() {
				body, err := client.OpenRange(b.Context(), testRepo, commit, file, 0, file.Size)
				if err != nil {
					b.Fatal(err)
				}
				dst := io.WriteCloser(nopCloser{io.Discard})
				if to == "file" {
					if dst, err = os.Create(path); err != nil {
						b.Fatal(err)
					}
				}
				if n, err := io.Copy(dst, body); n != file.Size || err != nil {
					b.Fatalf("copied %d bytes: %v", n, err)
				}
				if err := dst.Close(); err != nil {
					b.Fatal(err)
				}
				body.Close()
			}
		})
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
