package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"
)

// OS returns the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

// osFile is a file of the operating system.
type osFile struct{ *os.File }

var (
	_ FS   = osFS{}
	_ File = osFile{}
)

func (osFS) OpenFile(path string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(path, flag|openFlags, perm)
	if err != nil {
		if isNotRegular(err) {
			err = &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
		}
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return osFile{f}, nil
}

func (osFS) Lstat(path string) (fs.FileInfo, error)     { return os.Lstat(path) }
func (osFS) SameFile(a, b fs.FileInfo) bool             { return os.SameFile(a, b) }
func (osFS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
func (osFS) Mkdir(path string, perm fs.FileMode) error  { return os.Mkdir(path, perm) }
func (osFS) Rename(from, to string) error               { return rename(from, to) }
func (osFS) Remove(path string) error                   { return os.Remove(path) }
func (osFS) Link(from, to string) error                 { return os.Link(from, to) }
func (osFS) SyncDir(path string) error                  { return syncDir(path) }
func (osFS) Disk(path string) (Disk, error)             { return diskOf(path) }

func (osFS) Usage(path string) (links int, allocated int64, err error) { return usage(path) }

func (osFS) Clone(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close() // only read from
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer dir.Close() // only a place to start from
	return cloneInto(src, dir, filepath.Base(to))
}

// Lock looks, once it has the lock, whether the file it locked is still the one
// that has the name: the owner removes its lock file when it is done, and two
// processes could hold "the" lock otherwise.
func (osFS) Lock(path string) (io.Closer, error) {
	l := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|openFlags), flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	switch {
	case isNotRegular(err), errors.Is(err, syscall.EISDIR):
		return nil, &fs.PathError{Op: "lock", Path: path, Err: ErrNotRegular}
	case err != nil:
		return nil, named("lock", path, err)
	case !ok:
		return nil, ErrLocked
	}
	mine, err := l.Stat()
	var named fs.FileInfo
	if err == nil {
		named, err = os.Lstat(path)
	}
	switch {
	case err != nil:
	case !mine.Mode().IsRegular():
		err = &fs.PathError{Op: "lock", Path: path, Err: ErrNotRegular}
	case !os.SameFile(mine, named):
		err = &fs.PathError{Op: "lock", Path: path, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Preallocate makes the file size bytes long and reserves the space.
func (f osFile) Preallocate(size int64) error {
	return named("preallocate", f.Name(), preallocate(f.File, size))
}

// Sync makes the bytes and the length durable.
func (f osFile) Sync() error { return named("sync", f.Name(), datasync(f.File)) }

// named puts the path into an error of a system call.
func named(op, path string, err error) error {
	var p *fs.PathError
	if err == nil || errors.As(err, &p) {
		return err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// readLimited reads a small file; one that is longer than limit is an error, so
// that nothing on the disk can make us allocate without bound.
func readLimited(fsys FS, path string, limit int64) ([]byte, error) {
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: longer than %d bytes: %w", path, limit, ErrFormat)
	}
	return data, nil
}

func (osFS) Chmod(path string, mode fs.FileMode) error {
	fi, err := os.Lstat(path)
	if err == nil && !fi.Mode().IsRegular() && !fi.IsDir() {
		err = &fs.PathError{Op: "chmod", Path: path, Err: ErrNotRegular}
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
