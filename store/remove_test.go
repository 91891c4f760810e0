package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// shelf is a store with three branches: main and old share a file.
type shelf struct {
	*testing.T
	*Store
	shared, own, other []byte
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{T: t, Store: openTest(t), shared: []byte("shared"), own: content(101, PartSize+5), other: content(102, 777)}
	fill(t, s.Store, repoA, "main", commitA, map[string][]byte{"a.json": s.shared, "w.safetensors": s.own})
	fill(t, s.Store, repoA, "old", commitB, map[string][]byte{"a.json": s.shared, "w.safetensors": s.other})
	for branch, commit := range map[string]string{"main": commitA, "old": commitB} {
		if err := s.SetBranch(repoA, branch, commit); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *shelf) has(data []byte) bool {
	_, ok := s.Find(wantOf(data))
	return ok
}

func (s *shelf) remove(which ...Selector) Sweep {
	s.Helper()
	sweep, err := s.Remove(s.Context(), which, RemoveOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return sweep
}

func (s *shelf) collect(o CollectOptions) Sweep {
	s.Helper()
	sweep, err := s.Collect(s.Context(), o)
	if err != nil {
		s.Fatal(err)
	}
	return sweep
}

// files lists everything in the store, by path.
func (s *shelf) files() []string {
	s.Helper()
	var out []string
	err := s.eachFile(".", func(f lyingFile) { out = append(out, s.rel(f.path)) })
	if err != nil {
		s.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func kinds(items []Item) map[ItemKind]int {
	n := map[ItemKind]int{}
	for _, i := range items {
		n[i.Kind]++
	}
	return n
}

func TestRemove(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	before := s.files()
	dry, err := s.Remove(t.Context(), []Selector{{Repo: repoA, Branch: "main"}}, RemoveOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.files(); !slices.Equal(got, before) {
		t.Fatalf("a dry run changed the store: %q, was %q", got, before)
	}
	sweep := s.remove(Selector{Repo: repoA, Branch: "main"})
	if a, b := kinds(sweep.Removed), kinds(dry.Removed); a[ItemSnapshot] != 1 || a[ItemBranch] != 1 || a[ItemBlob] != 1 || a[ItemParts] != 1 || len(a) != len(b) {
		t.Errorf("removed %v, dry run %v", a, b)
	}
	if n, _ := countItems(sweep.Kept, ItemBlob); n != 1 || sweep.Kept[0].Why != WhyShared {
		t.Errorf("kept %v", sweep.Kept)
	}
	if sweep.Freed() < PartSize || sweep.Freed() != dry.Freed() {
		t.Errorf("freed %d, dry run %d", sweep.Freed(), dry.Freed())
	}
	if s.has(s.own) || !s.has(s.shared) || !s.has(s.other) {
		t.Errorf("own %v, shared %v, other %v", s.has(s.own), s.has(s.shared), s.has(s.other))
	}
	if _, err := s.Snapshot(repoA, commitA); !errors.Is(err, ErrNotFound) {
		t.Errorf("the snapshot: %v", err)
	}
	if _, err := s.Snapshot(repoA, commitB); err != nil {
		t.Errorf("the other snapshot: %v", err)
	}
	if _, ok := s.BranchCommit(repoA, "main"); ok {
		t.Error("the branch is remembered")
	}
	s.remove(Selector{Repo: repoA})
	if got, want := s.files(), []string{"VERSION", "lock"}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	if _, err := s.Remove(t.Context(), []Selector{{Repo: repoA}}, RemoveOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing to remove: %v", err)
	}
}

// Two branches at one commit have one snapshot: it goes with the last of them.
func TestRemoveTwins(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	if err := s.SetBranch(repoA, "twin", commitA); err != nil {
		t.Fatal(err)
	}
	s.remove(Selector{Repo: repoA, Branch: "main"})
	snap, err := s.Snapshot(repoA, commitA)
	if err != nil || snap.Branch != "twin" {
		t.Fatalf("got branch %q, %v; want the snapshot to be the twin's", snap.Branch, err)
	}
	s.remove(Selector{Repo: repoA, Branch: "twin"})
	if _, err := s.Snapshot(repoA, commitA); !errors.Is(err, ErrNotFound) {
		t.Errorf("after both: %v", err)
	}
}

func TestRemovePinned(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	for _, pin := range []Pin{{Repo: repoA, Branch: "main"}, {Repo: repoA, Commit: commitA}} {
		if err := s.Pin(pin); err != nil {
			t.Fatal(err)
		}
		before := s.files()
		for _, n := range []Selector{{Repo: repoA}, {Repo: repoA, Branch: "main"}, {Repo: repoA, Commit: commitA}} {
			var pinned *PinnedError
			if _, err := s.Remove(t.Context(), []Selector{n}, RemoveOptions{}); !errors.As(err, &pinned) || pinned.Pin.String() != pin.String() {
				t.Errorf("remove %s with a pin on %s: %v", n, pin, err)
			}
		}
		if got := s.files(); !slices.Equal(got, before) {
			t.Errorf("a refused removal left %q, was %q", got, before)
		}
		pins, err := s.Pins()
		if err != nil || len(pins) != 1 || pins[0].Since.IsZero() {
			t.Errorf("pins %v, %v", pins, err)
		}
		if ok, err := s.Unpin(pin); !ok || err != nil {
			t.Errorf("unpin: %v, %v", ok, err)
		}
		if ok, err := s.Unpin(pin); ok || err != nil {
			t.Errorf("unpin again: %v, %v", ok, err)
		}
	}
	s.remove(Selector{Repo: repoA, Branch: "main"})
}

// What a running fetch needs is kept, published or still to come, and goes when
// the fetch has ended without naming it.
func TestHold(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	git := gitWantOf([]byte("{}"))
	if _, err := s.Put(t.Context(), git, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	hold, err := s.Hold(t.Context(), "get a/b", []Want{wantOf(s.own), git})
	if err != nil {
		t.Fatal(err)
	}
	sweep := s.remove(Selector{Repo: repoA, Branch: "main"})
	if !s.has(s.own) || !slices.ContainsFunc(sweep.Kept, func(i Item) bool { return i.Why == WhyBusy }) {
		t.Errorf("kept %v", sweep.Kept)
	}
	s.collect(CollectOptions{})
	if _, ok := s.Find(git); !s.has(s.own) || !ok {
		t.Errorf("after gc: own %v, git %v", s.has(s.own), ok)
	}
	if err := errors.Join(hold.Release(), hold.Release()); err != nil {
		t.Fatal(err)
	}
	s.collect(CollectOptions{})
	if _, ok := s.Find(git); s.has(s.own) || ok {
		t.Errorf("after the fetch: own %v, git %v", s.has(s.own), ok)
	}
}

// A hold without wants keeps everything, and says whose it is.
func TestHoldEverything(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	hold, err := s.Hold(t.Context(), "import x", nil)
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	_, err = s.Remove(t.Context(), []Selector{{Repo: repoA}}, RemoveOptions{})
	if !errors.Is(err, ErrLocked) || !errors.As(err, &busy) || busy.PID != os.Getpid() || busy.What != "import x" {
		t.Errorf("got %v", err)
	}
	if _, err := s.Collect(t.Context(), CollectOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
	if err := hold.Release(); err != nil {
		t.Fatal(err)
	}
	s.remove(Selector{Repo: repoA})
}

// What a process left that died without releasing its hold counts for nothing.
func TestHoldOfTheDead(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	hold, err := s.Hold(t.Context(), "get a/b", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.lock.Close(); err != nil { // as the end of a process does
		t.Fatal(err)
	}
	s.remove(Selector{Repo: repoA})
	s.collect(CollectOptions{})
	if got, want := s.files(), []string{"VERSION", "lock"}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

// A removal waits for whoever has the store's lock, and gives up with ctx.
func TestLockStore(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	l, err := s.lockStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := s.Remove(ctx, []Selector{{Repo: repoA}}, RemoveOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	// A snapshot is not written while a removal runs.
	done := make(chan error)
	go func() {
		done <- s.PutSnapshot(Snapshot{Repo: repoA, Branch: "late", Commit: commitB})
	}()
	select {
	case err := <-done:
		t.Errorf("the snapshot did not wait: %v", err)
	default:
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A store with a snapshot that cannot be read gives nothing away: its blobs
// would be the first to go.
func TestRemoveUnreadable(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	path, err := s.snapshotPath(repoA, commitB)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := s.files()
	var bad *FormatError
	if _, err := s.Remove(t.Context(), []Selector{{Repo: repoA, Branch: "main"}}, RemoveOptions{}); !errors.As(err, &bad) || bad.Hint() == "" {
		t.Errorf("remove: %v", err)
	}
	if _, err := s.Collect(t.Context(), CollectOptions{}); !errors.As(err, &bad) {
		t.Errorf("collect: %v", err)
	}
	if got := s.files(); !slices.Equal(slices.DeleteFunc(got, func(p string) bool { return p == "lock" }), slices.DeleteFunc(before, func(p string) bool { return p == "lock" })) {
		t.Errorf("left %q, was %q", got, before)
	}
}

// A blob that an exported folder has too gives nothing back to the disk.
func TestRemoveLinked(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	if err := os.Link(s.Path(wantOf(s.own).SHA256), filepath.Join(t.TempDir(), "w")); err != nil {
		t.Skip(err)
	}
	sweep := s.remove(Selector{Repo: repoA, Branch: "main"})
	for _, it := range sweep.Removed {
		if it.Kind == ItemBlob && (!it.Linked || it.Disk != 0 || it.Bytes != PartSize+5) {
			t.Errorf("got %+v", it)
		}
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	lone := content(103, 2*PartSize)
	publishBlob(t, s.Store, lone)
	left := content(104, 3*PartSize)
	in, err := s.Ingest(t.Context(), wantOf(left))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(in.WritePart(t.Context(), 0, part(left, 0)), in.Close()); err != nil {
		t.Fatal(err)
	}
	busy := content(105, 3*PartSize)
	at := openIngest(t, s.Store, wantOf(busy))
	if err := at.WritePart(t.Context(), 0, part(busy, 0)); err != nil {
		t.Fatal(err)
	}
	orphan := wantOf([]byte("gone"))
	if err := errors.Join(
		s.writeParts(partList{blob: orphan.SHA256, size: 4, sums: []Digest{{}}}),
		s.setAlias(Want{Size: 4, GitOID: [20]byte{7}}, orphan.SHA256),
		s.markCorrupt(&CorruptError{Digest: orphan.SHA256, Size: 4, Parts: []int{0}}),
	); err != nil {
		t.Fatal(err)
	}
	before := s.files()

	sweep := s.collect(CollectOptions{Grace: DefaultGrace, PartialGrace: DefaultPartialGrace})
	if len(sweep.Removed) != 0 {
		t.Errorf("removed what is young: %v", sweep.Removed)
	}
	s.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	dry, err := s.Collect(t.Context(), CollectOptions{Grace: DefaultGrace, PartialGrace: DefaultPartialGrace, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.files(); !slices.Equal(got, before) && !slices.Equal(got, append(before, "lock")) {
		t.Errorf("a dry run changed the store: %q, was %q", got, before)
	}
	sweep = s.collect(CollectOptions{Grace: DefaultGrace, PartialGrace: DefaultPartialGrace})
	got, planned := kinds(sweep.Removed), kinds(dry.Removed)
	for kind, n := range map[ItemKind]int{ItemBlob: 1, ItemParts: 2, ItemAlias: 1, ItemMark: 1, ItemPartial: 0} {
		if got[kind] != n || planned[kind] != n {
			t.Errorf("removed %d %s, planned %d, want %d", got[kind], kind, planned[kind], n)
		}
	}
	if s.has(lone) || !s.has(s.own) || !s.has(s.other) || !s.has(s.shared) || s.Held(wantOf(left)) == 0 {
		t.Error("the wrong things have gone")
	}

	s.now = func() time.Time { return time.Now().Add(31 * 24 * time.Hour) }
	sweep = s.collect(CollectOptions{Grace: DefaultGrace, PartialGrace: DefaultPartialGrace})
	if got := kinds(sweep.Removed); got[ItemPartial] != 1 || s.Held(wantOf(left)) != 0 {
		t.Errorf("removed %v", got)
	}
	if n, _ := countItems(sweep.Kept, ItemPartial); n != 1 || s.Held(wantOf(busy)) == 0 {
		t.Errorf("kept %v: the one that is being written", sweep.Kept)
	}
	writeMissing(t, at, busy)
	commit(t, at)
}

func TestRemovePartials(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	left := content(104, 3*PartSize)
	in, err := s.Ingest(t.Context(), wantOf(left))
	if err != nil {
		t.Fatal(err)
	}
	if err := in.WritePart(t.Context(), 0, part(left, 0)); err != nil {
		t.Fatal(err)
	}
	sweep, err := s.RemovePartials(t.Context(), RemoveOptions{})
	if err != nil || len(sweep.Removed) != 0 || len(sweep.Kept) != 1 {
		t.Errorf("got %+v, %v; want the one that is being written to be kept", sweep, err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	sweep, err = s.RemovePartials(t.Context(), RemoveOptions{})
	if err != nil || len(sweep.Removed) != 1 || s.Held(wantOf(left)) != 0 {
		t.Errorf("got %+v, %v", sweep, err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	publishBlob(t, s.Store, content(103, 2*PartSize))
	in := openIngest(t, s.Store, wantOf(content(104, 3*PartSize)))
	if err := in.WritePart(t.Context(), 0, content(104, PartSize)); err != nil {
		t.Fatal(err)
	}
	u, err := s.Usage()
	if err != nil {
		t.Fatal(err)
	}
	sum := u.Shared
	for _, snap := range u.Snapshots {
		sum.plus(snap.Unique)
	}
	if sum != u.Blobs {
		t.Errorf("unique and shared are %+v, blobs %+v", sum, u.Blobs)
	}
	for _, part := range []Amount{u.Unreferenced, u.Unfinished, u.Other} {
		sum.plus(part)
	}
	if sum != u.Total {
		t.Errorf("the parts are %+v, the total %+v", sum, u.Total)
	}
	want := int64(len(s.shared) + len(s.own) + len(s.other))
	if u.Blobs.Bytes != want || u.Shared.Bytes != int64(len(s.shared)) || u.Unreferenced.Bytes != 2*PartSize || u.Unfinished.Bytes < 3*PartSize {
		t.Errorf("got %+v", u)
	}
	if len(u.Snapshots) != 2 || u.Snapshots[0].Unique.Bytes != int64(len(s.own)) || u.Snapshots[1].Unique.Bytes != int64(len(s.other)) {
		t.Errorf("got %+v", u.Snapshots)
	}
}

// countItems returns how many of the items are of a kind, and their length.
func countItems(items []Item, kind ItemKind) (n int, bytes int64) {
	for _, i := range items {
		if i.Kind == kind {
			n++
			bytes += i.Bytes
		}
	}
	return n, bytes
}
