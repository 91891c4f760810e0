package packfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/qbranch/qbranch/infer/mapfile"
)

// Key names a file's contents.
type Key [sha256.Size]byte

// KeyOf is the key of contents that follow from the parts, in this order.
func KeyOf(parts ...string) Key {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d %s\n", len(p), p) // a hash takes everything
	}
	return Key(h.Sum(nil))
}

// ErrCorrupt is a file that is not what Commit wrote.
var ErrCorrupt = errors.New("not a whole file of packed matrices")

const (
	suffix     = ".qbpack"
	tempSuffix = ".tmp"
	magic      = "QBPACK1\n"
	headerSize = 64
	entrySize  = 8 + 8 + 4 + 4 // and the name
	alignment  = 4096          // of sections

	maxSections = 1 << 20
	maxName     = 1 << 10
	maxIndex    = 64 << 20 // bytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Section is a part of a file, by its name and length in bytes.
type Section struct {
	Name string
	Size int64
}

// entry is a section in the index.
type entry struct {
	Section
	offset int64
	sum    uint32 // CRC-32C of its bytes
}

// File is an open file. It is safe for concurrent use; Close it when nothing uses
// its sections any more.
type File struct {
	path     string
	mapped   *mapfile.File
	sections map[string]*section
}

type section struct {
	data []byte
	sum  uint32
	once sync.Once
	good bool
}

// Open maps the file of a key and notes that it was used. The error is
// os.ErrNotExist, or ErrCorrupt: the file was then removed.
func Open(dir string, key Key) (*File, error) {
	path := filepath.Join(dir, name(key))
	f, err := open(path, key)
	if err != nil {
		if errors.Is(err, ErrCorrupt) {
			err = errors.Join(err, os.Remove(path))
		}
		return nil, fmt.Errorf("opening packed matrices: %w", err)
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // a folder that cannot be written has nothing to evict either
	return f, nil
}

func open(path string, key Key) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() // a mapping outlives its file descriptor
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	index, err := readIndex(file, size, key)
	if err != nil {
		return nil, err
	}
	mapped, err := mapfile.Map(file, int(size))
	if err != nil {
		return nil, err
	}
	f := &File{path: path, mapped: mapped, sections: make(map[string]*section, len(index))}
	for _, e := range index {
		f.sections[e.Name] = &section{data: mapped.Data[e.offset : e.offset+e.Size : e.offset+e.Size], sum: e.sum}
	}
	return f, nil
}

// Section returns the bytes of a section, read-only; false when there is none or
// its checksum is wrong: the file is then removed, so that the next program
// writes it anew. The first call reads all of it.
func (f *File) Section(name string) ([]byte, bool) {
	s, ok := f.sections[name]
	if !ok {
		return nil, false
	}
	s.once.Do(func() {
		if s.good = crc32.Checksum(s.data, castagnoli) == s.sum; !s.good {
			_ = os.Remove(f.path) // where that cannot be, the section is bad next time, too
		}
	})
	return s.data, s.good
}

// Close unmaps the file.
func (f *File) Close() error { return f.mapped.Close() }

func name(key Key) string { return hex.EncodeToString(key[:]) + suffix }

// readIndex reads and checks everything before the first section.
func readIndex(file *os.File, size int64, key Key) ([]entry, error) {
	var head [headerSize]byte
	if n, err := file.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("%w: %d bytes, %w", ErrCorrupt, n, err)
	}
	count, length := binary.LittleEndian.Uint32(head[48:]), binary.LittleEndian.Uint32(head[52:])
	switch {
	case string(head[:8]) != magic:
		return nil, fmt.Errorf("%w: it begins otherwise", ErrCorrupt)
	case !bytes.Equal(head[8:40], key[:]):
		return nil, fmt.Errorf("%w: it is of another key", ErrCorrupt)
	case binary.LittleEndian.Uint64(head[40:]) != uint64(size):
		return nil, fmt.Errorf("%w: %d bytes, and it says %d", ErrCorrupt, size, binary.LittleEndian.Uint64(head[40:]))
	case count > maxSections || length > maxIndex || int64(length) > size-headerSize:
		return nil, fmt.Errorf("%w: an index of %d sections and %d bytes", ErrCorrupt, count, length)
	}
	text := make([]byte, length)
	if _, err := file.ReadAt(text, headerSize); err != nil {
		return nil, err
	}
	sum := crc32.Checksum(head[:56], castagnoli)
	if crc32.Update(sum, castagnoli, text) != binary.LittleEndian.Uint32(head[56:]) {
		return nil, fmt.Errorf("%w: the checksum of its index is wrong", ErrCorrupt)
	}
	index, ok := decodeIndex(text, int(count), headerSize+int64(length), size)
	if !ok {
		return nil, fmt.Errorf("%w: sections lie outside of it", ErrCorrupt)
	}
	return index, nil
}

// decodeIndex reads count entries whose sections follow one another between
// begin and end.
func decodeIndex(text []byte, count int, begin, end int64) ([]entry, bool) {
	var index []entry
	for range count {
		if len(text) < entrySize {
			return nil, false
		}
		offset, size := binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[8:])
		sum, n := binary.LittleEndian.Uint32(text[16:]), binary.LittleEndian.Uint32(text[20:])
		text = text[entrySize:]
		if n > maxName || int(n) > len(text) || offset < uint64(begin) || offset > uint64(end) || size > uint64(end)-offset {
			return nil, false
		}
		index = append(index, entry{Section{string(text[:n]), int64(size)}, int64(offset), sum})
		begin = int64(offset + size)
		text = text[n:]
	}
	return index, len(text) == 0
}

// encodeIndex is the inverse of decodeIndex.
func encodeIndex(index []entry) []byte {
	var text []byte
	for _, e := range index {
		text = binary.LittleEndian.AppendUint64(text, uint64(e.offset))
		text = binary.LittleEndian.AppendUint64(text, uint64(e.Size))
		text = binary.LittleEndian.AppendUint32(text, e.sum)
		text = binary.LittleEndian.AppendUint32(text, uint32(len(e.Name)))
		text = append(text, e.Name...)
	}
	return text
}

// encodeHeader is the header of a file of size bytes with this index.
func encodeHeader(key Key, size int64, count int, index []byte) []byte {
	head := append([]byte(magic), key[:]...)
	head = binary.LittleEndian.AppendUint64(head, uint64(size))
	head = binary.LittleEndian.AppendUint32(head, uint32(count))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(index)))
	sum := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, index)
	head = binary.LittleEndian.AppendUint32(head, sum)
	return append(head, make([]byte, headerSize-len(head))...)
}
