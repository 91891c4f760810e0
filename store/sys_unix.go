//go:build linux || darwin

package store

import (
	"errors"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openFlags keep an open from waiting on a pipe or device and from following a
// symlink.
const openFlags = unix.O_NONBLOCK | unix.O_NOFOLLOW

// isNotRegular reports whether an open failed because of what these flags refuse.
func isNotRegular(err error) bool {
	return errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EISDIR)
}

// errNotDir is what a file in the place of a directory gives.
var errNotDir error = unix.ENOTDIR

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

// usage returns how many names the file has and the bytes it takes on the disk.
func usage(path string) (links int, allocated int64, err error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return 0, 0, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return int(st.Nlink), st.Blocks * 512, nil
}

// diskOf describes the file system of dir.
func diskOf(dir string) (Disk, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Disk{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
		}
	}
	d := Disk{
		ReadOnly: uint64(st.Flags)&readOnlyMount != 0,
		Free:     diskBytes(uint64(st.Bavail), uint64(st.Bsize)),
		Total:    diskBytes(uint64(st.Blocks), uint64(st.Bsize)),
	}
	d.Kind, d.Network = kindOf(&st)
	return d, nil
}

// diskBytes multiplies what a file system says of itself, which may be absurd.
func diskBytes(blocks, size uint64) int64 {
	hi, lo := bits.Mul64(blocks, size)
	if hi != 0 || lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo)
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
