package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Links that somebody puts where we are going to write or read. Whatever they
// lead to is neither changed nor taken for ours.

// victim is a file outside that must stay as it is.
type victim struct {
	t    *testing.T
	path string
	data string
	was  fs.FileInfo
}

func newVictim(t *testing.T, data string) *victim {
	t.Helper()
	v := &victim{t: t, path: filepath.Join(t.TempDir(), "victim"), data: data}
	if err := os.WriteFile(v.path, []byte(data), 0o640); err != nil {
		t.Fatal(err)
	}
	var err error
	if v.was, err = os.Stat(v.path); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *victim) unharmed() {
	v.t.Helper()
	got, err := os.ReadFile(v.path)
	if err != nil || string(got) != v.data {
		v.t.Errorf("the file outside holds %.40q now, %v", got, err)
	}
	if now, err := os.Stat(v.path); err != nil || now.Mode() != v.was.Mode() {
		v.t.Errorf("the file outside has another mode now: %v, %v", now.Mode(), err)
	}
}

// swap puts a symlink to the victim in the place of a file or folder.
func (v *victim) swap(path string) {
	v.t.Helper()
	if err := os.RemoveAll(path); err != nil {
		v.t.Fatal(err)
	}
	if err := os.Symlink(v.path, path); err != nil {
		v.t.Skip(err)
	}
}

// TestSymlinksInStore: each file of the store in turn is a symlink to a file
// outside, of the same content as the blob where that is the worst.
func TestSymlinksInStore(t *testing.T) {
	t.Parallel()
	data := content(99, PartSize+10)
	want := wantOf(data)
	hexName := want.SHA256.String()
	for _, name := range []string{
		"blobs/" + hexName[:2] + "/" + hexName, "parts/" + hexName[:2] + "/" + hexName,
		"partial/" + hexName + "/data", "partial/" + hexName + "/journal", "partial/" + hexName + "/lock",
	} {
		t.Run(filepath.Base(filepath.Dir(name))+"/"+filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			s := openTest(t)
			in, err := s.Ingest(t.Context(), want)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(in.WritePart(t.Context(), 0, part(data, 0)), in.Close()); err != nil {
				t.Fatal(err)
			}
			v := newVictim(t, string(data))
			path := filepath.Join(s.Dir(), filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			v.swap(path)
			defer v.unharmed()

			in, err = s.Ingest(t.Context(), want)
			if err != nil {
				return // refused
			}
			for i := range in.NumParts() {
				if !in.Held(i) {
					if err := in.WritePart(t.Context(), i, part(data, i)); err != nil {
						in.Close()
						return
					}
				}
			}
			if _, err := in.Commit(t.Context()); err != nil {
				in.Close()
				return
			}
			if fi, err := os.Lstat(s.Path(want.SHA256)); err != nil || !fi.Mode().IsRegular() {
				t.Errorf("what was published is not a file: %v, %v", fi.Mode(), err)
			}
			checkBlob(t, s, data)
		})
	}
}

// TestSymlinkIsNoBlob: a symlink to the right bytes is not a blob, for they may
// change without us.
func TestSymlinkIsNoBlob(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := []byte("the right bytes")
	snap := fill(t, s, repoA, "", commitA, map[string][]byte{"config.json": data})
	v := newVictim(t, string(data))
	v.swap(s.Path(wantOf(data).SHA256))
	if _, ok := s.Find(wantOf(data)); ok {
		t.Error("Find takes the symlink for a blob")
	}
	if f, err := s.OpenBlob(wantOf(data).SHA256); err == nil {
		f.Close()
		t.Error("OpenBlob follows the symlink")
	}
	if _, err := s.Export(t.Context(), snap, t.TempDir(), LinkAuto); err == nil {
		t.Error("Export took what the symlink leads to")
	}
	v.unharmed()
}

// TestHardLinksInFolder: a file of an exported folder is another name of a file
// that is not ours. Replacing the one leaves the other alone.
func TestHardLinksInFolder(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	first := fill(t, s, repoA, "main", commitA, map[string][]byte{"config.json": []byte("1")})
	second := fill(t, s, repoA, "main", commitB, map[string][]byte{"config.json": []byte("22")})
	dir := t.TempDir()
	if _, err := s.Export(t.Context(), first, dir, LinkAuto); err != nil {
		t.Fatal(err)
	}
	v := newVictim(t, "1") // as it was exported, so that it looks like ours
	name := filepath.Join(dir, "config.json")
	if err := errors.Join(os.Remove(name), os.Link(v.path, name)); err != nil {
		t.Skip(err)
	}
	if _, err := s.Export(t.Context(), second, dir, LinkAuto); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "22" {
		t.Errorf("config.json is %q, %v", got, err)
	}
	v.unharmed()
}

// TestSymlinkedFileInFolder: a file of the folder is a symlink to one with the
// content of the old export, outside and inside.
func TestSymlinkedFileInFolder(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	first := fill(t, s, repoA, "main", commitA, map[string][]byte{"config.json": []byte("1"), "same": []byte("s")})
	second := fill(t, s, repoA, "main", commitB, map[string][]byte{"config.json": []byte("22"), "same": []byte("s")})
	for _, name := range []string{"config.json", "same"} {
		dir := t.TempDir()
		if _, err := s.Export(t.Context(), first, dir, LinkAuto); err != nil {
			t.Fatal(err)
		}
		old, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		v := newVictim(t, string(old))
		v.swap(filepath.Join(dir, name))
		_, err = s.Export(t.Context(), second, dir, LinkAuto)
		if fi, e := os.Lstat(filepath.Join(dir, name)); err == nil && (e != nil || !fi.Mode().IsRegular()) {
			t.Errorf("%s: exported, and still a symlink: %v, %v", name, fi.Mode(), e)
		}
		v.unharmed()
	}
}

// TestFolderSwappedDuringExport: while we export, a folder on the way is now a
// folder, now a symlink that leads out.
func TestFolderSwappedDuringExport(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	files := make(map[string][]byte)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		files["sub/"+name] = []byte(name)
	}
	snap := fill(t, s, repoA, "", commitA, files)
	outside, dir := t.TempDir(), t.TempDir()
	sub, aside := filepath.Join(dir, "sub"), filepath.Join(dir, "aside")
	if err := errors.Join(os.Mkdir(sub, 0o755), os.Symlink(outside, filepath.Join(dir, "link"))); err != nil {
		t.Skip(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			// Errors are the other side's business: it makes folders too.
			os.Rename(sub, aside)
			os.Rename(filepath.Join(dir, "link"), sub)
			os.Rename(sub, filepath.Join(dir, "link"))
			os.Rename(aside, sub)
		}
	})
	for range 50 {
		s.Export(t.Context(), snap, dir, LinkAuto) // it may fail: it must not leave the folder
	}
	close(stop)
	wg.Wait()
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("written outside: %v, %v", entries, err)
	}
}
