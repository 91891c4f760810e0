package storetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/store"
)

// removals are what takes things away. Each is cut at every change that it
// makes to the disk.
var removals = []struct {
	name string
	goes []string // commits whose snapshots may go
	do   func(ctx context.Context, s *store.Store) error
}{
	{"rm of a branch", []string{commitOne}, func(ctx context.Context, s *store.Store) error {
		_, err := s.Remove(ctx, []store.Selector{{Repo: modelRepo, Branch: "one"}}, store.RemoveOptions{})
		return ignoreGone(err)
	}},
	{"rm of a branch that another one is at", nil, func(ctx context.Context, s *store.Store) error {
		_, err := s.Remove(ctx, []store.Selector{{Repo: modelRepo, Branch: "two"}}, store.RemoveOptions{})
		return ignoreGone(err)
	}},
	{"rm of the repository", []string{commitOne, commitTwo, commitBad}, func(ctx context.Context, s *store.Store) error {
		_, err := s.Remove(ctx, []store.Selector{{Repo: modelRepo}}, store.RemoveOptions{})
		return ignoreGone(err)
	}},
	{"gc", nil, func(ctx context.Context, s *store.Store) error {
		_, err := s.Collect(ctx, store.CollectOptions{})
		return err
	}},
	{"rm of what is unfinished", nil, func(ctx context.Context, s *store.Store) error {
		_, err := s.RemovePartials(ctx, store.RemoveOptions{})
		return err
	}},
	{"fsck", nil, func(ctx context.Context, s *store.Store) error {
		_, err := s.Check(ctx, store.CheckOptions{Fix: true, Workers: 1})
		return err
	}},
}

var (
	commitOne = strings.Repeat("1", 40)
	commitTwo = strings.Repeat("2", 40)
	commitBad = strings.Repeat("3", 40)
)

// ignoreGone is for a removal that is done again after it was cut at its end.
func ignoreGone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// shelves makes a store with snapshots that share blobs, one of which is known
// to be damaged, two branches at one commit, an unfinished blob, blobs that
// nothing names, and lists and aliases without a blob.
func shelves(t *testing.T, blobs []blob) *FS {
	t.Helper()
	disk := NewFS()
	disk.SetClock(func() time.Time { return time.Unix(1_900_000_000, 0) })
	s := openOn(t, disk)
	ctx := t.Context()
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range blobs {
		if b.parts() < 2 {
			_, err := s.Put(ctx, b.want, b.data)
			must(err)
			continue
		}
		in, err := s.Ingest(ctx, b.want)
		must(err)
		for i := range b.parts() {
			must(in.WritePart(ctx, i, b.part(i)))
		}
		_, err = in.Commit(ctx)
		must(err)
	}
	snap := func(branch, commit string, files ...int) {
		sn := store.Snapshot{Repo: modelRepo, Branch: branch, Commit: commit}
		for _, k := range files {
			sn.Files = append(sn.Files, store.SnapshotFile{Path: fmt.Sprint("f", k), Size: blobs[k].want.Size, SHA256: blobs[k].sha})
		}
		must(s.PutSnapshot(sn), s.SetBranch(modelRepo, branch, commit))
	}
	snap("one", commitOne, 0, 1, 2, 3)
	snap("two", commitTwo, 1, 2)
	must(s.SetBranch(modelRepo, "twin", commitTwo))
	snap("bad", commitBad, 1, 5)
	must(disk.Flip(s.Path(blobs[5].sha), 7))
	if err := s.Verify(ctx, blobs[5].sha, 1, nil); err == nil {
		t.Fatal("the flipped byte was not found")
	}
	left, err := s.Ingest(ctx, store.Want{Size: 2 * store.PartSize, SHA256: store.Digest{9}})
	must(err)
	must(left.WritePart(ctx, 0, blobs[4].part(0)), left.Close()) // blob 4 itself is named by nothing
	for _, dir := range []string{"parts", "git"} {               // what is beside no blob
		must(disk.Mkdir(filepath.Join(modelDir, dir, "00"), 0o700))
		f, err := disk.OpenFile(filepath.Join(modelDir, dir, "00", strings.Repeat("0", map[string]int{"parts": 64, "git": 40}[dir])), os.O_WRONLY|os.O_CREATE, 0o600)
		must(err)
		_, err = f.WriteAt([]byte(store.Digest{8}.String()+"\n"), 0)
		must(err, f.Sync(), f.Close(), disk.SyncDir(filepath.Join(modelDir, dir, "00")), disk.SyncDir(filepath.Join(modelDir, dir)))
	}
	return disk
}

