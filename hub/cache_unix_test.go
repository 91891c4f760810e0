//go:build unix

package hub

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Pipes in the place of entries are not waited for.
func TestCacheOfPipes(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, Options{CacheDir: dir})
	if _, _, err := look(t, w.client); err != nil {
		t.Fatal(err)
	}
	pipes := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		pipes++
		if err := os.Remove(path); err != nil {
			return err
		}
		return syscall.Mkfifo(path, 0o600)
	})
	if err != nil || pipes == 0 {
		t.Fatalf("%d pipes: %v", pipes, err)
	}
	if _, _, err := look(t, w.client); err != nil {
		t.Error(err)
	}
}
