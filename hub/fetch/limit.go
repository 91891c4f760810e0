package fetch

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The bytes a connection may read at once: a twentieth of a second's worth, so
// that a low rate flows instead of coming in lumps, within these bounds.
const (
	minChunk = 1 << 10
	maxChunk = 256 << 10
)

// Limiter is a token bucket over received bytes. Its rate may change at any
// time, also while somebody waits. It may be shared by several fetchers; the
// zero value and nil do not limit.
type Limiter struct {
	mu      sync.Mutex
	rate    int64         // bytes per second; 0 = no limit
	bucket  *rate.Limiter // nil unless rate > 0
	changed chan struct{} // closed when the rate changes; nil before the first rate
}

// NewLimiter allows bytesPerSecond; 0 means no limit.
func NewLimiter(bytesPerSecond int64) *Limiter {
	l := new(Limiter)
	l.SetRate(bytesPerSecond)
	return l
}

// SetRate changes the limit at once, for those who wait too. 0, or less, lifts it;
// who wants a pause has [Control.Pause].
func (l *Limiter) SetRate(bytesPerSecond int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = max(bytesPerSecond, 0)
	l.bucket = nil
	if bytesPerSecond > 0 {
		burst := chunkFor(bytesPerSecond)
		l.bucket = rate.NewLimiter(rate.Limit(bytesPerSecond), burst)
		// Starting full would let through a burst at every change.
		l.bucket.AllowN(time.Now(), burst)
	}
	if l.changed != nil {
		close(l.changed)
	}
	l.changed = make(chan struct{})
}

// Rate is the limit in bytes per second; 0 = none.
func (l *Limiter) Rate() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate
}

// Wait takes n bytes from the bucket. It returns ctx.Err() when ctx ends first.
func (l *Limiter) Wait(ctx context.Context, n int) error {
	for l != nil && n > 0 {
		took, err := l.take(ctx, n)
		if err != nil {
			return err
		}
		n -= took
	}
	return ctx.Err()
}

// take waits for a bucketful at most and returns how many bytes it got.
func (l *Limiter) take(ctx context.Context, n int) (int, error) {
	l.mu.Lock()
	limit, bucket, changed := l.rate, l.bucket, l.changed
	l.mu.Unlock()
	if limit == 0 {
		return n, nil
	}
	n = min(n, bucket.Burst())
	r := bucket.ReserveN(time.Now(), n)
	delay := r.Delay()
	if delay == 0 {
		return n, nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return n, nil
	case <-changed:
		return 0, nil // the old bucket is gone; ask the new one
	case <-ctx.Done():
		r.Cancel() // somebody else may have them
		return 0, ctx.Err()
	}
}

// limited reports whether there is a limit at present.
func (l *Limiter) limited() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate != 0
}

// chunk returns how many bytes to read at once under the present rate.
func (l *Limiter) chunk() int {
	if l == nil {
		return maxChunk
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate == 0 {
		return maxChunk
	}
	return chunkFor(l.rate)
}

func chunkFor(bytesPerSecond int64) int {
	return int(min(max(bytesPerSecond/20, minChunk), maxChunk))
}
