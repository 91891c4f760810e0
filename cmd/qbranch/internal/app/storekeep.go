package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/qbranch/qbranch/store"
)

// The periods of grace of StoreCollect that suit people.
const (
	DefaultGrace        = store.DefaultGrace
	DefaultPartialGrace = store.DefaultPartialGrace
)

// notHereError is a reference of which the store has nothing to work on.
type notHereError struct {
	ref  string
	hint string
}

func (e *notHereError) Error() string { return e.ref + " is not in the store" }

// Is makes it store.ErrNotFound.
func (e *notHereError) Is(target error) bool { return target == store.ErrNotFound }

// Hint says what to do next.
func (e *notHereError) Hint() string { return e.hint }

// RemoveRequest says what StoreRemove removes.
type RemoveRequest struct {
	Refs     []Ref // branches, commits, or whole repositories when no revision is named
	Partial  bool  // the unfinished files that nobody is fetching
	Outdated bool  // the commits that their branches have left; of the repositories of Refs, or of all
	DryRun   bool  // only say what would go
}

// CollectRequest says what StoreCollect may remove.
type CollectRequest struct {
	Grace        time.Duration // what came later is kept
	PartialGrace time.Duration // unfinished files written to since are kept
	DryRun       bool
}

// SweepReport is what was removed from the store, or would be.
type SweepReport struct {
	DryRun   bool         `json:"dry_run"`
	Branches []StoreItem  `json:"branches"`     // snapshots
	Removed  []SweepTotal `json:"removed"`      // by kind
	Kept     []SweepTotal `json:"kept"`         // by kind and reason
	Freed    int64        `json:"freed_bytes"`  // what the disk gets back
	Linked   int64        `json:"linked_bytes"` // of removed blobs that exported folders have too
	Outdated int          `json:"outdated"`     // StoreCollect: commits that their branches have left, which it keeps
}

// SweepTotal sums up the things of one kind.
type SweepTotal struct {
	Kind  string `json:"kind"`
	Why   string `json:"why,omitempty"` // it was kept
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// Count returns how many things of a kind were removed.
func (r *SweepReport) Count(kind string) (files int, bytes int64) {
	for _, t := range r.Removed {
		if t.Kind == kind {
			return t.Files, t.Bytes
		}
	}
	return 0, 0
}

// Empty reports whether there was nothing to remove.
func (r *SweepReport) Empty() bool { return len(r.Removed) == 0 }

// StoreRemove removes branches with what only they use, or unfinished files. A
// reference of which nothing is here is store.ErrNotFound, a pinned one
// store.ErrPinned; store.ErrLocked when another process must not be disturbed.
// Then nothing has been removed.
func (a *App) StoreRemove(ctx context.Context, q RemoveRequest) (*SweepReport, error) {
	st, err := a.existingStore()
	if err != nil {
		return nil, err
	}
	if st == nil {
		if len(q.Refs) > 0 {
			return nil, &notHereError{q.Refs[0].String(), "there is no store yet"}
		}
		return &SweepReport{DryRun: q.DryRun}, nil
	}
	if q.Partial {
		sweep, err := st.RemovePartials(ctx, store.RemoveOptions{DryRun: q.DryRun})
		return sweepReport(sweep, q.DryRun), err
	}
	if q.Refs, err = wholeCommits(st, q.Refs); err != nil {
		return nil, err
	}
	var which []store.Selector
	for _, ref := range q.Refs {
		which = append(which, selector(ref))
	}
	if q.Outdated {
		if which, err = outdated(st, q.Refs); err != nil {
			return nil, err
		}
	}
	sweep, err := st.Remove(ctx, which, store.RemoveOptions{DryRun: q.DryRun})
	if errors.Is(err, store.ErrNotFound) {
		return nil, notHere(q.Refs, st)
	}
	return sweepReport(sweep, q.DryRun), err
}

// notHere names the references of which nothing is in the store.
func notHere(refs []Ref, st *store.Store) error {
	const hint = "'qbranch store ls' lists what is here; unfinished files go with 'qbranch store rm --partial'"
	snaps, err := st.Snapshots()
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if !slices.ContainsFunc(snaps, func(s Snapshot) bool { return covers(st, ref, s) }) {
			return &notHereError{ref.String(), hint}
		}
	}
	return &notHereError{"what was asked for", hint} // it went a moment ago
}

// covers reports whether a reference means a snapshot.
func covers(st *store.Store, ref Ref, snap Snapshot) bool {
	n := selector(ref)
	if n.Repo != snap.Repo {
		return false
	}
	if n.Commit != "" || n.Branch == "" || n.Branch == snap.Branch {
		return n.Commit == "" || n.Commit == snap.Commit
	}
	commit, ok := st.BranchCommit(n.Repo, n.Branch)
	return ok && commit == snap.Commit
}

