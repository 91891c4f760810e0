package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ensureDir makes dir, a directory under the store, and its name durable.
func (s *Store) ensureDir(dir string) error {
	if fi, err := os.Stat(dir); err == nil && fi.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if dir != s.dir {
		if err := s.ensureDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return s.ioError(dir, err)
	}
	return s.ioError(parent, syncDir(parent))
}

// writeFile makes path hold data, whole or not at all: temporary file, fsync,
// rename, fsync of the directory.
func (s *Store) writeFile(path string, data []byte, mode fs.FileMode) error {
	tmp, err := s.writeTemp(data, mode)
	if err != nil {
		return err
	}
	if err := s.moveInto(tmp, path); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// writeTemp writes a durable temporary file and returns its path.
func (s *Store) writeTemp(data []byte, mode fs.FileMode) (path string, err error) {
	dir := filepath.Join(s.dir, dirTmp)
	if err := s.ensureDir(dir); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, "t") // O_EXCL, 0600
	if err != nil {
		return "", s.ioError(dir, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(s.ioError(f.Name(), err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// moveInto renames a durable file into its place and makes the name durable.
func (s *Store) moveInto(from, to string) error {
	if err := s.ensureDir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := rename(from, to); err != nil {
		return s.ioError(to, err)
	}
	return s.ioError(to, syncDir(filepath.Dir(to)))
}

// removeFile removes path and makes that durable. A missing file is fine.
func (s *Store) removeFile(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
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
