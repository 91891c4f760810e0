package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// content returns n bytes that look random and depend on seed only.
func content(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// wantOf returns the Want of data by its SHA-256.
func wantOf(data []byte) Want {
	return Want{Size: int64(len(data)), SHA256: sha256.Sum256(data)}
}

// gitWantOf returns the Want of data by its git blob id only.
func gitWantOf(data []byte) Want {
	h := newGitHash(int64(len(data)))
	h.Write(data)
	return Want{Size: int64(len(data)), GitOID: [20]byte(h.Sum(nil))}
}

func openTest(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// part returns the bytes of part i of data.
func part(data []byte, i int) []byte {
	off := i * PartSize
	return data[off : off+partLen(int64(len(data)), i)]
}

func openIngest(t testing.TB, s *Store, w Want) *Ingest {
	t.Helper()
	in, err := s.Ingest(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return in
}

// writeMissing writes every part that is not held and returns how many.
func writeMissing(t testing.TB, in *Ingest, data []byte) (n int) {
	t.Helper()
	for i := range in.NumParts() {
		if in.Held(i) {
			continue
		}
		if err := in.WritePart(t.Context(), i, part(data, i)); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func commit(t testing.TB, in *Ingest) Digest {
	t.Helper()
	d, err := in.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// publishBlob ingests data and returns its digest.
func publishBlob(t testing.TB, s *Store, data []byte) Digest {
	t.Helper()
	in := openIngest(t, s, wantOf(data))
	writeMissing(t, in, data)
	return commit(t, in)
}

// checkBlob fails unless the published blob has exactly these bytes.
func checkBlob(t testing.TB, s *Store, data []byte) {
	t.Helper()
	f, err := s.OpenBlob(sha256.Sum256(data))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Fatal("the published blob has other bytes")
	}
}

// flip inverts one byte of a file, whatever its mode says.
func flip(t testing.TB, path string, off int64) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}

// exists reports whether a path is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := fi.Mode().Perm(); removesOpenFiles && got != 0o700 {
		t.Errorf("mode of the store is %o, want 700", got)
	}
	if _, err := Open(dir); err != nil {
		t.Errorf("opening it again: %v", err)
	}
	if free, err := s.Free(); err != nil || free <= 0 {
		t.Errorf("Free() = %d, %v", free, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "VERSION")); err != nil || string(got) != "qbranch store 1\n" {
		t.Errorf("VERSION is %q, %v", got, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, file, text, want string }{
		{"newer format", "VERSION", "qbranch store 2\n", "newer"},
		{"not a version", "VERSION", "hello", "not the version"},
		{"negative version", "VERSION", "qbranch store -1\n", "not the version"},
		{"somebody's folder", "thesis.tex", "", "not a qbranch store"},
		{"a store without VERSION may be anything", "blobs", "", "not a qbranch store"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir)
			if !errors.Is(err, ErrFormat) || !bytes.Contains([]byte(err.Error()), []byte(tt.want)) {
				t.Errorf("Open: %v, want ErrFormat with %q", err, tt.want)
			}
			var h interface{ Hint() string }
			if !errors.As(err, &h) || h.Hint() == "" {
				t.Errorf("no hint in %v", err)
			}
		})
	}
}

func TestIngest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		size int
	}{
		{"empty", 0},
		{"one byte", 1},
		{"a byte less than a part", PartSize - 1},
		{"one part", PartSize},
		{"a byte more than a part", PartSize + 1},
		{"whole parts", 4 * PartSize},
		{"an odd length that is no multiple of the hash's block", 3*PartSize + 4321},
	} {
		for _, by := range []string{"sha256", "git", "both"} {
			t.Run(tt.name+"/"+by, func(t *testing.T) {
				t.Parallel()
				s := openTest(t)
				data := content(1, tt.size)
				w := wantOf(data)
				switch by {
				case "git":
					w = gitWantOf(data)
				case "both":
					w.GitOID = gitWantOf(data).GitOID
				}
				in := openIngest(t, s, w)
				if got, want := in.NumParts(), (tt.size+PartSize-1)/PartSize; got != want {
					t.Errorf("NumParts() = %d, want %d", got, want)
				}
				for i := in.NumParts() - 1; i >= 0; i-- { // backwards: the frontier moves last
					if err := in.WritePart(t.Context(), i, part(data, i)); err != nil {
						t.Fatal(err)
					}
				}
				if got := in.HeldBytes(); got != int64(tt.size) {
					t.Errorf("HeldBytes() = %d, want %d", got, tt.size)
				}
				if got, want := commit(t, in), wantOf(data).SHA256; got != want {
					t.Fatalf("Commit() = %s, want %s", got, want)
				}
				checkBlob(t, s, data)
				if d, ok := s.Find(w); !ok || d != wantOf(data).SHA256 {
					t.Errorf("Find() = %s, %v", d, ok)
				}
				if err := s.Verify(t.Context(), wantOf(data).SHA256, 2, nil); err != nil {
					t.Error(err)
				}
				if left, _ := os.ReadDir(filepath.Join(s.Dir(), "partial")); len(left) != 0 {
					t.Errorf("partials left: %v", left)
				}
				if fi, _ := os.Stat(s.Path(wantOf(data).SHA256)); fi.Mode().Perm() != 0o444 {
					t.Errorf("mode of the blob is %v", fi.Mode())
				}
			})
		}
	}
}

