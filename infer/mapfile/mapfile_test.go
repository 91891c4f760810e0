package mapfile

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A mapping outlives descriptor and name, and hints about any part of it, however
// it is aligned, change nothing.
func TestMap(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 12345)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Map(f, len(want))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{m.Data, m.Data[1:2], m.Data[4095:9000], m.Data[len(m.Data)-1:], m.Data[:0]} {
		WillNeed(part)
	}
	if !bytes.Equal(m.Data, want) {
		t.Error("the mapping is not the file")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
