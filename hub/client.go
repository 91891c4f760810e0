package hub

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// DefaultEndpoint is the public hub.
const DefaultEndpoint = "https://huggingface.co"

// Options configure a Client; the zero value is the anonymous public hub.
type Options struct {
	Endpoint  string        // base URL; "" = DefaultEndpoint
	Token     Token         // zero = anonymous
	UserAgent string        // "qbranch/VERSION; …"
	Logger    *slog.Logger  // nil = silent; never sees secrets or signed queries
	MaxConns  int           // cap of data connections per host; 0 = 16
	Offline   bool          // every request fails with ErrOffline; Refs and Tree answer from the cache
	CacheDir  string        // keep answers in this folder; "" = keep none
	AllowHTTP bool          // plain http to other machines too
	RetryWait time.Duration // before the first retry, doubled for each further one; 0 = 500 ms

	// Proxy names the proxy of a request, nil for none; nil = HTTPS_PROXY, HTTP_PROXY
	// and NO_PROXY, in capitals or not, as they were when the process began.
	Proxy func(*http.Request) (*url.URL, error)
	Roots Roots // certificates to trust beside the system's

	HeaderTimeout time.Duration // from a request to its answer's headers; 0 = 15 s
	StallTimeout  time.Duration // without a byte of a body; 0 = 15 s
	// OnWait is told of pauses before they begin, with the context of the request;
	// nil = nobody listens. It is called from several goroutines.
	OnWait func(context.Context, Wait)
}

// Client talks to one endpoint. It is safe for concurrent use.
type Client struct {
	endpoint  *url.URL
	token     Token
	userAgent string
	log       *slog.Logger
	offline   bool
	allowHTTP bool
	retryWait time.Duration
	header    time.Duration // Options.HeaderTimeout
	stall     time.Duration // Options.StallTimeout
	onWait    func(context.Context, Wait)

	roots   Roots
	cache   *cache
	silence silence
	pace    pace

	dial      dialer
	api, data *retryablehttp.Client
	links     linkCache
	names     names
	requests  atomic.Int64
}

// NewClient checks the options and builds a client; it sends nothing.
func NewClient(o Options) (*Client, error) {
	if o.Endpoint == "" {
		o.Endpoint = DefaultEndpoint
	}
	if o.UserAgent == "" {
		o.UserAgent = "qbranch"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 16
	}
	if o.RetryWait <= 0 {
		o.RetryWait = 500 * time.Millisecond
	}
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = defaultHeaderTimeout
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = defaultStallTimeout
	}
	u, err := parseEndpoint(o.Endpoint, o.AllowHTTP)
	if err != nil {
		return nil, err
	}
	if err := o.Token.check(); err != nil {
		return nil, err
	}
	c := &Client{
		endpoint: u, token: o.Token, userAgent: o.UserAgent, log: o.Logger,
		offline: o.Offline, allowHTTP: o.AllowHTTP, retryWait: o.RetryWait,
		cache:  newCache(o.CacheDir, o.Logger),
		header: o.HeaderTimeout, stall: o.StallTimeout, onWait: o.OnWait,
	}
	c.dial.endpoint, c.dial.find, c.roots = hostPort(u), o.Proxy, o.Roots
	if o.Proxy == nil {
		c.dial.find = http.ProxyFromEnvironment
	}
	c.dial.private.Store(isLoopbackHost(u.Hostname()))
	c.api = c.newHTTP(c.apiTransport(), apiRetries)
	c.data = c.newHTTP(c.dataTransport(o.MaxConns), dataRetries)
	return c, nil
}

