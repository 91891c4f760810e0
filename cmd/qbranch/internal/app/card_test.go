package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadCardFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path, want, err string
		failure         Failure
	}{
		{write("README.md", "# A card"), "# A card", "", FailureOther},
		{dir, "# A card", "", FailureOther},
		{write("longest.md", strings.Repeat("a", cardLimit)), strings.Repeat("a", cardLimit), "", FailureOther},
		{write("long.md", strings.Repeat("a", cardLimit+1)), "", "at most 2.10 MB are read", FailureOther},
		{write("weights", "a\x00b"), "", "weights is no text", FailureOther},
		{filepath.Join(dir, "nowhere.md"), "", "nowhere.md: file does not exist", FailureNotFound},
		{empty, "", "README.md: file does not exist", FailureNotFound},
	}
	for _, tt := range tests {
		md, err := readCardFile(tt.path)
		if tt.err == "" {
			if err != nil || string(md) != tt.want {
				t.Errorf("%s: got %d bytes, %v", tt.path, len(md), err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.err) || FailureOf(err) != tt.failure || HintOf(err) == "" {
			t.Errorf("%s: got %v (%v, hint %q), want %q (%v)", tt.path, err, FailureOf(err), HintOf(err), tt.err, tt.failure)
		}
		if notFound := errors.Is(err, fs.ErrNotExist); notFound != (tt.failure == FailureNotFound) {
			t.Errorf("%s: is not-found: %t", tt.path, notFound)
		}
	}
}
