package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/store"
)

// Pending is a Get that was begun and has not ended: some process is at it now,
// or it can be gone on with.
type Pending struct {
	Ref    Ref // what to Get
	Commit string
	Begun  time.Time
	Filter Filter // that it was begun with
	Bytes  int64  // of its files, each content once
	Held   int64  // of them, in the store
	Files  []PendingFile
	PID    int // of the process that is at it, which may be this one; 0 = nobody is
}

// PendingFile is one file of a Pending.
type PendingFile struct {
	Path string
	Size int64
	Held int64 // bytes in the store
	Done bool  // it is published
}

// PendingReport is what Pending finds.
type PendingReport struct {
	Free    int64     // bytes of the disk that the store is on; 0 when there is no store
	Fetches []Pending // the latest first
}

// hold announces what is needed of the store, and notes the fetch unless there is
// nothing to fetch.
func (g *getter) hold(ctx context.Context) (*store.Hold, error) {
	b := store.Begun{Repo: g.repo.String(), Commit: string(g.commit), Branch: g.branch, Begun: time.Now(),
		Include: g.o.Filter.Include, Exclude: g.o.Filter.Exclude}
	var wants []store.Want
	for _, f := range g.files {
		w := fetch.Wanted(f)
		wants = append(wants, w)
		b.Files = append(b.Files, store.BegunFile{Path: f.Path, Want: w})
	}
	if g.res.Plan.Held == g.res.Plan.Bytes {
		return g.st.Hold(ctx, "get "+g.ref.String(), wants)
	}
	return g.st.HoldFetch(ctx, "get "+g.ref.String(), b)
}

// release ends the hold. The note of the fetch stays if there may be something to
// go on with.
func (g *getter) release(hold *store.Hold, failed error) error {
	var refused *FindingsError
	var err error
	if failed == nil || errors.As(failed, &refused) {
		err = g.st.EndFetch(g.repo.String(), string(g.commit))
	}
	return errors.Join(err, hold.Release())
}

// Pending lists the Gets that were begun in the store and have not ended, by this
// process, by others that run, and by those that have gone. Those of which
// nothing is left are none. What others have brought is read from the disk, which
// takes milliseconds for each unfinished file. What cannot be read is left out:
// 'store fsck' tells of it.
func (a *App) Pending(ctx context.Context) (*PendingReport, error) {
	st, err := a.existingStore()
	if err != nil || st == nil {
		return &PendingReport{}, err
	}
	free, err := st.Free()
	if err != nil {
		return nil, fmt.Errorf("look for free space: %w", err)
	}
	workers, err := st.Workers()
	if err != nil {
		return nil, err
	}
	begun, err := st.BegunFetches()
	if err != nil && !errors.Is(err, store.ErrFormat) {
		return nil, fmt.Errorf("list the unfinished fetches: %w", err)
	}
	out := &PendingReport{Free: free}
	seen := make(map[Ref]bool) // a branch that has moved on is gone on with at its present commit
	for _, b := range begun {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if p, ok := pending(st, b, workers); ok && !seen[p.Ref] {
			seen[p.Ref] = true
			out.Fetches = append(out.Fetches, p)
		}
	}
	return out, nil
}

// pending describes a begun fetch; false when there is nothing to go on with.
func pending(st *store.Store, b store.Begun, workers []store.Worker) (Pending, bool) {
	ref, err := ParseRef(StoreItem{Repo: b.Repo, Branch: b.Branch, Commit: b.Commit}.Ref())
	if err != nil {
		return Pending{}, false
	}
	p := Pending{Ref: ref, Commit: b.Commit, Begun: b.Begun, Bytes: b.Bytes(), Filter: Filter{Include: b.Include, Exclude: b.Exclude}}
	for _, w := range workers {
		if w.Repo == b.Repo && w.Commit == b.Commit {
			p.PID = w.PID
		}
	}
	held, worth := st.Left(b)
	if !worth && p.PID == 0 {
		return Pending{}, false
	}
	if _, err := st.Snapshot(b.Repo, b.Commit); err == nil {
		return Pending{}, false // its note could not be taken away
	}
	counted := make(map[store.Want]bool)
	for i, f := range b.Files {
		if !counted[f.Want] {
			counted[f.Want] = true
			p.Held += held[i]
		}
		_, done := st.Find(f.Want)
		p.Files = append(p.Files, PendingFile{Path: f.Path, Size: f.Want.Size, Held: held[i], Done: done})
	}
	return p, true
}
