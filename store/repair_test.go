package store

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// verifyBad runs Verify and returns the corruption it must find.
func verifyBad(t *testing.T, s *Store, d Digest) *CorruptError {
	t.Helper()
	err := s.Verify(t.Context(), d, 0, nil)
	var bad *CorruptError
	if !errors.As(err, &bad) {
		t.Fatalf("Verify: %v, want a *CorruptError", err)
	}
	return bad
}

func TestRepair(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(40, 5*PartSize+10)
	w := wantOf(data)
	d := publishBlob(t, s, data)
	flip(t, s.Path(d), 2*PartSize+3)
	flip(t, s.Path(d), 5*PartSize+9)
	bad := verifyBad(t, s, d)
	if !slices.Equal(bad.Parts, []int{2, 5}) || bad.Size != w.Size || bad.Digest != d {
		t.Errorf("Verify found %+v", bad)
	}
	if _, ok := s.Find(w); ok {
		t.Error("a blob known to be corrupt is found")
	}
	if _, err := s.OpenBlob(d); !errors.As(err, &bad) {
		t.Errorf("OpenBlob: %v, want a *CorruptError", err)
	}
	if got, want := s.Held(w), w.Size-PartSize-10; got != want {
		t.Errorf("Held() = %d, want %d", got, want)
	}
	if got := s.DiskNeeded(w); got != 0 {
		t.Errorf("DiskNeeded() = %d: the blob is repaired in its place", got)
	}
	in := openIngest(t, s, w)
	for i := range in.NumParts() {
		if got, want := in.Held(i), i != 2 && i != 5; got != want {
			t.Errorf("Held(%d) = %v, want %v", i, got, want)
		}
	}
	if n := writeMissing(t, in, data); n != 2 {
		t.Errorf("%d parts written, want 2", n)
	}
	commit(t, in)
	checkBlob(t, s, data)
	if _, ok := s.Find(w); !ok {
		t.Error("the repaired blob is not found")
	}
	if exists(s.corruptPath(d)) {
		t.Error("the mark is still there")
	}
	if err := s.Verify(t.Context(), d, 0, nil); err != nil {
		t.Errorf("Verify after the repair: %v", err)
	}
}

// TestRepairLengths: a blob that was cut off or has grown is not found, marked
// or not, and is repaired all the same.
func TestRepairLengths(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		size   int64
		parts  []int
		fetch  int
		marked bool
	}{
		{"cut off in a part, unmarked", 2*PartSize + 100, []int{2, 3}, 2, false},
		{"cut off in a part", 2*PartSize + 100, []int{2, 3}, 2, true},
		{"emptied", 0, []int{0, 1, 2, 3}, 4, true},
		{"grown", 3*PartSize + 11, []int{3}, 0, true},
		{"grown, unmarked", 9 * PartSize, []int{3}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := openTest(t)
			data := content(41, 3*PartSize+10)
			d := publishBlob(t, s, data)
			if err := errors.Join(os.Chmod(s.Path(d), 0o600), os.Truncate(s.Path(d), tt.size)); err != nil {
				t.Fatal(err)
			}
			if _, ok := s.Find(wantOf(data)); ok {
				t.Error("found")
			}
			if tt.marked {
				if bad := verifyBad(t, s, d); !slices.Equal(bad.Parts, tt.parts) {
					t.Errorf("bad parts %v, want %v", bad.Parts, tt.parts)
				}
			}
			in := openIngest(t, s, wantOf(data))
			if n := writeMissing(t, in, data); n != tt.fetch {
				t.Errorf("%d parts written, want %d", n, tt.fetch)
			}
			commit(t, in)
			checkBlob(t, s, data)
		})
	}
}

// TestRepairKeepsHardLinks: an exported folder may share the file; it must
// never see half a repair.
func TestRepairKeepsHardLinks(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(42, 3*PartSize)
	d := publishBlob(t, s, data)
	link := filepath.Join(t.TempDir(), "model.safetensors")
	if err := os.Link(s.Path(d), link); err != nil {
		t.Skip(err)
	}
	flip(t, s.Path(d), PartSize)
	damaged, _ := os.ReadFile(link)
	verifyBad(t, s, d)
	if got := s.DiskNeeded(wantOf(data)); got != int64(len(data)) {
		t.Errorf("DiskNeeded() = %d, want room for a copy", got)
	}
	in := openIngest(t, s, wantOf(data))
	if n := writeMissing(t, in, data); n != 1 {
		t.Errorf("%d parts written, want 1", n)
	}
	if now, _ := os.ReadFile(link); !bytes.Equal(now, damaged) {
		t.Error("the repair writes to the linked file")
	}
	commit(t, in)
	checkBlob(t, s, data)
	if now, _ := os.ReadFile(link); !bytes.Equal(now, damaged) {
		t.Error("the repair changed the linked file")
	}
}

