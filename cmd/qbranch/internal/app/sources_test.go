package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// put writes a file, and the folders above it.
func put(t *testing.T, data []byte, elems ...string) string {
	t.Helper()
	p := filepath.Join(elems...)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// Every kind of folder that may hold a branch is read as what it is, and what is
// fetched is the rest.
func TestGetFrom(t *testing.T) {
	t.Parallel()
	branch := demoBranches(t, main32)[main32]
	model := branch[weights]
	sum := sha256.Sum256(model)
	oid := hex.EncodeToString(sum[:])
	pointer := []byte("version https://git-lfs.github.com/spec/v1\noid sha256:" + oid + "\nsize 1\n")
	spoilt := bytes.Clone(model)
	spoilt[len(spoilt)/2] ^= 1
	for _, tc := range []struct {
		name    string
		fill    func(t *testing.T, dir string)
		adopted []string // files
		refused int
	}{
		{"a git clone whose LFS files were fetched, but not checked out", func(t *testing.T, dir string) {
			put(t, pointer, dir, weights)
			put(t, branch["config.json"], dir, "config.json")
			put(t, model, dir, ".git", "lfs", "objects", oid[:2], oid[2:4], oid)
		}, []string{"config.json", weights}, 0},
		{"a git clone without the LFS files", func(t *testing.T, dir string) {
			put(t, pointer, dir, weights)
			put(t, branch["config.json"], dir, "config.json")
		}, []string{"config.json"}, 0},
		{"an object that is damaged, and a good one under another name", func(t *testing.T, dir string) {
			put(t, spoilt, dir, ".git", "lfs", "objects", oid[:2], oid[2:4], oid)
			put(t, model, dir, "deep", "gptq_model-3bit.safetensors")
		}, []string{weights}, 1},
		{"a folder of text-generation-webui", func(t *testing.T, dir string) {
			for name, data := range branch {
				put(t, data, dir, name)
			}
			put(t, []byte("url: https://huggingface.co/x"), dir, "huggingface-metadata.txt")
		}, nil, 0},
		{"a snapshot of the official client", func(t *testing.T, dir string) {
			blob := put(t, model, dir, "blobs", oid)
			if err := os.Symlink(blob, filepath.Join(dir, weights)); err != nil {
				t.Skip(err)
			}
		}, []string{weights}, 0},
		{"links that go in circles, and a folder in the place of a file", func(t *testing.T, dir string) {
			if err := os.Symlink(weights, filepath.Join(dir, weights)); err != nil {
				t.Skip(err)
			}
			if err := os.Mkdir(filepath.Join(dir, "config.json"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, []string{}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, map[string]files{main32: branch})
			dir := t.TempDir()
			tc.fill(t, dir)
			refused := 0
			var adopted int64
			for _, name := range tc.adopted {
				adopted += int64(len(branch[name]))
			}
			var total int64
			for _, data := range branch {
				total += int64(len(data))
			}
			if tc.adopted == nil {
				adopted = total
			}
			stats := &app.Stats{}
			res := w.get(main32, app.GetOptions{From: []string{dir}, Stats: stats, Notify: func(e app.Event) {
				if e.Fetch != nil && e.Fetch.Kind == app.EventRefused {
					refused++
				}
			}})
			if res.Adopted != adopted || res.Received != total-adopted || refused != tc.refused {
				t.Errorf("adopted %d of %d bytes, received %d, refused %d; want %d, refused %d",
					res.Adopted, total, res.Received, refused, adopted, tc.refused)
			}
			if done := stats.Done.Load(); done != total || stats.Total.Load() != total {
				t.Errorf("done %d of %d, want %d", done, stats.Total.Load(), total)
			}
			if rep, err := w.Verify(t.Context(), w.target(main32), app.VerifyOptions{}); err != nil || len(rep.Files) != len(branch) {
				t.Errorf("verify: %v", err)
			}
		})
	}
}
