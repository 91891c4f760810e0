// Package hub speaks the Hugging Face Hub's read protocol.
//
// It owns references (owner/name:revision), the client (refs, revision, tree,
// small files, ranged reads through the redirect to storage), authentication,
// and the typed errors with their hints. It writes nothing to disk but its cache,
// does not know what a model is, and carries commits, never branch names, once a
// revision has been resolved.
//
// # Two planes
//
// Calls of the API and small files go through one HTTP client, ranges of
// weights through another: HTTP/1.1, as many connections as Options.MaxConns.
// Both use go-retryablehttp for what happens before the body: connections
// refused or reset, 408, 429, 5xx. A body that breaks is begun again by the
// client when it is small, and is an error that is Temporary when it came from
// OpenRange, whose caller owns the offset.
//
// # Time
//
// Three layers try again, each for its own reason:
//
//	go-retryablehttp   a request, until its headers are there: 4 tries of the API, 3 of storage
//	this client        a small body that broke or stood still: 3 tries
//	the caller         a ranged body, from the byte where it broke (hub/fetch, and app for headers)
//
// and none of them for longer than a host deserves: one that has not answered a
// single request gets a minute in all, whoever asks it what, and one that has
// answered before gets five. Any answer puts that back to the start. Then the
// error is no longer Temporary, and all layers stop at once.
//
// No answer means none within Options.HeaderTimeout (HF_HUB_ETAG_TIMEOUT); a body
// stands still when it brings nothing for Options.StallTimeout
// (HF_HUB_DOWNLOAD_TIMEOUT). Both are 15 s by default, and there is no limit on a
// body that goes on.
//
// What a server asks to wait for (Retry-After in seconds or as a date, or a
// RateLimit window with nothing left) is waited for here up to a minute, and
// Options.OnWait is told, as it is of a host that does not answer; beyond, the error
// says how long. When less than a
// twentieth of a rate limit's quota is left, requests are spread over the rest of
// its window, so that there is no refusal to wait for.
//
// Redirects are followed by hand:
//
//	at most 5 hops; the query survives
//	the token goes only to the endpoint's own scheme, host and port
//	https never becomes http; plain http only on loopback, unless allowed
//	a public endpoint cannot send us to a private or loopback address
//
// # The cache
//
// With Options.CacheDir answers are kept on disk (docs/cache-format.md): trees and
// small files for ever, since a commit and a digest name them; refs and revisions
// with their ETag, so that asking again costs one small request. What is read from
// there passes the same checks as what the hub says. A branch costs two requests
// and one for each file, a warm one costs one, a listing costs one and, the first
// time, two for each branch: no route tells of several branches at once.
//
// # Guarantees
//
// Paths, sizes and digests of a listing have been checked against each other
// before Tree returns them. A ranged read yields exactly the bytes asked for
// or an error. The token and the queries of signed URLs appear in no error, no
// log line and no String.
//
// Not guaranteed: that content matches its digest. The caller hashes what it
// receives.
package hub
