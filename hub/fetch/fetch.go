package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
)

// Hub is what the fetcher needs of a hub client. *hub.Client implements it.
// The reader yields n bytes or an error; ending ctx ends a Read that waits.
// Errors say whether they are worth another try and how long to wait (see
// hub.Temporary and hub.RetryAfter), and what was being done to which file.
type Hub interface {
	OpenRange(ctx context.Context, repo hub.RepoID, at hub.Commit, f hub.File, off, n int64) (io.ReadCloser, error)
}

var _ Hub = (*hub.Client)(nil)

// Stats are counters that front ends sample while a fetch runs. Done and
// Verified never fall; when everything is there they equal Total, and Received
// is what the plan had to move and Refetched.
type Stats struct {
	Total       atomic.Int64 // bytes of the plan
	Done        atomic.Int64 // bytes held: on disk and journaled
	Received    atomic.Int64 // bytes that came over the network in this run
	Kept        atomic.Int64 // bytes found held at the start
	Refetched   atomic.Int64 // bytes received and thrown away: a connection broke in mid-part, another was faster, or the content was wrong
	Retries     atomic.Int64
	Connections atomic.Int64 // open now
	Verified    atomic.Int64 // bytes behind the SHA-256 frontier, or committed
}

// EventKind says what happened.
type EventKind string

// The kinds of Event.
const (
	EventRetry    EventKind = "retry"    // a request failed and will be made again after Wait
	EventFile     EventKind = "file"     // a file was verified and published
	EventReuse    EventKind = "reuse"    // a file was in the store already
	EventMismatch EventKind = "mismatch" // content did not match its digest; repairing
	EventWait     EventKind = "wait"     // another fetch into the store is bringing a file: waiting for it
	EventSpace    EventKind = "space"    // the disk is full: waiting for space (Err), or going on (no Err)
	EventAdopt    EventKind = "adopt"    // a file of this machine was hashed and taken into the store
	EventSeed     EventKind = "seed"     // a file begins with what another downloader has left, unchecked
	EventRefused  EventKind = "refused"  // a file of this machine does not hold what was looked for
)

// Event is an outcome worth telling; progress is sampled from Stats instead.
//
// There are two kinds of mismatch event. One with Err says what is wrong, and
// Ranges and Bytes how much is doubted and may be fetched again. If it was the
// line that brought wrong bytes, and they came right the second time, one
// without Err follows, and Ranges are the parts that had been wrong.
type Event struct {
	Kind   EventKind
	Path   string
	Bytes  int64
	Err    error
	Wait   time.Duration // before a retry
	Ranges []store.Range // of a mismatch
	From   string        // of adopt, seed and refused: the file
	Link   store.Link    // of adopt: how; "" when the store had it by then
}

// Fetcher runs plans. Hub and Store are required; the rest may be zero.
type Fetcher struct {
	Hub         Hub
	Store       *store.Store
	Connections int               // most connections at once; 0 = 16
	Stall       time.Duration     // a connection that brings no byte for so long is replaced; 0 = 15 s
	RetryWait   time.Duration     // bound of the wait after a first failure, doubled for each further one; 0 = 500 ms
	Limit       *Limiter          // nil = none
	Control     *Control          // what may change while it runs; nil = nothing does
	Watch       *Watch            // shows the run to who samples it; nil = nobody looks
	Patient     bool              // tries again without end while the network fails; without, a few times
	SpaceWait   time.Duration     // how long to wait for space when the disk is full; 0 = fail at once, negative = for ever
	Stats       *Stats            // nil = not counted
	Begun       map[string][]byte // first bytes of files by path, received already; nil = none
	Counted     bool              // Total and Done of Stats count the plan's Bytes and Held already
	Notify      func(Event)       // one call at a time, from several goroutines; must not block for long; nil = nobody listens
	Logger      *slog.Logger      // nil = silent

	seeded map[store.Want]int // leading parts that came from Adopt, unchecked
	ahead  int64              // bytes that Done of Stats counts and that turned out not to be held; set by Adopt
}

// DefaultConnections is how many connections there are at most when it is not
// said.
const DefaultConnections = 16

const (
	defaultStall     = 15 * time.Second
	defaultRetryWait = 500 * time.Millisecond
)

// Run fetches what the store lacks of the plan's files and publishes the
// snapshot last; of a plan of some files it is returned and not published. The plan's numbers are not believed: what is held is looked up
// again. A cancelled ctx, like any error, leaves everything resumable. While it
// runs nobody removes what it relies on (store.Hold).
//
// Errors to branch on: store.ErrNoSpace, store.ErrLocked, store.ErrMismatch
// (*MismatchError), hub.ErrNetwork (*GaveUpError), whatever the hub says that
// is not temporary, and ctx.Err().
func (f *Fetcher) Run(ctx context.Context, p Plan) (store.Snapshot, error) {
	snap, err := f.run(ctx, p)
	if err == nil {
		return snap, nil
	}
	if ctx.Err() != nil {
		// Whatever else went wrong did so because of this.
		return store.Snapshot{}, fmt.Errorf("fetch %s: %w", p.Repo, context.Cause(ctx))
	}
	return store.Snapshot{}, err
}

func (f *Fetcher) run(ctx context.Context, p Plan) (snap store.Snapshot, err error) {
	var wants []store.Want
	for _, file := range p.Files {
		wants = append(wants, Wanted(file.File))
	}
	hold, err := f.Store.Hold(ctx, "get "+p.Repo.String(), wants)
	if err != nil {
		return snap, err
	}
	defer func() { err = errors.Join(err, hold.Release()) }()
	e := newEngine(f, p)
	if f.Watch != nil {
		f.Watch.run.Store(e)
	}
	return e.run(ctx)
}
