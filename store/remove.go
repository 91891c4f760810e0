package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

// Selector names snapshots: all of a repository, those of a branch, or the one
// of a commit.
type Selector struct {
	Repo   string // owner/name
	Branch string // "" = any
	Commit string // 40 hex digits, "" = any
}

// String is a reference, as people write it.
func (n Selector) String() string {
	switch {
	case n.Commit != "":
		return n.Repo + "@" + n.Commit
	case n.Branch != "":
		return n.Repo + ":" + n.Branch
	}
	return n.Repo
}

// RemoveOptions may be zero.
type RemoveOptions struct {
	DryRun bool // only say what would go
}

// Remove removes snapshots, and then what nothing else uses: the blobs of no
// other snapshot, with what lies beside them, and what is left of unfinished
// fetches of these blobs. It keeps what a running fetch needs ([Store.Hold]).
//
// It is ErrNotFound when a selector names nothing here, *PinnedError when a pin
// keeps a snapshot, *BusyError (ErrLocked) when another process needs everything
// as it is, and ErrFormat when another snapshot cannot be read, so that nobody
// can say what it uses. In these cases nothing has been removed.
//
// Snapshots go first and durably, blobs after them: an interruption leaves blobs
// that nothing names, which Collect removes.
func (s *Store) Remove(ctx context.Context, which []Selector, o RemoveOptions) (Sweep, error) {
	sweep, err := s.removing(ctx, o.DryRun, func(inv *inventory, held holds) ([]Item, []Item, error) {
		pins, err := s.Pins()
		if err != nil {
			return nil, nil, err
		}
		r := remover{s: s, inv: inv, held: held}
		if err := r.choose(which, pins); err != nil {
			return nil, nil, err
		}
		r.blobs()
		return r.items, r.kept, nil
	})
	if err != nil {
		return sweep, fmt.Errorf("remove from the store: %w", err)
	}
	return sweep, nil
}

// removing looks through the store, lets plan say what goes, and removes that.
// From the look to the last removal nobody else removes, and nobody begins to
// rely on anything.
func (s *Store) removing(ctx context.Context, dry bool, plan func(*inventory, holds) (items, kept []Item, err error)) (Sweep, error) {
	if !dry {
		l, err := s.lockStore(ctx)
		if err != nil {
			return Sweep{}, err
		}
		defer l.Close() // it ends with the descriptor in any case
	}
	held, err := s.readHolds()
	if err != nil {
		return Sweep{}, err
	}
	inv, err := s.takeInventory()
	if err != nil {
		return Sweep{}, err
	}
	if len(inv.unread) > 0 {
		u := inv.unread[0]
		return Sweep{}, &FormatError{Path: u.path, Reason: fmt.Sprintf("a snapshot that cannot be read, so that nobody can say which blobs it uses: %s", u.why()),
			Advice: "'qbranch store fsck --fix' sets it aside"}
	}
	items, kept, err := plan(inv, held)
	if err != nil {
		return Sweep{}, err
	}
	if !dry {
		if err := s.rename(kept); err != nil {
			return Sweep{}, err
		}
	}
	slices.SortStableFunc(items, func(a, b Item) int { return a.Kind.phase() - b.Kind.phase() })
	sweep := Sweep{Removed: items, Kept: kept}
	if !dry {
		sweep, err = s.sweep(ctx, items)
		sweep.Kept = append(kept, sweep.Kept...)
	}
	return sweep, err
}

// rename gives snapshots that stay for another branch the name of that one.
func (s *Store) rename(kept []Item) error {
	for _, it := range kept {
		if it.rename == "" {
			continue
		}
		snap := it.snap
		snap.Branch = it.rename
		if err := s.writeSnapshot(it.full, snap); err != nil {
			return err
		}
	}
	return nil
}

// RemovePartials removes the unfinished blobs that nobody is at, however young.
// It refuses as Remove does.
func (s *Store) RemovePartials(ctx context.Context, o RemoveOptions) (Sweep, error) {
	sweep, err := s.removing(ctx, o.DryRun, func(inv *inventory, held holds) ([]Item, []Item, error) {
		c := collector{s: s, inv: inv, held: held, now: s.now()}
		c.partials()
		return c.items, c.kept, nil
	})
	if err != nil {
		return sweep, fmt.Errorf("remove unfinished files: %w", err)
	}
	return sweep, nil
}

// remover plans what Remove removes.
type remover struct {
	s     *Store
	inv   *inventory
	held  holds
	going map[string]bool // paths of snapshots and branches
	items []Item
	kept  []Item
}

