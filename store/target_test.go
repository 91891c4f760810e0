package store

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestCheckFolder(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	config := []byte("{}")
	snap := fill(t, s, repoA, "gptq-4bit", commitA, map[string][]byte{"config.json": config})
	target := Target{Repo: repoA, Branch: "gptq-4bit", Commit: commitA,
		Files: map[string]Want{"config.json": {Size: 2, SHA256: sha256.Sum256(config)}}}
	exported := func(t *testing.T, dir string) string {
		if _, err := s.Export(t.Context(), snap, dir, LinkAuto); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	write := func(t *testing.T, path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		dir    func(t *testing.T, tmp string) string
		change func(*Target)
		want   error
	}{
		{"not there yet", func(_ *testing.T, tmp string) string { return filepath.Join(tmp, "a", "b") }, nil, nil},
		{"empty", func(_ *testing.T, tmp string) string { return tmp }, nil, nil},
		{"exported before", exported, nil, nil},
		{"same content, not ours", func(t *testing.T, tmp string) string { write(t, filepath.Join(tmp, "config.json"), "{}"); return tmp }, nil, nil},
		// Another commit of the branch is an update.
		{"an update", exported, func(x *Target) {
			x.Commit = commitB
			x.Files = map[string]Want{"config.json": {Size: 3, SHA256: sha256.Sum256([]byte("{ }"))}}
		}, nil},
		{"another branch", exported, func(x *Target) { x.Branch, x.Commit = "main", commitB }, ErrFolder},
		{"another repository", exported, func(x *Target) { x.Repo = "other/repo" }, ErrFolder},
		{"a file", func(t *testing.T, tmp string) string {
			write(t, filepath.Join(tmp, "f"), "")
			return filepath.Join(tmp, "f")
		}, nil, ErrFolder},
		{"below a file", func(t *testing.T, tmp string) string {
			write(t, filepath.Join(tmp, "f"), "")
			return filepath.Join(tmp, "f", "dir")
		}, nil, ErrFolder},
		{"a file of the same length in the way", func(t *testing.T, tmp string) string { write(t, filepath.Join(tmp, "config.json"), "[]"); return tmp }, nil, fs.ErrExist},
		{"a folder in the way", func(t *testing.T, tmp string) string {
			if err := os.Mkdir(filepath.Join(tmp, "config.json"), 0o700); err != nil {
				t.Fatal(err)
			}
			return tmp
		}, nil, fs.ErrExist},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, x := tt.dir(t, t.TempDir()), target
			if tt.change != nil {
				tt.change(&x)
			}
			err := CheckFolder(dir, x)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			var h interface{ Hint() string }
			if err != nil && (!errors.As(err, &h) || h.Hint() == "") {
				t.Errorf("no hint: %v", err)
			}
		})
	}
}

// Export itself refuses a folder of another branch.
func TestExportOverAnotherBranch(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	a := fill(t, s, repoA, "a", commitA, map[string][]byte{"config.json": []byte("{}")})
	b := fill(t, s, repoA, "b", commitB, map[string][]byte{"config.json": []byte("[]")})
	dir := t.TempDir()
	if _, err := s.Export(t.Context(), a, dir, LinkAuto); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Export(t.Context(), b, dir, LinkAuto); !errors.Is(err, ErrFolder) {
		t.Errorf("got %v, want %v", err, ErrFolder)
	}
}
