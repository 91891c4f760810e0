//go:build linux || darwin

package store

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A file that is open can be removed and renamed.
const removesOpenFiles = true

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil // the file system has no such thing (some FUSE and SMB mounts)
	}
	return errors.Join(err, d.Close())
}

// rename replaces to by from.
func rename(from, to string) error { return os.Rename(from, to) }

// isNoSpace reports whether the system said that the disk or quota is full.
func isNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// linkCount returns how many names the file has.
func linkCount(path string) (int, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return int(st.Nlink), nil
}

// allocated returns the bytes the file takes on the disk.
func allocated(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return fi.Size()
}

// freeBytes returns what an ordinary user may still write to dir's file system.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// linkInto makes name in the open directory dir a hard link to src. The name is
// relative to the descriptor, so no symlink on the way can lead elsewhere.
func linkInto(src string, dir *os.File, name string) error {
	return onFd(dir, func(fd int) error {
		return unix.Linkat(unix.AT_FDCWD, src, fd, name, 0)
	})
}

// onFd calls fn with f's descriptor, again when a signal interrupted it.
func onFd(f *os.File, fn func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		for {
			if failed = fn(int(fd)); failed != unix.EINTR {
				return
			}
		}
	})
	return errors.Join(err, failed)
}
