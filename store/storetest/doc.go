// Package storetest tests what keeps things on disks: a file system in memory
// that forgets what was not made durable, and conformance suites.
//
// It owns:
//
//   - [FS], a store.FS in memory. [FS.Crash] is a power cut: it returns the file
//     system that the next boot finds, in which unsynced pages, lengths, modes
//     and names are there or not, by a seed. [FS.Kill] is a killed process: the
//     page cache survives, locks and open files do not. [FS.Before] makes any
//     call fail, be left out, or be the last one.
//   - [TestFS], what every store.FS has to do.
//   - [TestStore], what a store has to do on any of them.
//
// What Crash loses was seen on ext4 and XFS (a shut down file system, mounted
// again): a preallocated and written file has its right length and is all zeros;
// a file written and renamed without a sync has its new name and no bytes; a file
// synced and renamed without a sync of the directory has its old name. It goes
// further than these two do: names may be lost in any combination, as POSIX
// allows, and a page may hold any version that was written since the last sync,
// or be torn between two at a multiple of 512 bytes.
//
// # Not modelled
//
//   - Bytes going bad that were durable: tests do that to a file themselves.
//   - Disks that acknowledge a sync and lose it; leaving Sync out
//     ([FS.Before] with [ErrSkip]) is such a disk, and a store does not survive it.
//   - Symlinks, owners, and special files.
package storetest
