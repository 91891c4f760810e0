package storetest

import (
	"cmp"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
)

// Crash returns what is there after a power cut: the durable state and some of
// what came after, by the seed. The file system itself stays as it is, so that
// many cuts can be tried at one point.
func (f *FS) Crash(seed uint64) *FS {
	f.mu.RLock()
	defer f.mu.RUnlock()
	c := &crasher{rnd: rand.New(rand.NewPCG(seed, 0x6372617368)), copies: map[*node]*node{}}
	c.choose(f.root)
	return f.copy(c.dir(f.root))
}

// Kill returns what the next process finds after this one was killed: all that
// was written, durable or not, and no locks. Files that this one has open are
// not of the new file system.
func (f *FS) Kill() *FS {
	f.mu.RLock()
	defer f.mu.RUnlock()
	k := &killer{nodes: map[*node]*node{}, changes: map[*change]*change{}}
	g := f.copy(k.node(f.root))
	g.seq = f.seq
	return g
}

// copy is a file system of the same size and clock.
func (f *FS) copy(root *node) *FS {
	g := &FS{root: root, size: f.size, now: f.now}
	seen := map[*node]bool{}
	var count func(n *node)
	count = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		g.used += n.allocated()
		for _, m := range n.names {
			count(m)
		}
	}
	count(root)
	return g
}

// crasher decides what a power cut leaves.
type crasher struct {
	rnd    *rand.Rand
	kept   map[*change]bool
	copies map[*node]*node
}

// choose decides which changes of names survive: none, all, those before some
// moment (as a file system with a journal does), or any.
func (c *crasher) choose(root *node) {
	var all []*change
	seen := map[*node]bool{}
	var collect func(n *node)
	collect = func(n *node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		all = append(all, n.changes...)
		for _, names := range []map[string]*node{n.names, n.durable} {
			for _, m := range names {
				collect(m)
			}
		}
		for _, ch := range n.changes {
			collect(ch.node)
		}
	}
	collect(root)
	slices.SortFunc(all, func(a, b *change) int { return cmp.Compare(a.seq, b.seq) })
	c.kept = make(map[*change]bool, len(all))
	how, cut := c.rnd.IntN(5), c.rnd.IntN(len(all)+1)
	for i, ch := range all {
		switch how {
		case 0: // none
		case 1:
			c.kept[ch] = true
		case 2, 3:
			c.kept[ch] = i < cut
		default:
			c.kept[ch] = c.rnd.IntN(2) == 0
		}
		// What was renamed is never gone from both places. One that is not among
		// all is durable already.
		if ch.after != nil && slices.Contains(ch.after.in.changes, ch.after) && !c.kept[ch.after] {
			c.kept[ch] = false
		}
	}
}

// dir copies a directory as it is after the cut.
func (c *crasher) dir(n *node) *node {
	if m := c.copies[n]; m != nil {
		return m
	}
	d := newDir()
	d.mode, d.time = n.mode, n.time
	c.copies[n] = d
	names := maps.Clone(n.durable)
	for _, ch := range n.changes {
		if c.kept[ch] {
			ch.apply(names)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) { // the order decides what rnd gives
		m := names[name]
		if m.isDir() {
			m = c.dir(m)
		} else {
			m = c.file(m)
			m.links++
		}
		d.names[name], d.durable[name] = m, m
	}
	return d
}

// file copies a file as it is after the cut; its names are not counted yet.
func (c *crasher) file(n *node) *node {
	if m := c.copies[n]; m != nil {
		return m
	}
	m := &node{mode: n.mode, time: n.time}
	c.copies[n] = m
	if c.rnd.IntN(2) == 0 {
		m.mode = n.synced
	}
	m.synced = m.mode
	how := c.rnd.IntN(4)
	size := n.size
	if len(n.sizes) > 0 {
		switch c.rnd.IntN(3) {
		case 0:
			size = n.sizes[0]
		case 1:
			size = n.sizes[c.rnd.IntN(len(n.sizes))]
		}
	}
	m.pages = make([]page, (size+pageSize-1)/pageSize)
	for i := range m.pages {
		if i >= len(n.pages) {
			break
		}
		m.pages[i].now = c.page(&n.pages[i], how)
	}
	m.size, m.reserved = size, min(n.reserved, size)
	if in := size % pageSize; in != 0 && m.pages[size/pageSize].now != nil {
		b := slices.Clone(m.pages[size/pageSize].now)
		clear(b[in:])
		m.pages[size/pageSize].now = b
	}
	return m
}

// page returns what the disk has of a page.
func (c *crasher) page(p *page, how int) []byte {
	if len(p.old) == 0 {
		return p.now
	}
	versions := append(slices.Clip(p.old), p.now)
	switch how {
	case 0:
		return versions[0]
	case 1:
		if !p.lost {
			return p.now
		}
	}
	a := versions[c.rnd.IntN(len(versions))]
	if c.rnd.IntN(4) != 0 {
		return a
	}
	b, torn := versions[c.rnd.IntN(len(versions))], make([]byte, pageSize)
	at := sectorSize * c.rnd.IntN(pageSize/sectorSize)
	copy(torn, a)
	clear(torn[at:])
	if b != nil {
		copy(torn[at:], b[at:])
	}
	return torn
}

// killer copies a file system with what is not durable.
type killer struct {
	nodes   map[*node]*node
	changes map[*change]*change
}

func (k *killer) node(n *node) *node {
	if n == nil {
		return nil
	}
	if m := k.nodes[n]; m != nil {
		return m
	}
	m := new(node)
	k.nodes[n] = m
	*m = *n
	m.locked = false
	m.pages = slices.Clone(n.pages)
	for i := range m.pages {
		m.pages[i].old = slices.Clip(m.pages[i].old)
	}
	m.sizes = slices.Clone(n.sizes)
	m.names, m.durable = k.names(n.names), k.names(n.durable)
	m.changes = slices.Clone(n.changes)
	for i, c := range m.changes {
		m.changes[i] = k.change(c)
	}
	return m
}

func (k *killer) names(names map[string]*node) map[string]*node {
	if names == nil {
		return nil
	}
	out := make(map[string]*node, len(names))
	for name, n := range names {
		out[name] = k.node(n)
	}
	return out
}

func (k *killer) change(c *change) *change {
	if c == nil {
		return nil
	}
	if d := k.changes[c]; d != nil {
		return d
	}
	d := new(change)
	k.changes[c] = d
	*d = *c
	d.node, d.after, d.in = k.node(c.node), k.change(c.after), k.node(c.in)
	return d
}

// Flip flips one bit of a file, on the disk and in the cache, as a bad disk does.
func (f *FS) Flip(path string, off int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(path)
	if err != nil {
		return &fs.PathError{Op: "flip", Path: path, Err: err}
	}
	if off < 0 || off >= n.size {
		return &fs.PathError{Op: "flip", Path: path, Err: io.EOF}
	}
	p := &n.pages[off/pageSize]
	b := make([]byte, pageSize)
	copy(b, p.now)
	b[off%pageSize] ^= 0x10
	p.now, p.old = b, nil
	return nil
}
