package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// OpenRange opens n bytes at off of a file. The reader yields exactly n bytes
// or an error (io.ErrUnexpectedEOF and network errors are wrapped in
// ErrNetwork and are Temporary). It follows the redirect to storage once per
// file and remembers the signed URL; a refusal by storage re-resolves once for
// everybody who waits. A wrong Content-Range or a wrong total is ErrRange, and so
// is a 200, but for a whole file of the right length. The caller closes the reader. It does not retry in mid-body.
//
// There is no time limit on the body: the caller watches for stalls and
// cancels ctx, which must live as long as the reader. At most Options.MaxConns
// readers of a host are open at once; further calls wait for one to be closed.
func (c *Client) OpenRange(ctx context.Context, repo RepoID, at Commit, f File, off, n int64) (io.ReadCloser, error) {
	q := c.fileRequest("fetch", repo, at, f.Path)
	if off < 0 || n < 0 || off > f.Size || n > f.Size-off {
		return nil, q.fail(ErrRange, fmt.Sprintf("%d bytes at %d leave a file of %d", n, off, f.Size))
	}
	if n == 0 {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	q.data = true
	q.rng = fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	if !f.LFS {
		// The hub serves these itself: there is no link to remember.
		a, err := c.send(ctx, q)
		if err != nil {
			return nil, err
		}
		if reason := linkedMismatch(a.Header, f); reason != "" {
			closeBody(a.Response)
			return nil, q.fail(ErrBadListing, reason)
		}
		return c.openBody(ctx, q, a.Response, f, off, n)
	}
	if c.links.bound.Load() {
		return c.openBound(ctx, q, repo, at, f, off, n)
	}
	key := linkKey{repo, at, f.Path}
	stale := 0
	for try := 1; ; try++ {
		l, err := c.links.get(ctx, key, stale, func() (link, error) { return c.resolve(ctx, repo, at, f, "") })
		if err != nil {
			return nil, err
		}
		q.url = l.url
		a, err := c.send(ctx, q)
		if err != nil {
			return nil, err
		}
		refused := refusedByStorage(a.StatusCode) && !c.isEndpoint(a.Request.URL)
		if refused && try == 1 {
			closeBody(a.Response)
			stale = l.generation
			continue
		}
		if refused {
			if body, err := c.openBound(ctx, q, repo, at, f, off, n); err == nil {
				closeBody(a.Response)
				c.links.bound.Store(true)
				return body, nil
			}
		}
		return c.openBody(ctx, q, a.Response, f, off, n)
	}
}

// openBound opens a range by a link of its own, for storage that signs for the
// very range with which the hub was asked.
func (c *Client) openBound(ctx context.Context, q request, repo RepoID, at Commit, f File, off, n int64) (io.ReadCloser, error) {
	l, err := c.resolve(ctx, repo, at, f, q.rng)
	if err != nil {
		return nil, err
	}
	q.url = l.url
	a, err := c.send(ctx, q)
	if err != nil {
		return nil, err
	}
	return c.openBody(ctx, q, a.Response, f, off, n)
}

// refusedByStorage says which statuses of storage mean that a link is no
// longer good. On the hub itself they are decisions about access.
func refusedByStorage(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusGone:
		return true
	}
	return false
}

// resolve asks the hub where the content of an LFS file is, with a Range only
// when that has turned out to be needed: storage has been known to sign for the
// very range of this request.
func (c *Client) resolve(ctx context.Context, repo RepoID, at Commit, f File, rng string) (link, error) {
	q := c.fileRequest("locate", repo, at, f.Path)
	q.rng = rng
	q.toStorage = true
	a, err := c.send(ctx, q)
	if err != nil {
		return link{}, err
	}
	if a.storage == nil && a.StatusCode != http.StatusOK {
		return link{}, c.statusError(q, a.Response)
	}
	defer closeBody(a.Response)
	if a.storage == nil && isHTML(a.Header, nil) {
		return link{}, q.fail(ErrNotHub, "got a web page instead of the file")
	}
	if reason := linkedMismatch(a.Header, f); reason != "" {
		return link{}, q.fail(ErrBadListing, reason)
	}
	if a.storage == nil {
		// A mirror that serves the content itself.
		return link{url: a.Request.URL}, nil
	}
	io.CopyN(io.Discard, a.Body, 4<<10) // lets the connection be used again
	return link{url: a.storage, until: goodUntil(a.storage, a.Header, time.Now())}, nil
}

