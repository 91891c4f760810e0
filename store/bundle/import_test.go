package bundle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/store"
)

// counting counts what is read and can fail at a place.
type counting struct {
	io.ReadSeeker
	n    int64
	fail int64 // after so many bytes; 0 = never
}

var errDisk = errors.New("disk on fire")

func (c *counting) Read(p []byte) (int, error) {
	if c.fail > 0 {
		if c.n >= c.fail {
			return 0, errDisk
		}
		p = p[:min(int64(len(p)), c.fail-c.n)]
	}
	n, err := c.ReadSeeker.Read(p)
	c.n += int64(n)
	return n, err
}

// long is a bundle of 12 parts of weights.
func long(t testing.TB) []byte {
	st := openStore(t)
	return export(t, st, put(t, st, "acme/llama", "main", commitA, map[string][]byte{
		"config.json": []byte("{}"), "model.safetensors": noise(3, 12*store.PartSize-1)}))
}

// An import that ends in the middle goes on where it was: a file is not read
// again where it is held.
func TestImportGoesOn(t *testing.T) {
	archive := long(t)
	st := openStore(t)
	r := &counting{ReadSeeker: bytes.NewReader(archive), fail: 8 << 20}
	if _, _, err := importBytes(t, st, r); !errors.Is(err, errDisk) {
		t.Fatalf("got %v, want the disk's error", err)
	}
	left, err := st.Unfinished()
	if err != nil || len(left) != 1 || left[0].Held < 6<<20 {
		t.Fatalf("unfinished: %+v, %v", left, err)
	}
	sound(t, st, false)
	r = &counting{ReadSeeker: bytes.NewReader(archive)}
	res, _, err := importBytes(t, st, r)
	if err != nil || len(res.Imported) != 1 || res.Held != left[0].Held || res.Taken != 12<<20-1+2-left[0].Held {
		t.Fatalf("%+v, %v", res, err)
	}
	if r.n > res.Taken+readAhead+4096 {
		t.Errorf("read %d bytes to take %d", r.n, res.Taken)
	}
	// The third time there is nothing to do, and hardly anything to read.
	r = &counting{ReadSeeker: bytes.NewReader(archive)}
	if res, _, err = importBytes(t, st, r); err != nil || res.Taken != 0 || r.n > 2*readAhead {
		t.Errorf("%+v, %v, read %d bytes", res, err, r.n)
	}
}

