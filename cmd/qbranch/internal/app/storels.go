package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qbranch/qbranch/store"
)

// StoreItem is one snapshot in the store.
type StoreItem struct {
	Repo        string     `json:"repo"`
	Branch      string     `json:"branch"`
	Commit      string     `json:"commit"`
	Files       int        `json:"files"`
	Bytes       int64      `json:"bytes"`
	SharedBytes int64      `json:"shared_bytes"` // of them, also held by another snapshot
	State       LocalState `json:"state"`
	Pinned      bool       `json:"pinned"`
	Created     time.Time  `json:"created"`
}

// Ref is what to type for the snapshot; what was fetched by commit has no branch.
func (i StoreItem) Ref() string {
	if i.Branch == "" {
		return i.Repo + "@" + i.Commit
	}
	return i.Repo + ":" + i.Branch
}

// unreadError is a store of which something cannot be read.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return e.err.Error() }
func (e *unreadError) Unwrap() error { return e.err }

// Hint says what to do next.
func (e *unreadError) Hint() string {
	return "'qbranch store fsck' says what is wrong; --fix sets aside what cannot be read, which 'qbranch get' then makes new"
}

// StoreList lists the snapshots, by repository and branch. One that cannot be
// read does not hide the others: the list comes with the error.
func (a *App) StoreList(ctx context.Context) ([]StoreItem, error) {
	st, err := a.existingStore()
	if err != nil || st == nil {
		return []StoreItem{}, err
	}
	snaps, err := st.Snapshots()
	pins, pinErr := st.Pins()
	if err = errors.Join(err, pinErr); err != nil {
		err = &unreadError{fmt.Errorf("list the store: %w", err)}
	}
	shared := store.SharedBytes(snaps)
	items := make([]StoreItem, len(snaps))
	for i, snap := range snaps {
		items[i] = StoreItem{
			Repo: snap.Repo, Branch: snap.Branch, Commit: snap.Commit, Files: len(snap.Files),
			Bytes: snap.Bytes(), SharedBytes: shared[i], State: snapshotState(st, snap), Pinned: pinned(pins, snap), Created: snap.Created,
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return items, err
}

// Unfinished sums up the files that Get has begun and not finished: how many,
// the bytes of them that are kept, and the bytes of the whole files.
func (a *App) Unfinished(ctx context.Context) (files int, kept, total int64, err error) {
	st, err := a.existingStore()
	if err != nil || st == nil {
		return 0, 0, 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, 0, 0, err
	}
	list, err := st.Unfinished()
	for _, u := range list {
		kept, total = kept+u.Held, total+u.Want.Size
	}
	return len(list), kept, total, err
}

// snapshotState is partial when a blob has gone: Get fetches it again.
func snapshotState(st *store.Store, snap Snapshot) LocalState {
	missing, corrupt := st.SnapshotState(snap)
	switch {
	case len(corrupt) > 0:
		return LocalCorrupt
	case len(missing) > 0:
		return LocalPartial
	case hasLeft(st, snap):
		return LocalOutdated
	}
	return LocalVerified
}
