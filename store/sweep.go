package store

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
)

// ItemKind says what an Item is.
type ItemKind string

// The kinds of Item, in the order in which they are removed. Each phase is on
// the disk before the next one begins. A crash between two of them leaves blobs
// that nothing names, or lists, aliases and marks without a blob: nothing that is
// needed, and nothing that looks like more than it is. The mark of a damaged blob
// goes after the blob, so that it is never taken for good.
const (
	ItemSnapshot ItemKind = "snapshot"
	ItemBranch   ItemKind = "branch" // what a branch was last seen at
	ItemBlob     ItemKind = "blob"
	ItemAlias    ItemKind = "alias" // git blob id → blob
	ItemParts    ItemKind = "parts" // list of a blob's parts
	ItemMark     ItemKind = "mark"  // known damage
	ItemPartial  ItemKind = "partial"
	ItemHold     ItemKind = "hold"  // of a process that has ended
	ItemBegun    ItemKind = "begun" // note of a fetch
	ItemAside    ItemKind = "aside" // set aside, and of no use any more
	ItemTmp      ItemKind = "tmp"
)

func (k ItemKind) phase() int {
	return slices.Index([]ItemKind{ItemSnapshot, ItemBranch, ItemBlob, ItemAlias, ItemParts, ItemMark, ItemPartial, ItemHold, ItemBegun, ItemAside, ItemTmp}, k)
}

// Why something that could go was kept.
const (
	WhyShared = "another branch uses it"
	WhyBusy   = "a running process needs it"
	WhyYoung  = "it is too young"
	WhyAside  = "a snapshot that was set aside may use it"
)

// Item is one thing that a Sweep removed, or kept.
type Item struct {
	Kind   ItemKind `json:"kind"`
	Path   string   `json:"path"`             // below the store's directory
	Bytes  int64    `json:"bytes"`            // its length
	Disk   int64    `json:"disk_bytes"`       // what removing it gives back to the disk
	Linked bool     `json:"linked,omitempty"` // another folder has the same file, so that removing it gives nothing back
	Why    string   `json:"why,omitempty"`    // it was kept

	full   string   // where it lies
	snap   Snapshot // of ItemSnapshot
	rename string   // the branch that a kept snapshot is known by from now on
	key    string   // of ItemPartial
}

// Snapshot returns the snapshot that an ItemSnapshot is of.
func (i Item) Snapshot() Snapshot { return i.snap }

// Sweep says what was removed, or would be, and what was kept.
type Sweep struct {
	Removed []Item // in the order of removal
	Kept    []Item // what could have gone, and why it has not
}

// Freed returns the bytes that the disk gets back. Blocks that another file
// shares (reflinks) cannot be told and count as freed.
func (w Sweep) Freed() (sum int64) {
	for _, i := range w.Removed {
		sum += i.Disk
	}
	return sum
}

// item describes a file. One that has other names stays on the disk.
func (s *Store) item(kind ItemKind, f lyingFile) Item {
	it := Item{Kind: kind, Path: s.rel(f.path), full: f.path, Bytes: f.Size(), Disk: f.disk}
	if f.links > 1 {
		it.Linked, it.Disk = true, 0
	}
	return it
}

// small describes a file whose size does not matter.
func (s *Store) small(kind ItemKind, path string) Item {
	return Item{Kind: kind, Path: s.rel(path), full: path}
}

func (s *Store) partialItem(p leftPartial) Item {
	return Item{Kind: ItemPartial, Path: s.rel(p.dir), Bytes: p.files.Bytes, Disk: p.files.Disk, full: p.dir, key: p.key()}
}

// sweep removes items, which are sorted by phase. What it returns is what has
// been removed, also with an error. The caller has the store's lock.
func (s *Store) sweep(ctx context.Context, items []Item) (done Sweep, err error) {
	for len(items) > 0 && err == nil {
		n := slices.IndexFunc(items, func(i Item) bool { return i.Kind != items[0].Kind })
		if n < 0 {
			n = len(items)
		}
		err = s.sweepPhase(ctx, items[:n], &done)
		items = items[n:]
	}
	return done, err
}

// sweepPhase removes items of one kind and makes that durable.
func (s *Store) sweepPhase(ctx context.Context, items []Item, done *Sweep) error {
	dirs := map[string]bool{}
	var err error
	for _, it := range items {
		if err = ctx.Err(); err != nil {
			break
		}
		if it.Kind == ItemPartial {
			err = s.removePartial(it.key)
		} else if err = s.ioError(it.full, s.removeIfThere(it.full)); err == nil {
			dirs[filepath.Dir(it.full)] = true
		}
		if errors.Is(err, ErrLocked) {
			it.Why = WhyBusy
			done.Kept, err = append(done.Kept, it), nil
			continue
		}
		if err != nil {
			break
		}
		done.Removed = append(done.Removed, it)
	}
	// Also after a failure: what is gone has to stay gone before anybody looks.
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		err = errors.Join(err, s.ioError(dir, s.fs.SyncDir(dir)))
	}
	return err
}

// removePartial removes an unfinished blob; ErrLocked when somebody is at it.
func (s *Store) removePartial(key string) error {
	p, err := s.lockKey(key)
	if err != nil {
		return err
	}
	return s.ioError(p.dir, p.remove())
}
