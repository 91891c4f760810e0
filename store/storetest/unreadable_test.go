package storetest

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/qbranch/qbranch/store"
)

// TestUnreadable: what cannot be looked at now (too many open files, a disk with
// errors) is neither absent nor damaged: it is an error, and nothing is removed,
// moved or fetched because of it.
func TestUnreadable(t *testing.T) {
	published, left := someBytes(20, store.PartSize+5), someBytes(21, 2*store.PartSize)
	for _, what := range []string{"journal", "data", "blobs", "corrupt", "git", "lock"} {
		for _, kind := range []error{syscall.EMFILE, syscall.EIO} {
			t.Run(fmt.Sprint(what, " ", kind), func(t *testing.T) {
				f, dir := simulatedFS(t)
				x := &storeTest{T: t, fs: f, dir: filepath.Join(dir, "store")}
				x.reopen()
				in := x.ingest(gitWantOf(published))
				x.fill(in, published)
				x.commit(in)
				in = x.ingest(wantOf(left))
				x.must(in.WritePart(t.Context(), 0, partOf(left, 0)))
				x.must(in.Close())

				touched := false
				f.(*FS).Before(func(op Op, path string) error {
					if strings.Contains(path, filepath.Join("store", what)) || filepath.Base(path) == what {
						touched = true
						return kind
					}
					return nil
				})
				for _, w := range []store.Want{gitWantOf(published), wantOf(published), wantOf(left)} {
					in, err := x.s.Ingest(t.Context(), w)
					if err == nil {
						err = in.Close()
					}
					var bad *store.CorruptError
					if err != nil && !errors.Is(err, kind) || errors.As(err, &bad) {
						t.Errorf("Ingest of %s: %v", w, err)
					}
					if err != nil && store.Hint(err) == "" {
						t.Errorf("%v: no hint", err)
					}
					if x.s.DiskNeeded(w) < 0 {
						t.Error("less than nothing is needed")
					}
				}
				f.(*FS).Before(nil)
				if !touched {
					t.Error("nobody looked there")
				}
				x.published(wantOf(published), published)
				x.published(gitWantOf(published), published)
				in = x.ingest(wantOf(left))
				if !in.Held(0) || in.Held(1) {
					t.Error("the part was lost")
				}
				x.fill(in, left)
				x.commit(in)
				x.published(wantOf(left), left)
			})
		}
	}
}

// TestGetAgainReadOnly: a whole branch on a disk that is read-only can be had again, and
// everything else says what is wrong.
func TestGetAgainReadOnly(t *testing.T) {
	f, dir := simulatedFS(t)
	x := &storeTest{T: t, fs: f, dir: filepath.Join(dir, "store")}
	x.reopen()
	data := someBytes(22, 3000)
	_, err := x.s.Put(t.Context(), wantOf(data), data)
	x.must(err)
	snap := store.Snapshot{Repo: "a/b", Commit: fmt.Sprintf("%040x", 1), Branch: "main", Files: []store.SnapshotFile{{Path: "f", Size: 3000, SHA256: wantOf(data).SHA256}}}
	x.must(x.s.PutSnapshot(snap))
	x.must(x.s.SetBranch("a/b", "main", snap.Commit))
	f.(*FS).Before(func(op Op, _ string) error {
		if op.Changes() || op == OpLock {
			return syscall.EROFS
		}
		return nil
	})
	x.reopen()
	hold, err := x.s.Hold(t.Context(), "test", []store.Want{wantOf(data)})
	x.must(err)
	x.published(wantOf(data), data)
	in := x.ingest(wantOf(data))
	x.commit(in)
	x.must(x.s.PutSnapshot(snap))
	x.must(x.s.SetBranch("a/b", "main", snap.Commit))
	x.must(hold.Release())
	snap.Branch = "other"
	_, err = x.s.Ingest(t.Context(), wantOf([]byte("new")))
	for what, err := range map[string]error{
		"a new snapshot": x.s.PutSnapshot(snap),
		"a moved branch": x.s.SetBranch("a/b", "main", fmt.Sprintf("%040x", 2)),
		"a new blob":     err,
	} {
		var h interface{ Hint() string }
		if !errors.Is(err, store.ErrNotWritable) || !errors.As(err, &h) || h.Hint() == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}
