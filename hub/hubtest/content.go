package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Content is what a file holds. It is read again for every answer and never
// copied, so that a file of many gigabytes costs no memory. Its digest is
// computed once, when it is first needed; a Content may be in several branches
// and on several servers. It is safe for concurrent use.
type Content struct {
	size int64
	open func() (io.ReadSeekCloser, error)

	once sync.Once
	sum  [sha256.Size]byte
	err  error
}

// Bytes is a content in memory. The bytes must not change any more.
func Bytes(data []byte) *Content {
	return &Content{size: int64(len(data)), open: func() (io.ReadSeekCloser, error) {
		return nopCloser{bytes.NewReader(data)}, nil
	}}
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// Synthetic is a content of size bytes made from a seed while it is read: the
// outputs of SplitMix64, each as 8 bytes, the lowest first. Other seeds give
// other bytes at every place.
func Synthetic(size int64, seed uint64) *Content {
	return &Content{size: size, open: func() (io.ReadSeekCloser, error) {
		return nopCloser{io.NewSectionReader(stream(seed), 0, size)}, nil
	}}
}

// SyntheticAfter is a content of size bytes that begins with first and goes on as
// [Synthetic] has it at that place: weights of which only the header matters.
func SyntheticAfter(first []byte, size int64, seed uint64) *Content {
	return &Content{size: size, open: func() (io.ReadSeekCloser, error) {
		return nopCloser{io.NewSectionReader(begun{first, stream(seed)}, 0, size)}, nil
	}}
}

// begun is a stream whose first bytes are others.
type begun struct {
	first []byte
	rest  stream
}

func (b begun) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(b.first)) {
		n = copy(p, b.first[off:])
	}
	m, err := b.rest.ReadAt(p[n:], off+int64(n))
	return n + m, err
}

// Claiming is the content under a digest that it does not have, so that nobody
// reads gigabytes to learn theirs. Whoever fetches it finds it corrupt.
func (c *Content) Claiming(sum [sha256.Size]byte) *Content {
	claimed := &Content{size: c.size, open: c.open, sum: sum}
	claimed.once.Do(func() {})
	return claimed
}

// OnDisk is the content of a file on disk, which must not change while it is
// served. Without faults and rates the kernel sends it (sendfile).
func OnDisk(path string) (*Content, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("serve a file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("serve a file: %s is not a regular file", path)
	}
	return &Content{size: info.Size(), open: func() (io.ReadSeekCloser, error) { return os.Open(path) }}, nil
}

// Folder reads a folder as the files of a branch, which stay on disk (see
// [OnDisk]). What is neither a folder nor a regular file is left out.
func Folder(dir string) (map[string]*Content, error) {
	files := make(map[string]*Content)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(rel)], err = OnDisk(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read folder %s: %w", dir, err)
	}
	return files, nil
}

// SmallFiles is a branch of n synthetic files of size bytes each, none like
// another, a hundred to a folder: d000/f00000.json and so on.
func SmallFiles(n int, size int64, seed uint64) map[string]*Content {
	files := make(map[string]*Content, n)
	for i := range n {
		files[fmt.Sprintf("d%03d/f%05d.json", i/100, i)] = Synthetic(size, seed+uint64(i)<<32)
	}
	return files
}

// Size is the length in bytes.
func (c *Content) Size() int64 { return c.size }

// SHA256 is the digest. The first call reads the whole content.
func (c *Content) SHA256() ([sha256.Size]byte, error) {
	c.once.Do(func() {
		h := sha256.New()
		if c.err = c.copyTo(h); c.err == nil {
			h.Sum(c.sum[:0])
		}
	})
	return c.sum, c.err
}

// Open returns a reader of the content, to compare with.
func (c *Content) Open() (io.ReadSeekCloser, error) { return c.open() }

// blobID is git's id of the content.
func (c *Content) blobID() (string, error) {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", c.size)
	if err := c.copyTo(h); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (c *Content) copyTo(w io.Writer) error {
	r, err := c.open()
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := io.CopyBuffer(w, struct{ io.Reader }{r}, make([]byte, min(c.size+1, copyChunk)))
	if err == nil && n != c.size {
		err = fmt.Errorf("a content of %d bytes has %d", c.size, n)
	}
	return err
}

// stream is SplitMix64 with a seed, by position: word i needs no word before it.
type stream uint64

// ReadAt fills p with the bytes from off on. It never fails.
func (s stream) ReadAt(p []byte, off int64) (int, error) {
	n := len(p)
	const golden = 0x9e3779b97f4a7c15
	word, skip := uint64(off)/8, int(off%8)
	state := uint64(s) + word*golden
	if skip > 0 {
		var w [8]byte
		state += golden
		binary.LittleEndian.PutUint64(w[:], mix(state))
		p = p[copy(p, w[skip:]):]
	}
	for ; len(p) >= 8; p = p[8:] {
		state += golden
		binary.LittleEndian.PutUint64(p, mix(state))
	}
	if len(p) > 0 {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], mix(state+golden))
		copy(p, w[:])
	}
	return n, nil
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
