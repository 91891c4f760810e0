package store

import (
	"context"
	"fmt"
	"time"
)

// The periods of grace that suit people.
const (
	DefaultGrace        = 24 * time.Hour
	DefaultPartialGrace = 30 * 24 * time.Hour
)

// CollectOptions say what is too young to go. The zero value lets everything go
// that nobody needs.
type CollectOptions struct {
	Grace        time.Duration // younger blobs, lists and aliases are kept
	PartialGrace time.Duration // unfinished blobs that were written to since are kept
	DryRun       bool          // only say what would go
}

// Collect removes what nothing uses: blobs of no snapshot, lists of parts and git
// aliases without a blob, marks without one, unfinished blobs that nobody has
// gone on with for long, and files that a process left when it died.
//
// What a running process needs is kept by proof ([Store.Hold], the lock of an
// unfinished blob), and not because of its age; the grace is for people who
// change their mind, and for programs that take no hold. It refuses as Remove
// does.
func (s *Store) Collect(ctx context.Context, o CollectOptions) (Sweep, error) {
	sweep, err := s.removing(ctx, o.DryRun, func(inv *inventory, held holds) ([]Item, []Item, error) {
		c := collector{s: s, inv: inv, held: held, o: o, now: s.now()}
		c.blobs()
		c.beside()
		c.partials()
		c.leftovers()
		return c.items, c.kept, c.begun()
	})
	if err != nil {
		return sweep, fmt.Errorf("collect what is not used: %w", err)
	}
	return sweep, nil
}

// collector plans what Collect removes.
type collector struct {
	s     *Store
	inv   *inventory
	held  holds
	o     CollectOptions
	now   time.Time
	items []Item
	kept  []Item
}

// keep enters an item: it goes, unless there is a reason why not.
func (c *collector) add(it Item, why string) {
	if it.Why = why; why == "" {
		c.items = append(c.items, it)
	} else {
		c.kept = append(c.kept, it)
	}
}

// blobs lets go the blobs that no snapshot names, with what lies beside them.
func (c *collector) blobs() {
	used, keys, aliases := users(c.inv.snaps), c.inv.keysOf(), c.inv.aliasesTo()
	for _, d := range sorted(c.inv.blobs) {
		if used[d] > 0 {
			continue
		}
		blob := c.inv.blobs[d]
		// A blob that was linked into the store is as old as it was elsewhere. Its
		// list of parts was made when it came.
		came := blob.ModTime()
		if p, ok := c.inv.parts[d]; ok && p.ModTime().After(came) {
			came = p.ModTime()
		}
		why := ""
		switch {
		case c.held.needs(keys[d]...):
			why = WhyBusy
		case len(c.inv.aside) > 0:
			why = WhyAside
		case c.now.Sub(came) < c.o.Grace:
			why = WhyYoung
		}
		c.add(c.s.item(ItemBlob, blob), why)
		if why == "" {
			for _, it := range c.s.beside(c.inv, d, aliases[d]) {
				c.add(it, "")
			}
		}
	}
}

// beside lets go what lies beside no blob. A blob that is being repaired is a
// partial meanwhile, and what is beside it stays.
func (c *collector) beside() {
	partial := map[string]bool{}
	for _, p := range c.inv.partials {
		partial[p.key()] = true
	}
	why := func(f lyingFile) string {
		switch {
		// A list and an alias come before their blob, and which blob a git blob id
		// will be is not known before.
		case c.held.running:
			return WhyBusy
		case c.now.Sub(f.ModTime()) < c.o.Grace:
			return WhyYoung
		}
		return ""
	}
	lone := func(d Digest) bool {
		_, there := c.inv.blobs[d]
		return !there && !partial[d.String()]
	}
	for _, a := range c.inv.aliases {
		if lone(a.blob) {
			c.add(c.s.item(ItemAlias, a.lyingFile), why(a.lyingFile))
		}
	}
	for _, d := range sorted(c.inv.parts) {
		if p := c.inv.parts[d]; lone(d) {
			c.add(c.s.item(ItemParts, p), why(p))
		}
	}
	for _, d := range sorted(c.inv.marks) {
		if m := c.inv.marks[d]; lone(d) {
			c.add(c.s.item(ItemMark, m), why(m))
		}
	}
}

// partials lets go the unfinished blobs that nobody is at and nobody has been at
// for long.
func (c *collector) partials() {
	for _, p := range c.inv.partials {
		it := c.s.partialItem(p)
		// To look at a lock is to take it for a moment, in which its owner would
		// not get it: not where a running process says that it needs the blob.
		busy, err := c.held.needs(p.key()), error(nil)
		if !busy {
			busy, err = c.s.lockedByOther(p.lockFile())
		}
		switch {
		case err != nil || busy:
			c.add(it, WhyBusy)
		case c.now.Sub(p.touched) < c.o.PartialGrace:
			c.add(it, WhyYoung)
		default:
			c.add(it, "")
		}
	}
}

// leftovers lets go what processes left when they died.
func (c *collector) leftovers() {
	for _, path := range c.held.stale {
		c.add(c.s.small(ItemHold, path), "")
	}
	for _, f := range c.inv.asideOld {
		c.add(c.s.item(ItemAside, f), "")
	}
	for _, t := range c.inv.tmp {
		if !c.held.running && c.now.Sub(tmpBegan(t)) > tmpAge {
			c.add(c.s.item(ItemTmp, t), "")
		}
	}
}
