package storetest

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/store"
)

// TestStore tests what a store promises, power cuts aside, on a file system.
// newFS gives one and an empty directory on it.
func TestStore(t *testing.T, newFS func(t *testing.T) (fsys store.FS, dir string)) {
	for name, test := range map[string]func(t *storeTest){
		"empty":         testEmpty,
		"put":           testPut,
		"ingest":        testIngest,
		"go on":         testGoOn,
		"wrong bytes":   testWrongBytes,
		"one writer":    testOneWriter,
		"damage":        testDamage,
		"damage linked": testDamageLinked,
		"snapshots":     testSnapshots,
		"sizes":         testSizes,
	} {
		t.Run(name, func(t *testing.T) {
			fsys, dir := newFS(t)
			x := &storeTest{T: t, fs: fsys, dir: filepath.Join(dir, "store")}
			x.reopen()
			test(x)
		})
	}
}

// storeTest is one test on one store.
type storeTest struct {
	*testing.T
	fs  store.FS
	dir string
	s   *store.Store
}

// reopen is the next process.
func (t *storeTest) reopen() {
	t.Helper()
	s, err := store.OpenWith(t.dir, store.Options{FS: t.fs})
	t.must(err)
	t.s = s
}

func (t *storeTest) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (t *storeTest) is(what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// bytes of a seed.
func someBytes(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

func wantOf(data []byte) store.Want {
	return store.Want{Size: int64(len(data)), SHA256: sha256.Sum256(data)}
}

func gitWantOf(data []byte) store.Want {
	return store.Want{Size: int64(len(data)), GitOID: sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))}
}

func partOf(data []byte, i int) []byte {
	return data[i*store.PartSize : min((i+1)*store.PartSize, len(data))]
}

// ingest opens an ingestion.
func (t *storeTest) ingest(w store.Want) *store.Ingest {
	t.Helper()
	in, err := t.s.Ingest(t.Context(), w)
	t.must(err)
	return in
}

// fill writes the parts that are not held and returns how many there were.
func (t *storeTest) fill(in *store.Ingest, data []byte) (n int) {
	t.Helper()
	for i := in.NumParts() - 1; i >= 0; i-- {
		if !in.Held(i) {
			t.must(in.WritePart(t.Context(), i, partOf(data, i)))
			n++
		}
	}
	return n
}

func (t *storeTest) commit(in *store.Ingest) {
	t.Helper()
	_, err := in.Commit(t.Context())
	t.must(err)
}

// published fails the test when w does not stand for data.
func (t *storeTest) published(w store.Want, data []byte) {
	t.Helper()
	d, ok := t.s.Find(w)
	if !ok || d != wantOf(data).SHA256 {
		t.Fatalf("%s is found: %v, as %s", w, ok, d)
	}
	f, err := t.s.OpenBlob(d)
	t.must(err)
	defer f.Close()
	got, err := io.ReadAll(f)
	t.must(err)
	if !bytes.Equal(got, data) {
		t.Errorf("%s has other bytes", w)
	}
	parts, err := t.s.Parts(d)
	if err != nil || len(parts) != (len(data)+store.PartSize-1)/store.PartSize {
		t.Errorf("%d parts, %v", len(parts), err)
	}
	t.must(t.s.Verify(t.Context(), d, 0, nil))
}

// damage overwrites some bytes of a blob, as nobody may.
func (t *storeTest) damage(d store.Digest, off int64) {
	t.Helper()
	path := t.s.Path(d)
	t.must(t.fs.Chmod(path, 0o600))
	f, err := t.fs.OpenFile(path, os.O_RDWR, 0)
	t.must(err)
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	t.must(err)
	b[0] ^= 1
	_, err = f.WriteAt(b[:], off)
	t.must(errors.Join(err, f.Close(), t.fs.Chmod(path, 0o444)))
}

