// Package hfcache reads and writes the cache of the official Hugging Face
// client, so that what one of the two programs has fetched need not be fetched
// again by the other. It owns the layout described in docs/layouts.md and
// nothing else: what is wanted, and what a store holds, it is told.
//
//	models--owner--name/
//		blobs/<etag>                 SHA-256 of an LFS file, git blob id of another
//		snapshots/<commit>/<path>    symlink to ../../blobs/<etag>
//		refs/<branch>                the commit, without a newline
//		trees/<commit>.json          the listing, when somebody has asked for all of it
//
// # Guarantees
//
//   - Nothing in a cache is believed: [Cache.Find] and [Cache.Revisions] say what
//     may be there, and store.Adopt hashes it.
//   - [Cache.Export] writes a file whole or not at all, in the order blobs,
//     snapshot, listing, branch, so that what can be found is complete. It takes
//     the locks that the official client takes.
//   - A blob of an exported cache is a file in that cache: the official client
//     deletes what its links lead to, and must never find a store there.
//   - A listing (trees/) is written only for a complete commit: with it, the
//     official client refuses a partial one when it is offline.
//   - All writing goes through an os.Root on the cache: no symlink in it leads
//     outside.
//
// # Not guaranteed
//
//   - The shared blobs of newer clients (blobs/ at the top of the cache, named by
//     Xet hashes) are read where a repository's blobs link to them, and never
//     written: nothing here knows a file's Xet hash.
//   - Other kinds of repositories than models are searched for contents, but not
//     listed or written.
package hfcache