func openOn(t *testing.T, disk *FS) *store.Store {
	t.Helper()
	// A day later: nothing is young any more.
	s, err := store.OpenWith(modelDir, store.Options{FS: disk, Now: func() time.Time { return time.Unix(1_900_100_000, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRemovalCrash cuts the power at every change that a removal makes, with
// random loss, and looks at what is left: no snapshot without its blobs, nothing
// gone that another one uses, nothing damaged that counts as good, and a check
// that finds nothing which it cannot put right. Then the removal is done again and
// has to end where it would have ended.
func TestRemovalCrash(t *testing.T) {
	seeds := uint64(length(8, 60))
	blobs := contents()
	base := shelves(t, blobs)
	for _, r := range removals {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			whole := base.Kill()
			if err := r.do(t.Context(), openOn(t, whole)); err != nil {
				t.Fatal(err)
			}
			want := names(t, whole)
			points := 0
			for cut := 0; ; cut++ {
				disk := base.Kill()
				s := openOn(t, disk)
				disk.PowerOff(cut)
				err := r.do(t.Context(), s)
				if err == nil {
					break // it was over before the power went
				}
				if !errors.Is(err, ErrPowerOff) {
					t.Fatalf("after %d changes: %v", cut, err)
				}
				for seed := range seeds {
					points++
					left := disk.Crash(seed)
					if seed == 0 {
						left = disk.Kill()
					}
					s := openOn(t, left)
					look(t, s, left, blobs, r.goes, fmt.Sprintf("cut after %d changes, seed %d", cut, seed))
					if err := r.do(t.Context(), s); err != nil {
						t.Fatalf("cut after %d changes, seed %d: once more: %v", cut, seed, err)
					}
					if _, err := s.Collect(t.Context(), store.CollectOptions{PartialGrace: 1 << 62}); err != nil {
						t.Fatal(err)
					}
					if got := names(t, left); !contained(got, want) {
						t.Fatalf("cut after %d changes, seed %d: in the end there are\n%q, without the cut\n%q", cut, seed, got, want)
					}
					look(t, s, left, blobs, r.goes, "in the end")
				}
			}
			t.Logf("%d crash points", points)
		})
	}
}

// contained reports whether everything in got is in want: a removal that is done
// again and a collection may take more, but never leave more.
func contained(got, want []string) bool {
	return !slices.ContainsFunc(got, func(n string) bool { return !slices.Contains(want, n) })
}

// look checks what must be true of the store at any time.
func look(t *testing.T, s *store.Store, disk *FS, blobs []blob, goes []string, when string) {
	t.Helper()
	snaps, err := s.Snapshots()
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	for _, commit := range []string{commitOne, commitTwo, commitBad} {
		if !slices.Contains(goes, commit) && !slices.ContainsFunc(snaps, func(s store.Snapshot) bool { return s.Commit == commit }) {
			t.Fatalf("%s: the snapshot of %.4s has gone", when, commit)
		}
	}
	for _, snap := range snaps {
		for _, f := range snap.Files {
			k := slices.IndexFunc(blobs, func(b blob) bool { return b.sha == f.SHA256 })
			err := s.Verify(t.Context(), f.SHA256, 1, nil)
			var corrupt *store.CorruptError
			switch {
			case k == 5 && !errors.As(err, &corrupt):
				t.Fatalf("%s: the damaged blob: %v", when, err)
			case k != 5 && err != nil:
				t.Fatalf("%s: %s of %.4s: %v", when, f.Path, snap.Commit, err)
			}
		}
	}
	if _, good := s.Find(blobs[5].want); good {
		t.Fatalf("%s: the damaged blob counts as good", when)
	}
	rep, err := s.Check(t.Context(), store.CheckOptions{})
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	for _, p := range rep.Problems {
		if p.Severity == store.SeverityFatal && p.Code != "BLOB_CORRUPT" || p.Code == "FOREIGN" {
			t.Fatalf("%s: %+v", when, p)
		}
	}
}

// names lists every file of a disk but the store's lock, which is made when it
// is needed.
func names(t *testing.T, disk *FS) []string {
	t.Helper()
	var out []string
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := disk.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if path := filepath.Join(dir, e.Name()); e.IsDir() {
				walk(path)
			} else if path != filepath.Join(modelDir, "lock") {
				out = append(out, path)
			}
		}
	}
	walk(modelDir)
	return out
}
