package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/store"
)

// TestFetchAndRemove has fetches and removals at work on one disk, each with a
// store of its own as processes have. Every fetch that has announced what it
// needs ends with a whole branch, however the others sweep without any grace, and
// no snapshot is ever without its blobs.
func TestFetchAndRemove(t *testing.T) {
	t.Parallel()
	const fetchers, rounds = 3, 25
	blobs := contents()
	disk := NewFS()
	disk.SetClock(func() time.Time { return time.Unix(1_900_100_000, 0) })
	sweep := make(chan bool, 1) // told by fetches, at every step, that it is time for a sweep
	now := func() {
		select {
		case sweep <- true:
		default:
		}
	}
	var fetches, sweeps errgroup.Group
	for k := range fetchers {
		fetches.Go(func() error {
			rnd := rand.New(rand.NewPCG(uint64(k), 1))
			for round := range rounds {
				if err := fetchLike(t.Context(), openOn(t, disk), blobs, rnd, fmt.Sprint("b", k), now); err != nil {
					return fmt.Errorf("fetch %d of %d: %w", round, k, err)
				}
			}
			return nil
		})
	}
	removed := 0
	sweeps.Go(func() error {
		s := openOn(t, disk)
		rnd := rand.New(rand.NewPCG(9, 9))
		for range sweep {
			var gone store.Sweep
			var err error
			if rnd.IntN(2) == 0 {
				gone, err = s.Collect(t.Context(), store.CollectOptions{})
			} else {
				gone, err = s.Remove(t.Context(), []store.Selector{{Repo: modelRepo, Branch: fmt.Sprint("b", rnd.IntN(fetchers))}}, store.RemoveOptions{})
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("sweep: %w", err)
			}
			removed += len(gone.Removed)
		}
		return nil
	})
	err := fetches.Wait()
	close(sweep)
	if err := errors.Join(err, sweeps.Wait()); err != nil {
		t.Fatal(err)
	}
	if removed == 0 {
		t.Error("nothing was ever removed")
	}
	s := openOn(t, disk)
	snaps, err := s.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	for _, snap := range snaps {
		if _, err := s.Snapshot(snap.Repo, snap.Commit); err != nil {
			t.Error(err)
		}
	}
	rep, err := s.Check(t.Context(), store.CheckOptions{})
	if err != nil || rep.Damaged() > 0 {
		t.Errorf("in the end: %v, %+v", err, rep.Problems)
	}
}

// fetchLike does what a fetch does: it announces what it needs, takes what is
// there, brings the rest, and publishes.
func fetchLike(ctx context.Context, s *store.Store, blobs []blob, rnd *rand.Rand, branch string, step func()) (err error) {
	var mine []blob
	var wants []store.Want
	for _, i := range rnd.Perm(len(blobs))[:3] {
		mine = append(mine, blobs[i])
		wants = append(wants, blobs[i].want)
	}
	hold, err := s.Hold(ctx, "get "+branch, wants)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hold.Release()) }()
	commit := strings.Repeat(fmt.Sprintf("%02x", rnd.IntN(256)), 20)
	snap := store.Snapshot{Repo: modelRepo, Branch: branch, Commit: commit, Created: time.Unix(1_900_000_000, 0)}
	step()
	for k, b := range mine {
		if err := bring(ctx, s, b); err != nil {
			return err
		}
		snap.Files = append(snap.Files, store.SnapshotFile{Path: fmt.Sprint("f", k), Size: b.want.Size, SHA256: b.sha})
		step()
	}
	if err := s.PutSnapshot(snap); err != nil {
		return err
	}
	return s.SetBranch(modelRepo, branch, commit)
}

// bring has a blob in the store, waiting for who else is at it.
func bring(ctx context.Context, s *store.Store, b blob) error {
	for {
		if _, ok := s.Find(b.want); ok {
			return nil
		}
		if b.parts() < 2 {
			_, err := s.Put(ctx, b.want, b.data)
			return err
		}
		in, err := s.Ingest(ctx, b.want)
		if errors.Is(err, store.ErrLocked) {
			runtime.Gosched() // as a fetch does: it looks again
			continue
		}
		if err != nil {
			return err
		}
		for i := range b.parts() {
			if err := in.WritePart(ctx, i, b.part(i)); err != nil {
				return errors.Join(err, in.Close())
			}
		}
		_, err = in.Commit(ctx)
		return errors.Join(err, in.Close())
	}
}
