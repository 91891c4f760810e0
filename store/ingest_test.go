package store

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

func TestParallelWriters(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(10, 24*PartSize+99)
	in := openIngest(t, s, wantOf(data))
	var g errgroup.Group
	g.SetLimit(8)
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(in.NumParts()) {
		g.Go(func() error { return in.WritePart(t.Context(), i, part(data, i)) })
		g.Go(func() error { in.Held(i); in.HeldBytes(); in.HashedBytes(); s.Held(in.want); return nil })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	commit(t, in)
	checkBlob(t, s, data)
}

func TestResume(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(11, 6*PartSize+3)
	w := wantOf(data)
	in := openIngest(t, s, w)
	for _, i := range []int{0, 1, 4, 6} {
		if err := in.WritePart(t.Context(), i, part(data, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := in.WritePart(t.Context(), 2, part(data, 2)); !errors.Is(err, errClosed) {
		t.Errorf("WritePart after Close: %v", err)
	}
	const held = 3*PartSize + 3
	if got := s.Held(w); got != held {
		t.Errorf("Held() = %d, want %d", got, held)
	}
	if got := s.Held(Want{Size: w.Size + 1, SHA256: w.SHA256}); got != 0 {
		t.Errorf("Held() of another length = %d", got)
	}
	in = openIngest(t, s, w)
	if got := in.HeldBytes(); got != held {
		t.Errorf("HeldBytes() = %d, want %d", got, held)
	}
	if n := writeMissing(t, in, data); n != 3 {
		t.Errorf("%d parts written, want 3", n)
	}
	commit(t, in)
	checkBlob(t, s, data)
	if got := s.Held(w); got != 0 {
		t.Errorf("Held() of a published blob = %d", got)
	}
}

// TestMarkedPartsAreNotReadAgain: what a mark covers is believed, and SHA-256
// goes on from its journaled state, so that resuming 40 GB does not begin with
// reading 40 GB. To see that, the disk changes a byte that only a second read
// would notice: the blob is published, and it takes Verify to find the damage.
func TestMarkedPartsAreNotReadAgain(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(12, 3*PartSize)
	in := openIngest(t, s, wantOf(data))
	for i := range 2 {
		if err := in.WritePart(t.Context(), i, part(data, i)); err != nil {
			t.Fatal(err)
		}
	}
	catchUp(t, in)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	overwrite(t, in.p.data(), PartSize, []byte{data[PartSize] ^ 1})
	in = openIngest(t, s, wantOf(data))
	if !in.Held(1) {
		t.Error("a part that a mark covers was re-hashed")
	}
	if got := in.HashedBytes(); got < 2*PartSize {
		t.Errorf("HashedBytes() = %d, want what was hashed before", got)
	}
	if bad, err := in.Recheck(t.Context()); err != nil || !slices.Equal(bad, []int{1}) {
		t.Errorf("Recheck() = %v, %v, want part 1", bad, err)
	}
	writeMissing(t, in, data)
	d := commit(t, in)
	var bad *CorruptError
	if err := s.Verify(t.Context(), d, 0, nil); !errors.As(err, &bad) || !slices.Equal(bad.Parts, []int{1}) {
		t.Errorf("Verify: %v, want part 1", err)
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return now }
	data := content(13, 5*PartSize)
	in := openIngest(t, s, wantOf(data))
	for i, tt := range []struct {
		pass    time.Duration
		pending int64 // pretended to be written already
		mark    bool
	}{
		{0, 0, false},
		{999 * time.Millisecond, 0, false},
		{time.Millisecond, 0, true},        // one second since the ingestion was opened
		{999 * time.Millisecond, 0, false}, // counted from the last mark
		{0, markBytes - 2*PartSize, true},  // enough bytes, whatever the time
	} {
		now = now.Add(tt.pass)
		in.pending += tt.pending
		before := in.covers
		if err := in.WritePart(t.Context(), i, part(data, i)); err != nil {
			t.Fatal(err)
		}
		if got := in.covers > before; got != tt.mark {
			t.Errorf("part %d: marked %v, want %v", i, got, tt.mark)
		}
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(14, PartSize)
	in := openIngest(t, s, wantOf(data))
	other, err := Open(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Store{s, other} {
		_, err := s.Ingest(t.Context(), wantOf(data))
		var h interface{ Hint() string }
		if !errors.Is(err, ErrLocked) || !errors.As(err, &h) || h.Hint() == "" {
			t.Errorf("second Ingest: %v, want ErrLocked with a hint", err)
		}
	}
	writeMissing(t, in, data)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	openIngest(t, other, wantOf(data)) // the lock is free again
}

// TestLockHandover lets many take the same lock while its file comes and goes:
// never do two have it.
func TestLockHandover(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	w := Want{SHA256: Digest{1}}
	var owners, rounds atomic.Int32
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			for range 300 {
				p, err := s.lockPartial(w)
				if errors.Is(err, ErrLocked) {
					runtime.Gosched()
					continue
				}
				if err != nil {
					return err
				}
				rounds.Add(1)
				if owners.Add(1) > 1 {
					t.Error("two have the lock")
				}
				runtime.Gosched()
				owners.Add(-1)
				if err := p.remove(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if rounds.Load() == 0 {
		t.Error("nobody got the lock")
	}
}

func TestMismatch(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(16, 4*PartSize)
	in := openIngest(t, s, wantOf(data))
	wrong := bytes.Clone(part(data, 1))
	wrong[5] ^= 1
	if err := in.WritePart(t.Context(), 1, wrong); err != nil {
		t.Fatal(err)
	}
	writeMissing(t, in, data)
	_, err := in.Commit(t.Context())
	var m *MismatchError
	if !errors.Is(err, ErrMismatch) || !errors.As(err, &m) {
		t.Fatalf("Commit: %v, want ErrMismatch", err)
	}
	if m.What != "SHA-256" || m.Want != wantOf(data).SHA256.String() || len(m.Got) != 64 || m.Hint() == "" {
		t.Errorf("the error says %+v", m)
	}
	if exists(s.Path(wantOf(data).SHA256)) {
		t.Error("wrong content was published")
	}
	// The disk has what came over the line, so it is the line's fault.
	if bad, err := in.Recheck(t.Context()); err != nil || len(bad) != 0 {
		t.Errorf("Recheck() = %v, %v, want nothing", bad, err)
	}
	if err := in.Drop(1); err != nil {
		t.Fatal(err)
	}
	if in.Held(1) || in.HeldBytes() != 3*PartSize {
		t.Error("the dropped part is still held")
	}
	if n := writeMissing(t, in, data); n != 1 {
		t.Errorf("%d parts written, want 1", n)
	}
	commit(t, in)
	checkBlob(t, s, data)
}

// TestBadDisk: the disk changes a byte between receipt and the hash; Recheck
// tells it from a bad line.
func TestBadDisk(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(17, 4*PartSize)
	in := openIngest(t, s, wantOf(data))
	in.pause() // so that the hash reads the part after the damage
	for _, i := range []int{2, 3, 1} {
		if err := in.WritePart(t.Context(), i, part(data, i)); err != nil {
			t.Fatal(err)
		}
	}
	overwrite(t, in.p.data(), 2*PartSize+17, []byte{data[2*PartSize+17] ^ 0x40})
	in.resume()
	writeMissing(t, in, data)
	if _, err := in.Commit(t.Context()); !errors.Is(err, ErrMismatch) {
		t.Fatalf("Commit: %v, want ErrMismatch", err)
	}
	bad, err := in.Recheck(t.Context())
	if err != nil || !slices.Equal(bad, []int{2}) {
		t.Fatalf("Recheck() = %v, %v, want part 2", bad, err)
	}
	if err := in.Drop(2); err != nil {
		t.Fatal(err)
	}
	writeMissing(t, in, data)
	commit(t, in)
	checkBlob(t, s, data)
}

func TestGitMismatchOnly(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(18, PartSize+1)
	w := wantOf(data)
	w.GitOID = [20]byte{1, 2, 3}
	in := openIngest(t, s, w)
	writeMissing(t, in, data)
	var m *MismatchError
	if _, err := in.Commit(t.Context()); !errors.As(err, &m) || m.What != "git blob id" {
		t.Errorf("Commit: %v, want a mismatch of the git blob id", err)
	}
}

func TestCommitTooEarly(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(19, 3*PartSize)
	in := openIngest(t, s, wantOf(data))
	if err := in.WritePart(t.Context(), 1, part(data, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Commit(t.Context()); err == nil || errors.Is(err, ErrMismatch) {
		t.Errorf("Commit with parts missing: %v", err)
	}
	writeMissing(t, in, data)
	commit(t, in)
	if _, err := in.Commit(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("second Commit: %v", err)
	}
	if err := errors.Join(in.Close(), in.Abort()); err != nil {
		t.Errorf("Close and Abort after Commit: %v", err)
	}
	checkBlob(t, s, data)
}

func TestCommitCancelled(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(20, 3*PartSize)
	in := openIngest(t, s, wantOf(data))
	in.pause()
	writeMissing(t, in, data)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit: %v, want context.Canceled", err)
	}
	commit(t, in)
	checkBlob(t, s, data)
}

func TestWritePartRefuses(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(21, PartSize+10)
	in := openIngest(t, s, wantOf(data))
	for _, tt := range []struct {
		name string
		i    int
		p    []byte
	}{
		{"negative index", -1, data[:PartSize]},
		{"index past the end", 2, data[:PartSize]},
		{"too short", 0, data[:PartSize-1]},
		{"too long for the last part", 1, data[:PartSize]},
		{"empty", 1, nil},
	} {
		if err := in.WritePart(t.Context(), tt.i, tt.p); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
	if in.HeldBytes() != 0 {
		t.Error("a refused part is held")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := in.WritePart(ctx, 0, data[:PartSize]); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled WritePart: %v", err)
	}
	// A part that is held stays as it is.
	writeMissing(t, in, data)
	if err := in.WritePart(t.Context(), 1, make([]byte, 10)); err != nil {
		t.Errorf("writing a held part: %v", err)
	}
	commit(t, in)
	checkBlob(t, s, data)
}

func TestIngestRefuses(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	for _, w := range []Want{
		{Size: 5},
		{Size: -1, SHA256: Digest{1}},
		{Size: maxBlob + 1, SHA256: Digest{1}},
	} {
		if in, err := s.Ingest(t.Context(), w); err == nil {
			in.Abort()
			t.Errorf("Ingest(%v): no error", w)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Ingest(ctx, Want{Size: 1, SHA256: Digest{1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled Ingest: %v", err)
	}
}

func TestNoSpaceAhead(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	w := Want{Size: maxBlob, SHA256: Digest{1}}
	_, err := s.Ingest(t.Context(), w)
	var e *NoSpaceError
	if !errors.Is(err, ErrNoSpace) || !errors.As(err, &e) {
		t.Skipf("a disk with 16 TiB free, or %v", err)
	}
	if exists(s.partialOf(w).dir) {
		t.Error("a partial was left")
	}
	if e.Need != maxBlob || e.Free <= 0 || e.Hint() == "" {
		t.Errorf("the error says %+v", e)
	}
	if got := s.DiskNeeded(w); got != maxBlob {
		t.Errorf("DiskNeeded() = %d", got)
	}
}

func TestDiskNeeded(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(22, 4*PartSize)
	w := wantOf(data)
	if got := s.DiskNeeded(w); got != w.Size {
		t.Errorf("of a new blob: %d", got)
	}
	in := openIngest(t, s, w)
	if got := s.DiskNeeded(w); got != 0 && got != w.Size { // reserved, where the disk can
		t.Errorf("of one that was begun: %d", got)
	}
	writeMissing(t, in, data)
	commit(t, in)
	if got := s.DiskNeeded(w); got != 0 {
		t.Errorf("of a published blob: %d", got)
	}
}

// TestDiskFull: the disk fills up while a part is written; what is there stays,
// and when there is space again it goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this system has no /dev/full")
	}
	defer full.Close()
	s := frozen(openTest(t))
	data := content(23, 3*PartSize)
	in := openIngest(t, s, wantOf(data))
	if err := in.WritePart(t.Context(), 0, part(data, 0)); err != nil {
		t.Fatal(err)
	}
	in.pause()
	file, journal := in.data, in.jrn.f
	refused := func(what string) {
		t.Helper()
		err := in.WritePart(t.Context(), 1, part(data, 1))
		var h interface{ Hint() string }
		if !errors.Is(err, ErrNoSpace) || !errors.As(err, &h) || h.Hint() == "" {
			t.Errorf("%s: %v, want ErrNoSpace with a hint", what, err)
		}
		if in.Held(1) || in.HeldBytes() != PartSize {
			t.Errorf("%s: the part is held", what)
		}
	}
	in.data = osFile{full}
	refused("no space for the bytes")
	in.data, in.jrn.f = file, osFile{full}
	refused("no space for the journal")
	in.jrn.f = journal
	in.resume()
	writeMissing(t, in, data)
	if r, err := s.readJournal(wantOf(data)); err != nil || r == nil || r.torn || r.heldBytes(int64(len(data))) != int64(len(data)) {
		t.Errorf("the journal after that: %+v", r)
	}
	commit(t, in)
	checkBlob(t, s, data)
}

// TestFsyncFails: a failed fsync may have thrown dirty pages away, so nothing
// since the last mark is believed any more, neither now nor by the next process.
func TestFsyncFails(t *testing.T) {
	t.Parallel()
	s := frozen(openTest(t))
	data := content(24, 4*PartSize)
	in := openIngest(t, s, wantOf(data))
	if err := in.WritePart(t.Context(), 0, part(data, 0)); err != nil {
		t.Fatal(err)
	}
	if err := in.mark(); err != nil {
		t.Fatal(err)
	}
	if err := in.WritePart(t.Context(), 1, part(data, 1)); err != nil {
		t.Fatal(err)
	}
	in.pause()
	file := in.data
	r, w, err := os.Pipe() // what cannot be synced
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	in.data = osFile{r}
	if err := in.mark(); err == nil {
		t.Skip("this system syncs pipes")
	}
	in.data = file
	in.resume()
	if err := in.WritePart(t.Context(), 2, part(data, 2)); err == nil {
		t.Error("WritePart after a failed fsync: no error")
	}
	if err := in.Drop(0); err == nil {
		t.Error("Drop after a failed fsync: no error")
	}
	if _, err := in.Commit(t.Context()); err == nil {
		t.Error("Commit after a failed fsync: no error")
	}
	if err := in.Close(); err == nil {
		t.Error("Close after a failed fsync: no error")
	}
	in = openIngest(t, s, wantOf(data))
	if !in.Held(0) || in.Held(1) {
		t.Errorf("held: %v %v, want only the part before the mark", in.Held(0), in.Held(1))
	}
	writeMissing(t, in, data)
	commit(t, in)
	checkBlob(t, s, data)
}

func TestIOError(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	for _, tt := range []struct {
		err  error
		want error
	}{
		{&fs.PathError{Op: "write", Path: "p", Err: syscall.ENOSPC}, ErrNoSpace},
		{&fs.PathError{Op: "open", Path: "p", Err: syscall.EACCES}, ErrNotWritable},
		{&fs.PathError{Op: "open", Path: "p", Err: syscall.EPERM}, ErrNotWritable},
		{&fs.PathError{Op: "open", Path: "p", Err: syscall.EROFS}, ErrNotWritable},
		{&fs.PathError{Op: "read", Path: "p", Err: syscall.EIO}, syscall.EIO},
	} {
		got := s.ioError("p", tt.err)
		if !errors.Is(got, tt.want) || !errors.Is(got, tt.err) {
			t.Errorf("ioError(%v) = %v, want %v", tt.err, got, tt.want)
		}
		var h interface{ Hint() string }
		if tt.want != syscall.EIO && (!errors.As(got, &h) || h.Hint() == "") {
			t.Errorf("ioError(%v) has no hint", tt.err)
		}
	}
	if err := s.ioError("p", nil); err != nil {
		t.Errorf("ioError(nil) = %v", err)
	}
}

func TestNotWritable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("modes do not stop this user")
	}
	s := openTest(t)
	data := content(25, 10)
	publishBlob(t, s, data)
	if err := os.Chmod(s.Dir(), 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(s.Dir(), 0o700)
	if _, err := s.Put(t.Context(), wantOf([]byte("x")), []byte("x")); err != nil && !errors.Is(err, ErrNotWritable) {
		t.Errorf("Put: %v", err)
	}
	if _, err := Open(s.Dir()); err != nil {
		t.Errorf("opening a store that is read-only: %v", err)
	}
}

func TestCloseAndAbort(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(26, 2*PartSize)
	in := openIngest(t, s, wantOf(data))
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if exists(in.p.dir) {
		t.Error("Close with nothing held left a partial")
	}
	in = openIngest(t, s, wantOf(data))
	if err := in.WritePart(t.Context(), 0, part(data, 0)); err != nil {
		t.Fatal(err)
	}
	if err := in.Abort(); err != nil {
		t.Fatal(err)
	}
	if exists(in.p.dir) || s.Held(wantOf(data)) != 0 {
		t.Error("Abort left a partial")
	}
	if err := in.Close(); err != nil {
		t.Errorf("Close after Abort: %v", err)
	}
}

// TestPublished: the ingestion of a blob that is there holds everything.
func TestPublished(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(27, 2*PartSize)
	d := publishBlob(t, s, data)
	in := openIngest(t, s, wantOf(data))
	if !in.Held(0) || !in.Held(1) || in.HeldBytes() != 2*PartSize || in.HashedBytes() != 2*PartSize {
		t.Error("not everything is held")
	}
	if err := in.WritePart(t.Context(), 0, part(data, 0)); err != nil {
		t.Errorf("WritePart: %v", err)
	}
	if bad, err := in.Recheck(t.Context()); err != nil || len(bad) != 0 {
		t.Errorf("Recheck() = %v, %v", bad, err)
	}
	if err := in.Drop(0); err != nil {
		t.Errorf("Drop: %v", err)
	}
	if got := commit(t, in); got != d {
		t.Errorf("Commit() = %s", got)
	}
	checkBlob(t, s, data)
}

// TestBlobAppearsMeanwhile: the same bytes come in under their git id and under
// their SHA-256 at the same time; the blob that was first stays.
func TestBlobAppearsMeanwhile(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(28, PartSize+1)
	a, b := openIngest(t, s, wantOf(data)), openIngest(t, s, gitWantOf(data))
	writeMissing(t, a, data)
	writeMissing(t, b, data)
	d := commit(t, a)
	before, err := os.Stat(s.Path(d))
	if err != nil {
		t.Fatal(err)
	}
	commit(t, b)
	after, err := os.Stat(s.Path(d))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the blob was replaced (%v)", err)
	}
	for _, w := range []Want{wantOf(data), gitWantOf(data)} {
		if _, ok := s.Find(w); !ok {
			t.Errorf("%s not found", w)
		}
	}
	if left, _ := os.ReadDir(s.partialOf(wantOf(data)).dir + "/.."); len(left) != 0 {
		t.Errorf("partials left: %v", left)
	}
}
