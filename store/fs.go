package store

import (
	"io"
	"io/fs"
	"time"
)

// FS is the file system under a store: everything that a store does to its own
// directory goes through it. The store of [Open] is on the operating system's
// ([OS]); tests put one under it that loses what was not made durable.
//
// Paths are absolute. Errors satisfy errors.Is for fs.ErrNotExist, fs.ErrExist
// and fs.ErrPermission and wrap what the system said (ENOSPC, EROFS, …).
// Methods are safe for concurrent use.
//
// What a power cut leaves:
//
//   - The bytes and the length of a file as of its last successful Sync. What
//     was written since may be there, or be zeros, in any combination; the
//     length may be the old one or the new one.
//   - The names of a directory as of its last successful SyncDir. Each creation,
//     renaming, link and removal since may have happened or not. A rename that
//     replaces a name leaves the old file or the new one there, never neither; one
//     between two directories can leave both names, so both want a SyncDir.
//   - A name says nothing of the content: that needs Sync before the rename.
//   - After a failed Sync nothing is known of what was written since the last
//     good one, even if a later Sync succeeds.
//
// Modes and times need not survive, and no lock does.
type FS interface {
	// OpenFile opens a regular file with the flags of package os (O_RDONLY,
	// O_WRONLY, O_RDWR, O_CREATE, O_EXCL, O_TRUNC). Anything else in its place,
	// a symlink too, is ErrNotRegular; it never blocks on a pipe or device.
	OpenFile(path string, flag int, perm fs.FileMode) (File, error)
	// Lstat describes what has the name and follows no symlink.
	Lstat(path string) (fs.FileInfo, error)
	// SameFile reports whether two descriptions by this FS are of one file.
	SameFile(a, b fs.FileInfo) bool
	// Usage returns how many names a file has and the bytes it takes on the disk,
	// reserved ones included.
	Usage(path string) (links int, allocated int64, err error)
	// ReadDir lists a directory by name.
	ReadDir(path string) ([]fs.DirEntry, error)
	// Mkdir makes one directory.
	Mkdir(path string, perm fs.FileMode) error
	// Rename gives from the name to, atomically replacing a file that has it.
	Rename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(path string) error
	// Chmod sets the permissions of a file or directory. A symlink in its place is
	// ErrNotRegular: what it leads to is not ours.
	Chmod(path string, mode fs.FileMode) error
	// Link makes to another name of the file from. Any error means that there is
	// no such name and that copying has to do.
	Link(from, to string) error
	// Clone makes the new file to share the blocks of from, copied on write, and
	// its content durable. Any error means that nothing was made and that copying
	// has to do.
	Clone(from, to string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
	// Lock takes the exclusive lock of a file, which it creates, until the
	// returned Closer is closed or the process ends. ErrLocked when somebody else
	// has it, also within this process; fs.ErrNotExist when the directory is gone
	// or the file lost its name to another one while the lock was taken.
	Lock(path string) (io.Closer, error)
	// Disk describes the file system that path is on.
	Disk(path string) (Disk, error)
}

// File is an open regular file of an [FS]. ReadAt and WriteAt are safe for
// concurrent use.
type File interface {
	io.Reader
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Stat describes the file.
	Stat() (fs.FileInfo, error)
	// Truncate sets the length; what is added reads as zeros.
	Truncate(size int64) error
	// Preallocate makes the file size bytes long, if it is shorter, and reserves
	// the space where the file system can.
	Preallocate(size int64) error
	// Sync makes the bytes and the length durable, not the name. An error is
	// final: calling it again proves nothing.
	Sync() error
}

// Disk describes a file system.
type Disk struct {
	Kind     string `json:"kind"`      // "ext4", "nfs", …; "" when unknown
	Network  bool   `json:"network"`   // known to be on another machine: locks and Sync may not hold
	ReadOnly bool   `json:"read_only"` // mounted read-only
	Free     int64  `json:"free"`      // bytes that this user may still write
	Total    int64  `json:"total"`     // bytes; 0 when unknown
}

// Options are what a store can be opened with; the zero value is what Open uses.
type Options struct {
	FS  FS               // nil means OS()
	Now func() time.Time // paces the marks and dates snapshots; nil means time.Now
}
