package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/qbranch/qbranch/store"
)

const (
	commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	commitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// noise returns n bytes that do not compress and depend on seed only.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// put publishes files as a snapshot.
func put(t testing.TB, st *store.Store, repo, branch, commit string, files map[string][]byte) store.Snapshot {
	t.Helper()
	return putAt(t, st, time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), repo, branch, commit, files)
}

func putAt(t testing.TB, st *store.Store, created time.Time, repo, branch, commit string, files map[string][]byte) store.Snapshot {
	t.Helper()
	snap := store.Snapshot{Repo: repo, Branch: branch, Commit: commit, Created: created}
	for path, data := range files {
		d, err := st.Put(t.Context(), store.Want{Size: int64(len(data)), SHA256: sha256.Sum256(data)}, data)
		if err != nil {
			t.Fatal(err)
		}
		snap.Files = append(snap.Files, store.SnapshotFile{Path: path, Size: int64(len(data)), SHA256: d})
	}
	if err := st.PutSnapshot(snap); err != nil {
		t.Fatal(err)
	}
	if branch != "" {
		if err := st.SetBranch(repo, branch, commit); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := st.Snapshot(repo, commit)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// weightsLen makes the test's weights three parts, the last one short.
const weightsLen = 2*store.PartSize + 12345

// sample is a store with two branches that share a file, and their bundle.
func sample(t testing.TB) (st *store.Store, snaps []store.Snapshot, archive []byte) {
	t.Helper()
	st = openStore(t)
	config := []byte(`{"model_type":"llama"}`)
	snaps = []store.Snapshot{
		put(t, st, "acme/llama", "main", commitA, map[string][]byte{
			"config.json": config, "model.safetensors": noise(1, weightsLen), "empty.txt": {}}),
		put(t, st, "acme/llama", "other", commitB, map[string][]byte{
			"config.json": config, "sub/model.safetensors": noise(2, store.PartSize)}),
	}
	return st, snaps, export(t, st, snaps...)
}

func export(t testing.TB, st *store.Store, snaps ...store.Snapshot) []byte {
	t.Helper()
	m, err := NewManifest(t.Context(), st, snaps)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	var done atomic.Int64
	n, err := Export(t.Context(), st, m, &b, Options{Progress: func(n int64) { done.Add(n) }})
	if err != nil {
		t.Fatal(err)
	}
	most, err := MaxSize(m)
	if err != nil || n != int64(b.Len()) || n > most {
		t.Fatalf("wrote %d bytes, says %d, at most %d (%v)", b.Len(), n, most, err)
	}
	if done.Load() != m.Bytes() {
		t.Fatalf("counted %d of %d", done.Load(), m.Bytes())
	}
	return b.Bytes()
}

func importBytes(t testing.TB, st *store.Store, r io.Reader) (*Result, []Event, error) {
	t.Helper()
	a, err := Open(r)
	if err != nil {
		return nil, nil, err
	}
	defer a.Close()
	var events []Event
	res, err := Import(t.Context(), st, a, Options{Notify: func(e Event) { events = append(events, e) }})
	return res, events, err
}

func check(t testing.TB, b []byte) error {
	t.Helper()
	a, err := Open(bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer a.Close()
	return Check(t.Context(), a, Options{})
}

// onlyReader hides that a reader can seek.
type onlyReader struct{ io.Reader }

func TestRoundTrip(t *testing.T) {
	st, snaps, archive := sample(t)
	if err := check(t, archive); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		r    io.Reader
	}{
		{"file", bytes.NewReader(archive)},
		{"pipe", onlyReader{bytes.NewReader(archive)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			to := openStore(t)
			res, events, err := importBytes(t, to, tc.r)
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Imported) != 2 || res.Taken != weightsLen+store.PartSize+22 || res.Held != 0 {
				t.Errorf("result %+v", res)
			}
			if len(events) != 4 || slices.ContainsFunc(events, func(e Event) bool { return e.State != StateTaken }) {
				t.Errorf("events %+v", events)
			}
			for _, snap := range snaps {
				got, err := to.Snapshot(snap.Repo, snap.Commit)
				if err != nil || !slices.Equal(got.Files, snap.Files) || !got.Created.Equal(snap.Created) || got.Branch != snap.Branch {
					t.Errorf("got %+v (%v), want %+v", got, err, snap)
				}
				if commit, ok := to.BranchCommit(snap.Repo, snap.Branch); !ok || commit != snap.Commit {
					t.Errorf("branch %s at %s", snap.Branch, commit)
				}
				for _, f := range got.Files {
					if err := to.Verify(t.Context(), f.SHA256, 1, nil); err != nil {
						t.Error(err)
					}
				}
			}
			// What was imported gives the same bundle again.
			if again := export(t, to, snaps[1], snaps[0], snaps[1]); !bytes.Equal(again, archive) {
				t.Error("exporting what was imported gives another bundle")
			}
			if _, err := st.Unfinished(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A flipped byte anywhere is noticed, unless it changes nothing: a compressed
// frame can say the same in several ways.
func TestFlippedBytesAreNoticed(t *testing.T) {
	st := openStore(t)
	archive := export(t, st, put(t, st, "acme/llama", "main", commitA, map[string][]byte{
		"config.json": []byte(`{"model_type":"llama"}`), "model.safetensors": noise(1, store.PartSize+100)}))
	tape := untar(t, archive)
	for i := range archive {
		if 2000 < i && i < len(archive)-1000 && i%99991 != 0 || i%3 != 0 {
			continue // mostly among the weights
		}
		bad := bytes.Clone(archive)
		bad[i] ^= 0x10
		err := check(t, bad)
		switch {
		case err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat):
			t.Errorf("flipping byte %d: %v", i, err)
		case err == nil && !bytes.Equal(untar(t, bad), tape):
			t.Errorf("flipping byte %d of %d is not noticed", i, len(bad))
		}
	}
}

// untar is what zstd -d makes of a bundle.
func untar(t testing.TB, archive []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
