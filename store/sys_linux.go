package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes f's bytes and length durable.
func datasync(f *os.File) error { return onFd(f, unix.Fdatasync) }

// preallocate reserves size bytes, so that a disk that is too small is found
// out at the start. Where the file system cannot, only the length is set; and in
// memory, where reserving takes as long as writing and would come before the
// first byte: there is no fragmentation to spare there, and a machine that is
// out of memory has other worries.
func preallocate(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	var st unix.Statfs_t
	err := onFd(f, func(fd int) error { return unix.Fstatfs(fd, &st) })
	if err == nil && st.Type == unix.TMPFS_MAGIC {
		if fi, err := f.Stat(); err != nil || fi.Size() >= size {
			return err // never shorter
		}
		return f.Truncate(size)
	}
	err = onFd(f, func(fd int) error { return unix.Fallocate(fd, 0, 0, size) })
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

const readOnlyMount = unix.ST_RDONLY

// kindOf names the file system and says whether it is known to be on another
// machine; the numbers are those of statfs(2) and the kernel's magic.h.
func kindOf(st *unix.Statfs_t) (kind string, network bool) {
	for _, k := range []struct {
		magic   uint32
		name    string
		network bool
	}{
		{unix.EXT4_SUPER_MAGIC, "ext4", false},
		{unix.XFS_SUPER_MAGIC, "xfs", false},
		{unix.BTRFS_SUPER_MAGIC, "btrfs", false},
		{unix.TMPFS_MAGIC, "tmpfs", false},
		{unix.RAMFS_MAGIC, "ramfs", false},
		{unix.OVERLAYFS_SUPER_MAGIC, "overlay", false},
		{unix.F2FS_SUPER_MAGIC, "f2fs", false},
		{unix.MSDOS_SUPER_MAGIC, "vfat", false},
		{unix.EXFAT_SUPER_MAGIC, "exfat", false},
		{unix.ECRYPTFS_SUPER_MAGIC, "ecryptfs", false},
		{unix.SQUASHFS_MAGIC, "squashfs", false},
		{unix.ISOFS_SUPER_MAGIC, "iso9660", false},
		{0x2fc12fc1, "zfs", false},
		{0xca451a4e, "bcachefs", false},
		{0x5346544e, "ntfs", false},
		{0x7366746e, "ntfs3", false},
		{unix.FUSE_SUPER_MAGIC, "fuse", false}, // may be anything: sshfs says no more
		{unix.NFS_SUPER_MAGIC, "nfs", true},
		{unix.SMB_SUPER_MAGIC, "smb", true},
		{unix.SMB2_SUPER_MAGIC, "smb2", true},
		{unix.CIFS_SUPER_MAGIC, "cifs", true},
		{unix.V9FS_MAGIC, "9p", true},
		{unix.AFS_SUPER_MAGIC, "afs", true},
		{unix.CODA_SUPER_MAGIC, "coda", true},
		{unix.NCP_SUPER_MAGIC, "ncp", true},
		{unix.CEPH_SUPER_MAGIC, "ceph", true},
		{0x0bd00bd0, "lustre", true},
		{0x19830326, "beegfs", true},
		{0x47504653, "gpfs", true},
		{0x01161970, "gfs2", true},
		{0x7461636f, "ocfs2", true},
	} {
		if uint32(st.Type) == k.magic {
			return k.name, k.network
		}
	}
	return "", false
}
