package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// partial is the directory of one unfinished ingestion.
type partial struct {
	fs   FS
	dir  string
	lock io.Closer // nil when not taken
}

func (s *Store) partialOf(w Want) partial { return s.partialAt(w.key()) }

func (s *Store) partialAt(key string) partial {
	return partial{fs: s.fs, dir: filepath.Join(s.dir, dirPartial, key)}
}

func (p partial) data() string     { return filepath.Join(p.dir, "data") }
func (p partial) journal() string  { return filepath.Join(p.dir, "journal") }
func (p partial) pieces() string   { return filepath.Join(p.dir, "pieces") }
func (p partial) lockFile() string { return filepath.Join(p.dir, "lock") }

// lockPartial takes the lock of w's partial, making the directory if need be.
// The owner removes the directory, lock file included, when it is done, so it
// may have to be made again.
func (s *Store) lockPartial(w Want) (partial, error) { return s.lockKey(w.key()) }

// lockKey is lockPartial by the name of the directory.
func (s *Store) lockKey(key string) (partial, error) {
	p := s.partialAt(key)
	for range 32 {
		if err := s.ensureDir(p.dir); err != nil {
			return p, err
		}
		l, err := s.fs.Lock(p.lockFile())
		switch {
		case err == nil:
			p.lock = l
			return p, nil
		case errors.Is(err, ErrLocked):
			return p, &LockedError{Key: key, Path: p.lockFile()}
		case !errors.Is(err, fs.ErrNotExist): // else it was removed under us
			return p, fmt.Errorf("lock blob %s: %w", key, s.ioError(p.lockFile(), err))
		}
	}
	return p, &LockedError{Key: key, Path: p.lockFile()}
}

// clear removes data and journal; the lock stays.
func (p partial) clear() error {
	var errs []error
	// The journal first: data without a journal is nothing, a journal without
	// data is nothing, but an old journal must never meet new data.
	for _, path := range []string{p.journal(), p.data(), p.pieces()} {
		if err := p.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, p.fs.SyncDir(p.dir))...)
}

// remove removes the directory and gives the lock back. Where open files cannot
// be removed the lock file goes last; if somebody took it in between, that
// somebody keeps it.
func (p partial) remove() error {
	err := p.clear()
	if removesOpenFiles {
		err = errors.Join(err, p.fs.Remove(p.lockFile()), p.lock.Close())
	} else {
		err = errors.Join(err, p.lock.Close())
		_ = p.fs.Remove(p.lockFile()) // taken again by another process: it cleans up
	}
	_ = p.fs.Remove(p.dir) // not empty: the same
	return err
}