func testEmpty(t *storeTest) {
	w := wantOf([]byte("x"))
	if _, ok := t.s.Find(w); ok {
		t.Error("found in an empty store")
	}
	_, err := t.s.OpenBlob(w.SHA256)
	t.is("OpenBlob", err, store.ErrNotFound)
	_, err = t.s.Parts(w.SHA256)
	t.is("Parts", err, store.ErrNotFound)
	t.is("Verify", t.s.Verify(t.Context(), w.SHA256, 0, nil), store.ErrNotFound)
	_, err = t.s.Snapshot("a/b", fmt.Sprintf("%040d", 0))
	t.is("Snapshot", err, store.ErrNotFound)
	snaps, err := t.s.Snapshots()
	left, err2 := t.s.Unfinished()
	if len(snaps) > 0 || len(left) > 0 || err != nil || err2 != nil || t.s.Held(w) != 0 {
		t.Errorf("an empty store has %v, %v; %v, %v", snaps, left, err, err2)
	}
	if _, err := store.OpenWith(filepath.Dir(t.dir), store.Options{FS: t.fs}); err == nil {
		t.Error("a directory that holds something else was made a store")
	}
}

func testPut(t *storeTest) {
	for _, n := range []int{0, 1, 5000, store.PartSize, store.PartSize + 1} {
		data := someBytes(1, n)
		for _, w := range []store.Want{gitWantOf(data), wantOf(data)} {
			_, err := t.s.Put(t.Context(), w, data)
			t.must(err)
			t.published(w, data)
		}
	}
	w := wantOf([]byte("right"))
	_, err := t.s.Put(t.Context(), w, []byte("wrong"))
	t.is("other bytes", err, store.ErrMismatch)
	_, err = t.s.Put(t.Context(), w, []byte("longer"))
	t.is("another length", err, store.ErrMismatch)
	if _, ok := t.s.Find(w); ok {
		t.Error("what did not match was published")
	}
	t.reopen()
	t.published(gitWantOf(someBytes(1, 5000)), someBytes(1, 5000))
}

func testIngest(t *storeTest) {
	data := someBytes(2, 3*store.PartSize+17)
	for _, w := range []store.Want{gitWantOf(data), wantOf(data)} {
		in := t.ingest(w)
		t.fill(in, data)
		t.commit(in)
		t.published(w, data)
		t.must(errors.Join(in.Close(), in.Abort())) // no-ops by now
	}
	in := t.ingest(wantOf(data)) // there already
	p := make([]byte, 17)
	t.must(in.ReadPart(3, p))
	if !in.Held(0) || in.HeldBytes() != int64(len(data)) || !bytes.Equal(p, data[3*store.PartSize:]) {
		t.Error("the ingestion of a published blob does not hold it")
	}
	t.commit(in)
	empty := t.ingest(wantOf(nil))
	t.commit(empty)
	t.published(wantOf(nil), nil)
}

func testGoOn(t *storeTest) {
	data := someBytes(3, 3*store.PartSize+17)
	w := wantOf(data)
	in := t.ingest(w)
	if _, err := in.Commit(t.Context()); err == nil {
		t.Error("committed without its parts")
	}
	for _, i := range []int{3, 1} {
		t.must(in.WritePart(t.Context(), i, partOf(data, i)))
	}
	p := make([]byte, store.PartSize)
	t.is("ReadPart of what is not held", in.ReadPart(0, p), store.ErrNotFound)
	if err := in.WritePart(t.Context(), 0, p[1:]); err == nil {
		t.Error("a part of another length was taken")
	}
	t.must(in.Close())
	t.reopen()
	const held = store.PartSize + 17
	if got := t.s.Held(w); got != held {
		t.Errorf("%d bytes held, want %d", got, held)
	}
	if left, err := t.s.Unfinished(); err != nil || len(left) != 1 || left[0].Held != held || left[0].Want.SHA256 != w.SHA256 {
		t.Errorf("Unfinished: %v, %v", left, err)
	}
	in = t.ingest(w)
	t.must(in.ReadPart(1, p))
	if !bytes.Equal(p, partOf(data, 1)) {
		t.Error("ReadPart gives other bytes")
	}
	t.must(in.Drop(1, 0, 7, -1))
	if in.Held(1) || !in.Held(3) {
		t.Error("Drop dropped something else")
	}
	t.must(in.Close())
	in = t.ingest(w)
	if n := t.fill(in, data); n != 3 {
		t.Errorf("%d parts were missing, want 3", n)
	}
	t.commit(in)
	t.published(w, data)
	other := someBytes(4, 100)
	in = t.ingest(wantOf(other))
	t.fill(in, other)
	t.must(in.Abort())
	if t.s.Held(wantOf(other)) != 0 {
		t.Error("held after Abort")
	}
}