// selector is a reference as the store has it; without a revision it is the
// whole repository.
func selector(ref Ref) store.Selector {
	n := store.Selector{Repo: ref.Repo.String()}
	if commit, ok := ref.Commit(); ok {
		n.Commit = string(commit)
	} else {
		n.Branch = ref.Revision
	}
	return n
}

// outdated selects the commits that their branches have left and no pin keeps.
func outdated(st *store.Store, refs []Ref) ([]store.Selector, error) {
	snaps, err := st.Snapshots()
	if err != nil {
		return nil, &unreadError{fmt.Errorf("list the store: %w", err)}
	}
	pins, err := st.Pins()
	if err != nil {
		return nil, &unreadError{fmt.Errorf("list the pins: %w", err)}
	}
	var which []store.Selector
	for _, snap := range snaps {
		wanted := len(refs) == 0 || slices.ContainsFunc(refs, func(r Ref) bool {
			return r.Repo.String() == snap.Repo && (r.Revision == "" || r.Revision == snap.Branch)
		})
		if wanted && hasLeft(st, snap) && !pinned(pins, snap) {
			which = append(which, store.Selector{Repo: snap.Repo, Commit: snap.Commit})
		}
	}
	return which, nil
}

// hasLeft reports whether the branch a snapshot was fetched as is known to be at
// another commit.
func hasLeft(st *store.Store, snap Snapshot) bool {
	commit, remembered := st.BranchCommit(snap.Repo, snap.Branch)
	return snap.Branch != "" && remembered && commit != snap.Commit
}

func pinned(pins []store.Pin, snap Snapshot) bool {
	return slices.ContainsFunc(pins, func(p store.Pin) bool { return p.Covers(snap) })
}

// StoreCollect removes what nothing uses. It refuses as StoreRemove does.
func (a *App) StoreCollect(ctx context.Context, q CollectRequest) (*SweepReport, error) {
	st, err := a.existingStore()
	if err != nil || st == nil {
		return &SweepReport{DryRun: q.DryRun}, err
	}
	sweep, err := st.Collect(ctx, store.CollectOptions{Grace: q.Grace, PartialGrace: q.PartialGrace, DryRun: q.DryRun})
	rep := sweepReport(sweep, q.DryRun)
	if err != nil {
		return rep, err
	}
	left, err := outdated(st, nil)
	rep.Outdated = len(left)
	return rep, err
}

func sweepReport(sweep store.Sweep, dry bool) *SweepReport {
	r := &SweepReport{DryRun: dry, Branches: []StoreItem{}, Removed: []SweepTotal{}, Kept: []SweepTotal{}, Freed: sweep.Freed()}
	for _, it := range sweep.Removed {
		r.Removed = tally(r.Removed, it)
		if it.Linked {
			r.Linked += it.Bytes
		}
		if it.Kind == store.ItemSnapshot {
			snap := it.Snapshot()
			r.Branches = append(r.Branches, StoreItem{Repo: snap.Repo, Branch: snap.Branch, Commit: snap.Commit,
				Files: len(snap.Files), Bytes: snap.Bytes(), Created: snap.Created})
		}
	}
	for _, it := range sweep.Kept {
		r.Kept = tally(r.Kept, it)
	}
	return r
}

func tally(totals []SweepTotal, it store.Item) []SweepTotal {
	kind := string(it.Kind)
	i := slices.IndexFunc(totals, func(t SweepTotal) bool { return t.Kind == kind && t.Why == it.Why })
	if i < 0 {
		totals, i = append(totals, SweepTotal{Kind: kind, Why: it.Why}), len(totals)
	}
	totals[i].Files++
	totals[i].Bytes += it.Bytes
	return totals
}

// StorePin keeps a branch, main when none is named, or a commit from being
// removed; with off it lets it go again. It reports whether that changed
// anything. What is not in the store is store.ErrNotFound.
func (a *App) StorePin(ctx context.Context, ref Ref, off bool) (changed bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	st, err := a.existingStore()
	if err != nil {
		return false, err
	}
	if st == nil {
		return false, &notHereError{ref.String(), "there is no store yet"}
	}
	if ref, err = wholeCommit(st, ref); err != nil {
		return false, err
	}
	p := store.Pin{Repo: ref.Repo.String()}
	if commit, ok := ref.Commit(); ok {
		p.Commit = string(commit)
	} else {
		p.Branch = ref.RevisionOrMain()
	}
	if off {
		return st.Unpin(p)
	}
	pins, err := st.Pins()
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(pins, func(q store.Pin) bool { return q.String() == p.String() }) {
		return false, nil
	}
	snaps, err := st.Snapshots()
	if err != nil {
		return false, err
	}
	ref.Revision = ref.RevisionOrMain()
	if !slices.ContainsFunc(snaps, func(s Snapshot) bool { return covers(st, ref, s) }) {
		return false, &notHereError{ref.String(), "'qbranch store ls' lists what is here"}
	}
	return true, st.Pin(p)
}

