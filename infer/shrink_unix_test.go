//go:build unix

package infer_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/qbranch/qbranch/infer"
)

// A file that shrinks while its model runs ends the generation, not the process.
// (Windows does not let a mapped file shrink.)
func TestFileShrinksWhileMapped(t *testing.T) {
	c := copyOf(t, "mixtral-4bit-64g-sharded")
	c.remove("model.safetensors.index.json")
	files, err := infer.FilesInDir(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{1, 3} {
		m := load(t, files, threads)
		n := 0
		r, err := m.Generate(context.Background(), infer.Request{TokenIDs: []int{5, 6, 7}}, func(infer.Token) error {
			if n++; n == 2 {
				return os.Truncate(filepath.Join(c.dir, "model.safetensors"), 0)
			}
			return nil
		})
		hinted(t, "shrunk", err, infer.ErrCheckpoint, "changed while it was in use")
		if r == nil || len(r.IDs) != 2 {
			t.Errorf("%d threads: got %+v, want two tokens", threads, r)
		}
		c.save()
	}
}
