package app

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
)

const (
	headerTries = 4        // in a row without a byte
	rangedChunk = 16 << 10 // bytes read at once, so that a low rate flows

	// What asks for a longer wait is told to the user instead.
	headerPatience = 60 * time.Second
)

// stallError says that a connection brought nothing for too long.
type stallError struct{ after time.Duration }

func (e stallError) Error() string      { return "no bytes for " + e.after.String() }
func (stallError) Temporary() bool      { return true }
func (stallError) Is(target error) bool { return target == hub.ErrNetwork }

// ranged reads parts of a commit's files from the hub.
type ranged struct {
	app    *App
	repo   RepoID
	commit hub.Commit
	limit  *fetch.Limiter // of what is received; nil = none
	stats  *Stats
}

// readRange appends to got, the first bytes of a file, until it has n of them.
// A connection that breaks is made again, from where it broke.
func (r *ranged) readRange(ctx context.Context, f hub.File, got []byte, n int64) ([]byte, error) {
	if int64(len(got)) >= n {
		return got, nil
	}
	buf := append(make([]byte, 0, n), got...)
	for failures := 0; ; {
		before := len(buf)
		err := r.readOnce(ctx, f, &buf)
		if err == nil {
			return buf, nil
		}
		if len(buf) > before {
			failures = 0
		}
		after := hub.RetryAfter(err)
		if failures++; failures == headerTries || ctx.Err() != nil || !hub.Temporary(err) || after > headerPatience {
			return nil, err
		}
		r.stats.Retries.Add(1)
		wait := time.NewTimer(max(after, r.app.pause<<(failures-1)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil, ctx.Err()
		case <-wait.C:
		}
	}
}

// readOnce fills buf up to its capacity with what follows in the file.
func (r *ranged) readOnce(ctx context.Context, f hub.File, buf *[]byte) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	have, want := len(*buf), cap(*buf)
	body, err := r.app.hub.OpenRange(ctx, r.repo, r.commit, f, int64(have), int64(want-have))
	if err != nil {
		return err
	}
	defer body.Close() // only read from: nothing is lost
	stalled := stallError{r.app.hub.StallTimeout()}
	dog := time.AfterFunc(stalled.after, func() { stop(stalled) })
	defer dog.Stop()
	for have < want {
		n, err := body.Read((*buf)[have:min(want, have+rangedChunk)])
		have += n
		*buf = (*buf)[:have]
		r.stats.Received.Add(int64(n))
		dog.Stop() // the limit may make us wait for longer
		if err := r.limit.Wait(ctx, n); err != nil {
			return err
		}
		dog.Reset(stalled.after)
		switch {
		case have == want:
		case context.Cause(ctx) == stalled:
			return stalled
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF // the hub's client does not let this happen
		case err != nil:
			return err
		}
	}
	return nil
}
