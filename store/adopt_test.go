package store

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// writeFile makes a source of a test and returns its path.
func writeSource(t *testing.T, dir, name string, data []byte, mode fs.FileMode) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, data, mode); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	big, small := content(40, 2*PartSize+5), content(41, 900)
	// Whether this file system can share blocks decides what auto takes.
	auto := func(hardOrCopy Link) []Link { return []Link{LinkReflink, hardOrCopy} }
	for _, tc := range []struct {
		name   string
		data   []byte
		mode   fs.FileMode
		git    bool
		stable bool
		link   Link
		want   []Link // any of
	}{
		{"a file that is named by its content", big, 0o644, false, true, LinkAuto, auto(LinkHard)},
		{"one that nobody may write to", big, 0o444, false, false, "", auto(LinkHard)},
		{"one that may be written into", big, 0o644, false, false, LinkAuto, auto(LinkCopy)},
		{"a small one", small, 0o444, false, true, LinkAuto, []Link{LinkCopy}},
		{"a small one of git", small, 0o644, true, true, LinkAuto, []Link{LinkCopy}},
		{"a big one of git", big, 0o644, true, true, LinkHard, []Link{LinkHard}},
		{"hard, asked for", big, 0o644, false, false, LinkHard, []Link{LinkHard}},
		{"hard, but small", small, 0o644, false, false, LinkHard, []Link{LinkCopy}},
		{"copy, asked for", big, 0o444, false, true, LinkCopy, []Link{LinkCopy}},
		{"an empty one", nil, 0o644, false, true, LinkAuto, []Link{LinkCopy}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := openTest(t)
			src := Source{writeSource(t, t.TempDir(), "anything.bin", tc.data, tc.mode), tc.stable}
			w := wantOf(tc.data)
			if tc.git {
				w = gitWantOf(tc.data)
			}
			way, err := s.AdoptWay(src, tc.link)
			if err != nil {
				t.Fatal(err)
			}
			var read int64
			got, err := s.Adopt(t.Context(), w, src, AdoptOptions{Link: tc.link, Progress: func(n int64) { read += n }})
			if err != nil {
				t.Fatal(err)
			}
			if got.Link != tc.want[0] && got.Link != tc.want[len(tc.want)-1] || got.Link != way {
				t.Errorf("got %q, want one of %q; AdoptWay said %q", got.Link, tc.want, way)
			}
			if read != w.Size {
				t.Errorf("progress of %d bytes, want %d", read, w.Size)
			}
			checkBlob(t, s, tc.data)
			checkShared(t, s, got, src.Path, tc.mode)
			if d, ok := s.Find(w); !ok || d != got.Digest {
				t.Errorf("Find gives %s, %v", d, ok)
			}
			again, err := s.Adopt(t.Context(), w, src, AdoptOptions{})
			if err != nil || again != (Adopted{Digest: got.Digest}) {
				t.Errorf("again: %+v, %v", again, err)
			}
			noTemp(t, s)
		})
	}
}

// checkShared checks what became of the source.
func checkShared(t *testing.T, s *Store, got Adopted, source string, mode fs.FileMode) {
	t.Helper()
	a, err := os.Stat(source)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.Stat(s.Path(got.Digest))
	if err != nil {
		t.Fatal(err)
	}
	if same := os.SameFile(a, b); same != (got.Link == LinkHard) {
		t.Errorf("%s: source and blob are one file: %v", got.Link, same)
	}
	if got.Link == LinkHard {
		mode = 0o444
	}
	if runtime.GOOS != "windows" && (a.Mode().Perm() != mode || b.Mode().Perm() != 0o444) {
		t.Errorf("%s: source has mode %v, want %v; blob %v", got.Link, a.Mode(), mode, b.Mode())
	}
}

func noTemp(t *testing.T, s *Store) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Dir(), dirTmp))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(entries) != 0 {
		t.Errorf("left in tmp: %v", entries)
	}
}

