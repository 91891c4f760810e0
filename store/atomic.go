package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ensureDir makes dir and what it lies in, and makes their names durable. The
// store's own directories are this user's; those above it are as usual.
func (s *Store) ensureDir(dir string) error {
	fi, err := s.fs.Lstat(dir)
	if err == nil && (fi.IsDir() || fi.Mode()&fs.ModeSymlink != 0) {
		return nil // a symlink: whoever made it meant a directory
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
		return s.ioError(to, err)
	}
	return s.ioError(to, s.fs.SyncDir(filepath.Dir(to)))
}

// removeFile removes path and makes that durable. A missing file is fine.
func (s *Store) removeFile(path string) error {
	// A read-only disk refuses to remove even what is not there.
	if _, err := s.fs.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := s.fs.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.fs.SyncDir(filepath.Dir(path))
	}
	return s.ioError(path, err)
}

// publish gives a durable file its place among the blobs, unless a good blob
// of that name appeared meanwhile: then that one stays and from is removed.
func (s *Store) publish(from string, d Digest, size int64) error {
	if s.has(d, size) {
		return s.removeFile(from)
	}
	if err := s.moveInto(from, s.Path(d)); err != nil {
		return fmt.Errorf("publish blob %s: %w", d, err)
	}
	return nil
}
