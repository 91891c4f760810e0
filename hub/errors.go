package hub

import "errors"

// What callers branch on. A StatusError wraps the one that fits; errors.Is finds it.
var (
	ErrRepoNotFound     = errors.New("repository not found")
	ErrRevisionNotFound = errors.New("revision not found")
	ErrEntryNotFound    = errors.New("file not found")
	ErrUnauthorized     = errors.New("not logged in, or token rejected") // 401 without a code: missing or private
	ErrGated            = errors.New("access to the repository is restricted")
	ErrForbidden        = errors.New("forbidden")
	ErrRateLimited      = errors.New("rate limited")
	ErrNotHub           = errors.New("the endpoint does not speak the hub protocol") // HTML, broken JSON
	ErrBadListing       = errors.New("the listing contradicts itself")               // sizes, digests, names
	ErrRange            = errors.New("wrong answer to a range request")
	ErrTooLarge         = errors.New("larger than allowed")
	ErrNetwork          = errors.New("network failure")
	ErrOffline          = errors.New("offline")
)

// Hinter is implemented by errors that can tell a person what to do next.
type Hinter interface{ Hint() string }
