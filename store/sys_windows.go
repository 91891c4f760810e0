package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"
)

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
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// linkCount returns how many names the file has.
func linkCount(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	var info windows.ByHandleFileInformation
	err = windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info)
	return int(info.NumberOfLinks), errors.Join(err, f.Close())
}

// allocated returns the bytes the file takes on the disk: its length, because
// NTFS allocates what the length says.
func allocated(fi fs.FileInfo) int64 { return fi.Size() }

// freeBytes returns what this user may still write to dir's volume.
func freeBytes(dir string) (int64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, &fs.PathError{Op: "GetDiskFreeSpaceEx", Path: dir, Err: err}
	}
	return int64(min(free, 1<<62)), nil
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
