package fetch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/qbranch/qbranch/store"
)

// Control changes fetches while they run; the rate is changed by their
// [Limiter]. It is for front ends that stay while a fetch runs. It may be shared by several fetchers, and the zero value changes
// nothing. Its methods are safe for concurrent use.
type Control struct {
	mu      sync.Mutex
	paused  bool
	conns   int           // 0 = what Fetcher.Connections says
	changed chan struct{} // closed at the next change; nil while nobody waits
}

// Pause stops all requests. What has come is kept, also of parts that have not
// come entirely, and connections are closed, so that a pause may last.
func (c *Control) Pause() { c.change(func() { c.paused = true }) }

// Resume lets requests go on where they were.
func (c *Control) Resume() { c.change(func() { c.paused = false }) }

// Paused reports whether fetches are paused.
func (c *Control) Paused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused
}

// SetConnections changes how many connections there are at most; 0 is what the
// fetcher was made with. Those that are too many end after their run of parts.
func (c *Control) SetConnections(n int) { c.change(func() { c.conns = max(n, 0) }) }

func (c *Control) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// changes is closed at the next change.
func (c *Control) changes() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

// await returns when fetches are not paused.
func (c *Control) await(ctx context.Context) error {
	for {
		changed := c.changes()
		if !c.Paused() {
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// most returns how many connections there are at most when a fetcher asks for
// so many.
func (c *Control) most(asked int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.conns > 0:
		return c.conns
	case asked > 0:
		return asked
	}
	return DefaultConnections
}

// spaceLook is how often a full disk is looked at again.
const spaceLook = 2 * time.Second

// persistSpace calls write until it succeeds, or fails for another reason than
// a full disk, or there is no space for too long.
func (e *engine) persistSpace(ctx context.Context, path string, write func() error) error {
	err := write()
	if !errors.Is(err, store.ErrNoSpace) || e.space == 0 {
		return err
	}
	e.tell(Event{Kind: EventSpace, Path: path, Err: err})
	for start := time.Now(); errors.Is(err, store.ErrNoSpace); err = write() {
		if e.space > 0 && time.Since(start) >= e.space {
			return err
		}
		if err := sleep(ctx, spaceLook); err != nil {
			return err
		}
	}
	if err == nil {
		e.tell(Event{Kind: EventSpace, Path: path})
	}
	return err
}