func TestImportCancelled(t *testing.T) {
	a, err := Open(bytes.NewReader(long(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	st := openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Import(ctx, st, a, Options{Progress: func(int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	sound(t, st, false)
	if left, err := st.Unfinished(); err != nil || len(left) != 1 {
		t.Errorf("unfinished: %+v, %v", left, err)
	}
}

// Whatever was held of a content is compared with the bundle's digests first.
func TestImportOverOtherParts(t *testing.T) {
	archive := long(t)
	a, err := Open(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	st := openStore(t)
	in, err := st.Ingest(t.Context(), a.Manifest.Contents[0].want())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := in.WritePart(t.Context(), i, noise(99, store.PartSize)); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	res, _, err := importBytes(t, st, bytes.NewReader(archive))
	if err != nil || len(res.Imported) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	sound(t, st, true)
}

// Damage is told with its place, what is around it is kept, and another copy
// brings what is missing.
func TestImportDamaged(t *testing.T) {
	archive := long(t)
	for _, tc := range []struct {
		name   string
		damage func(b []byte) []byte
		bad    []store.Range // of the weights
		taken  int64         // by the second import, at most
	}{
		{"two parts", func(b []byte) []byte {
			b[3<<20+1<<19] ^= 1
			b[7<<20+1<<19] ^= 1
			return b
		}, []store.Range{{Offset: 3 << 20, Length: 1 << 20}, {Offset: 7 << 20, Length: 1 << 20}}, 2 << 20},
		{"cut off", func(b []byte) []byte { return b[:5<<20+1<<19] },
			[]store.Range{{Offset: 5 << 20, Length: 7<<20 - 1}}, 7<<20 + 1},
		{"a sector of zeros", func(b []byte) []byte { clear(b[9<<20 : 9<<20+4096]); return b },
			[]store.Range{{Offset: 9<<20 - 1<<20, Length: 2 << 20}}, 2 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := openStore(t)
			res, events, err := importBytes(t, st, bytes.NewReader(tc.damage(bytes.Clone(archive))))
			var damaged *DamagedError
			if !errors.As(err, &damaged) || len(res.Imported) != 0 || damaged.Hint() == "" {
				t.Fatalf("%+v, %v", res, err)
			}
			i := slices.IndexFunc(events, func(e Event) bool { return e.State == StateBad })
			if i < 0 || events[i].Paths[0] != "model.safetensors" || len(damaged.Files) == 0 || damaged.Files[0].Paths[0] != "model.safetensors" {
				t.Fatalf("events %+v", events)
			}
			// A sector on the border of two parts may damage one of them or both.
			got := events[i].Ranges
			if tc.name != "a sector of zeros" && !slices.Equal(got, tc.bad) {
				t.Errorf("bad ranges %v, want %v", got, tc.bad)
			}
			if !strings.Contains(err.Error(), got[0].String()) {
				t.Errorf("%q does not say %v", err, got[0])
			}
			sound(t, st, false)
			res, _, err = importBytes(t, st, bytes.NewReader(archive))
			if err != nil || len(res.Imported) != 1 || res.Taken > tc.taken {
				t.Errorf("again: %+v, %v", res, err)
			}
			sound(t, st, true)
		})
	}
}

// A damaged frame around a small content costs that content only.
func TestDamagedSmallContent(t *testing.T) {
	st := openStore(t)
	files := map[string][]byte{}
	for _, name := range []string{"a", "b", "c", "d"} {
		files[name] = noise(name[0], 5000)
	}
	archive := export(t, st, put(t, st, "acme/llama", "main", commitA, files))
	at := bytes.Index(archive, files["b"][:1000])
	if at < 0 {
		t.Fatal("noise was not stored as it is")
	}
	archive[at+10] ^= 1
	_, events, err := importBytes(t, openStore(t), bytes.NewReader(archive))
	var damaged *DamagedError
	if !errors.As(err, &damaged) || len(damaged.Files) != 1 || damaged.Files[0].Paths[0] != "b" || damaged.Reason != "" {
		t.Errorf("%v", err)
	}
	for _, e := range events {
		if want := map[bool]string{true: StateBad, false: StateTaken}[e.Paths[0] == "b"]; e.State != want {
			t.Errorf("%v is %s, want %s", e.Paths, e.State, want)
		}
	}
}

// The store's word counts for more than the bundle's.
func TestImportConflicts(t *testing.T) {
	from := openStore(t)
	snap := put(t, from, "acme/llama", "main", commitA, map[string][]byte{"config.json": []byte("{}")})
	archive := export(t, from, snap)

	st := openStore(t)
	mine := put(t, st, "acme/llama", "main", commitA, map[string][]byte{"config.json": []byte("[]")})
	if _, _, err := importBytes(t, st, bytes.NewReader(archive)); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if got, err := st.Snapshot("acme/llama", commitA); err != nil || !slices.Equal(got.Files, mine.Files) {
		t.Errorf("the store's snapshot became %+v, %v", got, err)
	}

	// A later commit of the branch stays; an earlier one is left.
	for _, tc := range []struct {
		created time.Time
		want    string
	}{{snap.Created.Add(time.Hour), commitB}, {snap.Created.Add(-time.Hour), commitA}} {
		st := openStore(t)
		putAt(t, st, tc.created, "acme/llama", "main", commitB, map[string][]byte{"config.json": []byte("[]")})
		res, _, err := importBytes(t, st, bytes.NewReader(archive))
		if err != nil || len(res.Imported) != 1 || len(res.Kept) == 1 != (tc.want == commitB) {
			t.Errorf("%+v, %v", res, err)
		}
		if got, _ := st.BranchCommit("acme/llama", "main"); got != tc.want {
			t.Errorf("branch at %s, want %s", got, tc.want)
		}
	}
}

// A blob that is known to be damaged is repaired from a bundle, part by part.
func TestImportRepairs(t *testing.T) {
	archive := long(t)
	st := openStore(t)
	if _, _, err := importBytes(t, st, bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	snap, err := st.Snapshot("acme/llama", commitA)
	if err != nil {
		t.Fatal(err)
	}
	d := snap.Files[1].SHA256
	spoil(t, st.Path(d), 4<<20)
	if err := st.Verify(t.Context(), d, 1, nil); err == nil {
		t.Fatal("the damage was not found")
	}
	res, _, err := importBytes(t, st, bytes.NewReader(archive))
	if err != nil || len(res.Imported) != 1 || res.Taken != store.PartSize {
		t.Errorf("%+v, %v", res, err)
	}
	if err := st.Verify(t.Context(), d, 1, nil); err != nil {
		t.Error(err)
	}
}

// spoil flips a bit of a file.
func spoil(t testing.TB, path string, at int64) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A damaged blob is not exported, and is known to be damaged from then on.
func TestExportDamaged(t *testing.T) {
	st := openStore(t)
	snap := put(t, st, "acme/llama", "main", commitA, map[string][]byte{"model.safetensors": noise(4, 3*store.PartSize)})
	m, err := NewManifest(t.Context(), st, []store.Snapshot{snap})
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, st.Path(snap.Files[0].SHA256), store.PartSize+5)
	var corrupt *store.CorruptError
	if _, err := Export(t.Context(), st, m, io.Discard, Options{}); !errors.As(err, &corrupt) || !slices.Equal(corrupt.Parts, []int{1}) {
		t.Errorf("got %v, want part 1", err)
	}
	if _, err := NewManifest(t.Context(), st, []store.Snapshot{snap}); !errors.As(err, &corrupt) {
		t.Errorf("the second time: %v", err)
	}
}

// The name is there only if all of the file is.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.tar.zst")
	names := func() []string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	err := WriteFile(path, func(w io.Writer) error {
		if _, err := w.Write([]byte("half")); err != nil {
			return err
		}
		if slices.Contains(names(), "x.tar.zst") {
			t.Error("half a file under the final name")
		}
		return context.Canceled
	})
	if !errors.Is(err, context.Canceled) || len(names()) != 0 {
		t.Errorf("%v leaves %q", err, names())
	}
	if err := CheckFile(path, 1, false); err != nil {
		t.Error(err)
	}
	if err := WriteFile(path, func(w io.Writer) error { _, err := w.Write([]byte("whole")); return err }); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "whole" || len(names()) != 1 {
		t.Errorf("%q, %v, %q", b, err, names())
	}
	for _, tc := range []struct {
		path    string
		most    int64
		replace bool
		want    error
	}{
		{path, 1, false, fs.ErrExist},
		{path, 1, true, nil},
		{dir, 1, true, store.ErrNotRegular},
		{filepath.Join(dir, "y"), 1 << 60, false, store.ErrNoSpace},
		{filepath.Join(dir, "nowhere", "y"), 1, false, fs.ErrNotExist},
	} {
		if err := CheckFile(tc.path, tc.most, tc.replace); !errors.Is(err, tc.want) {
			t.Errorf("CheckFile(%q, %d, %v): %v, want %v", tc.path, tc.most, tc.replace, err, tc.want)
		}
	}
}

// What an import has published is kept by a collection beside it, though no
// snapshot names it yet.
func TestImportBesideCollection(t *testing.T) {
	_, _, archive := sample(t)
	a, err := Open(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	st := openStore(t)
	var errs []error
	res, err := Import(t.Context(), st, a, Options{Notify: func(Event) {
		_, err := st.Collect(t.Context(), store.CollectOptions{})
		errs = append(errs, err)
	}})
	if err != nil || len(res.Imported) != 2 || len(errs) != 4 {
		t.Errorf("%+v, %v, %d collections", res, err, len(errs))
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	sound(t, st, true)
}
