package packfile

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrTooLarge is a file larger than the folder's limit.
var ErrTooLarge = errors.New("more than the folder may hold")

// Writer is a file that is being written, under a temporary name. Put is safe for
// concurrent use. Either Commit or Abort ends it.
type Writer struct {
	file *os.File
	path string // its final one
	key  Key
	size int64

	mu    sync.Mutex
	index []entry
	place map[string]int
}

// Create begins the file of a key with these sections, in this order. Others of
// the folder are removed, the longest unused first, until all together are at
// most limit bytes.
func Create(dir string, key Key, sections []Section, limit int64) (*Writer, error) {
	w := &Writer{path: filepath.Join(dir, name(key)), key: key, place: make(map[string]int)}
	w.size = headerSize
	for i, s := range sections {
		w.size += entrySize + int64(len(s.Name))
		w.index = append(w.index, entry{Section: s})
		w.place[s.Name] = i
	}
	if len(w.place) != len(sections) || len(sections) > maxSections {
		return nil, fmt.Errorf("writing packed matrices: %d sections of %d names", len(sections), len(w.place))
	}
	for i := range w.index {
		w.size = (w.size + alignment - 1) / alignment * alignment
		w.index[i].offset = w.size
		w.size += w.index[i].Size
	}
	if w.size > limit {
		return nil, fmt.Errorf("writing packed matrices: %w: %d bytes, and the limit is %d", ErrTooLarge, w.size, limit)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("writing packed matrices: %w", err)
	}
	evict(dir, limit-w.size, w.path)
	var err error
	if w.file, err = os.CreateTemp(dir, "*"+suffix+tempSuffix); err != nil {
		return nil, fmt.Errorf("writing packed matrices: %w", err)
	}
	if err := w.file.Truncate(w.size); err != nil {
		w.Abort()
		return nil, fmt.Errorf("writing packed matrices: %w", err)
	}
	return w, nil
}

// Put writes one section, all of it.
func (w *Writer) Put(name string, data []byte) error {
	w.mu.Lock()
	i, ok := w.place[name]
	delete(w.place, name) // each once
	w.mu.Unlock()
	if !ok || int64(len(data)) != w.index[i].Size {
		return fmt.Errorf("writing packed matrices: section %s of %d bytes is not one that was announced", name, len(data))
	}
	if _, err := w.file.WriteAt(data, w.index[i].offset); err != nil {
		return fmt.Errorf("writing packed matrices: %w", err)
	}
	w.index[i].sum = crc32.Checksum(data, castagnoli)
	return nil
}

// Commit gives the file its name once all of it is on the disk.
func (w *Writer) Commit() error {
	if err := w.commit(); err != nil {
		w.Abort()
		return fmt.Errorf("writing packed matrices: %w", err)
	}
	return nil
}

func (w *Writer) commit() error {
	if len(w.place) > 0 {
		return fmt.Errorf("%d sections are missing", len(w.place))
	}
	index := encodeIndex(w.index)
	if _, err := w.file.WriteAt(append(encodeHeader(w.key, w.size, len(w.index), index), index...), 0); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(w.file.Name(), w.path); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // folders cannot be synced there
		return nil
	}
	dir, err := os.Open(filepath.Dir(w.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Abort removes what was written.
func (w *Writer) Abort() {
	w.file.Close() // it may be closed already; nothing that was written counts
	os.Remove(w.file.Name())
}

// stale is how old a temporary file is that nobody writes any more.
const stale = 24 * time.Hour

// evict removes files, the longest unused first, until the others are at most
// limit bytes, and what killed programs left. keep stays, and counts nothing: it
// is about to be replaced. What cannot be removed stays.
func evict(dir string, limit int64, keep string) {
	files := list(dir)
	slices.SortFunc(files, func(a, b stored) int { return b.used.Compare(a.used) })
	var total int64
	for _, f := range files {
		switch {
		case f.path == keep:
		case f.temporary && time.Since(f.used) < stale:
			total += f.size // somebody is writing it
		case f.temporary || total+f.size > limit:
			os.Remove(f.path)
		default:
			total += f.size
		}
	}
}

// stored is a file of a folder.
type stored struct {
	path      string
	size      int64
	used      time.Time
	temporary bool
}

// list is what is this package's of a folder; nothing when there is no folder.
func list(dir string) []stored {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var files []stored
	for _, e := range entries {
		temporary := strings.HasSuffix(e.Name(), suffix+tempSuffix)
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && (temporary || strings.HasSuffix(e.Name(), suffix)) {
			files = append(files, stored{filepath.Join(dir, e.Name()), info.Size(), info.ModTime(), temporary})
		}
	}
	return files
}

// Clear removes all files of a folder, and says how many there were and how many
// bytes they had.
func Clear(dir string) (files int, size int64, err error) {
	var errs []error
	for _, f := range list(dir) {
		if err := os.Remove(f.path); err != nil {
			errs = append(errs, fmt.Errorf("removing packed matrices: %w", err))
			continue
		}
		files++
		size += f.size
	}
	return files, size, errors.Join(errs...)
}