// linkedMismatch compares what the hub says when it redirects with what its
// listing said: better to learn it before the gigabytes.
func linkedMismatch(h http.Header, f File) string {
	if size, err := strconv.ParseInt(h.Get("X-Linked-Size"), 10, 64); err == nil && size != f.Size {
		return fmt.Sprintf("the listing gives it %d bytes, the redirect %d", f.Size, size)
	}
	etag := strings.Trim(strings.TrimPrefix(h.Get("X-Linked-Etag"), "W/"), `"`)
	if sha, err := ParseSHA256(etag); err == nil && f.LFS && sha != f.SHA256 {
		return fmt.Sprintf("the listing gives it the digest %s, the redirect %s", f.SHA256, sha)
	}
	if oid, err := ParseGitOID(etag); err == nil && !f.LFS && oid != f.OID {
		return fmt.Sprintf("the listing gives it the git id %s, the answer %s", f.OID, oid)
	}
	return ""
}

// openBody checks the answer to a ranged request.
func (c *Client) openBody(ctx context.Context, q request, resp *http.Response, f File, off, n int64) (io.ReadCloser, error) {
	bad := func(kind error, format string, args ...any) (io.ReadCloser, error) {
		closeBody(resp)
		q.url = resp.Request.URL
		return nil, q.fail(kind, fmt.Sprintf(format, args...))
	}
	open := func(body io.Reader) (io.ReadCloser, error) {
		return &rangeReader{ctx: ctx, q: q, host: printable(resp.Request.URL.Host), body: body, closer: resp.Body, left: n}, nil
	}
	// Whoever asked for all of a file may be given all of it: the reader counts.
	if resp.StatusCode == http.StatusOK && n == f.Size && !isHTML(resp.Header, nil) {
		body, ok := decoded(resp.Header, resp.Body)
		if ok && (body != resp.Body || resp.ContentLength < 0 || resp.ContentLength == n) {
			return open(body)
		}
	}
	if resp.StatusCode/100 == 2 && resp.StatusCode != http.StatusPartialContent {
		if isHTML(resp.Header, nil) {
			return bad(ErrNotHub, "got a web page instead of the file")
		}
		return bad(ErrRange, "asked for %s, got status %d", q.rng, resp.StatusCode)
	}
	if resp.StatusCode != http.StatusPartialContent {
		return nil, c.statusError(q, resp)
	}
	first, last, total, ok := parseContentRange(resp.Header.Get("Content-Range"))
	switch {
	case !ok:
		return bad(ErrRange, "asked for %s, got the range %.100q", q.rng, resp.Header.Get("Content-Range"))
	case first != off || last != off+n-1:
		return bad(ErrRange, "asked for %s, got %d-%d", q.rng, first, last)
	case total != f.Size:
		return bad(ErrRange, "the file has %d bytes, or by the answer %d", f.Size, total)
	case resp.ContentLength >= 0 && resp.ContentLength != n:
		return bad(ErrRange, "asked for %d bytes, got %d", n, resp.ContentLength)
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return bad(ErrRange, "the answer is encoded as %.40q", e)
	}
	return open(resp.Body)
}

// parseContentRange reads "bytes FIRST-LAST/TOTAL".
func parseContentRange(s string) (first, last, total int64, ok bool) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, 0, false
	}
	span, size, ok1 := strings.Cut(rest, "/")
	a, b, ok2 := strings.Cut(span, "-")
	first, ok3 := parseDigits(a)
	last, ok4 := parseDigits(b)
	total, ok5 := parseDigits(size)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || first > last || last >= total {
		return 0, 0, 0, false
	}
	return first, last, total, true
}

// parseDigits is ParseInt without signs.
func parseDigits(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}

// rangeReader yields exactly the bytes that were asked for.
type rangeReader struct {
	ctx  context.Context // of the request: tells a cancelled read from a broken one
	q    request
	host string
	body io.Reader
	left int64
	err  error // returned ever after

	closer io.Closer
}

