package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ensureDir makes dir and what it lies in, and makes their names durable. The
// store's own directories are this user's; those above it are as usual.
func (s *Store) ensureDir(dir string) error {
	fi, err := s.fs.Lstat(dir)
	if err == nil && (fi.IsDir() || fi.Mode()&fs.ModeSymlink != 0) {
		// A symlink: whoever made it meant a directory.
		if len(dir) <= len(s.dir) {
			return nil
		}
		return s.settleDirs(dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.ioError(dir, err)
	}
	parent := filepath.Dir(dir)
	if err == nil || parent == dir {
		return s.ioError(dir, &fs.PathError{Op: "mkdir", Path: dir, Err: errNotDir})
	}
	if err := s.ensureDir(parent); err != nil {
		return err
	}
	perm := fs.FileMode(0o700)
	if len(dir) < len(s.dir) {
		perm = 0o755
	}
	if err := s.fs.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return s.ioError(dir, err)
	}
	return s.ioError(parent, s.fs.SyncDir(parent))
}

// A name that is there need not be durable: whoever made it may have been
// killed before the sync, and then a power cut takes it away with all that was
// put behind it since. So nothing is built on a name before a sync that this
// process has seen; settled remembers those.

// settleDirs makes the name of an existing directory durable, and those of its
// neighbours, which will be used as well, with the same sync.
func (s *Store) settleDirs(dir string) error {
	if s.isSettled(dir) {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != s.dir {
		if err := s.settleDirs(parent); err != nil {
			return err
		}
	}
	entries, err := s.fs.ReadDir(parent)
	if err == nil {
		err = s.fs.SyncDir(parent)
	}
	if err != nil {
		return s.ioError(parent, err)
	}
	// Those of partials, repositories and branches come and go.
	if rel, err := filepath.Rel(s.dir, parent); err == nil && (rel == "." || rel == dirBlobs || rel == dirParts || rel == dirGit) {
		for _, e := range entries {
			s.setSettled(filepath.Join(parent, e.Name()))
		}
	}
	return nil
}

// settleBlob makes the name of a published blob durable.
func (s *Store) settleBlob(d Digest) error {
	path := s.Path(d)
	if s.isSettled(path) {
		return nil
	}
	err := s.settleFile(path)
	if err == nil {
		s.setSettled(path)
	}
	return err
}

// settleFile makes the name of an existing file durable. On a disk that is
// read-only it is.
func (s *Store) settleFile(path string) error {
	err := s.settleDirs(filepath.Dir(path))
	if err == nil {
		err = s.ioError(path, s.fs.SyncDir(filepath.Dir(path)))
	}
	if errors.Is(err, syscall.EROFS) {
		return nil
	}
	return err
}

func (s *Store) isSettled(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled[path]
}

func (s *Store) setSettled(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled[path] = true
}

// writeFile makes path hold data, whole or not at all: temporary file, sync,
// rename, sync of the directory.
func (s *Store) writeFile(path string, data []byte, mode fs.FileMode) error {
	tmp, err := s.writeTemp(data, mode)
	if err != nil {
		return err
	}
	if err := s.moveInto(tmp, path); err != nil {
		return errors.Join(err, s.fs.Remove(tmp))
	}
	return nil
}

// writeTemp writes a durable temporary file and returns its path.
func (s *Store) writeTemp(data []byte, mode fs.FileMode) (path string, err error) {
	dir := filepath.Join(s.dir, dirTmp)
	if err := s.ensureDir(dir); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "t"+rand.Text())
	f, err := s.fs.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", s.ioError(dir, err)
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = s.fs.Chmod(path, mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(s.ioError(path, err), s.fs.Remove(path))
	}
	return path, nil
}

// moveInto renames a durable file into its place and makes the name durable.
func (s *Store) moveInto(from, to string) error {
	if err := s.ensureDir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := s.fs.Rename(from, to); err != nil {
		if fi, e := s.fs.Lstat(to); e == nil && fi.IsDir() {
			err = &fs.PathError{Op: "rename", Path: to, Err: ErrNotRegular}
		}
		return s.ioError(to, err)
	}
	return s.ioError(to, s.fs.SyncDir(filepath.Dir(to)))
}

// removeFile removes path and makes that durable. A missing file is fine, but
// its absence is made durable too.
func (s *Store) removeFile(path string) error {
	dir := filepath.Dir(path)
	// A read-only disk refuses to remove even what is not there.
	_, err := s.fs.Lstat(path)
	if err == nil {
		err = s.fs.Remove(path)
	}
	absent := errors.Is(err, fs.ErrNotExist)
	switch {
	case absent && s.isSettled(dir+"/"):
		return nil
	case err != nil && !absent:
		return s.ioError(path, err)
	}
	err = s.fs.SyncDir(dir)
	if errors.Is(err, fs.ErrNotExist) || absent && errors.Is(err, syscall.EROFS) {
		return nil
	}
	if err == nil {
		s.setSettled(dir + "/") // what is absent there, is
	}
	return s.ioError(path, err)
}

// publish gives a durable file its place among the blobs, unless a good blob
// of that name appeared meanwhile: then that one stays and from is removed.
func (s *Store) publish(from string, d Digest, size int64) error {
	if s.has(d, size) {
		return errors.Join(s.settleBlob(d), s.removeFile(from))
	}
	if err := s.moveInto(from, s.Path(d)); err != nil {
		return fmt.Errorf("publish blob %s: %w", d, err)
	}
	s.setSettled(s.Path(d))
	return nil
}
