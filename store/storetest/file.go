package storetest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// pageSize is what a disk writes as one, tears aside.
const pageSize = 4096

// sectorSize is what a disk never tears.
const sectorSize = 512

// page is one page of a file: nil bytes are zeros. Bytes are never changed in
// place, so copies of a file system share them.
type page struct {
	now  []byte
	old  [][]byte // since the last Sync, the durable one first; empty when now is durable
	lost bool     // a Sync that failed threw it away: no later one makes it durable
}

func (p *page) set(b []byte) {
	p.old, p.now, p.lost = append(p.old, p.now), b, false
}

// file is an open file.
type file struct {
	fs   *FS
	node *node
	path string
	flag int

	mu     sync.Mutex // guards what follows
	off    int64
	closed bool
}

// open reports whether the file may be used, with these flags.
func (h *file) usable(write bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch access := h.flag & (os.O_WRONLY | os.O_RDWR); {
	case h.closed:
		return fs.ErrClosed
	case write && access == os.O_RDONLY, !write && access == os.O_WRONLY:
		return syscall.EBADF
	}
	return nil
}

func (h *file) Read(p []byte) (int, error) {
	h.mu.Lock()
	off := h.off
	h.mu.Unlock()
	n, err := h.ReadAt(p, off)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (h *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = h.fs.look(OpRead, h.path, func() error {
		if err := h.usable(false); err != nil {
			return err
		}
		n = h.node.read(p, off)
		return nil
	})
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// read copies what there is.
func (n *node) read(p []byte, off int64) int {
	if off >= n.size {
		return 0
	}
	p = p[:min(int64(len(p)), n.size-off)]
	for done := 0; done < len(p); {
		i, in := (off+int64(done))/pageSize, (off+int64(done))%pageSize
		dst := p[done:min(len(p), done+int(pageSize-in))]
		if b := n.pages[i].now; b == nil {
			clear(dst)
		} else {
			copy(dst, b[in:])
		}
		done += len(dst)
	}
	return len(p)
}

func (h *file) WriteAt(p []byte, off int64) (n int, err error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	n = len(p)
	skip, err := h.fs.check(OpWrite, h.path)
	if skip {
		return n, nil
	}
	if errors.Is(err, ErrPowerOff) {
		return 0, err
	}
	if err != nil {
		n /= 2 // as far as it came
	}
	bad := h.usable(true)
	if bad == nil {
		bad = h.fs.write(h.node, p[:n], off)
	}
	if bad != nil {
		return 0, &fs.PathError{Op: string(OpWrite), Path: h.path, Err: bad}
	}
	return n, err
}

// write writes p into n.
func (f *FS) write(n *node, p []byte, off int64) error {
	end := off + int64(len(p))
	if more := n.newBytes(off, end); more > 0 && n.links > 0 {
		if f.used+more > f.size {
			return syscall.ENOSPC
		}
		f.used += more
	}
	n.time = f.now()
	if end > n.size {
		n.setSize(end)
	}
	for len(p) > 0 {
		i, in := off/pageSize, off%pageSize
		b := make([]byte, pageSize)
		if in != 0 || len(p) < pageSize {
			copy(b, n.pages[i].now)
		}
		k := copy(b[in:], p)
		n.pages[i].set(b)
		p, off = p[k:], off+int64(k)
	}
	return nil
}

// newBytes returns how many bytes of disk writing [off,end) takes.
func (n *node) newBytes(off, end int64) (sum int64) {
	for i := off / pageSize; i*pageSize < end; i++ {
		if i*pageSize >= n.reserved && (i >= int64(len(n.pages)) || n.pages[i].now == nil) {
			sum += pageSize
		}
	}
	return sum
}

// allocated returns the bytes of disk that a file takes.
func (n *node) allocated() int64 {
	sum := (n.reserved + pageSize - 1) / pageSize * pageSize
	for i := sum / pageSize; i < int64(len(n.pages)); i++ {
		if n.pages[i].now != nil {
			sum += pageSize
		}
	}
	return sum
}

// setSize makes the file longer or shorter.
func (n *node) setSize(size int64) {
	if size == n.size {
		return
	}
	n.sizes = append(n.sizes, n.size)
	for int64(len(n.pages))*pageSize < size {
		n.pages = append(n.pages, page{})
	}
	for i := (size + pageSize - 1) / pageSize; i < int64(len(n.pages)); i++ {
		if n.pages[i].now != nil {
			n.pages[i].set(nil)
		}
	}
	if in := size % pageSize; in != 0 && size < n.size && n.pages[size/pageSize].now != nil {
		b := make([]byte, pageSize)
		copy(b, n.pages[size/pageSize].now[:in])
		n.pages[size/pageSize].set(b)
	}
	n.size = size
}

// resize is setSize with the disk's account.
func (f *FS) resize(n *node, size int64) {
	before := n.allocated()
	n.reserved = min(n.reserved, size)
	n.setSize(size)
	n.time = f.now()
	if n.links > 0 {
		f.used += n.allocated() - before
	}
}

// Truncate implements store.File.
func (h *file) Truncate(size int64) error {
	return h.fs.do(OpTruncate, h.path, func() error {
		err := h.usable(true)
		if err == nil {
			h.fs.resize(h.node, size)
		}
		return err
	})
}

// Preallocate implements store.File.
func (h *file) Preallocate(size int64) error {
	return h.fs.do(OpPreallocate, h.path, func() error {
		if err := h.usable(true); err != nil {
			return err
		}
		n := h.node
		if more := n.newBytes(0, size); h.fs.used+more > h.fs.size {
			return syscall.ENOSPC
		}
		before := n.allocated()
		n.reserved = max(n.reserved, size)
		n.setSize(max(n.size, size))
		if n.links > 0 {
			h.fs.used += n.allocated() - before
		}
		return nil
	})
}

// Sync implements store.File.
func (h *file) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	skip, err := h.fs.check(OpSync, h.path)
	if skip {
		return nil
	}
	if errors.Is(err, ErrPowerOff) {
		return err
	}
	if bad := h.usable(h.flag&(os.O_WRONLY|os.O_RDWR) != 0); bad != nil {
		return &fs.PathError{Op: string(OpSync), Path: h.path, Err: bad}
	}
	n := h.node
	for i := range n.pages {
		p := &n.pages[i]
		switch {
		case err != nil:
			p.lost = p.lost || len(p.old) > 0
		case !p.lost:
			p.old = nil
		}
	}
	if err == nil {
		n.sizes, n.synced = nil, n.mode
	}
	return err
}

// Stat implements store.File.
func (h *file) Stat() (fi fs.FileInfo, err error) {
	err = h.fs.look(OpStat, h.path, func() error {
		fi = h.node.info(h.path)
		return nil
	})
	return fi, err
}

// Close closes the file; it makes nothing durable.
func (h *file) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	h.closed = true
	return nil
}
