package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// openFlags adds nothing: pipes and devices do not lie in directories here.
const openFlags = 0

// isNotRegular reports whether an open failed because of what is in its place.
func isNotRegular(err error) bool { return errors.Is(err, syscall.EISDIR) }

// errNotDir is what a file in the place of a directory gives.
var errNotDir error = windows.ERROR_DIRECTORY

// A file that is open can be neither removed nor renamed.
const removesOpenFiles = false

// syncDir does nothing: NTFS journals names by itself and offers no such call.
func syncDir(string) error { return nil }

// rename replaces to by from. A virus scanner or an indexer may hold either
// file for a moment, so it tries for about a second; a read-only target refuses
// to be replaced, so it is made writable first.
func rename(from, to string) error {
	var err error
	for try := range 10 {
		if err = os.Rename(from, to); err == nil {
			return nil
		}
		if !errors.Is(err, windows.ERROR_ACCESS_DENIED) && !errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
			return err
		}
		if fi, statErr := os.Lstat(to); statErr == nil && fi.Mode()&0o200 == 0 {
			if chmodErr := os.Chmod(to, 0o600); chmodErr != nil {
				return errors.Join(err, chmodErr)
			}
		}
		time.Sleep(time.Duration(try+1) * 20 * time.Millisecond)
	}
	return err
}

// isNoSpace reports whether the system said that the disk or quota is full.
func isNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED) ||
		errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// usage returns how many names the file has and the bytes it takes on the disk:
// its length, because NTFS allocates what the length says.
func usage(path string) (links int, allocated int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	var info windows.ByHandleFileInformation
	err = windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info)
	return int(info.NumberOfLinks), int64(info.FileSizeHigh)<<32 | int64(info.FileSizeLow), errors.Join(err, f.Close())
}

// diskOf describes the volume of dir.
func diskOf(dir string) (Disk, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return Disk{}, err
	}
	var free, total uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, &total, nil); err != nil {
		return Disk{}, &fs.PathError{Op: "GetDiskFreeSpaceEx", Path: dir, Err: err}
	}
	d := Disk{Free: int64(min(free, 1<<62)), Total: int64(min(total, 1<<62))}
	root, err := windows.UTF16PtrFromString(filepath.VolumeName(dir) + `\`)
	if err != nil {
		return d, nil // the kind stays unknown
	}
	d.Network = windows.GetDriveType(root) == windows.DRIVE_REMOTE
	var flags uint32
	var kind [windows.MAX_PATH + 1]uint16
	if windows.GetVolumeInformation(root, nil, 0, nil, nil, &flags, &kind[0], uint32(len(kind))) == nil {
		const readOnlyVolume = 0x00080000 // FILE_READ_ONLY_VOLUME
		d.Kind, d.ReadOnly = windows.UTF16ToString(kind[:]), flags&readOnlyVolume != 0
	}
	return d, nil
}

// datasync makes f's bytes and length durable.
func datasync(f *os.File) error { return f.Sync() }

// preallocate sets the length, for which NTFS allocates the clusters.
func preallocate(f *os.File, size int64) error { return f.Truncate(size) }

// cloneInto is not offered here.
func cloneInto(_, _ *os.File, _ string) error { return errors.ErrUnsupported }

// linkInto makes name in the open directory dir a hard link to src.
func linkInto(src string, dir *os.File, name string) error {
	return os.Link(src, filepath.Join(dir.Name(), name))
}