func TestAdoptRefuses(t *testing.T) {
	t.Parallel()
	data := content(42, 2*PartSize+5)
	other := bytes.Clone(data)
	other[PartSize+7] ^= 1
	for _, tc := range []struct {
		name string
		make func(t *testing.T, dir string) string
		link Link
		want error
	}{
		{"another content of that length", func(t *testing.T, dir string) string {
			return writeSource(t, dir, "f", other, 0o644)
		}, LinkHard, ErrMismatch},
		{"the same, to be copied", func(t *testing.T, dir string) string {
			return writeSource(t, dir, "f", other, 0o644)
		}, LinkCopy, ErrMismatch},
		{"cut off", func(t *testing.T, dir string) string {
			return writeSource(t, dir, "f", data[:len(data)-1], 0o644)
		}, LinkAuto, ErrMismatch},
		{"longer", func(t *testing.T, dir string) string {
			return writeSource(t, dir, "f", append(bytes.Clone(data), 0), 0o644)
		}, LinkAuto, ErrMismatch},
		{"absent", func(_ *testing.T, dir string) string { return filepath.Join(dir, "f") }, LinkAuto, fs.ErrNotExist},
		{"a directory", func(_ *testing.T, dir string) string { return dir }, LinkAuto, ErrNotRegular},
		{"a symlink to the right file", func(t *testing.T, dir string) string {
			to := writeSource(t, dir, "f", data, 0o644)
			link := filepath.Join(dir, "link")
			if err := os.Symlink(to, link); err != nil {
				t.Skip(err)
			}
			return link
		}, LinkAuto, ErrNotRegular},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := openTest(t)
			src := tc.make(t, t.TempDir())
			before, _ := os.Lstat(src)
			read := int64(0)
			_, err := s.Adopt(t.Context(), wantOf(data), Source{src, true}, AdoptOptions{Link: tc.link, Progress: func(n int64) { read += n }})
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if after, _ := os.Lstat(src); before != nil && (after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime())) {
				t.Errorf("the source was %v and is %v", before.Mode(), after.Mode())
			}
			if _, ok := s.Find(wantOf(data)); ok || exists(s.Path(wantOf(data).SHA256)) || read != 0 {
				t.Errorf("something was kept: %d bytes told", read)
			}
			noTemp(t, s)
		})
	}
}

// Whoever writes to the source while it is read is noticed, however the bytes
// are to be taken, and nothing is published.
func TestAdoptChanged(t *testing.T) {
	t.Parallel()
	data := content(43, 3*PartSize)
	for _, link := range []Link{LinkHard, LinkCopy} {
		s := openTest(t)
		src := writeSource(t, t.TempDir(), "f", data, 0o644)
		changed := false
		_, err := s.Adopt(t.Context(), wantOf(data), Source{Path: src}, AdoptOptions{Link: link, Progress: func(n int64) {
			if changed || n < 0 {
				return
			}
			changed = true
			flip(t, src, 5) // a part that has been read already
			if err := os.Chtimes(src, time.Time{}, time.Unix(1, 0)); err != nil {
				t.Error(err)
			}
		}})
		if !errors.Is(err, ErrChanged) {
			t.Errorf("%s: got %v, want ErrChanged", link, err)
		}
		if exists(s.Path(wantOf(data).SHA256)) {
			t.Errorf("%s: published", link)
		}
		noTemp(t, s)
	}
}

