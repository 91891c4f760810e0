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
// A [Fault] makes matching requests go wrong:
//
//	the line      reset or closed after n bytes, or each n bytes of all traffic;
//	              stalled; late; slow; slow from the start; a head byte by byte,
//	              or without end
//	the answer    any status, 429 with three ways to say how long, pages for
//	              people, redirects, headers changed or left out, gzip
//	the range     ignored, another offset, another total
//	the body      short, long, a flipped bit, another file's
//	the listing   other sizes, digests and names, pages that fail (Listed…)
//	the moment    something happens before an answer or in the middle of it (Do)
//
// It acts for ever, so many times, after so many requests, or on one connection.
// Faults wrap the handlers; the handlers know nothing of them. [ParseFault]
// reads one from a line of text.
//
// What needs no fault is the server's: rates and latency (SetRate, SetConnRate,
// SetLatency), links that end (Options.URLLife, URLUses, RangeBound,
// ExpireURLs), branches that move or go (SetBranch), repositories that are
// renamed (Rename), gated, private or disabled, files of any size (Synthetic,
// SyntheticAfter, Content.Claiming) and any number (SmallFiles).
//
// Not given: writing (uploads, git), Xet, datasets and spaces, search, TLS, and
// rate limits that really count.
package hubtest