// choose enters the snapshots and branches that selectors name.
func (r *remover) choose(which []Selector, pins []Pin) error {
	r.going = map[string]bool{}
	for _, n := range which {
		found := false
		for _, b := range r.inv.branches {
			if n.hasBranch(b) {
				r.going[b.path], found = true, true
			}
		}
		for _, snap := range r.inv.snaps {
			if n.has(snap, r.inv.branches) {
				r.going[snap.path], found = true, true
			}
		}
		if !found {
			return fmt.Errorf("%s: %w", n, ErrNotFound)
		}
	}
	for _, snap := range r.inv.snaps {
		if !r.going[snap.path] {
			continue
		}
		for _, p := range pins {
			if p.Covers(snap.Snapshot) {
				return &PinnedError{p}
			}
		}
		r.decide(snap, which)
	}
	for _, b := range r.inv.branches {
		if r.going[b.path] {
			if slices.ContainsFunc(pins, func(p Pin) bool { return p.Repo == b.Repo && p.Branch == b.Branch }) {
				return &PinnedError{Pin{Repo: b.Repo, Branch: b.Branch}}
			}
			r.items = append(r.items, r.s.small(ItemBranch, b.path))
		}
	}
	return nil
}

// hasBranch reports whether what a branch was last seen at goes.
func (n Selector) hasBranch(b storedBranch) bool {
	return n.Repo == b.Repo && (n.Branch == "" || n.Branch == b.Branch) && (n.Commit == "" || n.Commit == b.Commit)
}

// has reports whether the selector names a snapshot: by its commit, by the
// branch it was fetched as, or by a branch that stands at its commit.
func (n Selector) has(snap storedSnapshot, branches []storedBranch) bool {
	switch {
	case n.Repo != snap.Repo:
		return false
	case n.Commit != "":
		return n.Commit == snap.Commit
	case n.Branch == "" || n.Branch == snap.Branch:
		return true
	}
	return slices.ContainsFunc(branches, func(b storedBranch) bool {
		return b.Repo == n.Repo && b.Branch == n.Branch && b.Commit == snap.Commit
	})
}

// decide lets a snapshot go, unless another branch stands at its commit: two
// branches at one commit have one snapshot. That one then is the other's.
func (r *remover) decide(snap storedSnapshot, which []Selector) {
	byName := slices.ContainsFunc(which, func(n Selector) bool {
		return n.Repo == snap.Repo && (n.Commit == snap.Commit || n.Commit == "" && n.Branch == "")
	})
	for _, b := range r.inv.branches {
		if byName || r.going[b.path] || b.Repo != snap.Repo || b.Commit != snap.Commit {
			continue
		}
		delete(r.going, snap.path)
		kept := r.s.small(ItemSnapshot, snap.path)
		kept.Why = "branch " + b.Branch + " is at the same commit"
		kept.snap = snap.Snapshot
		if slices.ContainsFunc(which, func(n Selector) bool { return n.Repo == snap.Repo && n.Branch == snap.Branch }) {
			kept.rename = b.Branch
		}
		r.kept = append(r.kept, kept)
		return
	}
	it := r.s.small(ItemSnapshot, snap.path)
	it.snap = snap.Snapshot
	r.items = append(r.items, it)
}

// blobs lets go what only the snapshots that go have used.
func (r *remover) blobs() {
	var stay []storedSnapshot
	gone := map[Digest]int64{}
	for _, snap := range r.inv.snaps {
		if !r.going[snap.path] {
			stay = append(stay, snap)
			continue
		}
		for d, size := range snap.blobs() {
			gone[d] = size
		}
	}
	used, keys, aliases := users(stay), r.inv.keysOf(), r.inv.aliasesTo()
	for _, d := range sorted(gone) {
		blob, there := r.inv.blobs[d]
		why := ""
		switch {
		case used[d] > 0:
			why = WhyShared
		case r.held.needs(append(keys[d], d.String())...):
			why = WhyBusy
		case len(r.inv.aside) > 0:
			why = WhyAside
		}
		if why != "" {
			if there {
				kept := r.s.item(ItemBlob, blob)
				kept.Why = why
				r.kept = append(r.kept, kept)
			}
			continue
		}
		if there {
			r.items = append(r.items, r.s.item(ItemBlob, blob))
		}
		r.items = append(r.items, r.s.beside(r.inv, d, aliases[d])...)
		for _, p := range r.inv.partials {
			if p.key() == d.String() {
				r.items = append(r.items, r.s.partialItem(p))
			}
		}
	}
}

// beside returns what lies beside a blob and means nothing without it.
func (s *Store) beside(inv *inventory, d Digest, aliases []lyingFile) []Item {
	var out []Item
	for _, a := range aliases {
		out = append(out, s.item(ItemAlias, a))
	}
	if p, ok := inv.parts[d]; ok {
		out = append(out, s.item(ItemParts, p))
	}
	if m, ok := inv.marks[d]; ok {
		out = append(out, s.item(ItemMark, m))
	}
	return out
}

// rel is a path as it is told: below the store's directory, with slashes.
func (s *Store) rel(path string) string {
	if r, err := filepath.Rel(s.dir, path); err == nil {
		return filepath.ToSlash(r)
	}
	return path
}