func (r *rangeReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.left == 0 {
		return 0, r.end()
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if err != nil && r.left > 0 {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		r.err = r.broken(err)
		return n, r.err
	}
	return n, nil
}

// end looks for bytes behind the last one.
func (r *rangeReader) end() error {
	r.err = io.EOF
	if n, _ := io.ReadFull(r.body, make([]byte, 1)); n > 0 {
		r.err = r.q.fail(ErrRange, "more bytes than asked for")
	}
	return r.err
}

func (r *rangeReader) broken(err error) error {
	if r.ctx.Err() != nil {
		return fmt.Errorf("%s: %w", r.q.op, context.Cause(r.ctx))
	}
	return &NetworkError{Op: r.q.op, Host: r.host, Err: err, body: true}
}

// Host returns who sends the bytes: a host, with its port if it is not the usual
// one.
func (r *rangeReader) Host() string { return r.host }

// Close releases the connection, for the next request if all was read.
func (r *rangeReader) Close() error {
	return r.closer.Close()
}

// linkKey names the content of a file.
type linkKey struct {
	repo RepoID
	at   Commit
	path string
}

// link is where storage serves a file, for a while.
type link struct {
	url        *url.URL
	until      time.Time // ask anew from here on; zero = not known
	generation int       // counts the links of this file, from 1
}

// linkCache remembers links and lets only one caller at a time ask for a file's.
type linkCache struct {
	bound atomic.Bool // they are good for one range only: none is remembered

	mu sync.Mutex
	m  map[linkKey]*linkState
}

type linkState struct {
	link
	pending *linkCall
}

// linkCall is a question on its way; done closes when it is answered.
type linkCall struct {
	done chan struct{}
	link link
	err  error
}

// get returns a link newer than the generation stale, from memory, from the
// answer another caller waits for, or from resolve.
func (c *linkCache) get(ctx context.Context, key linkKey, stale int, resolve func() (link, error)) (link, error) {
	for {
		c.mu.Lock()
		if c.m == nil {
			c.m = make(map[linkKey]*linkState)
		}
		s := c.m[key]
		if s == nil {
			s = new(linkState)
			c.m[key] = s
		}
		if s.generation > stale && (s.until.IsZero() || time.Now().Before(s.until)) {
			defer c.mu.Unlock()
			return s.link, nil
		}
		call := s.pending
		if call == nil {
			call = &linkCall{done: make(chan struct{})}
			s.pending = call
			c.mu.Unlock()
			c.run(s, call, resolve)
			return call.link, call.err
		}
		c.mu.Unlock()
		select {
		case <-call.done:
		case <-ctx.Done():
			return link{}, context.Cause(ctx)
		}
		if call.err == nil {
			continue
		}
		if errors.Is(call.err, context.Canceled) || errors.Is(call.err, context.DeadlineExceeded) {
			continue // whoever asked went away: ask ourselves
		}
		return link{}, call.err
	}
}

func (c *linkCache) run(s *linkState, call *linkCall, resolve func() (link, error)) {
	call.link, call.err = resolve()
	c.mu.Lock()
	if call.err == nil {
		call.link.generation = s.generation + 1
		s.link = call.link
	}
	s.pending = nil
	c.mu.Unlock()
	close(call.done)
}

// earlyBy is how long before its end a link is asked for anew, at most a tenth
// of its life.
const earlyBy = 60 * time.Second

// goodUntil reads when a signed URL ends, and returns when to ask for another,
// zero if it does not say. The hub's clock (Date) is compared with the URL's
// end, not ours, which may be wrong.
func goodUntil(u *url.URL, h http.Header, now time.Time) time.Time {
	q := u.Query()
	var end time.Time
	if n, err := strconv.ParseInt(q.Get("Expires"), 10, 64); err == nil {
		end = time.Unix(n, 0)
	}
	for _, vendor := range []string{"X-Amz-", "X-Goog-"} {
		signed, err1 := time.Parse("20060102T150405Z", q.Get(vendor+"Date"))
		life, err2 := strconv.ParseInt(q.Get(vendor+"Expires"), 10, 32)
		if err1 == nil && err2 == nil {
			end = signed.Add(time.Duration(life) * time.Second)
		}
	}
	if end.IsZero() {
		return time.Time{}
	}
	theirs, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		theirs = now
	}
	life := end.Sub(theirs)
	if life <= 0 {
		return time.Time{} // the clocks of hub and storage disagree: let storage decide
	}
	return now.Add(life - min(earlyBy, life/10))
}
