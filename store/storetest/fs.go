package storetest

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/qbranch/qbranch/store"
)

// Op is a kind of call that [FS.Before] is asked about.
type Op string

// The calls of store.FS and store.File; opening to create is its own.
const (
	OpOpen        Op = "open"
	OpCreate      Op = "create"
	OpRead        Op = "read"
	OpWrite       Op = "write"
	OpTruncate    Op = "truncate"
	OpPreallocate Op = "preallocate"
	OpSync        Op = "sync"
	OpStat        Op = "stat"
	OpReadDir     Op = "readdir"
	OpMkdir       Op = "mkdir"
	OpRename      Op = "rename"
	OpRemove      Op = "remove"
	OpChmod       Op = "chmod"
	OpLink        Op = "link"
	OpClone       Op = "clone"
	OpSyncDir     Op = "syncdir"
	OpLock        Op = "lock"
	OpDisk        Op = "disk"
)

// Changes reports whether the call is one that changes something or makes a
// change durable.
func (op Op) Changes() bool {
	switch op {
	case OpOpen, OpRead, OpStat, OpReadDir, OpLock, OpDisk:
		return false
	}
	return true
}

// ErrSkip, given by [FS.Before], leaves a call out and says that it succeeded.
var ErrSkip = errors.New("left out")

// ErrPowerOff is what every call gives once the power is off.
var ErrPowerOff = errors.New("the power is off")

// FS is a file system in memory that knows what of it is durable. Its methods
// are safe for concurrent use. Paths begin at one root whatever they begin with.
type FS struct {
	mu     sync.RWMutex
	root   *node
	seq    int // of the last change of a name
	used   int64
	size   int64
	before func(op Op, path string) error
	asking sync.Mutex // one question to before at a time: it may count
	now    func() time.Time
}

var _ store.FS = (*FS)(nil)

// NewFS returns an empty file system with 1 PiB of space.
func NewFS() *FS { return &FS{root: newDir(), size: 1 << 50, now: time.Now} }

// SetSize sets how many bytes files may take in all.
func (f *FS) SetSize(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = n
}

// SetClock sets what dates the files.
func (f *FS) SetClock(now func() time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = now
}

// Before has before called ahead of every call, one at a time; nil is nothing. An
// error is what the call gives: a write is then half done, a sync has lost what it
// was to make durable, everything else did not happen. before must not use the
// file system.
func (f *FS) Before(before func(op Op, path string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

// PowerOff lets n changes happen and has every call fail with ErrPowerOff from
// then on. Crash is what is left after that.
func (f *FS) PowerOff(n int) {
	left := n
	f.Before(func(op Op, _ string) error {
		switch {
		case left == 0:
			return ErrPowerOff
		case op.Changes():
			left--
		}
		return nil
	})
}

// check asks before; skip says that the call is to be left out. The caller
// holds mu, for reading at least.
func (f *FS) check(op Op, path string) (skip bool, err error) {
	if f.before == nil {
		return false, nil
	}
	f.asking.Lock()
	err = f.before(op, path)
	f.asking.Unlock()
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, ErrSkip):
		return true, nil
	}
	return false, &fs.PathError{Op: string(op), Path: path, Err: err}
}

// node is a file or a directory.
type node struct {
	mode    fs.FileMode
	synced  fs.FileMode // the mode as of the last Sync
	time    time.Time
	links   int
	locked  bool
	names   map[string]*node // of a directory; nil for a file
	durable map[string]*node
	changes []*change // of names, since the last SyncDir

	pages    []page
	size     int64
	sizes    []int64 // other lengths since the last Sync, the durable one first
	reserved int64   // bytes
}

func newDir() *node {
	return &node{mode: fs.ModeDir | 0o700, names: map[string]*node{}, durable: map[string]*node{}, links: 1}
}

func (n *node) isDir() bool { return n.names != nil }

// change is one change of a name in one directory.
type change struct {
	seq   int
	name  string
	node  *node   // nil: the name was removed
	gone  string  // a name that a renaming within the directory removed
	after *change // of another directory, which a renaming made before
	in    *node   // the directory
}

// apply makes the change in names.
func (c *change) apply(names map[string]*node) {
	if c.node == nil {
		delete(names, c.name)
		return
	}
	if c.gone != "" && names[c.gone] == c.node {
		delete(names, c.gone)
	}
	names[c.name] = c.node
}

func (f *FS) change(dir *node, c *change) *change {
	f.seq++
	c.seq, c.in = f.seq, dir
	c.apply(dir.names)
	dir.changes = append(dir.changes, c)
	return c
}

