package infer

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteLogitsTargets(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(path("old"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("old", path("link")); err != nil {
		t.Skip(err)
	}
	for _, tt := range []struct {
		name string
		path string
		ok   bool
	}{
		{"a new file", path("new"), true},
		{"a link: the file it leads to is replaced, not the link", path("link"), true},
		{"a folder", dir, false},
		{"a device", os.DevNull, false},
		{"no such folder", path("none/file"), false},
	} {
		err := WriteLogits(tt.path, &Result{Logits: []float32{1, 2}}, 2)
		if (err == nil) != tt.ok {
			t.Errorf("%s: got %v, want success %v", tt.name, err, tt.ok)
		}
	}
	if info, err := os.Lstat(path("link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v", err)
	}
	if data, err := os.ReadFile(path("old")); err != nil || len(data) < 16 {
		t.Errorf("the link's target was not written: %d bytes, %v", len(data), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("got %d entries, want the three files and nothing temporary (%v)", len(entries), err)
	}
}
