package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"
)

// Step is a stage of reaching a host.
type Step string

// The steps, in their order. With a proxy the first two are its own.
const (
	StepProxy Step = "proxy" // the proxy is reached and connects us
	StepDNS   Step = "dns"   // the name resolves
	StepTCP   Step = "tcp"   // a connection is made
	StepTLS   Step = "tls"   // it is encrypted, and the certificate is good
	StepHTTP  Step = "http"  // an answer comes
)

// Probe is how far a request to a host came.
type Probe struct {
	Host   string        // host:port
	Proxy  string        // host:port of the proxy on the way, "" = none
	Failed Step          // "" = an answer came
	Err    error         // of the step that failed; a *NetworkError
	Status int           // of the answer
	Page   bool          // the answer is a web page
	Issuer string        // who signed the certificate, "" without TLS
	Skew   time.Duration // how far the clock here is ahead of the host's
	Dated  bool          // the answer said what time it is there, to the second
	Took   time.Duration
}

// Hint says what to do about the step that failed, "" if none did.
func (p Probe) Hint() string {
	switch {
	case p.Failed == "":
		return ""
	case p.Failed == StepDNS:
		return "the name does not resolve: is there a network? A name server may also block it"
	case p.Failed == StepTCP:
		return "nothing answers there: a firewall may block it; have it opened, or set HTTPS_PROXY"
	case p.Failed == StepHTTP:
		return "it takes connections and does not answer: something on the way may hold them up"
	}
	var n *NetworkError
	var op *net.OpError
	switch {
	case p.Failed == StepProxy && !(errors.As(p.Err, &op) && op.Op == "proxyconnect"):
		return proxyHint
	case errors.As(p.Err, &n) && (p.Failed == StepProxy || isCertificateError(n.Err)):
		return n.Hint()
	}
	return "something on the way breaks the encryption: a firewall, or a proxy that inspects it"
}

// Probe asks a URL for an answer, any answer, over a connection of its own, and
// tells how far that came. It sends no token and follows no redirect, tries once,
// and ends with ctx or Options.HeaderTimeout.
func (c *Client) Probe(ctx context.Context, target *url.URL) Probe {
	p := Probe{Host: printable(hostPort(target))}
	start := time.Now()
	fail := func(step Step, err error) Probe {
		p.Failed, p.Took = step, time.Since(start)
		p.Err = &NetworkError{Op: "reach " + p.Host, Host: p.Host, Err: stripURL(err)}
		return p
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return fail(StepDNS, err)
	}
	req.Header.Set("User-Agent", c.userAgent)
	first := StepDNS
	if _, err := netip.ParseAddr(target.Hostname()); err == nil {
		first = StepTCP
	}
	proxy, err := c.dial.proxy(req)
	if err != nil {
		return fail(StepProxy, err)
	}
	if proxy != nil {
		first, p.Proxy = StepProxy, printable(hostPort(proxy))
	}
	var step atomic.Value // a Step; connections are made in goroutines of net/http
	step.Store(first)
	at := func(s Step) {
		if proxy == nil || s == StepTLS || s == StepHTTP {
			step.Store(s)
		}
	}
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectStart:      func(string, string) { at(StepTCP) },
		TLSHandshakeStart: func() { at(StepTLS) },
		GotConn:           func(httptrace.GotConnInfo) { at(StepHTTP) },
	}))
	t := c.apiTransport()
	t.DisableKeepAlives = true
	defer t.CloseIdleConnections()
	c.requests.Add(1)
	resp, err := t.RoundTrip(req)
	if err != nil {
		if errors.As(err, new(*proxyError)) {
			step.Store(StepProxy)
		}
		return fail(step.Load().(Step), err)
	}
	defer closeBody(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // only to see what kind of answer it is
	p.Took, p.Status, p.Page, p.Issuer = time.Since(start), resp.StatusCode, isHTML(resp.Header, body), issuer(resp.TLS)
	if theirs, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		p.Skew, p.Dated = time.Since(theirs).Truncate(time.Second), true
	}
	return p
}

// issuer names who signed a certificate: somebody else than expected where a
// proxy inspects TLS.
func issuer(s *tls.ConnectionState) string {
	if s == nil || len(s.PeerCertificates) == 0 {
		return ""
	}
	name := s.PeerCertificates[0].Issuer
	if len(name.Organization) > 0 {
		return printable(name.Organization[0])
	}
	return printable(name.CommonName)
}

// ProxyFor returns host:port of the proxy that requests to the endpoint take, ""
// for none. It leaves out name and password.
func (c *Client) ProxyFor() (string, error) {
	u, err := c.dial.proxy(&http.Request{URL: c.endpoint})
	if err != nil || u == nil {
		return "", err
	}
	return printable(hostPort(u)), nil
}

// Certificates says which variable's certificates are trusted beside the
// system's, "" for none.
func (c *Client) Certificates() string { return printable(c.roots.Source) }

// Locate asks where the content of a listed LFS file is served and returns the
// origin, "https://host", without what gives access.
func (c *Client) Locate(ctx context.Context, repo RepoID, at Commit, f File) (*url.URL, error) {
	l, err := c.links.get(ctx, linkKey{repo, at, f.Path}, 0, func() (link, error) { return c.resolve(ctx, repo, at, f, "") })
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: l.url.Scheme, Host: l.url.Host, Path: "/"}, nil
}
