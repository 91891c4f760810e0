//go:build unix

package infer_test

import (
	"context"
	"errors"
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

// A file that is written to while its model runs is told of, though nothing of it
// is missing; one that was replaced is used as it was, and is no error.
func TestFileWrittenWhileMapped(t *testing.T) {
	c := copyOf(t, "llama-4bit-32g-sym")
	path := filepath.Join(c.dir, "model.safetensors")
	files, err := infer.FilesInDir(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(token int) error
		says   string // "" = no error
	}{
		{"nothing", func(int) error { return nil }, ""},
		{"written", func(int) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.Write([]byte("more"))
			return errors.Join(err, f.Close())
		}, "model.safetensors: changed while it was in use"},
		{"replaced", func(token int) error {
			if token > 1 {
				return nil
			}
			if err := os.WriteFile(path+".new", []byte("another"), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, ""},
	} {
		c.save()
		m := load(t, files, 1)
		n := 0
		_, err := m.Generate(context.Background(), infer.Request{TokenIDs: []int{5, 6, 7}, MaxTokens: 3, IgnoreEOS: true}, func(infer.Token) error {
			n++
			return test.change(n)
		})
		if test.says == "" {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		hinted(t, test.name, err, infer.ErrCheckpoint, test.says)
	}
}
