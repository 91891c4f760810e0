// Package store keeps content-addressed blobs on the local disk: it owns the
// directory described in docs/store-format.md and nothing else. It knows
// nothing of HTTP or of models.
//
// A blob's name is the SHA-256 of its bytes. Beside every blob lies the list of
// the BLAKE3 digests of its parts (1 MiB each), so that a blob can be re-hashed
// on all cores, damage can be located, and only what is damaged needs to be
// fetched again.
//
// # Ingestion
//
// A blob enters through an [Ingest]. Parts may arrive in any order from many
// goroutines:
//
//	in, err := s.Ingest(ctx, want)      // a new one, or one that was left
//	for each part i with !in.Held(i):
//		in.WritePart(ctx, i, bytes)     // pwrite, then one journal record
//	d, err := in.Commit(ctx)            // SHA-256, fsync, rename, fsync(dir)
//
// and inside WritePart:
//
//	digest := blake3(bytes)
//	pwrite(data, bytes, i*PartSize)     // first the bytes,
//	append(journal, PART i digest)      // then the claim
//	every 1 s or 64 MiB:
//		fdatasync(data)
//		append(journal, MARK: everything before is on the platter; SHA-256 state)
//		fdatasync(journal)
//
// SHA-256 cannot be computed out of order, so a goroutine follows behind the
// contiguous frontier and reads the parts back from the page cache. Resuming is
// not a mode: opening a left ingestion replays the journal, re-hashes what no
// mark covers and goes on.
//
// # Guarantees
//
//   - A published blob had the length and the digests that were asked for, and
//     was on the disk before its name appeared.
//   - Killing the process loses at most the parts being written at that moment.
//   - A power cut loses at most what came after the last mark, and that is
//     re-hashed, never believed.
//   - A snapshot exists only if every blob of it was published before.
//   - Removing takes nothing that a snapshot names or a running process has
//     announced to need ([Store.Hold]), and an interruption of it leaves nothing
//     but garbage.
//   - What a fetch has begun to bring is noted until it has ended ([Store.HoldFetch]),
//     so that what is left of it can be told by its branch.
//   - A blob known to be damaged is not found until it has been repaired.
//   - What cannot be looked at (out of file descriptors, a disk with errors) is an
//     error, and neither absent nor damaged.
//   - Methods are safe for concurrent use, by several processes too: one process
//     at a time writes a blob, the others get [ErrLocked].
//
// # Not guaranteed
//
//   - That a blob still holds what was verified: disks rot. [Store.Verify] tells.
//   - Anything against somebody who may write into the store's directory; it is
//     made with mode 0700 and trusted. Names and digests from outside are not.
//   - Locking on network file systems that do not implement flock;
//     [Store.FileSystem] says whether the store is on one.
package store
