package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Retries of go-retryablehttp, for what happens before a body.
const (
	apiRetries    = 3
	dataRetries   = 2                // small: the caller of OpenRange has a budget of its own
	maxRetryAfter = 60 * time.Second // what asks for more is handed to the caller
	maxBackoff    = 8 * time.Second
)

// newHTTP builds a client around a transport. The two planes have one each:
// any final failure closes the idle connections of the client it happened on.
func (c *Client) newHTTP(t *http.Transport, retries int) *retryablehttp.Client {
	r := retryablehttp.NewClient()
	r.HTTPClient = &http.Client{
		Transport: &observer{next: t, client: c},
	}
	r.Logger = nil // it would print signed URLs
	r.RetryMax = retries
	r.CheckRetry = c.checkRetry
	r.Backoff = c.backoff
	r.ErrorHandler = retryablehttp.PassthroughErrorHandler // keeps the X-Error headers
	return r
}

// checkRetry decides on the connection phase. What the server wants to wait
// long for is not waited for here: a person should be told.
func (c *Client) checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		again := !errors.Is(err, errPrivateAddress) && !isCertificateError(err) && !isProxyRefusal(err) && silentFor(ctx) == 0
		if t, ok := ctx.Value(triesKey{}).(*tries); ok && again && t.quiet.Load() >= int64(tellSilence/2) && c.silence.tell(t.host) {
			c.tellWait(ctx, Wait{Host: t.host, Silent: time.Duration(t.quiet.Load()), Reason: printable(stripURL(err).Error())})
		}
		return again, nil
	}
	return transientStatus(resp.StatusCode) && retryAfter(resp.Header, time.Now()) <= maxRetryAfter, nil
}

// backoff waits what the server asks, or doubles with full jitter, so that
// many workers do not come back in step.
func (c *Client) backoff(_, _ time.Duration, attempt int, resp *http.Response) time.Duration {
	if resp != nil {
		if wait := min(retryAfter(resp.Header, time.Now()), maxRetryAfter); wait > 0 {
			reason := fmt.Sprintf("%s (%d)", strings.ToLower(http.StatusText(resp.StatusCode)), resp.StatusCode)
			c.tellWait(resp.Request.Context(), Wait{Host: printable(resp.Request.URL.Host), For: wait, Reason: reason})
			return wait
		}
	}
	top := min(c.retryWait<<min(attempt, 10), maxBackoff)
	return top/2 + rand.N(top/2+1)
}

// apiTransport may multiplex: its answers are small.
func (c *Client) apiTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 c.dial.proxy,
		DialContext:           c.dial.dial,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: c.header,
		DisableCompression:    true,

		MaxResponseHeaderBytes: maxHeader,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.roots.Pool},
		OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
			return checkProxy(proxy, resp)
		},
	}
}

// dataTransport keeps to HTTP/1.1: with HTTP/2 all ranges to a host would share
// one connection and its congestion window.
func (c *Client) dataTransport(maxConns int) *http.Transport {
	t := c.apiTransport()
	t.ForceAttemptHTTP2 = false
	t.ResponseHeaderTimeout = c.stall
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.MaxConnsPerHost = maxConns
	t.MaxIdleConnsPerHost = maxConns
	t.ReadBufferSize = 64 << 10
	return t
}

// maxHeader bounds the head of an answer. The hub's are of a few kB; net/http
// would read 10 MB of one that does not end.
const maxHeader = 256 << 10

// locationHeader is where the observer puts Location. Without one net/http
// follows no redirect, and does not repeat in its errors one that it cannot
// parse, which may be signed.
const locationHeader = "Qbranch-Location"

// observer counts and logs every request that leaves, and hides redirects from
// net/http.
type observer struct {
	next   http.RoundTripper
	client *Client
}

