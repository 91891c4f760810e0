package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// partial is the directory of one unfinished ingestion.
type partial struct {
	dir  string
	lock *flock.Flock // nil when not taken
}

func (s *Store) partialOf(w Want) partial {
	return partial{dir: filepath.Join(s.dir, dirPartial, w.key())}
}

func (p partial) data() string     { return filepath.Join(p.dir, "data") }
func (p partial) journal() string  { return filepath.Join(p.dir, "journal") }
func (p partial) lockFile() string { return filepath.Join(p.dir, "lock") }

// lockPartial takes the lock of w's partial, making the directory if need be.
//
// The owner removes the directory, lock file included, when it is done. So
// whoever got a lock must look whether the file it locked is still the one that
// has the name; otherwise two processes could hold "the" lock.
func (s *Store) lockPartial(w Want) (partial, error) {
	p := s.partialOf(w)
	for range 32 {
		if err := s.ensureDir(p.dir); err != nil {
			return p, err
		}
		l := flock.New(p.lockFile())
		ok, err := l.TryLock()
		if errors.Is(err, fs.ErrNotExist) {
			continue // the directory was removed under us
		}
		if err != nil {
			return p, fmt.Errorf("lock blob %s: %w", w.key(), s.ioError(p.lockFile(), err))
		}
		if !ok {
			break
		}
		mine, err1 := l.Stat()
		named, err2 := os.Stat(p.lockFile())
		if err1 == nil && err2 == nil && os.SameFile(mine, named) {
			p.lock = l
			return p, nil
		}
		if err := l.Unlock(); err != nil {
			return p, fmt.Errorf("lock blob %s: %w", w.key(), err)
		}
	}
	return p, &LockedError{Key: w.key(), Path: p.lockFile()}
}

// clear removes data and journal; the lock stays.
func (p partial) clear() error {
	var errs []error
	// The journal first: data without a journal is nothing, a journal without
	// data is nothing, but an old journal must never meet new data.
	for _, path := range []string{p.journal(), p.data()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, syncDir(p.dir))...)
}

// remove removes the directory and gives the lock back. Where open files cannot
// be removed the lock file goes last; if somebody took it in between, that
// somebody keeps it.
func (p partial) remove() error {
	err := p.clear()
	if removesOpenFiles {
		err = errors.Join(err, os.Remove(p.lockFile()), p.lock.Unlock())
	} else {
		err = errors.Join(err, p.lock.Unlock())
		_ = os.Remove(p.lockFile()) // taken again by another process: it cleans up
	}
	_ = os.Remove(p.dir) // not empty: the same
	return err
}