// TestRepairWithoutParts: when the list of parts is lost nothing can be told
// good, so everything is fetched, and the corrupt blob stays until then.
func TestRepairWithoutParts(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(43, 3*PartSize)
	d := publishBlob(t, s, data)
	flip(t, s.Path(d), 5)
	if err := os.Remove(s.partsPath(d)); err != nil {
		t.Fatal(err)
	}
	if bad := verifyBad(t, s, d); len(bad.Parts) != 3 {
		t.Errorf("bad parts %v, want all", bad.Parts)
	}
	in := openIngest(t, s, wantOf(data))
	if n := writeMissing(t, in, data); n != 3 {
		t.Errorf("%d parts written, want 3", n)
	}
	commit(t, in)
	checkBlob(t, s, data)
	if err := s.Verify(t.Context(), d, 0, nil); err != nil {
		t.Error(err)
	}
}

// TestRepairByPut replaces a small corrupt blob.
func TestRepairByPut(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(44, 300)
	d, err := s.Put(t.Context(), wantOf(data), data)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, s.Path(d), 7)
	verifyBad(t, s, d)
	if _, err := s.Put(t.Context(), wantOf(data), data); err != nil {
		t.Fatal(err)
	}
	checkBlob(t, s, data)
	if _, ok := s.Find(wantOf(data)); !ok {
		t.Error("not found after the repair")
	}
}

// TestRepairByGitID: a file known by its git id only is repaired too.
func TestRepairByGitID(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(45, 2*PartSize)
	in := openIngest(t, s, gitWantOf(data))
	writeMissing(t, in, data)
	d := commit(t, in)
	flip(t, s.Path(d), 0)
	verifyBad(t, s, d)
	if _, ok := s.Find(gitWantOf(data)); ok {
		t.Error("found by its git id")
	}
	if got := s.Held(gitWantOf(data)); got != PartSize {
		t.Errorf("Held() = %d", got)
	}
	in = openIngest(t, s, gitWantOf(data))
	if n := writeMissing(t, in, data); n != 1 {
		t.Errorf("%d parts written, want 1", n)
	}
	commit(t, in)
	checkBlob(t, s, data)
}