func TestAdoptCancelled(t *testing.T) {
	t.Parallel()
	data := content(44, 3*PartSize)
	s := openTest(t)
	ctx, stop := context.WithCancel(t.Context())
	src := writeSource(t, t.TempDir(), "f", data, 0o644)
	_, err := s.Adopt(ctx, wantOf(data), Source{Path: src}, AdoptOptions{Progress: func(int64) { stop() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	noTemp(t, s)
}

// What is damaged, and what was left unfinished, ends with an adoption.
func TestAdoptHeals(t *testing.T) {
	t.Parallel()
	data := content(45, 3*PartSize)
	s := openTest(t)
	d := publishBlob(t, s, data)
	src := writeSource(t, t.TempDir(), "f", data, 0o644)
	flip(t, s.Path(d), 2*PartSize)
	if err := s.Verify(t.Context(), d, 0, nil); err == nil {
		t.Fatal("the damage was not found")
	}
	if _, err := s.Adopt(t.Context(), wantOf(data), Source{src, true}, AdoptOptions{}); err != nil {
		t.Fatal(err)
	}
	checkBlob(t, s, data)

	unfinished := content(46, 3*PartSize)
	in := openIngest(t, s, wantOf(unfinished))
	if err := in.WritePart(t.Context(), 1, part(unfinished, 1)); err != nil {
		t.Fatal(err)
	}
	src = writeSource(t, t.TempDir(), "g", unfinished, 0o644)
	if _, err := s.Adopt(t.Context(), wantOf(unfinished), Source{src, true}, AdoptOptions{}); err != nil {
		t.Fatal(err)
	}
	checkBlob(t, s, unfinished)
	if !exists(s.partialOf(wantOf(unfinished)).dir) {
		t.Error("the partial of somebody at work was removed")
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.Path(wantOf(unfinished).SHA256), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.Path(wantOf(unfinished).SHA256)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Adopt(t.Context(), wantOf(unfinished), Source{src, true}, AdoptOptions{}); err != nil {
		t.Fatal(err)
	}
	if exists(s.partialOf(wantOf(unfinished)).dir) {
		t.Error("the partial is still there")
	}
}

// A blob that a mark says is damaged, and that is the very file to be adopted.
func TestAdoptItself(t *testing.T) {
	t.Parallel()
	data := content(47, 2*PartSize)
	s := openTest(t)
	d := publishBlob(t, s, data)
	other := filepath.Join(t.TempDir(), "f")
	if err := os.Link(s.Path(d), other); err != nil {
		t.Skip(err)
	}
	if err := os.MkdirAll(filepath.Dir(s.corruptPath(d)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.corruptPath(d), []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Adopt(t.Context(), wantOf(data), Source{other, true}, AdoptOptions{Link: LinkHard}); err != nil {
		t.Fatal(err)
	}
	checkBlob(t, s, data)
	noTemp(t, s)
}

// Across file systems there is nothing but copying, and it is said.
func TestAdoptAcrossDevices(t *testing.T) {
	t.Parallel()
	data := content(48, 2*PartSize)
	dir, err := os.MkdirTemp("/dev/shm", "qbranch-*")
	if err != nil {
		t.Skip("no second file system: ", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s := openTest(t)
	src := Source{writeSource(t, dir, "f", data, 0o444), true}
	if err := os.Link(src.Path, filepath.Join(s.Dir(), "probe")); err == nil {
		t.Skip("both are on one file system")
	}
	for _, link := range []Link{LinkHard, LinkReflink} {
		var cannot *LinkError
		if _, err := s.Adopt(t.Context(), wantOf(data), src, AdoptOptions{Link: link}); !errors.As(err, &cannot) || cannot.Hint() == "" {
			t.Errorf("%s: got %v", link, err)
		}
	}
	got, err := s.Adopt(t.Context(), wantOf(data), src, AdoptOptions{})
	if err != nil || got.Link != LinkCopy {
		t.Errorf("got %+v, %v", got, err)
	}
	checkBlob(t, s, data)
}

// An export never gives a writable hard link to a blob away.
func TestExportOfWritableBlob(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	snap := fill(t, s, repoA, "main", commitA, map[string][]byte{"f": content(49, 5000)})
	if err := os.Chmod(s.Path(snap.Files[0].SHA256), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	did, err := s.Export(t.Context(), snap, dir, LinkAuto)
	if err != nil || did.Hard != 0 {
		t.Fatalf("%+v, %v", did, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("edited"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), snap.Files[0].SHA256, 0, nil); err != nil {
		t.Error(err)
	}
	var cannot *LinkError
	if _, err := s.Export(t.Context(), snap, t.TempDir(), LinkHard); !errors.As(err, &cannot) {
		t.Errorf("got %v", err)
	}
}

func TestParseLink(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		want Link
		ok   bool
	}{
		{"", LinkAuto, true}, {"auto", LinkAuto, true}, {"hard", LinkHard, true}, {"reflink", LinkReflink, true},
		{"copy", LinkCopy, true}, {"sym", "", false}, {"Hard", "", false},
	} {
		if got, err := ParseLink(tc.in); got != tc.want || (err == nil) != tc.ok {
			t.Errorf("ParseLink(%q) = %q, %v", tc.in, got, err)
		}
	}
}

// Several that adopt one content at the same time, from one file and by every
// way, end with one blob.
func TestAdoptTogether(t *testing.T) {
	t.Parallel()
	data := content(50, 2*PartSize+1)
	s := openTest(t)
	src := Source{writeSource(t, t.TempDir(), "f", data, 0o644), true}
	errs := make(chan error)
	links := []Link{LinkHard, LinkCopy, LinkAuto, LinkHard, LinkCopy, LinkAuto}
	for _, link := range links {
		go func() {
			_, err := s.Adopt(t.Context(), wantOf(data), src, AdoptOptions{Link: link})
			errs <- err
		}()
	}
	for range links {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	checkBlob(t, s, data)
	noTemp(t, s)
}

// A temporary link is as old as what it is a link to, and yet not swept before
// its time.
func TestTmpBegan(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_900_000_000, 0)
	dir := t.TempDir()
	for _, tc := range []struct {
		name string
		want time.Time
	}{
		{adoptionName(now), now},
		{"tQX", time.Unix(1, 0)},
		{"anything-else", time.Unix(1, 0)},
		{"a-", time.Unix(1, 0)},
	} {
		p := writeSource(t, dir, tc.name, nil, 0o600)
		if err := os.Chtimes(p, time.Time{}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := tmpBegan(fi); !got.Equal(tc.want) {
			t.Errorf("%s began at %v, want %v", tc.name, got, tc.want)
		}
	}
}
