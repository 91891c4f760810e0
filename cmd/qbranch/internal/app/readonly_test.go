package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/store"
)

// A store that cannot be written to is said to be so in one line.
func TestReadOnlyStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	st, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.CheckWritable(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	if f, err := os.CreateTemp(dir, "x"); err == nil {
		f.Close()
		t.Skip("this user or system writes to any directory")
	}
	err = st.CheckWritable()
	if !errors.Is(err, store.ErrNotWritable) || !strings.HasPrefix(err.Error(), "the store "+dir+" is read-only") || HintOf(err) == "" {
		t.Errorf("got %v, hint %q", err, HintOf(err))
	}
}