func testWrongBytes(t *storeTest) {
	data := someBytes(5, 2*store.PartSize+100)
	for _, w := range []store.Want{wantOf(data), gitWantOf(someBytes(6, 2*store.PartSize+100))} {
		in := t.ingest(w)
		t.fill(in, someBytes(7, len(data)))
		_, err := in.Commit(t.Context())
		t.is("other bytes", err, store.ErrMismatch)
		bad, err := in.Recheck(t.Context())
		if err != nil || len(bad) > 0 {
			t.Errorf("the disk has what came, and Recheck says %v, %v", bad, err)
		}
		t.must(in.Drop(0, 1, 2))
		if in.HeldBytes() != 0 {
			t.Error("held after Drop")
		}
		t.must(in.Close())
	}
	in := t.ingest(wantOf(data))
	t.fill(in, data)
	t.commit(in)
	t.published(wantOf(data), data)
}

func testOneWriter(t *storeTest) {
	data := someBytes(8, 2*store.PartSize)
	w := wantOf(data)
	in := t.ingest(w)
	_, err := t.s.Ingest(t.Context(), w)
	t.is("a second Ingest", err, store.ErrLocked)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = t.s.IngestWait(ctx, w)
	t.is("IngestWait with a cancelled context", err, context.Canceled)
	// Whoever waits takes over what was left …
	t.must(in.WritePart(t.Context(), 0, partOf(data, 0)))
	waiting := make(chan *store.Ingest)
	wait := func() {
		in, err := t.s.IngestWait(t.Context(), w)
		if err != nil {
			t.Error(err)
		}
		waiting <- in
	}
	go wait()
	t.must(in.Close())
	if in = <-waiting; in == nil || !in.Held(0) || in.Held(1) {
		t.Fatal("IngestWait did not take over")
	}
	// … or finds the blob.
	go wait()
	t.fill(in, data)
	t.commit(in)
	if in = <-waiting; in == nil || !in.Held(1) {
		t.Fatal("IngestWait did not find the blob")
	}
	t.commit(in)
	t.published(w, data)
}

func testDamage(t *storeTest)       { testRepair(t, false) }
func testDamageLinked(t *storeTest) { testRepair(t, true) }

// testRepair damages a part, which is found, remembered, and the only one that
// is fetched again. Another name of the blob sees nothing of that.
func testRepair(t *storeTest, linked bool) {
	data := someBytes(9, 3*store.PartSize+5)
	w := wantOf(data)
	in := t.ingest(w)
	t.fill(in, data)
	t.commit(in)
	other := filepath.Join(filepath.Dir(t.dir), "link")
	if linked {
		if err := t.fs.Link(t.s.Path(w.SHA256), other); err != nil {
			t.Skipf("no hard links here: %v", err)
		}
	}
	t.damage(w.SHA256, store.PartSize+99)
	err := t.s.Verify(t.Context(), w.SHA256, 0, nil)
	var bad *store.CorruptError
	if !errors.As(err, &bad) || !slices.Equal(bad.Parts, []int{1}) {
		t.Fatalf("Verify: %v", err)
	}
	t.reopen()
	if _, ok := t.s.Find(w); ok {
		t.Error("a blob known to be damaged is found")
	}
	if _, err := t.s.OpenBlob(w.SHA256); !errors.As(err, &bad) {
		t.Errorf("OpenBlob: %v", err)
	}
	if got, want := t.s.Held(w), int64(len(data)-store.PartSize); got != want {
		t.Errorf("%d good bytes, want %d", got, want)
	}
	in = t.ingest(w)
	if n := t.fill(in, data); n != 1 {
		t.Errorf("%d parts were fetched again, want 1", n)
	}
	t.commit(in)
	t.published(w, data)
	if !linked {
		return
	}
	f, err := t.fs.OpenFile(other, os.O_RDONLY, 0)
	t.must(err)
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || len(got) != len(data) || bytes.Equal(got, data) {
		t.Error("the repair wrote into a file that somebody else has")
	}
}