func TestFindIsStrict(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(2, 100)
	publishBlob(t, s, data)
	w := wantOf(data)
	if _, ok := s.Find(w); !ok {
		t.Fatal("not found")
	}
	for _, tt := range []struct {
		name string
		w    Want
	}{
		{"another length", Want{Size: 99, SHA256: w.SHA256}},
		{"another digest", Want{Size: 100, SHA256: Digest{1}}},
		{"no digest", Want{Size: 100}},
		{"negative length", Want{Size: -1, SHA256: w.SHA256}},
		{"a git id never seen", Want{Size: 100, GitOID: [20]byte{1}}},
	} {
		if d, ok := s.Find(tt.w); ok {
			t.Errorf("%s: found %s", tt.name, d)
		}
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := []byte(`{"bits": 4}`)
	for range 2 { // the second finds it there
		d, err := s.Put(t.Context(), gitWantOf(data), data)
		if err != nil {
			t.Fatal(err)
		}
		if d != wantOf(data).SHA256 {
			t.Errorf("Put() = %s", d)
		}
	}
	checkBlob(t, s, data)
	if _, ok := s.Find(gitWantOf(data)); !ok {
		t.Error("not found by its git id")
	}
	if err := s.Verify(t.Context(), wantOf(data).SHA256, 0, nil); err != nil {
		t.Error(err)
	}
	other := []byte(`{"bits": 3}`)
	for _, tt := range []struct {
		name string
		w    Want
		data []byte
		what string
	}{
		{"other bytes, by SHA-256", wantOf(data), other, "SHA-256"},
		{"other bytes, by git id", gitWantOf(data), other, "git blob id"},
		{"cut off", wantOf(data), data[:5], "length"},
	} {
		_, err := s.Put(t.Context(), tt.w, tt.data)
		var m *MismatchError
		if !errors.Is(err, ErrMismatch) || !errors.As(err, &m) || m.What != tt.what {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, ok := s.Find(wantOf(other)); ok {
		t.Error("wrong content was published")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, wantOf(other), other); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled Put: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(s.Dir(), "tmp")); len(left) != 0 {
		t.Errorf("temporary files left: %v", left)
	}
}

func TestGitBlobID(t *testing.T) {
	t.Parallel()
	// printf hello | git hash-object --stdin
	const want = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"
	if oid := gitWantOf([]byte("hello")).GitOID; hex.EncodeToString(oid[:]) != want {
		t.Errorf("git blob id %x, want %s", oid, want)
	}
}

func TestSweepTemp(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	for name, age := range map[string]time.Duration{"old": tmpAge + time.Minute, "young": time.Minute} {
		path := filepath.Join(s.Dir(), "tmp", name)
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	hold, err := s.Hold(t.Context(), "get a/b", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.Dir()); err != nil {
		t.Fatal(err)
	}
	if !exists(filepath.Join(s.Dir(), "tmp", "old")) {
		t.Error("an old file has gone while a process was at work")
	}
	if err := hold.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.Dir()); err != nil {
		t.Fatal(err)
	}
	if exists(filepath.Join(s.Dir(), "tmp", "old")) || !exists(filepath.Join(s.Dir(), "tmp", "young")) {
		t.Error("the old file is to go and the young one to stay")
	}
}