// StoredFile is one file of a branch and where its bytes lie.
type StoredFile struct {
	Path  string `json:"path"`
	Size  int64  `json:"size"`
	Place string `json:"place"` // the blob: read-only, never to be written to
}

// StoreFiles says where the files of a branch lie in the store. ErrNotLocal when
// it was never fetched; a blob that is damaged or has gone is an error as well.
func (a *App) StoreFiles(ref Ref) ([]StoredFile, error) {
	st, snap, err := a.localSnapshot(ref)
	if err != nil {
		return nil, err
	}
	out := make([]StoredFile, len(snap.Files))
	for i, f := range snap.Files {
		out[i] = StoredFile{f.Path, f.Size, st.Path(f.SHA256)}
	}
	return out, nil
}

// BranchUsage is how much of the disk a branch takes.
type BranchUsage struct {
	Repo   string     `json:"repo"`
	Branch string     `json:"branch"`
	Commit string     `json:"commit"`
	State  LocalState `json:"state"`
	Pinned bool       `json:"pinned"`
	Unique int64      `json:"unique_bytes"` // goes when it is removed
	Shared int64      `json:"shared_bytes"` // other branches have it too
	Disk   int64      `json:"disk_bytes"`   // blocks allocated to what is unique
}

// Ref is what to type for the branch.
func (b BranchUsage) Ref() string {
	return StoreItem{Repo: b.Repo, Branch: b.Branch, Commit: b.Commit}.Ref()
}

// Amount is how much of the disk something takes.
type Amount = store.Amount

// StoreUsage is how much of the disk the store takes. Unique of all branches and
// Shared are Blobs; Blobs, Unreferenced, Unfinished and Other are Total.
type StoreUsage struct {
	Branches     []BranchUsage `json:"branches"`
	Shared       Amount        `json:"shared"` // what several branches have, once
	Blobs        Amount        `json:"blobs"`
	Unreferenced Amount        `json:"unreferenced"`
	Unfinished   Amount        `json:"unfinished"`
	Other        Amount        `json:"other"`
	Total        Amount        `json:"total"`
	Linked       int64         `json:"linked_bytes"` // allocated to what exported folders have too
	Disk         *Disk         `json:"disk"`         // that the store is on, or would be; null when the system does not say
}

// Disk is a file system.
type Disk = store.Disk

// StoreUse measures the store. With references it lists only the branches they
// name; one that names nothing here is store.ErrNotFound.
func (a *App) StoreUse(ctx context.Context, refs []Ref) (*StoreUsage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, err := a.existingStore()
	if err != nil {
		return nil, err
	}
	out := &StoreUsage{Branches: []BranchUsage{}}
	if disk, err := store.OS().Disk(nearestDir(a.dir)); err == nil { // else that is not known, and no more
		out.Disk = &disk
	}
	if st == nil {
		if len(refs) > 0 {
			return nil, &notHereError{refs[0].String(), "there is no store yet"}
		}
		return out, nil
	}
	if refs, err = wholeCommits(st, refs); err != nil {
		return nil, err
	}
	u, err := st.Usage()
	if err != nil {
		return nil, &unreadError{err}
	}
	pins, err := st.Pins()
	if err != nil {
		return nil, &unreadError{err}
	}
	out.Shared, out.Blobs, out.Unreferenced = u.Shared, u.Blobs, u.Unreferenced
	out.Unfinished, out.Other, out.Total, out.Linked = u.Unfinished, u.Other, u.Total, u.Linked
	found := make(map[Ref]bool)
	for _, snap := range u.Snapshots {
		wanted := len(refs) == 0
		for _, ref := range refs {
			if covers(st, ref, snap.Snapshot) {
				found[ref], wanted = true, true
			}
		}
		if wanted {
			out.Branches = append(out.Branches, BranchUsage{Repo: snap.Repo, Branch: snap.Branch, Commit: snap.Commit,
				State: snapshotState(st, snap.Snapshot), Pinned: pinned(pins, snap.Snapshot),
				Unique: snap.Unique.Bytes, Shared: snap.Shared.Bytes, Disk: snap.Unique.Disk})
		}
	}
	for _, ref := range refs {
		if !found[ref] {
			return nil, &notHereError{ref.String(), "'qbranch store ls' lists what is here"}
		}
	}
	// What takes most comes first: that is what is looked for.
	slices.SortStableFunc(out.Branches, func(a, b BranchUsage) int { return cmp.Compare(b.Unique, a.Unique) })
	return out, nil
}