// elements splits a path.
func elements(path string) []string {
	path = path[len(filepath.VolumeName(path)):]
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == filepath.Separator })
}

// find returns what has the path.
func (f *FS) find(path string) (*node, error) {
	n := f.root
	for _, name := range elements(path) {
		if !n.isDir() {
			return nil, syscall.ENOTDIR
		}
		if n = n.names[name]; n == nil {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

// parent returns the directory of path and the name in it.
func (f *FS) parent(path string) (*node, string, error) {
	elems := elements(path)
	if len(elems) == 0 {
		return nil, "", fs.ErrExist
	}
	dir, err := f.find(filepath.Join(elems[:len(elems)-1]...))
	if err == nil && !dir.isDir() {
		err = syscall.ENOTDIR
	}
	return dir, elems[len(elems)-1], err
}

// do runs a call that changes something.
func (f *FS) do(op Op, path string, call func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	skip, err := f.check(op, path)
	if skip || err != nil {
		return err
	}
	if err := call(); err != nil {
		return &fs.PathError{Op: string(op), Path: path, Err: err}
	}
	return nil
}

// look runs a call that changes nothing.
func (f *FS) look(op Op, path string, call func() error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if _, err := f.check(op, path); err != nil {
		return err
	}
	if err := call(); err != nil {
		return &fs.PathError{Op: string(op), Path: path, Err: err}
	}
	return nil
}

// OpenFile implements store.FS.
func (f *FS) OpenFile(path string, flag int, perm fs.FileMode) (store.File, error) {
	var n *node
	f.mu.RLock()
	n, err := f.find(path)
	f.mu.RUnlock()
	op := OpOpen
	if err != nil && flag&os.O_CREATE != 0 {
		op = OpCreate
	}
	err = f.do(op, path, func() error {
		n, err = f.open(path, flag, perm)
		return err
	})
	if err != nil {
		return nil, err
	}
	if n == nil { // left out
		return nil, &fs.PathError{Op: string(op), Path: path, Err: fs.ErrNotExist}
	}
	return &file{fs: f, node: n, path: path, flag: flag}, nil
}

func (f *FS) open(path string, flag int, perm fs.FileMode) (*node, error) {
	dir, name, err := f.parent(path)
	if err != nil {
		return nil, err
	}
	n := dir.names[name]
	writes := flag&(os.O_WRONLY|os.O_RDWR) != 0
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, fs.ErrNotExist
	case n == nil:
		n = &node{mode: perm.Perm(), synced: perm.Perm(), time: f.now(), links: 1}
		f.change(dir, &change{name: name, node: n})
		return n, nil
	case flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, fs.ErrExist
	case n.isDir():
		return nil, store.ErrNotRegular
	case writes && n.mode&0o200 == 0 || !writes && n.mode&0o400 == 0:
		return nil, fs.ErrPermission
	}
	if flag&os.O_TRUNC != 0 {
		f.resize(n, 0)
	}
	return n, nil
}

// Lstat implements store.FS.
func (f *FS) Lstat(path string) (fi fs.FileInfo, err error) {
	err = f.look(OpStat, path, func() error {
		n, err := f.find(path)
		if err == nil {
			fi = n.info(filepath.Base(path))
		}
		return err
	})
	return fi, err
}

// SameFile implements store.FS.
func (f *FS) SameFile(a, b fs.FileInfo) bool {
	x, ok1 := a.(info)
	y, ok2 := b.(info)
	return ok1 && ok2 && x.node == y.node
}

// Usage implements store.FS.
func (f *FS) Usage(path string) (links int, allocated int64, err error) {
	err = f.look(OpStat, path, func() error {
		n, err := f.find(path)
		if err == nil {
			links, allocated = n.links, n.allocated()
		}
		return err
	})
	return links, allocated, err
}

// ReadDir implements store.FS.
func (f *FS) ReadDir(path string) (out []fs.DirEntry, err error) {
	err = f.look(OpReadDir, path, func() error {
		n, err := f.find(path)
		if err != nil {
			return err
		}
		if !n.isDir() {
			return syscall.ENOTDIR
		}
		for _, name := range slices.Sorted(maps.Keys(n.names)) {
			out = append(out, fs.FileInfoToDirEntry(n.names[name].info(name)))
		}
		return nil
	})
	return out, err
}

// Mkdir implements store.FS.
func (f *FS) Mkdir(path string, perm fs.FileMode) error {
	return f.do(OpMkdir, path, func() error {
		dir, name, err := f.parent(path)
		switch {
		case err != nil:
			return err
		case dir.names[name] != nil:
			return fs.ErrExist
		}
		n := newDir()
		n.mode, n.time = fs.ModeDir|perm.Perm(), f.now()
		f.change(dir, &change{name: name, node: n})
		return nil
	})
}

// Rename implements store.FS.
func (f *FS) Rename(from, to string) error {
	return f.do(OpRename, to, func() error {
		src, was, err := f.parent(from)
		if err != nil {
			return err
		}
		dst, name, err := f.parent(to)
		if err != nil {
			return err
		}
		n, old := src.names[was], dst.names[name]
		switch {
		case n == nil:
			return fs.ErrNotExist
		case n == old:
			return nil
		case old != nil && old.isDir() && len(old.names) > 0:
			return syscall.ENOTEMPTY
		case old != nil && old.isDir() != n.isDir():
			return fs.ErrExist
		}
		if old != nil {
			f.unlink(old)
		}
		if src == dst {
			f.change(dst, &change{name: name, node: n, gone: was})
			return nil
		}
		c := f.change(dst, &change{name: name, node: n})
		f.change(src, &change{name: was, after: c})
		return nil
	})
}

// unlink takes one name from a node.
func (f *FS) unlink(n *node) {
	if n.links--; n.links == 0 {
		f.used -= n.allocated()
	}
}

// Remove implements store.FS.
func (f *FS) Remove(path string) error {
	return f.do(OpRemove, path, func() error {
		dir, name, err := f.parent(path)
		if err != nil {
			return err
		}
		n := dir.names[name]
		switch {
		case n == nil:
			return fs.ErrNotExist
		case n.isDir() && len(n.names) > 0:
			return syscall.ENOTEMPTY
		}
		f.unlink(n)
		f.change(dir, &change{name: name})
		return nil
	})
}

// Chmod implements store.FS.
func (f *FS) Chmod(path string, mode fs.FileMode) error {
	return f.do(OpChmod, path, func() error {
		n, err := f.find(path)
		if err == nil {
			n.mode = n.mode.Type() | mode.Perm()
		}
		return err
	})
}

// Link implements store.FS.
func (f *FS) Link(from, to string) error {
	return f.do(OpLink, to, func() error {
		n, err := f.find(from)
		if err != nil {
			return err
		}
		dir, name, err := f.parent(to)
		switch {
		case err != nil:
			return err
		case n.isDir():
			return fs.ErrPermission
		case dir.names[name] != nil:
			return fs.ErrExist
		}
		n.links++
		f.change(dir, &change{name: name, node: n})
		return nil
	})
}

// Clone implements store.FS: this one shares no blocks.
func (f *FS) Clone(_, to string) error {
	return f.do(OpClone, to, func() error { return errors.ErrUnsupported })
}

// SyncDir implements store.FS.
func (f *FS) SyncDir(path string) error {
	return f.do(OpSyncDir, path, func() error {
		dir, err := f.find(path)
		if err != nil {
			return err
		}
		if !dir.isDir() {
			return syscall.ENOTDIR
		}
		dir.sync(math.MaxInt)
		return nil
	})
}

// sync makes the changes up to seq durable. A name that a renaming took away is
// not gone before the new one is there.
func (n *node) sync(seq int) {
	for len(n.changes) > 0 && n.changes[0].seq <= seq {
		c := n.changes[0]
		n.changes = n.changes[1:]
		if c.after != nil {
			c.after.in.sync(c.after.seq)
		}
		c.apply(n.durable)
	}
}

// Lock implements store.FS.
func (f *FS) Lock(path string) (io.Closer, error) {
	var n *node
	err := f.do(OpLock, path, func() error {
		var err error
		if n, err = f.open(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
			return err
		}
		if n.locked {
			return store.ErrLocked
		}
		n.locked = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &lock{f, n}, nil
}

type lock struct {
	fs   *FS
	node *node
}

// Close gives the lock back, also when the power is off: nobody can tell.
func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	l.node.locked = false
	return nil
}

// Disk implements store.FS.
func (f *FS) Disk(path string) (d store.Disk, err error) {
	err = f.look(OpDisk, path, func() error {
		if _, err := f.find(path); err != nil {
			return err
		}
		d = store.Disk{Kind: "simulated", Free: max(0, f.size-f.used), Total: f.size}
		return nil
	})
	return d, err
}

// info describes a node as it was.
type info struct {
	node *node
	name string
	mode fs.FileMode
	size int64
	time time.Time
}

func (n *node) info(name string) info { return info{n, name, n.mode, n.size, n.time} }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.time }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
