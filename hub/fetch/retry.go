package fetch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
)

const (
	maxTries = 8 // without progress
	maxWait  = 30 * time.Second
	maxAfter = 5 * time.Minute // of a Retry-After; the hub's rate limits turn over in that time
)

// persist calls try, which uses l, until it succeeds, fails for good, or has
// failed maxTries times in a row without progress, unless the fetcher is patient. try is told how often in a row
// it failed.
func (e *engine) persist(ctx context.Context, l *slot, try func(failures int) (progress bool, err error)) error {
	for failures := 0; ; {
		progress, err := try(failures)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !hub.Temporary(err):
			return err
		case progress:
			failures = 0 // a line that breaks now and then, and is of use in between
		default:
			e.failures.Add(1)
		}
		failures++
		path := l.content.Load().file.Path
		wait, ok := pause(e.wait, failures, err)
		if failures >= maxTries && !e.patient || !ok {
			return &GaveUpError{Path: path, Tries: failures, Err: err}
		}
		e.stats.Retries.Add(1)
		e.retried(l, err)
		e.tell(Event{Kind: EventRetry, Path: path, Err: err, Wait: wait})
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// pause returns how long to wait after so many failures in a row: what the
// other side asks for, else a random time up to a bound that doubles ("full
// jitter": those who failed together do not come back together). It is not ok
// when the other side asks for too long.
func pause(first time.Duration, failures int, err error) (wait time.Duration, ok bool) {
	if asked := hub.RetryAfter(err); asked > 0 {
		return asked + rand.N(first), asked <= maxAfter
	}
	return rand.N(ceiling(first, failures)), true
}

// ceiling bounds the wait after so many failures in a row, from 1.
func ceiling(first time.Duration, failures int) time.Duration {
	return min(first<<min(failures-1, 10), maxWait)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// op says what is being done, in the hub's words.
func (e *engine) op(path string) string { return "fetch " + path + " of " + e.plan.Repo.String() }

// fail says of an error of the store what was being done.
func (e *engine) fail(path string, err error) error { return fmt.Errorf("%s: %w", e.op(path), err) }

// GaveUpError says that a file could not be fetched in spite of all tries. It
// is hub.ErrNetwork.
type GaveUpError struct {
	Path  string
	Tries int   // in a row without progress
	Err   error // of the last one
}

// Error says what the last failure was.
func (e *GaveUpError) Error() string {
	return fmt.Sprintf("gave up after %d tries without progress: %v", e.Tries, e.Err)
}

// Unwrap returns hub.ErrNetwork and the last failure.
func (e *GaveUpError) Unwrap() []error { return []error{hub.ErrNetwork, e.Err} }

// Hint says what to do next: what the last failure knows, and that nothing is lost.
func (e *GaveUpError) Hint() string {
	advice := "check the connection"
	var h hub.Hinter
	if errors.As(e.Err, &h) && h.Hint() != "" {
		advice = h.Hint()
	}
	if strings.Contains(advice, "the same command") {
		return advice
	}
	return advice + "; run the same command again to resume"
}

// MismatchError says that the bytes a hub sends are not those that it lists,
// fetched again or not. It is store.ErrMismatch.
type MismatchError struct {
	Repo  hub.RepoID
	Path  string
	Times int                  // the content was fetched
	Hosts []string             // that sent it, as far as known
	Err   *store.MismatchError // the digest wanted and the one got
}

func (e *engine) mismatch(path string, times int, hosts []string, err error) error {
	hosts = slices.DeleteFunc(hosts, func(h string) bool { return h == "" })
	m := &MismatchError{Repo: e.plan.Repo, Path: path, Times: times, Hosts: hosts}
	if !errors.As(err, &m.Err) {
		return e.fail(path, err)
	}
	return m
}

// Error says what differs.
func (e *MismatchError) Error() string {
	from := ""
	if len(e.Hosts) > 0 {
		from = " from " + strings.Join(e.Hosts, ", ")
	}
	return fmt.Sprintf("fetch %s of %s: fetched %d times%s, still %v", e.Path, e.Repo, e.Times, from, e.Err)
}

// Unwrap returns what differs.
func (e *MismatchError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *MismatchError) Hint() string {
	return "the host, or a proxy on the way, sends other bytes than it lists, and nothing was published: try another network or endpoint, or tell the owner of the repository"
}

// lineError is a connection that went wrong while we read, in a way that only
// the reader sees. It is hub.ErrNetwork.
type lineError struct {
	op  string
	err error
}

func (e *lineError) Error() string   { return fmt.Sprintf("%s: %v: %v", e.op, hub.ErrNetwork, e.err) }
func (e *lineError) Unwrap() []error { return []error{hub.ErrNetwork, e.err} }

// Temporary marks it as worth another try.
func (e *lineError) Temporary() bool { return true }

// errStalled ends a connection that brings nothing.
var errStalled = errors.New("no byte came for too long")

// diskError is a failure of the store. Some system errors call themselves
// temporary (too many open files); asking the network again will not cure them.
type diskError struct{ error }

// Unwrap returns what the store said.
func (e diskError) Unwrap() error { return e.error }

// Temporary says no, whatever the system says.
func (e diskError) Temporary() bool { return false }