func parseEndpoint(s string, allowHTTP bool) (*url.URL, error) {
	bad := func(reason string) (*url.URL, error) {
		return nil, &EndpointError{Endpoint: withoutUser(s), Reason: reason}
	}
	u, err := url.Parse(strings.TrimRight(s, "/"))
	switch {
	case err != nil:
		return bad("it is not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return bad("it does not begin with https://")
	case u.Hostname() == "":
		return bad("it names no host")
	case u.User != nil:
		return bad("it carries a user name; tokens go into HF_TOKEN")
	case u.RawQuery != "" || u.Fragment != "":
		return bad("it carries a query or a fragment")
	case u.Scheme == "http" && !allowHTTP && !isLoopbackHost(u.Hostname()):
		return bad("plain http to another machine: " + u.Host)
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

// withoutUser leaves out everything before the last @ of a text that should be
// a URL, since somebody may have put a password there, and what follows a ? or #
// or what no URL has.
func withoutUser(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = "…" + s[i:]
	}
	if i := strings.IndexFunc(s, func(c rune) bool { return c == '?' || c == '#' || c <= ' ' || c == 0x7f }); i >= 0 {
		s = s[:i] + "…"
	}
	return printable(s)
}

// Endpoint returns the base URL without a trailing slash.
func (c *Client) Endpoint() string { return c.endpoint.String() }

// String names the endpoint.
func (c *Client) String() string { return "client of " + c.Endpoint() }

// Requests returns how many HTTP requests were sent so far, to the hub and to
// storage, retries included.
func (c *Client) Requests() int64 { return c.requests.Load() }

// StallTimeout is how long a body may bring nothing (Options.StallTimeout).
// Whoever reads what OpenRange returns holds to it too.
func (c *Client) StallTimeout() time.Duration { return c.stall }

// Close closes idle connections. The client stays usable.
func (c *Client) Close() error {
	c.api.HTTPClient.CloseIdleConnections()
	c.data.HTTPClient.CloseIdleConnections()
	return nil
}

// Limits of what an answer may hold.
const (
	maxListing = 16 << 20 // bytes of one answer of the API
	maxEntries = 100_000  // branches of a repository, files of a commit
)

// ReadFile reads a whole small file, at most limit bytes (ErrTooLarge beyond).
// The caller checks the content against File.OID when it has one.
func (c *Client) ReadFile(ctx context.Context, repo RepoID, at Commit, path string, limit int64) ([]byte, error) {
	q := c.fileRequest("read", repo, at, path)
	q.limit = limit
	body, resp, err := c.getBody(ctx, q)
	if err != nil {
		return nil, err
	}
	// The hub serves all files as plain text or octets.
	if isHTML(resp.Header, body) {
		return nil, q.fail(ErrNotHub, "got a web page instead of the file")
	}
	if other := resp.Header.Get("X-Repo-Commit"); other != "" && other != string(at) {
		return nil, q.fail(ErrBadListing, fmt.Sprintf("asked for it at %s, got it at %.60q", at.Short(), other))
	}
	return body, nil
}

// ReadListed reads a whole small file that a listing names, at most limit bytes
// (ErrTooLarge beyond), and checks it against its digest. What comes wrong comes
// again, since a proxy may have a bad moment; what is wrong three times is
// ErrMismatch. A content that the cache holds costs no request.
func (c *Client) ReadListed(ctx context.Context, repo RepoID, at Commit, f File, limit int64) ([]byte, error) {
	if data, ok := c.Cached(f); ok && int64(len(data)) <= limit {
		return data, nil
	}
	q := c.fileRequest("read", repo, at, f.Path)
	if f.Size > limit {
		return nil, q.fail(ErrTooLarge, fmt.Sprintf("%d bytes, at most %d are allowed", f.Size, limit))
	}
	for attempt := 1; ; attempt++ {
		data, err := c.ReadFile(ctx, repo, at, f.Path, limit)
		if err != nil {
			return nil, err
		}
		got, want, ok := f.check(data)
		switch {
		case ok:
			c.cache.put(cached{Key: f.cacheKey(), Time: time.Now().Unix(), body: data})
			return data, nil
		case attempt == bodyAttempts:
			return nil, q.fail(ErrMismatch, fmt.Sprintf("got %s, want %s", got, want))
		}
	}
}

// Cached returns the content of a listed file if the cache holds it. It sends
// nothing.
func (c *Client) Cached(f File) ([]byte, bool) {
	e, ok := c.cache.get(f.cacheKey())
	if !ok {
		return nil, false
	}
	_, _, ok = f.check(e.body)
	return e.body, ok
}

// apiRequest asks /api/models/{repo}/{seg}/….
func (c *Client) apiRequest(op string, repo RepoID, seg ...string) request {
	now := c.Current(repo)
	return request{op: op, repo: repo, limit: maxListing,
		url: c.join(append([]string{"api", "models", now.Owner, now.Name}, seg...))}
}

// fileRequest asks for /{repo}/resolve/{commit}/{path}.
func (c *Client) fileRequest(verb string, repo RepoID, at Commit, path string) request {
	now := c.Current(repo)
	seg := append([]string{now.Owner, now.Name, "resolve", string(at)}, strings.Split(path, "/")...)
	return request{op: verb + " " + printable(path) + " of " + repo.String(), repo: repo, file: true, url: c.join(seg)}
}

// join puts segments behind the endpoint, each encoded as one.
func (c *Client) join(seg []string) *url.URL {
	u := *c.endpoint
	raw := u.EscapedPath()
	plain := u.Path
	for _, s := range seg {
		plain += "/" + s
		raw += "/" + url.PathEscape(s)
	}
	u.Path, u.RawPath = plain, raw
	return &u
}

// isEndpoint says whether a URL is of the endpoint's own origin: the only place
// that gets the token.
func (c *Client) isEndpoint(u *url.URL) bool {
	return u.Scheme == c.endpoint.Scheme && strings.EqualFold(hostPort(u), hostPort(c.endpoint))
}

func closeBody(resp *http.Response) {
	resp.Body.Close() // read-only; nothing depends on it
}
