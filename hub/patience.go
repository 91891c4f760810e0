package hub

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of time. doc.go says how they work together.
const (
	defaultHeaderTimeout = 15 * time.Second
	defaultStallTimeout  = 15 * time.Second
	maxTimeout           = 10 * time.Minute // of what the environment may ask for

	firstPatience = time.Minute     // with a host that has not answered once
	laterPatience = 5 * time.Minute // with one that has
)

// silence knows which hosts do not answer, and since when.
type silence struct {
	mu sync.Mutex
	m  map[string]*quiet
}

type quiet struct {
	since    time.Time // zero = it answered last
	answered bool      // ever
	told     time.Time // somebody was, last
}

// tellSilence is how long nobody is told of the same silence again: many
// connections notice it at once.
const tellSilence = 10 * time.Second

// tell says whether it is time to tell of a host's silence.
func (s *silence) tell(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.of(host)
	if time.Since(q.told) < tellSilence {
		return false
	}
	q.told = time.Now()
	return true
}

func (s *silence) of(host string) *quiet {
	if s.m == nil {
		s.m = make(map[string]*quiet)
	}
	if s.m[host] == nil {
		s.m[host] = new(quiet)
	}
	return s.m[host]
}

// answered puts the patience with a host back to its full length.
func (s *silence) answered(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.of(host) = quiet{answered: true}
}

// failed notes a request, begun at start, that got no answer at all. It returns
// for how long there has been none, and whether that is too long.
func (s *silence) failed(host string, start time.Time, patience time.Duration) (quiet time.Duration, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.of(host)
	if q.since.IsZero() || start.Before(q.since) {
		q.since = start
	}
	if q.answered {
		patience *= laterPatience / firstPatience
	}
	quiet = time.Since(q.since)
	if quiet >= patience {
		q.since = time.Time{} // whoever asks again later begins anew
		return quiet, true
	}
	return quiet, false
}

// Wait is a pause that the other side asked for, or that keeps us from being
// refused; or a host that keeps us waiting.
type Wait struct {
	Host   string
	For    time.Duration // from now on; 0 = that is not known: Silent is
	Silent time.Duration // it has not answered for so long, and is asked again
	Reason string        // "too many requests (429)"
}

// pace keeps requests below the hub's rate limits. Each bucket has its own
// window of time and number of requests.
type pace struct {
	mu sync.Mutex
	m  map[string]*window
}

type window struct {
	remaining, quota int64
	reset            time.Time // when the quota is full again
	next             time.Time // before which no further request should leave
}

// bucketOf names the bucket that a path of the hub counts in.
func bucketOf(path string) string {
	if strings.Contains(path, "/api/") && !strings.Contains(path, "/resolve-cache/") {
		return "api"
	}
	return "resolvers"
}

// seen remembers what an answer said of its bucket.
func (p *pace) seen(bucket string, h http.Header, now time.Time) {
	remaining, reset, ok := rateLimit(h.Get("RateLimit"))
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = make(map[string]*window)
	}
	w := p.m[bucket]
	if w == nil {
		w = new(window)
		p.m[bucket] = w
	}
	w.remaining, w.quota, w.reset = remaining, quota(h.Get("RateLimit-Policy")), now.Add(time.Duration(reset)*time.Second)
}

// slowBelow is the share of the quota, 1/20, below which requests are spread
// over what is left of the window.
const slowBelow = 20

// delay reserves the time of the next request of a bucket and returns how long
// it is until then. What would take longer than maxRetryAfter is let go at once:
// the hub may say no, and a person is told.
func (p *pace) delay(bucket string, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.m[bucket]
	if w == nil || !now.Before(w.reset) || w.remaining*slowBelow >= w.quota && w.remaining > 0 {
		return 0
	}
	left := w.reset.Sub(now)
	at := now
	if w.next.After(now) {
		at = w.next
	}
	if w.remaining == 0 {
		at = w.reset.Add(time.Second)
	}
	w.next = at.Add(left / time.Duration(w.remaining+1))
	w.remaining = max(w.remaining-1, 0)
	if d := at.Sub(now); d <= maxRetryAfter {
		return d
	}
	return 0
}

// quota reads `"fixed window";"api";q=1000;w=300`, 0 when it does not say.
func quota(v string) int64 {
	for part := range strings.SplitSeq(v, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if n, err := strconv.ParseInt(value, 10, 32); err == nil && n > 0 && strings.EqualFold(name, "q") {
			return n
		}
	}
	return 0
}

// paced waits until a request to the hub may leave.
func (c *Client) paced(ctx context.Context, path string) error {
	d := c.pace.delay(bucketOf(path), time.Now())
	if d <= 0 {
		return nil
	}
	c.tellWait(ctx, Wait{Host: c.endpoint.Host, For: d, Reason: "few requests are left of the rate limit"})
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) tellWait(ctx context.Context, w Wait) {
	c.log.Debug("hub wait", "host", w.Host, "for", w.For, "reason", w.Reason)
	if c.onWait != nil {
		c.onWait(ctx, w)
	}
}
