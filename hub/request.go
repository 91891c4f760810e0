package hub

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// request is one thing wanted of the hub or of storage, across its redirects.
type request struct {
	op    string // for errors
	repo  RepoID // for errors
	url   *url.URL
	rng   string // Range header
	post  []byte // JSON to send with POST; nil = GET
	limit int64  // of the body, for getBody
	key   string // of the cache, for getJSON: an answer that is asked for again with its ETag; "" = none
	etag  string // If-None-Match
	file  bool   // content of a file, not an answer of the API
	data  bool   // goes over the data connections
	// toStorage stops at the first redirect to another origin and hands it
	// back, instead of following it.
	toStorage bool
}

// fail makes an error about the answer to q.
func (q request) fail(kind error, reason string) *Error {
	return &Error{Op: q.op, URL: redact(q.url), Kind: kind, Reason: printable(reason)}
}

// answer is a response that is not a redirect, or the redirect to storage that
// the request asked to stop at.
type answer struct {
	*http.Response
	storage *url.URL
}

const maxHops = 5

// send makes a request and follows its redirects. The caller closes the body.
func (c *Client) send(ctx context.Context, q request) (answer, error) {
	u := q.url
	asked, isAPI := c.apiRepo(u)
	for hop := 0; ; hop++ {
		resp, err := c.once(ctx, q, u)
		if err != nil {
			return answer{}, err
		}
		location := resp.Header.Get(locationHeader)
		if !isRedirect(resp.StatusCode) || location == "" {
			if now, ok := c.apiRepo(u); ok && isAPI && (resp.StatusCode < 300 || resp.StatusCode == http.StatusNotModified) {
				c.names.learn(asked, now)
			}
			return answer{Response: resp}, nil
		}
		if hop == maxHops {
			closeBody(resp)
			return answer{}, q.fail(ErrRedirect, fmt.Sprintf("more than %d redirects in a row", maxHops))
		}
		next, err := c.nextHop(q, u, location)
		if err != nil {
			closeBody(resp)
			return answer{}, err
		}
		if q.toStorage && !c.isEndpoint(next) {
			return answer{resp, next}, nil
		}
		io.CopyN(io.Discard, resp.Body, 4<<10) // lets the connection be used again
		closeBody(resp)
		u = next
	}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// nextHop resolves a Location and decides whether to go there.
func (c *Client) nextHop(q request, from *url.URL, location string) (*url.URL, error) {
	refuse := func(reason string) (*url.URL, error) { return nil, q.fail(ErrRedirect, reason) }
	next, err := from.Parse(location)
	if err != nil {
		return refuse("the Location header is not a URL")
	}
	next.User = nil // would become an Authorization header
	switch {
	case next.Scheme != "https" && next.Scheme != "http", next.Hostname() == "":
		return refuse("it leads to " + redact(next))
	case from.Scheme == "https" && next.Scheme == "http":
		return refuse("from https to plain http: " + redact(next))
	case next.Scheme == "http" && !c.allowHTTP && !isLoopbackHost(next.Hostname()):
		return refuse("to plain http on another machine: " + redact(next))
	case !c.dial.allowed(next):
		return refuse("from a public endpoint into a private network: " + redact(next))
	}
	return next, nil
}

// once sends one request without following redirects; go-retryablehttp repeats
// it while the connection fails or the server is in trouble.
func (c *Client) once(ctx context.Context, q request, u *url.URL) (*http.Response, error) {
	if c.offline {
		return nil, &Error{Op: q.op, Kind: ErrOffline}
	}
	ctx = countTries(ctx, printable(u.Host))
	method, body := http.MethodGet, any(nil)
	if q.post != nil {
		method, body = http.MethodPost, q.post
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", q.op, stripURL(err))
	}
	if q.post != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", c.userAgent)
	// Compressed answers have no length and no ranges.
	req.Header.Set("Accept-Encoding", "identity")
	if q.rng != "" {
		req.Header.Set("Range", q.rng)
	}
	if q.etag != "" {
		req.Header.Set("If-None-Match", q.etag)
	}
	if auth := c.token.authorization(); auth != "" && c.isEndpoint(u) {
		req.Header.Set("Authorization", auth)
	}
	if c.isEndpoint(u) {
		if err := c.paced(ctx, u.Path); err != nil {
			return nil, fmt.Errorf("%s: %w", q.op, err)
		}
	}
	client := c.api
	if q.data {
		client = c.data
	}
	resp, err := client.Do(req)
	if err == nil {
		return resp, nil
	}
	if resp != nil {
		closeBody(resp)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", q.op, context.Cause(ctx))
	}
	if errors.Is(err, errPrivateAddress) {
		return nil, q.fail(ErrRedirect, "from a public endpoint into a private network: "+redact(u))
	}
	return nil, &NetworkError{Op: q.op, Host: printable(u.Host), Err: stripURL(err), Tries: triesOf(ctx), Silent: silentFor(ctx)}
}

// bodyAttempts is how often a small body is begun before giving up.
const bodyAttempts = 3

// getBody reads a whole answer of status 200, at most q.limit bytes. A body
// that breaks is begun again. Only the header of the response is of use.
func (c *Client) getBody(ctx context.Context, q request) ([]byte, *http.Response, error) {
	for attempt := 1; ; attempt++ {
		body, resp, err := c.getBodyOnce(ctx, q)
		var broken *NetworkError
		if !errors.As(err, &broken) || !broken.body || attempt == bodyAttempts {
			return body, resp, err
		}
		wait := time.NewTimer(c.backoff(0, 0, attempt-1, nil))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, nil, fmt.Errorf("%s: %w", q.op, context.Cause(ctx))
		}
	}
}