// TestRepairKilled puts the store into every state that a kill during a repair
// can leave, and goes on from there.
func TestRepairKilled(t *testing.T) {
	t.Parallel()
	data := content(46, 4*PartSize)
	w := wantOf(data)
	d := w.SHA256
	for _, tt := range []struct {
		name  string
		state func(t *testing.T, s *Store)
		fetch int
	}{
		{"journal written, blob not moved yet", func(t *testing.T, s *Store) {
			takeApart(t, s, w, func(in *Ingest, parts partList) error {
				return in.claimGood(t.Context(), s.Path(d), parts)
			})
		}, 1},
		{"journal torn, blob not moved yet", func(t *testing.T, s *Store) {
			takeApart(t, s, w, func(in *Ingest, parts partList) error {
				return errors.Join(in.claimGood(t.Context(), s.Path(d), parts), os.Truncate(in.p.journal(), 100))
			})
		}, 1},
		{"blob moved, no mark in the journal", func(t *testing.T, s *Store) {
			takeApart(t, s, w, func(in *Ingest, parts partList) error {
				return in.moveBack(t.Context(), s.Path(d), parts)
			})
		}, 1},
		{"copied half way, no journal", func(t *testing.T, s *Store) {
			takeApart(t, s, w, func(in *Ingest, _ partList) error {
				return os.WriteFile(in.p.data(), data[:PartSize+5], 0o600)
			})
		}, 1},
		{"copied, journal there, no mark", func(t *testing.T, s *Store) {
			takeApart(t, s, w, func(in *Ingest, parts partList) error {
				return in.copyBack(t.Context(), s.Path(d), parts)
			})
		}, 1},
		{"read-only already, not renamed back yet", func(t *testing.T, s *Store) {
			takeApart(t, s, w, func(in *Ingest, parts partList) error {
				return errors.Join(in.moveBack(t.Context(), s.Path(d), parts), os.Chmod(in.p.data(), 0o444))
			})
		}, 1},
		{"published, mark not removed yet", func(t *testing.T, s *Store) {
			if err := s.markCorrupt(&CorruptError{Digest: d, Parts: []int{1}, Size: w.Size}); err != nil {
				t.Fatal(err)
			}
			overwrite(t, s.Path(d), PartSize+9, data[PartSize+9:PartSize+10])
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := openTest(t)
			publishBlob(t, s, data)
			flip(t, s.Path(d), PartSize+9)
			verifyBad(t, s, d)
			tt.state(t, s)
			if _, ok := s.Find(w); ok {
				t.Fatal("a blob that may be wrong is found")
			}
			if _, err := s.Snapshot("a/b", strings.Repeat("0", 40)); !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
			in := openIngest(t, s, w)
			checkHeld(t, in, data)
			if n := writeMissing(t, in, data); n != tt.fetch {
				t.Errorf("%d parts written, want %d", n, tt.fetch)
			}
			commit(t, in)
			checkBlob(t, s, data)
			if err := s.Verify(t.Context(), d, 0, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRepairCancelled: until the journal says which parts are good the blob
// stays where it is; otherwise a kill would cost all of them.
func TestRepairCancelled(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(47, 2*PartSize)
	d := publishBlob(t, s, data)
	flip(t, s.Path(d), 1)
	verifyBad(t, s, d)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	takeApart(t, s, wantOf(data), func(in *Ingest, parts partList) error {
		if err := in.moveBack(ctx, s.Path(d), parts); !errors.Is(err, context.Canceled) {
			t.Errorf("moveBack: %v", err)
		}
		return nil
	})
	if !exists(s.Path(d)) {
		t.Error("the blob was moved")
	}
}

// takeApart runs some steps of a repair and then dies.
func takeApart(t *testing.T, s *Store, w Want, steps func(in *Ingest, parts partList) error) {
	t.Helper()
	p, err := s.lockPartial(w)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := s.readParts(w.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	n := numParts(w.Size)
	in := &Ingest{s: s, want: w, n: n, p: p, state: make([]partState, n), sums: make([]Digest, n), ends: make([]int64, n)}
	in.idle.L = &in.mu
	if err := steps(in, parts); err != nil {
		t.Fatal(err)
	}
	crash(t, in)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(50, 4*PartSize+1)
	d := publishBlob(t, s, data)
	for _, workers := range []int{0, 1, 3, 100} {
		var seen int64
		if err := s.Verify(t.Context(), d, workers, func(n int64) { seen += n }); err != nil {
			t.Errorf("%d workers: %v", workers, err)
		}
		if seen != int64(len(data)) {
			t.Errorf("%d workers: progress of %d bytes, want %d", workers, seen, len(data))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Verify(ctx, d, 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if exists(s.corruptPath(d)) {
		t.Error("a cancelled Verify marked the blob")
	}
}

// TestVerifyThreeErrors: missing, corrupt and unreadable are told apart.
func TestVerifyThreeErrors(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	var bad *CorruptError
	if err := s.Verify(t.Context(), Digest{1}, 0, nil); !errors.Is(err, ErrNotFound) || errors.As(err, &bad) {
		t.Errorf("missing: %v", err)
	}
	data := content(51, PartSize+1)
	d := publishBlob(t, s, data)
	flip(t, s.Path(d), PartSize)
	if err := s.Verify(t.Context(), d, 0, nil); !errors.As(err, &bad) || errors.Is(err, ErrNotFound) {
		t.Errorf("corrupt: %v", err)
	}
	// A directory can be opened, but not read.
	dir := Digest{0xaa}
	if err := os.MkdirAll(s.Path(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), dir, 0, nil); err == nil || errors.As(err, &bad) || errors.Is(err, ErrNotFound) {
		t.Errorf("unreadable: %v", err)
	}
	if exists(s.corruptPath(dir)) {
		t.Error("a blob that could not be read was marked")
	}
}

// TestVerifyClearsMark: a mark that was wrong, or is of a damage that went away
// (a cable), goes when everything is right.
func TestVerifyClearsMark(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(52, 2*PartSize)
	d := publishBlob(t, s, data)
	for name, text := range map[string]string{
		"damaged":        "{",
		"of another":     `{"format":1,"sha256":"` + Digest{9}.String() + `","size":5,"parts":[0]}`,
		"parts past end": `{"format":1,"sha256":"` + d.String() + `","size":2097152,"parts":[7]}`,
		"right":          `{"format":1,"sha256":"` + d.String() + `","size":2097152,"parts":[1]}`,
	} {
		if err := s.writeFile(s.corruptPath(d), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Find(wantOf(data)); ok {
			t.Errorf("%s mark: found", name)
		}
		var bad *CorruptError
		if _, err := s.OpenBlob(d); !errors.As(err, &bad) || len(bad.Ranges()) == 0 {
			t.Errorf("%s mark: %v", name, err)
		}
		if err := s.Verify(t.Context(), d, 0, nil); err != nil {
			t.Errorf("%s mark: %v", name, err)
		}
		if _, ok := s.Find(wantOf(data)); !ok {
			t.Errorf("%s mark: not found after a clean pass", name)
		}
	}
}

// TestVerifyRestoresParts: a lost or damaged list of parts is made again when
// the SHA-256 of the whole is right.
func TestVerifyRestoresParts(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(53, 2*PartSize+5)
	d := publishBlob(t, s, data)
	before, err := s.Parts(d)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(){
		"lost":    func() { os.Remove(s.partsPath(d)) },
		"damaged": func() { flip(t, s.partsPath(d), 60) },
		"emptied": func() { os.Truncate(s.partsPath(d), 0) },
	} {
		damage()
		if _, err := s.Parts(d); !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: Parts: %v", name, err)
		}
		if err := s.Verify(t.Context(), d, 0, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := s.Parts(d); err != nil || !slices.Equal(before, after) {
			t.Errorf("%s: parts after Verify: %v", name, err)
		}
	}
}

// TestVerifyAgainstRepair: a verdict about a file that was replaced while it
// was read must not mark the new one.
func TestVerifyAgainstRepair(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(54, 2*PartSize)
	d := publishBlob(t, s, data)
	flip(t, s.Path(d), 3)
	replaced := false
	err := s.Verify(t.Context(), d, 1, func(int64) {
		if !replaced { // in the middle of reading
			replaced = true
			if err := s.writeFile(s.Path(d), data, 0o444); err != nil {
				t.Error(err)
			}
		}
	})
	var bad *CorruptError
	if !errors.As(err, &bad) {
		t.Errorf("Verify: %v", err)
	}
	if exists(s.corruptPath(d)) {
		t.Error("the repaired blob was marked")
	}
}

func TestOpenBlob(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	if _, err := s.OpenBlob(Digest{3}); !errors.Is(err, ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenBlob of nothing: %v", err)
	}
}

func TestCorruptError(t *testing.T) {
	t.Parallel()
	e := &CorruptError{Digest: Digest{0xab}, Size: 9*PartSize + 5, Parts: []int{0, 1, 4, 9}}
	want := []Range{{0, 2 * PartSize}, {4 * PartSize, PartSize}, {9 * PartSize, 5}}
	if got := e.Ranges(); !slices.Equal(got, want) {
		t.Errorf("Ranges() = %v, want %v", got, want)
	}
	for _, sub := range []string{e.Digest.String(), "bytes 0-2097151", "4194304-5242879", "9437184-9437188"} {
		if !strings.Contains(e.Error(), sub) {
			t.Errorf("%q does not say %q", e.Error(), sub)
		}
	}
	many := &CorruptError{Size: 100 * PartSize}
	for i := 0; i < 100; i += 2 {
		many.Parts = append(many.Parts, i)
	}
	if got := many.Error(); len(got) > 300 || !strings.Contains(got, "and 46 more ranges") {
		t.Errorf("of many ranges: %q", got)
	}
	// Indexes that no blob of this length has are left out, not believed.
	if got := (&CorruptError{Size: 5, Parts: []int{-1, 0, 1, 1 << 40}}).Ranges(); !slices.Equal(got, []Range{{0, 5}}) {
		t.Errorf("of impossible parts: %v", got)
	}
}
