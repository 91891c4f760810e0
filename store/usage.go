package store

import (
	"cmp"
	"fmt"
	"slices"
)

// Amount is how much of the disk something takes.
type Amount struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`      // lengths of the files
	Disk  int64 `json:"disk_bytes"` // blocks allocated to them
}

func (a *Amount) add(f lyingFile) {
	a.Files++
	a.Bytes += f.Size()
	a.Disk += f.disk
}

func (a *Amount) plus(b Amount) {
	a.Files += b.Files
	a.Bytes += b.Bytes
	a.Disk += b.Disk
}

// SnapshotUsage is how much of the disk a snapshot takes: Unique goes when it is
// removed, Shared is in other snapshots too. A blob that has gone takes nothing.
type SnapshotUsage struct {
	Snapshot
	Unique Amount
	Shared Amount
}

// Usage says what the store takes of the disk. The sums add up:
//
//	Σ Snapshots.Unique + Shared = Blobs
//	Blobs + Unreferenced + Unfinished + Other = Total
type Usage struct {
	Snapshots    []SnapshotUsage // by repo, branch, commit
	Shared       Amount          // blobs of more than one snapshot, each once
	Blobs        Amount          // blobs of snapshots, each once
	Unreferenced Amount          // blobs of no snapshot
	Unfinished   Amount          // files that are being fetched, or were left
	Other        Amount          // lists of parts, snapshots and all else
	Total        Amount
	Linked       int64 // bytes allocated to blobs that other folders have too: they go only when both have gone
}

// Usage measures the store, by what lies on the disk. It takes no lock and
// writes nothing; what others do meanwhile may be counted or not. A file with
// several names is counted where the store has it.
func (s *Store) Usage() (Usage, error) {
	inv, err := s.takeInventory()
	var u Usage
	if err == nil {
		err = s.eachFile(".", func(f lyingFile) { u.Total.add(f) })
	}
	if err == nil && len(inv.unread) > 0 {
		err = fmt.Errorf("%s: %w", inv.unread[0].path, inv.unread[0].err)
	}
	if err != nil {
		return Usage{}, fmt.Errorf("measure the store: %w", err)
	}
	used := users(inv.snaps)
	for d, b := range inv.blobs {
		switch {
		case used[d] == 0:
			u.Unreferenced.add(b)
		default:
			u.Blobs.add(b)
		}
		if used[d] > 1 {
			u.Shared.add(b)
		}
		if b.links > 1 {
			u.Linked += b.disk
		}
	}
	for _, snap := range inv.snaps {
		u.Snapshots = append(u.Snapshots, snap.usage(inv, used))
	}
	slices.SortFunc(u.Snapshots, func(a, b SnapshotUsage) int {
		return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Branch, b.Branch), cmp.Compare(a.Commit, b.Commit))
	})
	for _, p := range inv.partials {
		u.Unfinished.plus(p.files)
	}
	u.Other = u.Total
	for _, part := range []Amount{u.Blobs, u.Unreferenced, u.Unfinished} {
		u.Other.plus(Amount{-part.Files, -part.Bytes, -part.Disk})
	}
	return u, nil
}

func (snap storedSnapshot) usage(inv *inventory, used map[Digest]int) SnapshotUsage {
	u := SnapshotUsage{Snapshot: snap.Snapshot}
	for d := range snap.blobs() {
		b, there := inv.blobs[d]
		switch {
		case !there:
		case used[d] > 1:
			u.Shared.add(b)
		default:
			u.Unique.add(b)
		}
	}
	return u
}
