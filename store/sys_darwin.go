package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes f's bytes and length durable (F_FULLFSYNC).
func datasync(f *os.File) error { return f.Sync() }

// preallocate sets the length; APFS reserves nothing ahead.
func preallocate(f *os.File, size int64) error { return f.Truncate(size) }

// cloneInto makes name in the open directory dir share src's blocks, copied on
// write (APFS). It leaves nothing behind on failure.
func cloneInto(src, dir *os.File, name string) error {
	return onFd(dir, func(dirfd int) error {
		return onFd(src, func(fd int) error { return unix.Fclonefileat(fd, dirfd, name, 0) })
	})
}

const readOnlyMount = unix.MNT_RDONLY

// kindOf names the file system and says whether it is on another machine.
func kindOf(st *unix.Statfs_t) (kind string, network bool) {
	return unix.ByteSliceToString(st.Fstypename[:]), st.Flags&unix.MNT_LOCAL == 0
}
