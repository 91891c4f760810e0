package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/qbranch/qbranch/store"
)

func realFS(t *testing.T) (store.FS, string) { return store.OS(), t.TempDir() }

func simulatedFS(t *testing.T) (store.FS, string) {
	f := NewFS()
	if err := errors.Join(f.Mkdir("/home", 0o700), f.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	return f, "/home"
}

func TestFSReal(t *testing.T)      { TestFS(t, realFS) }
func TestFSSimulated(t *testing.T) { TestFS(t, simulatedFS) }

// outcomes crashes what prepare leaves, many times, and counts what is there.
func outcomes(t *testing.T, prepare func(t *fsTest), look func(f *FS) string) map[string]int {
	t.Helper()
	f := NewFS()
	prepare(&fsTest{T: t, FS: f, dir: "/"})
	seen := map[string]int{}
	for seed := range uint64(300) {
		seen[look(f.Crash(seed))]++
	}
	return seen
}

// state says what has a path: "none", its length, and whether it is all zeros.
func state(path string, data []byte) func(f *FS) string {
	return func(f *FS) string {
		h, err := f.OpenFile(path, os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return "none"
		}
		if err != nil {
			return err.Error()
		}
		got, err := readAll(h)
		switch {
		case err != nil:
			return err.Error()
		case bytes.Equal(got, data):
			return "whole"
		case len(got) == 0:
			return "empty"
		case bytes.Equal(got, make([]byte, len(data))):
			return "zeros"
		case len(got) == len(data):
			return "holes"
		}
		return fmt.Sprintf("%d bytes", len(got))
	}
}

// TestCrashOutcomes: what was seen on real file systems can happen, and what is
// promised cannot fail to.
func TestCrashOutcomes(t *testing.T) {
	data := bytes.Repeat([]byte("data"), 5000)
	for _, tc := range []struct {
		name    string
		prepare func(t *fsTest)
		path    string
		can     []string // must happen, and nothing else does
	}{
		{"synced, its name too", func(t *fsTest) {
			t.make("a", data)
			t.must(t.SyncDir("/"))
		}, "/a", []string{"whole"}},
		{"synced, its name not", func(t *fsTest) { t.make("a", data) }, "/a", []string{"whole", "none"}},
		{"written and closed", func(t *fsTest) {
			t.make("a", nil)
			t.must(t.SyncDir("/"))
			t.write("a", data)
		}, "/a", []string{"whole", "empty", "zeros", "holes"}},
		{"reserved, synced, written", func(t *fsTest) {
			f, err := t.OpenFile("/a", os.O_RDWR|os.O_CREATE, 0o600)
			t.must(err)
			t.must(errors.Join(f.Preallocate(int64(len(data))), f.Sync(), f.Close(), t.SyncDir("/")))
			t.write("a", data)
		}, "/a", []string{"whole", "zeros", "holes"}},
		{"synced and renamed", func(t *fsTest) {
			t.make("tmp", data)
			t.must(t.SyncDir("/"))
			t.must(t.Rename("/tmp", "/a"))
		}, "/a", []string{"whole", "none"}},
		{"renamed without a sync", func(t *fsTest) {
			t.make("tmp", nil)
			t.write("tmp", data)
			t.must(t.Rename("/tmp", "/a"))
			t.must(t.SyncDir("/"))
		}, "/a", []string{"whole", "empty", "zeros", "holes"}},
		{"renamed over", func(t *fsTest) {
			t.make("a", data)
			t.make("tmp", data)
			t.must(t.SyncDir("/"))
			t.must(t.Rename("/tmp", "/a"))
		}, "/a", []string{"whole"}},
		{"removed", func(t *fsTest) {
			t.make("a", data)
			t.must(t.SyncDir("/"))
			t.must(t.Remove("/a"))
		}, "/a", []string{"whole", "none"}},
		{"removed durably", func(t *fsTest) {
			t.make("a", data)
			t.must(t.SyncDir("/"))
			t.must(errors.Join(t.Remove("/a"), t.SyncDir("/")))
		}, "/a", []string{"none"}},
		{"in a directory whose name is not", func(t *fsTest) {
			t.must(t.Mkdir("/d", 0o700))
			t.make("d/a", data)
			t.must(t.SyncDir("/d"))
		}, "/d/a", []string{"whole", "none"}},
		{"moved to another directory, the old one synced", func(t *fsTest) {
			t.must(t.Mkdir("/d", 0o700))
			t.make("a", data)
			t.must(errors.Join(t.SyncDir("/"), t.Rename("/a", "/d/a"), t.SyncDir("/")))
		}, "/d/a", []string{"whole"}},
		{"after a sync that failed, synced again", func(t *fsTest) {
			t.make("a", nil)
			t.must(t.SyncDir("/"))
			f, err := t.OpenFile("/a", os.O_RDWR, 0)
			t.must(err)
			_, err = f.WriteAt(data, 0)
			t.must(err)
			t.FS.(*FS).Before(func(op Op, _ string) error {
				if op == OpSync {
					return syscall.EIO
				}
				return nil
			})
			t.is("Sync", f.Sync(), syscall.EIO)
			t.FS.(*FS).Before(nil)
			t.must(f.Sync())
		}, "/a", []string{"whole", "zeros", "holes"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			seen := outcomes(t, tc.prepare, state(tc.path, data))
			for _, want := range tc.can {
				if seen[want] == 0 {
					t.Errorf("%q never happens: %v", want, seen)
				}
				delete(seen, want)
			}
			for n := range seen {
				t.Errorf("%q happens", n)
			}
		})
	}
}

// write writes into a file and syncs nothing.
func (t *fsTest) write(name string, data []byte) {
	t.Helper()
	f, err := t.OpenFile(t.path(name), os.O_RDWR, 0)
	t.must(err)
	_, err = f.WriteAt(data, 0)
	t.must(errors.Join(err, f.Close()))
}

// TestKillKeeps: a killed process loses its locks and nothing that it wrote; a
// power cut behind that still does.
func TestKillKeeps(t *testing.T) {
	f := NewFS()
	x := &fsTest{T: t, FS: f, dir: "/"}
	x.make("a", nil)
	x.must(f.SyncDir("/"))
	x.write("a", []byte("in the cache"))
	if _, err := f.Lock("/lock"); err != nil {
		t.Fatal(err)
	}
	g := f.Kill()
	y := &fsTest{T: t, FS: g, dir: "/"}
	y.holds("a", []byte("in the cache"))
	if _, err := g.Lock("/lock"); err != nil {
		t.Errorf("a dead process has a lock: %v", err)
	}
	y.make("a", nil) // the old one has its own
	x.holds("a", []byte("in the cache"))
	seen := map[string]int{}
	for seed := range uint64(100) {
		seen[state("/a", []byte("in the cache"))(f.Kill().Crash(seed))]++
	}
	if seen["whole"] == 0 || seen["empty"] == 0 {
		t.Errorf("a power cut after a kill: %v", seen)
	}
}

// TestFull: the account of the disk is right.
func TestFull(t *testing.T) {
	f := NewFS()
	f.SetSize(100 * pageSize)
	x := &fsTest{T: t, FS: f, dir: "/"}
	free := func(want int) {
		t.Helper()
		d, err := f.Disk("/")
		x.must(err)
		if d.Free != int64(want)*pageSize {
			t.Errorf("%d pages free, want %d", d.Free/pageSize, want)
		}
	}
	x.make("a", make([]byte, 10*pageSize))
	free(90)
	h, err := f.OpenFile("/b", os.O_RDWR|os.O_CREATE, 0o600)
	x.must(err)
	x.must(h.Preallocate(80 * pageSize))
	free(10)
	_, err = h.WriteAt(make([]byte, 80*pageSize), 0)
	x.must(err)
	free(10)
	_, err = h.WriteAt(make([]byte, 11*pageSize), 80*pageSize)
	x.is("write more than there is", err, syscall.ENOSPC)
	x.must(h.Truncate(20 * pageSize))
	free(70)
	x.must(f.Remove("/a"))
	free(80)
	x.is("reserve more than there is", h.Preallocate(101*pageSize), syscall.ENOSPC)
	free(80)
}

func TestStoreReal(t *testing.T)      { TestStore(t, realFS) }
func TestStoreSimulated(t *testing.T) { TestStore(t, simulatedFS) }
