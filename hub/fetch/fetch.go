package fetch

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
)

// Hub is what the fetcher needs of a hub client. *hub.Client implements it.
type Hub interface {
	OpenRange(ctx context.Context, repo hub.RepoID, at hub.Commit, f hub.File, off, n int64) (io.ReadCloser, error)
}

// FilePlan says what is to be done for one file.
type FilePlan struct {
	File  hub.File
	State string // "held", "partial" or "missing"
	Held  int64  // bytes in the store already
	Parts int    // parts still to be fetched
}

// Plan is what a fetch will do; making it moves no byte.
type Plan struct {
	Repo       hub.RepoID
	Branch     string // "" when pinned to a commit
	Commit     hub.Commit
	Files      []FilePlan // small files first, then by path
	Bytes      int64      // of all files
	Held       int64      // bytes held already
	Move       int64      // bytes to move
	DiskNeeded int64      // new bytes on disk
	DiskFree   int64      // of the store's file system
}

// MakePlan compares the files of a commit with the store.
func MakePlan(repo hub.RepoID, branch string, at hub.Commit, files []hub.File, s *store.Store) (Plan, error) {
	return Plan{}, nil
}

// Stats are counters that front ends sample while a fetch runs.
type Stats struct {
	Total       atomic.Int64 // bytes of the plan
	Done        atomic.Int64 // bytes held: on disk and journaled (monotone)
	Received    atomic.Int64 // bytes that came over the network in this run
	Kept        atomic.Int64 // bytes found held at the start
	Refetched   atomic.Int64 // bytes fetched again because a connection broke in mid-part
	Retries     atomic.Int64
	Connections atomic.Int64 // open now
	Verified    atomic.Int64 // bytes behind the SHA-256 frontier, or committed
}

// EventKind says what happened.
type EventKind string

// The kinds of Event.
const (
	EventRetry    EventKind = "retry"    // a request failed and will be made again
	EventFile     EventKind = "file"     // a file was verified and published
	EventReuse    EventKind = "reuse"    // a file was in the store already
	EventMismatch EventKind = "mismatch" // content did not match its digest; repairing
)

// Event is an outcome worth telling; progress is sampled from Stats instead.
type Event struct {
	Kind   EventKind
	Path   string
	Bytes  int64
	Err    error
	Wait   time.Duration // before a retry
	Ranges []store.Range // bad ranges of a mismatch
}

// Limiter is a token bucket over received bytes; its rate may change at any time.
type Limiter struct{}

// NewLimiter allows bytesPerSecond; 0 means no limit.
func NewLimiter(bytesPerSecond int64) *Limiter { return nil }

// SetRate changes the limit at once.
func (l *Limiter) SetRate(bytesPerSecond int64) {}

// Wait takes n bytes from the bucket.
func (l *Limiter) Wait(ctx context.Context, n int) error { return nil }

// Fetcher runs plans. Hub and Store are required; the rest may be zero.
type Fetcher struct {
	Hub         Hub
	Store       *store.Store
	Connections int          // most connections at once; 0 = 8
	Limit       *Limiter     // nil = none
	Stats       *Stats       // nil = not counted
	Notify      func(Event)  // called from one goroutine at a time; nil = nobody listens
	Logger      *slog.Logger // nil = silent
}

// Run fetches what the plan lacks and publishes the snapshot last. A cancelled
// ctx leaves everything resumable.
func (f *Fetcher) Run(ctx context.Context, p Plan) (store.Snapshot, error) {
	return store.Snapshot{}, nil
}