func (c *Client) getBodyOnce(ctx context.Context, q request) ([]byte, *http.Response, error) {
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a, err := c.send(watched, q)
	if err != nil {
		return nil, nil, err
	}
	if a.StatusCode == http.StatusNotModified && q.etag != "" {
		closeBody(a.Response)
		return nil, a.Response, nil
	}
	if a.StatusCode != http.StatusOK {
		return nil, nil, c.statusError(q, a.Response)
	}
	defer closeBody(a.Response)
	tooLarge := func() error { return q.fail(ErrTooLarge, fmt.Sprintf("more than %d bytes", q.limit)) }
	if a.ContentLength > q.limit && a.Header.Get("Content-Encoding") == "" {
		return nil, nil, tooLarge()
	}
	watch := time.AfterFunc(c.stall, func() { cancel(errStalled) })
	defer watch.Stop()
	plain, ok := decoded(a.Header, &watchedReader{a.Body, watch, c.stall})
	if !ok {
		return nil, nil, q.fail(ErrNotHub, fmt.Sprintf("the answer is encoded as %.40q though that was not asked for", a.Header.Get("Content-Encoding")))
	}
	body, err := io.ReadAll(io.LimitReader(plain, q.limit+1))
	switch {
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("%s: %w", q.op, context.Cause(ctx))
	case err != nil:
		if errors.Is(context.Cause(watched), errStalled) {
			err = fmt.Errorf("%w: nothing for %v", errStalled, c.stall)
		}
		return nil, nil, &NetworkError{Op: q.op, Host: printable(a.Request.URL.Host), Err: err, body: true}
	case int64(len(body)) > q.limit:
		return nil, nil, tooLarge()
	}
	return body, a.Response, nil
}

// decoded takes gzip off a body. It is never asked for, but proxies and mirrors
// compress text of their own accord. ok is false for any other encoding.
func decoded(h http.Header, body io.Reader) (plain io.Reader, ok bool) {
	switch e := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding"))); e {
	case "", "identity":
		return body, true
	case "gzip", "x-gzip":
		return &lazyGzip{body: body}, true
	}
	return nil, false
}

// lazyGzip opens the stream with the first read, which may take its time.
type lazyGzip struct {
	body io.Reader
	z    *gzip.Reader
	err  error
}

func (l *lazyGzip) Read(p []byte) (int, error) {
	if l.z == nil && l.err == nil {
		l.z, l.err = gzip.NewReader(l.body)
		if l.err == io.EOF {
			l.err = io.ErrUnexpectedEOF
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.z.Read(p)
}

var errStalled = errors.New("the answer stopped in the middle")

// watchedReader puts the watch back whenever bytes arrive.
type watchedReader struct {
	r     io.Reader
	watch *time.Timer
	stall time.Duration
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.watch.Reset(w.stall)
	}
	return n, err
}

// getJSON decodes an answer of the API. Unknown fields are normal. With a key the
// answer is kept, and asked for again only if it has changed; offline it is the
// kept one.
func (c *Client) getJSON(ctx context.Context, q request, v any) (*http.Response, error) {
	var kept cached
	if q.key != "" {
		var ok bool
		if kept, ok = c.cache.get(q.key); ok && json.Unmarshal(kept.body, v) == nil {
			q.etag = kept.ETag
		}
	}
	body, resp, err := c.getBody(ctx, q)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotModified {
		kept.Time, kept.Repo = time.Now().Unix(), c.Current(q.repo).String()
		c.cache.put(kept)
		return resp, nil // v has it
	}
	if isHTML(resp.Header, body) || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) { // no JSON begins so
		return nil, q.fail(ErrNotHub, "got a web page instead of JSON")
	}
	reflect.ValueOf(v).Elem().SetZero() // of what was kept
	if err := json.Unmarshal(body, v); err != nil {
		return nil, q.fail(ErrNotHub, jsonFault(err, len(body)))
	}
	if q.key != "" {
		c.cache.put(cached{Key: q.key, ETag: resp.Header.Get("ETag"), Repo: c.Current(q.repo).String(), Time: time.Now().Unix(), body: body})
	}
	return resp, nil
}

func jsonFault(err error, size int) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case size == 0:
		return "the answer is empty"
	case errors.As(err, &syntax) && syntax.Offset >= int64(size):
		return fmt.Sprintf("the JSON is cut off after %d bytes", size)
	case errors.As(err, &syntax):
		return fmt.Sprintf("the JSON is broken at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("the JSON holds %s where it should not, at byte %d", article(kind.Value), kind.Offset)
	}
	return "the JSON cannot be read"
}

// article puts "a" or "an" before the name of a JSON type.
func article(noun string) string {
	if noun != "" && strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}
