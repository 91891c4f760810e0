package storetest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/store"
)

// TestFS tests what a store.FS has to do, power cuts aside. newFS gives a file
// system and an empty directory on it.
func TestFS(t *testing.T, newFS func(t *testing.T) (fsys store.FS, dir string)) {
	for name, test := range map[string]func(t *fsTest){
		"open":        testOpen,
		"read write":  testReadWrite,
		"lengths":     testLengths,
		"directories": testDirectories,
		"rename":      testRename,
		"links":       testLinks,
		"clone":       testClone,
		"open files":  testOpenFiles,
		"locks":       testLocks,
		"disk":        testDisk,
	} {
		t.Run(name, func(t *testing.T) {
			fsys, dir := newFS(t)
			test(&fsTest{T: t, FS: fsys, dir: dir})
		})
	}
}

// fsTest is one test on one file system.
type fsTest struct {
	*testing.T
	store.FS
	dir string
}

func (t *fsTest) path(name string) string { return filepath.Join(t.dir, name) }

// must fails the test when something that has to work did not.
func (t *fsTest) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// is fails the test when an error is not of its kind.
func (t *fsTest) is(what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// make writes a file.
func (t *fsTest) make(name string, data []byte) {
	t.Helper()
	f, err := t.OpenFile(t.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	t.must(err)
	_, err = f.WriteAt(data, 0)
	t.must(errors.Join(err, f.Sync(), f.Close()))
}

// holds fails the test when a file has other bytes.
func (t *fsTest) holds(name string, want []byte) {
	t.Helper()
	f, err := t.OpenFile(t.path(name), os.O_RDONLY, 0)
	t.must(err)
	defer f.Close()
	got, err := io.ReadAll(f)
	t.must(err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes that are not the %d wanted", name, len(got), len(want))
	}
}

func testOpen(t *fsTest) {
	_, err := t.OpenFile(t.path("a"), os.O_RDONLY, 0)
	t.is("open what is not there", err, fs.ErrNotExist)
	_, err = t.OpenFile(t.path("no/a"), os.O_RDWR|os.O_CREATE, 0o600)
	t.is("create in a directory that is not there", err, fs.ErrNotExist)
	t.make("a", []byte("hello"))
	_, err = t.OpenFile(t.path("a"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	t.is("create exclusively what is there", err, fs.ErrExist)
	t.holds("a", []byte("hello"))
	f, err := t.OpenFile(t.path("a"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	t.must(err)
	t.must(f.Close())
	t.holds("a", nil)
	t.must(t.Mkdir(t.path("d"), 0o700))
	for _, flag := range []int{os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE} {
		_, err = t.OpenFile(t.path("d"), flag, 0o600)
		t.is("open a directory", err, store.ErrNotRegular)
	}
	if _, err = t.OpenFile(t.path("a/b"), os.O_RDWR|os.O_CREATE, 0o600); err == nil {
		t.Error("a file was made in a file")
	}
	t.must(t.Chmod(t.path("a"), 0o444))
	fi, err := t.Lstat(t.path("a"))
	t.must(err)
	if fi.Mode()&0o222 != 0 || !fi.Mode().IsRegular() || fi.Name() != "a" {
		t.Errorf("after Chmod(0444): %v %s", fi.Mode(), fi.Name())
	}
	t.must(t.Chmod(t.path("a"), 0o600))
	t.make("a", []byte("writable again"))
}

func testReadWrite(t *fsTest) {
	f, err := t.OpenFile(t.path("a"), os.O_RDWR|os.O_CREATE, 0o600)
	t.must(err)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	for _, off := range []int64{8000, 0, 4096, 4095} { // out of order, over page borders
		_, err := f.WriteAt(data[off:off+4000], off)
		t.must(err)
	}
	want := slices.Concat(data[:4000], make([]byte, 95), data[4095:12000])
	got := make([]byte, 12000)
	_, err = f.ReadAt(got, 0)
	t.must(err)
	if !bytes.Equal(got, want) {
		t.Error("other bytes than were written")
	}
	n, err := f.ReadAt(got, 11_000)
	if n != 1000 || err != io.EOF {
		t.Errorf("read over the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(got, 1<<40); n != 0 || err != io.EOF {
		t.Errorf("read behind the end: %d, %v", n, err)
	}
	t.must(errors.Join(f.Sync(), f.Close()))
	t.holds("a", want)
	f, err = t.OpenFile(t.path("a"), os.O_RDONLY, 0)
	t.must(err)
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("written to what was opened for reading")
	}
	t.must(f.Close())
	if _, err := f.ReadAt(got, 0); err == nil {
		t.Error("read from a closed file")
	}
}

func testLengths(t *fsTest) {
	f, err := t.OpenFile(t.path("a"), os.O_RDWR|os.O_CREATE, 0o600)
	t.must(err)
	size := func(what string, want int64) {
		t.Helper()
		fi, err := f.Stat()
		t.must(err)
		if fi.Size() != want {
			t.Errorf("%s: %d bytes, want %d", what, fi.Size(), want)
		}
	}
	t.must(f.Preallocate(0))
	size("Preallocate(0)", 0)
	t.must(f.Preallocate(10_000))
	size("Preallocate", 10_000)
	_, err = f.WriteAt(bytes.Repeat([]byte{7}, 10_000), 0)
	t.must(err)
	t.must(f.Preallocate(5000))
	size("Preallocate of less", 10_000)
	t.must(f.Truncate(5000))
	size("Truncate", 5000)
	t.must(f.Truncate(9000))
	size("Truncate to more", 9000)
	t.must(errors.Join(f.Sync(), f.Close()))
	t.holds("a", slices.Concat(bytes.Repeat([]byte{7}, 5000), make([]byte, 4000)))
}

func testDirectories(t *fsTest) {
	_, err := t.ReadDir(t.path("d"))
	t.is("list what is not there", err, fs.ErrNotExist)
	t.is("sync what is not there", t.SyncDir(t.path("d")), fs.ErrNotExist)
	t.is("make in what is not there", t.Mkdir(t.path("d/e"), 0o700), fs.ErrNotExist)
	t.must(t.Mkdir(t.path("d"), 0o700))
	t.is("make twice", t.Mkdir(t.path("d"), 0o700), fs.ErrExist)
	for _, name := range []string{"d/b", "d/a", "d/c"} {
		t.make(name, []byte(name))
	}
	t.must(t.Mkdir(t.path("d/dir"), 0o700))
	t.must(t.SyncDir(t.path("d")))
	entries, err := t.ReadDir(t.path("d"))
	t.must(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		fi, err := e.Info()
		t.must(err)
		if e.IsDir() != (e.Name() == "dir") || fi.IsDir() != e.IsDir() || !e.IsDir() && fi.Size() != 3 {
			t.Errorf("%s is %v of %d bytes", e.Name(), fi.Mode(), fi.Size())
		}
	}
	if want := []string{"a", "b", "c", "dir"}; !slices.Equal(names, want) {
		t.Errorf("listed: %v, want %v", names, want)
	}
	if err := t.Remove(t.path("d")); err == nil {
		t.Error("removed a directory that is not empty")
	}
	for _, name := range append(names, "") {
		t.must(t.Remove(t.path("d/" + name)))
	}
	t.is("remove twice", t.Remove(t.path("d")), fs.ErrNotExist)
	_, err = t.Lstat(t.path("d"))
	t.is("look at what was removed", err, fs.ErrNotExist)
}

func testRename(t *fsTest) {
	t.must(t.Mkdir(t.path("d"), 0o700))
	t.make("a", []byte("new"))
	t.make("d/b", []byte("old"))
	t.is("rename what is not there", t.Rename(t.path("x"), t.path("y")), fs.ErrNotExist)
	t.must(t.Rename(t.path("a"), t.path("d/b")))
	t.holds("d/b", []byte("new"))
	_, err := t.Lstat(t.path("a"))
	t.is("the old name", err, fs.ErrNotExist)
	if err := t.Rename(t.path("d/b"), t.path("d")); err == nil {
		t.Error("a file replaced a directory")
	}
	t.must(t.Chmod(t.path("d/b"), 0o444))
	t.make("c", []byte("newer"))
	t.must(t.Rename(t.path("c"), t.path("d/b"))) // over a read-only file
	t.holds("d/b", []byte("newer"))
}

func testLinks(t *fsTest) {
	t.make("a", bytes.Repeat([]byte("x"), 100_000))
	if err := t.Link(t.path("a"), t.path("b")); err != nil {
		t.Skipf("no hard links here: %v", err)
	}
	t.is("link over what is there", t.Link(t.path("a"), t.path("b")), fs.ErrExist)
	links, allocated, err := t.Usage(t.path("a"))
	t.must(err)
	if links != 2 || allocated < 100_000 {
		t.Errorf("%d links and %d bytes allocated", links, allocated)
	}
	a, err1 := t.Lstat(t.path("a"))
	b, err2 := t.Lstat(t.path("b"))
	t.must(errors.Join(err1, err2))
	t.make("c", nil)
	c, err := t.Lstat(t.path("c"))
	t.must(err)
	if !t.SameFile(a, b) || t.SameFile(a, c) {
		t.Error("SameFile is wrong")
	}
	t.must(t.Remove(t.path("a")))
	if links, _, err = t.Usage(t.path("b")); links != 1 || err != nil {
		t.Errorf("after Remove: %d links, %v", links, err)
	}
	_, _, err = t.Usage(t.path("a"))
	t.is("usage of what is not there", err, fs.ErrNotExist)
}

func testClone(t *fsTest) {
	t.make("a", []byte("shared"))
	if t.Clone(t.path("a"), t.path("b")) != nil {
		_, err := t.Lstat(t.path("b"))
		t.is("after a failed Clone", err, fs.ErrNotExist)
		return
	}
	t.make("a", []byte("other"))
	t.holds("b", []byte("shared"))
}

// testOpenFiles: a file that is open stays what it is, whatever becomes of its
// name. Windows does not let it lose its name.
func testOpenFiles(t *fsTest) {
	t.make("a", []byte("one"))
	f, err := t.OpenFile(t.path("a"), os.O_RDWR, 0)
	t.must(err)
	defer f.Close()
	if err := t.Remove(t.path("a")); err != nil {
		t.Skipf("a file that is open cannot be removed here: %v", err)
	}
	t.make("a", []byte("two"))
	_, err = f.WriteAt([]byte("ONE"), 0)
	t.must(err)
	t.holds("a", []byte("two"))
	mine, err1 := f.Stat()
	named, err2 := t.Lstat(t.path("a"))
	t.must(errors.Join(err1, err2))
	if t.SameFile(mine, named) {
		t.Error("two files are the same")
	}
}

func testLocks(t *fsTest) {
	_, err := t.Lock(t.path("no/lock"))
	t.is("lock in what is not there", err, fs.ErrNotExist)
	l, err := t.Lock(t.path("lock"))
	t.must(err)
	_, err = t.Lock(t.path("lock"))
	t.is("lock twice", err, store.ErrLocked)
	t.must(l.Close())
	l, err = t.Lock(t.path("lock"))
	t.must(err)
	t.must(l.Close())
	t.must(t.Mkdir(t.path("d"), 0o700))
	_, err = t.Lock(t.path("d"))
	t.is("lock a directory", err, store.ErrNotRegular)
}

func testDisk(t *fsTest) {
	d, err := t.Disk(t.dir)
	t.must(err)
	if d.Free <= 0 || d.ReadOnly || d.Total != 0 && d.Total < d.Free {
		t.Errorf("the disk that is written to: %+v", d)
	}
	_, err = t.Disk(t.path("no"))
	t.is("the disk of what is not there", err, fs.ErrNotExist)
}
