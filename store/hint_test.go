package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestHint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string // in the hint; "" = none
	}{
		{syscall.EIO, "health of the disk"},
		{syscall.EMFILE, "ulimit"},
		{syscall.ENFILE, "ulimit"},
		{syscall.ENOLCK, "local disk"},
		{syscall.ENOSYS, "local disk"},
		{syscall.ESTALE, "network file system"},
		{syscall.EROFS, "read-only"},
		{syscall.ENOTDIR, "directory"},
		{ErrNotRegular, "move it away"},
		{fs.ErrNotExist, ""},
		{nil, ""},
	} {
		err := tt.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w", &fs.PathError{Op: "open", Path: "p", Err: tt.err})
		}
		if got := Hint(err); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("Hint(%v) = %q, want %q in it", tt.err, got, tt.want)
		}
	}
	s := openTest(t)
	if err := s.ioError("p", syscall.EDQUOT); !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "quota") {
		t.Errorf("EDQUOT: %v", err)
	}
}

// TestCheckOutside: no folder in the store takes an export, by whatever way one
// gets there.
func TestCheckOutside(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(51, 100)
	if _, err := s.Put(t.Context(), wantOf(data), data); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	link := filepath.Join(out, "link")
	if err := os.Symlink(s.dir, link); err != nil {
		t.Skip(err)
	}
	for dir, inside := range map[string]bool{
		s.dir:                                   true,
		filepath.Join(s.dir, "blobs", "new"):    true,
		filepath.Join(s.dir, "no", "such", "x"): true,
		filepath.Join(link, "new"):              true,
		out:                                     false,
		filepath.Join(out, "new"):               false,
		filepath.Dir(s.dir):                     false,
		s.dir + "-2":                            false,
	} {
		err := s.CheckOutside(dir)
		if errors.Is(err, ErrFolder) != inside {
			t.Errorf("%s: %v", dir, err)
		}
	}
	snap := Snapshot{Repo: "a/b", Commit: strings.Repeat("0", 40), Files: []SnapshotFile{{Path: "f", Size: 100, SHA256: wantOf(data).SHA256}}}
	if _, err := s.Export(t.Context(), snap, filepath.Join(s.dir, "tmp", "x"), LinkAuto); !errors.Is(err, ErrFolder) {
		t.Errorf("Export into the store: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(s.dir, "tmp", "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused export left a folder")
	}
}

// TestStoreReadPart: parts of what is there whole or in part are read without a
// lock, and never wrong.
func TestStoreReadPart(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(52, 2*PartSize+10)
	w, p := wantOf(data), make([]byte, PartSize)
	read := func(i int, want error) {
		t.Helper()
		buf := p[:partLen(w.Size, i)]
		err := s.ReadPart(w, i, buf)
		if !errors.Is(err, want) || err == nil && !bytes.Equal(buf, part(data, i)) {
			t.Errorf("part %d: %v, want %v", i, err, want)
		}
	}
	read(0, ErrNotFound)
	in := openIngest(t, s, w)
	if err := in.WritePart(t.Context(), 2, part(data, 2)); err != nil {
		t.Fatal(err)
	}
	read(2, nil) // while somebody has the lock
	read(0, ErrNotFound)
	overwrite(t, in.p.data(), 2*PartSize, []byte("x"))
	read(2, ErrMismatch)
	overwrite(t, in.p.data(), 2*PartSize, part(data, 2))
	writeMissing(t, in, data)
	commit(t, in)
	for i := range 3 {
		read(i, nil)
	}
	if s.ReadPart(w, 3, nil) == nil || s.ReadPart(w, -1, nil) == nil || s.ReadPart(w, 2, p) == nil {
		t.Error("no such part, and no error")
	}
}

// TestHuge: a length that no store takes is refused in words, and never needs
// no disk.
func TestHuge(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	w := Want{Size: maxBlob + 1, SHA256: Digest{1}}
	if _, err := s.Ingest(t.Context(), w); err == nil || !strings.Contains(err.Error(), "files of up to") {
		t.Errorf("Ingest: %v", err)
	}
	if got := s.DiskNeeded(w); got != w.Size {
		t.Errorf("DiskNeeded = %d", got)
	}
}
