package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes f's bytes and length durable.
func datasync(f *os.File) error { return onFd(f, unix.Fdatasync) }

// preallocate reserves size bytes, so that a disk that is too small is found
// out at the start. Where the file system cannot, only the length is set.
func preallocate(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	err := onFd(f, func(fd int) error { return unix.Fallocate(fd, 0, 0, size) })
	if err == nil || isNoSpace(err) {
		return err
	}
	return f.Truncate(size)
}

// cloneInto makes name in the open directory dir share src's blocks, copied on
// write (FICLONE: btrfs, XFS, bcachefs). It leaves nothing behind on failure.
func cloneInto(src, dir *os.File, name string) error {
	return onFd(dir, func(dirfd int) error {
		const flags = unix.O_CREAT | unix.O_EXCL | unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		dst, err := unix.Openat(dirfd, name, flags, 0o644)
		if err != nil {
			return err
		}
		err = onFd(src, func(fd int) error { return unix.IoctlFileClone(dst, fd) })
		if err == nil {
			err = unix.Fsync(dst)
		}
		err = errors.Join(err, unix.Close(dst))
		if err != nil {
			err = errors.Join(err, unix.Unlinkat(dirfd, name, 0))
		}
		return err
	})
}
