// Package bundle writes branches of a store into one file that can be carried
// to a machine without a network, and reads such files. It owns the format in
// docs/bundle-format.md: a tar under zstd with a manifest first, then the
// digests of all parts, then each distinct content once. `zstd -d | tar t`
// reads it.
//
// # Export
//
//	manifest = snapshots sorted, distinct contents by falling length
//	write manifest, part digests
//	for each content, each part:
//		read it, compare its BLAKE3 with the store's list     // one goroutine
//		write it                                              // the caller's
//
// Contents longer than a part are stored in zstd frames of raw blocks, whose
// layout follows from the length alone: weights do not compress, and a reader
// can seek to any part. Everything else is compressed. The same snapshots give
// the same bytes.
//
// # Import
//
//	read and check manifest and part digests; nothing is believed
//	for each content that the store does not hold:
//		for each part that its ingestion does not hold:
//			read it (seeking over what is held), write it, compare its BLAKE3
//		commit: SHA-256 of the whole
//	publish each snapshot all of whose contents are there
//
// # Guarantees
//
//   - Export fails on a damaged blob, and says where it is damaged.
//   - WriteFile leaves nothing under the final name unless the bundle is whole
//     and on the disk.
//   - Import publishes a content only if it has the SHA-256 that the manifest
//     states, and a snapshot only after its contents; nothing that the store
//     holds is replaced. Killed at any moment it goes on where it was.
//   - A damaged bundle is told with files and byte ranges; what is good in it is
//     kept, so that another copy needs to bring only the rest.
//   - Memory does not depend on the length of contents: 4 parts of 1 MiB, the
//     manifest (at most 32 MiB of JSON), a zstd window (at most 32 MiB; 1 MiB for
//     what Export writes), and 32 bytes for each MiB of the bundle (three times that
//     while it is opened).
//
// # Not guaranteed
//
//   - That a bundle holds what its manifest calls it: nobody signs it. Import
//     refuses one that contradicts a commit the store knows; without that, and
//     without the hub, a commit's name is the word of whoever made the bundle.
//   - That a damaged manifest, or a bundle that was compressed anew and is
//     damaged, gives up anything: then another copy is needed.
package bundle