func (o *observer) RoundTrip(r *http.Request) (*http.Response, error) {
	c := o.client
	c.requests.Add(1)
	tries, _ := r.Context().Value(triesKey{}).(*tries)
	if tries != nil {
		tries.n.Add(1)
	}
	start := time.Now()
	resp, err := o.next.RoundTrip(r)
	switch host := hostPort(r.URL); {
	case err == nil:
		c.silence.answered(host)
		if c.isEndpoint(r.URL) {
			c.pace.seen(bucketOf(r.URL.Path), resp.Header, time.Now())
		}
	case r.Context().Err() == nil && tries != nil:
		quiet, over := c.silence.failed(host, start, max(firstPatience, 2*c.header))
		tries.quiet.Store(int64(quiet))
		tries.over.Store(over)
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method),
		slog.String("url", redact(r.URL)),
		slog.String("range", r.Header.Get("Range")),
		slog.Duration("took", time.Since(start)),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", stripURL(err).Error()))
	} else {
		resp.Header.Del(locationHeader)
		if l := resp.Header.Get("Location"); l != "" {
			resp.Header.Set(locationHeader, l)
			resp.Header.Del("Location")
		}
		attrs = append(attrs, slog.Int("status", resp.StatusCode), slog.String("request_id", printable(resp.Header.Get("X-Request-Id"))))
	}
	c.log.LogAttrs(r.Context(), slog.LevelDebug, "hub request", attrs...)
	return resp, err
}

// tries counts one request and its repetitions.
type tries struct {
	host  string // for messages
	n     atomic.Int64
	quiet atomic.Int64 // a time.Duration: no answer for so long
	over  atomic.Bool  // … which is too long
}

type triesKey struct{}

func countTries(ctx context.Context, host string) context.Context {
	return context.WithValue(ctx, triesKey{}, &tries{host: host})
}

// triesOf returns how often the request of a context was sent.
func triesOf(ctx context.Context) int {
	t, ok := ctx.Value(triesKey{}).(*tries)
	if !ok {
		return 0
	}
	return int(t.n.Load())
}

// silentFor returns for how long the host of a request has not answered, 0 if
// that is not too long.
func silentFor(ctx context.Context) time.Duration {
	t, ok := ctx.Value(triesKey{}).(*tries)
	if !ok || !t.over.Load() {
		return 0
	}
	return time.Duration(t.quiet.Load())
}

// CloseIdleConnections reaches the transport through http.Client.
func (o *observer) CloseIdleConnections() {
	if t, ok := o.next.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// stripURL takes the URL, which may be signed, out of an error of net/http.
func stripURL(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return err
}

var errPrivateAddress = errors.New("address of a private network")

// dialer connects, and refuses private addresses to everybody but the endpoint
// and the proxies the user chose. It looks at the address that is really
// dialed, so that a name that resolves to something else later does not help
// an attacker. An endpoint that is itself in a private network may have its
// storage there.
type dialer struct {
	endpoint string // host:port
	find     func(*http.Request) (*url.URL, error)
	private  atomic.Bool
	proxies  sync.Map // host:port → struct{}
}

// proxy finds the proxy of a request, and remembers it.
func (d *dialer) proxy(r *http.Request) (*url.URL, error) {
	u, err := d.find(r)
	if err != nil {
		// The error repeats the value, which may hold a password.
		return nil, errors.New("HTTPS_PROXY or HTTP_PROXY is not the URL of a proxy")
	}
	if u != nil {
		d.proxies.Store(hostPort(u), struct{}{})
	}
	return u, nil
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, isProxy := d.proxies.Load(addr)
	nd := &net.Dialer{
		Timeout:   10 * time.Second,
		KeepAlive: 30 * time.Second,
		Control: func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("read address %s: %w", address, err)
			}
			switch {
			case addr == d.endpoint:
				if !isPublic(ap.Addr()) {
					d.private.Store(true)
				}
			case !isProxy && !isPublic(ap.Addr()) && !d.private.Load():
				return errPrivateAddress
			}
			return nil
		},
	}
	return nd.DialContext(ctx, network, addr)
}

// allowed applies the rule to a host written as an address, which a proxy
// would otherwise dial for us.
func (d *dialer) allowed(u *url.URL) bool {
	if hostPort(u) == d.endpoint || d.private.Load() {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return !isLoopbackHost(u.Hostname())
	}
	return isPublic(a)
}

// carrierNAT is shared address space, RFC 6598: private in all but name.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !carrierNAT.Contains(a)
}

func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// hostPort is the address that a URL leads to.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