func testSnapshots(t *storeTest) {
	data := someBytes(10, 4000)
	snap := store.Snapshot{Repo: "Owner/Name", Commit: fmt.Sprintf("%040x", 1), Branch: "gptq-4bit", Files: []store.SnapshotFile{
		{Path: "z/b", Size: 4000, SHA256: wantOf(data).SHA256}, {Path: "a", Size: 4000, SHA256: wantOf(data).SHA256},
	}}
	t.is("a snapshot of what is missing", t.s.PutSnapshot(snap), store.ErrNotFound)
	_, err := t.s.Put(t.Context(), wantOf(data), data)
	t.must(err)
	t.must(t.s.PutSnapshot(snap))
	t.must(t.s.SetBranch(snap.Repo, snap.Branch, snap.Commit))
	t.reopen()
	got, err := t.s.Snapshot(snap.Repo, snap.Commit)
	t.must(err)
	if got.Bytes() != 8000 || got.Files[0].Path != "a" || got.Branch != snap.Branch {
		t.Errorf("the snapshot is %+v", got)
	}
	if all, err := t.s.Snapshots(); err != nil || len(all) != 1 {
		t.Errorf("Snapshots: %v, %v", all, err)
	}
	if commit, ok := t.s.BranchCommit(snap.Repo, snap.Branch); !ok || commit != snap.Commit {
		t.Errorf("BranchCommit: %q, %v", commit, ok)
	}
	t.damage(wantOf(data).SHA256, 7)
	var bad *store.CorruptError
	if err := t.s.Verify(t.Context(), wantOf(data).SHA256, 0, nil); !errors.As(err, &bad) {
		t.Errorf("Verify: %v", err)
	}
	if _, err := t.s.Snapshot(snap.Repo, snap.Commit); !errors.As(err, &bad) {
		t.Errorf("a snapshot with a damaged blob: %v", err)
	}
	if err := t.s.PutSnapshot(snap); !errors.As(err, &bad) {
		t.Errorf("put with a damaged blob: %v", err)
	}
	t.must(t.fs.Remove(t.s.Path(wantOf(data).SHA256)))
	t.must(t.fs.Remove(filepath.Join(t.dir, "corrupt", wantOf(data).SHA256.String())))
	_, err = t.s.Snapshot(snap.Repo, snap.Commit)
	t.is("a snapshot whose blob has gone", err, fs.ErrNotExist)
	if missing, corrupt := t.s.SnapshotState(snap); len(missing) != 2 || len(corrupt) != 0 {
		t.Errorf("SnapshotState: %v, %v", missing, corrupt)
	}
}

func testSizes(t *storeTest) {
	for _, w := range []store.Want{{}, {Size: 5}, {Size: -1, SHA256: store.Digest{1}}, {Size: 1<<44 + 1, SHA256: store.Digest{1}}} {
		if in, err := t.s.Ingest(t.Context(), w); err == nil {
			t.Errorf("Ingest of %s: %v", w, in)
		}
		if _, ok := t.s.Find(w); ok || t.s.Held(w) != 0 {
			t.Errorf("%s is there", w)
		}
	}
}
