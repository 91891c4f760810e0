//go:build linux || darwin

package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// irregular is a store with one of every kind of file.
func irregular(t *testing.T) (s *Store, data, left []byte) {
	t.Helper()
	s = openTest(t)
	data, left = content(41, PartSize+9), content(42, 2*PartSize)
	in := openIngest(t, s, gitWantOf(data))
	writeMissing(t, in, data)
	commit(t, in)
	snap := Snapshot{Repo: "a/b", Commit: strings.Repeat("0", 40), Branch: "main", Files: []SnapshotFile{{Path: "f", Size: int64(len(data)), SHA256: wantOf(data).SHA256}}}
	if err := errors.Join(s.PutSnapshot(snap), s.SetBranch("a/b", "main", snap.Commit)); err != nil {
		t.Fatal(err)
	}
	in = openIngest(t, s, wantOf(left))
	if err := in.WritePart(t.Context(), 0, part(left, 0)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(in.Close(), s.markCorrupt(&CorruptError{Digest: wantOf(left).SHA256, Size: int64(len(left)), Parts: []int{0}})); err != nil {
		t.Fatal(err)
	}
	return s, data, left
}

// TestIrregular puts a pipe and a directory in the place of each file of a store
// in turn: nothing waits for somebody to write into the pipe, nothing wrong is
// found, and what can be fetched again is.
func TestIrregular(t *testing.T) {
	t.Parallel()
	var files []string
	s, _, _ := irregular(t)
	err := filepath.Walk(s.dir, func(path string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().IsRegular() {
			rel, _ := filepath.Rel(s.dir, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil || len(files) < 9 {
		t.Fatalf("files of a store: %v, %v", files, err)
	}
	for kind, put := range map[string]func(path string) error{
		"pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		for _, file := range files {
			t.Run(kind+"/"+file, func(t *testing.T) {
				t.Parallel()
				s, data, left := irregular(t)
				path := filepath.Join(s.dir, file)
				if err := errors.Join(os.Remove(path), put(path)); err != nil {
					t.Fatal(err)
				}
				useAll(t, s.dir, data)
				s, err := Open(s.dir)
				switch base := filepath.Base(file); {
				case base == fileVersion:
					if !errors.Is(err, ErrNotRegular) && !errors.Is(err, ErrFormat) {
						t.Errorf("Open: %v", err)
					}
					return
				case err != nil:
					t.Fatal(err)
				case base == fileLock: // of the partial or of the store: said, not overcome
					return
				}
				ingestAgain(t, s, data, kind == "directory" && file == mustRel(t, s, s.Path(wantOf(data).SHA256)))
				ingestAgain(t, s, left, false)
			})
		}
	}
}

func mustRel(t *testing.T, s *Store, path string) string {
	t.Helper()
	rel, err := filepath.Rel(s.dir, path)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// useAll calls everything that reads; only what it says of the content counts.
func useAll(t *testing.T, dir string, data []byte) {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		return
	}
	w := wantOf(data)
	for _, want := range []Want{w, gitWantOf(data)} {
		d, ok := s.Find(want)
		s.Held(want)
		s.DiskNeeded(want)
		if !ok {
			continue
		}
		f, err := s.OpenBlob(d)
		if err != nil {
			t.Errorf("found and %v", err)
			continue
		}
		got, err := io.ReadAll(f)
		if f.Close(); err != nil || !bytes.Equal(got, data) {
			t.Errorf("found with other bytes: %v", err)
		}
	}
	_ = s.Verify(t.Context(), w.SHA256, 1, nil)
	_, _ = s.Parts(w.SHA256)
	_, _ = s.Snapshot("a/b", strings.Repeat("0", 40))
	_, _ = s.Snapshots()
	_, _ = s.BranchCommit("a/b", "main")
	_, _ = s.Unfinished()
	_, _ = s.Usage()
	if _, err := s.Check(t.Context(), CheckOptions{}); err != nil && !errors.Is(err, ErrLocked) {
		t.Logf("Check: %v", err)
	}
}

// ingestAgain fetches what is missing; blocked says that the name of the blob
// cannot be given to it.
func ingestAgain(t *testing.T, s *Store, data []byte, blocked bool) {
	t.Helper()
	in, err := s.Ingest(t.Context(), wantOf(data))
	if err != nil {
		t.Fatalf("Ingest: %v", err)
	}
	writeMissing(t, in, data)
	_, err = in.Commit(t.Context())
	if blocked {
		if err == nil || Hint(err) == "" {
			t.Errorf("a directory is in the blob's place: %v, hint %q", err, Hint(err))
		}
		return
	}
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	checkBlob(t, s, data)
}
