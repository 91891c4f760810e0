// Package hubtest is a faithful hub on loopback, with faults that happen on
// command. It serves tests and the embedded demo, and it is faithful enough
// for the official clients: hf download, curl and our own client all work
// against it unchanged.
//
// It owns two origins, which are two ports. The API origin answers what
// huggingface.co answers: model info, refs, tree (paged), paths-info,
// treesize, raw, and resolve in its four forms:
//
//	LFS file                      302 to a signed URL on the CDN origin
//	regular file by branch name   307, relative, to /api/resolve-cache/…
//	regular file by commit        200, the content itself
//	anything refused              401, 403 or 404 with X-Error-Code
//
// The CDN origin serves the content of LFS files by byte ranges to whoever
// shows a signature that has not expired. It never needs a token, and refuses
// a request that carries one, as S3 does; the log tells (Entry.Auth).
//
// A repository is branch → path → content ([RepoData]): in memory, made from a
// seed while it is read, or on disk ([Content]).
// Object ids are git's own: blob, tree and commit ids are what git would
// compute, so the same contents have the same commits everywhere. A file is
// stored by LFS when the hub's default .gitattributes would say so, or from
// 10 MiB on.
//
// A [Fault] makes matching requests go wrong: a status, a reset connection, a
// short body, a flipped bit, a stall, a wrong range, a rewritten listing.
// Faults wrap the handlers; the handlers know nothing of them.
//
// Rates, latency and sizes are the server's: SetRate, SetConnRate, SetLatency,
// Synthetic, SmallFiles.
//
// Not given: writing (uploads, git), Xet, datasets and spaces, search, rate
// limits that really count, and gzip'd answers.
package hubtest
