package hub

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// What callers branch on. A StatusError wraps the one that fits; errors.Is finds it.
var (
	ErrRepoNotFound     = errors.New("repository not found")
	ErrRevisionNotFound = errors.New("revision not found")
	ErrEntryNotFound    = errors.New("file not found")
	ErrUnauthorized     = errors.New("not logged in, or token rejected") // 401 without a code: missing or private
	ErrGated            = errors.New("access to the repository is restricted")
	ErrDisabled         = errors.New("the repository is disabled")
	ErrForbidden        = errors.New("forbidden")                    // also 402 and 451, and a token without the right
	ErrBadToken         = errors.New("not a token")                  // it cannot be sent
	ErrBadRequest       = errors.New("the hub refuses the request")  // 400 and 422
	ErrProxy            = errors.New("the proxy refuses to connect") // 407, and what it answers to CONNECT
	ErrRateLimited      = errors.New("rate limited")
	ErrNotHub           = errors.New("the endpoint does not speak the hub protocol") // HTML, broken JSON
	ErrBadListing       = errors.New("the listing contradicts itself")               // sizes, digests, names
	ErrMismatch         = errors.New("the content does not match its digest")
	ErrRange            = errors.New("wrong answer to a range request")
	ErrTooLarge         = errors.New("larger than allowed")
	ErrNetwork          = errors.New("network failure") // also 408, 5xx, and storage that refuses a fresh link
	ErrOffline          = errors.New("offline")
	ErrRedirect         = errors.New("redirect refused") // too many hops, to plain http, or into a private network
	ErrBadEndpoint      = errors.New("not an endpoint")  // HF_ENDPOINT cannot be used
)

// Hinter is implemented by errors that can tell a person what to do next.
type Hinter interface{ Hint() string }

// Error is a failure that is neither an HTTP error status nor the network's:
// an answer that cannot be used, or a request that must not be made.
type Error struct {
	Op     string // what was being done: "list the branches of owner/name"
	URL    string // without query; "" if there is none to blame
	Kind   error  // ErrNotHub, ErrBadListing, ErrRange, ErrTooLarge, ErrOffline or ErrRedirect
	Reason string
}

// Error says what was being done to what, and what was wrong with the answer.
func (e *Error) Error() string {
	s := e.Op + ": " + e.Kind.Error()
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.URL != "" {
		s += " (" + e.URL + ")"
	}
	return s
}

// Unwrap returns Kind.
func (e *Error) Unwrap() error { return e.Kind }

// Hint says what to do next.
func (e *Error) Hint() string {
	switch e.Kind {
	case ErrNotHub:
		return "check HF_ENDPOINT: it has to be the address of a Hugging Face hub; a login page of the network or a proxy may also answer in its place"
	case ErrTooLarge:
		return "nothing sound is that large: the file or listing is not what its name says, or a mirror is wrong; try again later, or another HF_ENDPOINT"
	case ErrMismatch:
		return "the hub, or a proxy on the way, sends other bytes than it lists: try again, or another network or HF_ENDPOINT"
	case ErrBadListing:
		return "the hub, or a mirror before it, is wrong about this repository: try again later, or another HF_ENDPOINT"
	case ErrRange:
		return "a proxy or mirror on the way does not answer ranges as it should: try without it"
	case ErrOffline:
		return "leave out --offline, or unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE, to use the network; 'get --from DIR' and 'store import' take what a disk holds"
	case ErrRedirect:
		return "check HF_ENDPOINT, and that no proxy redirects to another place"
	}
	return ""
}

// proxyHint says what to do about a proxy that refuses.
const proxyHint = "the proxy is the one that HTTPS_PROXY or HTTP_PROXY names: it may want a login, as in http://USER:PASSWORD@HOST:PORT, or not be meant for this host (NO_PROXY)"

// EndpointError is an endpoint that cannot be used. It is ErrBadEndpoint.
type EndpointError struct {
	Endpoint string // without user name and query, which may be secrets
	Reason   string
}

// Error quotes the endpoint and says what is wrong with it.
func (e *EndpointError) Error() string { return fmt.Sprintf("endpoint %q: %s", e.Endpoint, e.Reason) }

// Unwrap returns ErrBadEndpoint.
func (e *EndpointError) Unwrap() error { return ErrBadEndpoint }

// Hint says what to do next.
func (e *EndpointError) Hint() string {
	return "--endpoint and HF_ENDPOINT take the address of a hub, like https://huggingface.co; plain http is for this machine only, unless QBRANCH_ALLOW_HTTP=1 is set"
}

// NetworkError is a connection that could not be made or did not hold.
type NetworkError struct {
	Op   string
	Host string // whom we talked to
	Err  error

	Tries  int           // how often the request was sent; 0 = not known
	Silent time.Duration // the host has not answered anything for so long, and is given up; 0 = it is not

	body bool // it broke while a body was being read
}

// Error says what was being done, with whom, and how the connection failed.
func (e *NetworkError) Error() string {
	tried := ""
	if e.Silent > 0 {
		return fmt.Sprintf("%s: no answer from %s for %v: %v", e.Op, e.Host, e.Silent.Round(time.Second), e.Err)
	}
	if e.Tries > 1 {
		tried = fmt.Sprintf(" after %d tries", e.Tries)
	}
	return fmt.Sprintf("%s: network failure with %s%s: %v", e.Op, e.Host, tried, e.Err)
}

// Unwrap returns ErrNetwork and the cause.
func (e *NetworkError) Unwrap() []error { return []error{ErrNetwork, e.Err} }

// Temporary reports whether trying again may help: always, except when the
// server's certificate is refused, a proxy says no, or the host has kept silent for too long.
func (e *NetworkError) Temporary() bool {
	return !isCertificateError(e.Err) && !isProxyRefusal(e.Err) && e.Silent == 0
}

// Hint says what to do next.
func (e *NetworkError) Hint() string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(e.Err, ErrProxy):
		return proxyHint
	case errors.As(e.Err, &op) && op.Op == "proxyconnect":
		return "the proxy that HTTPS_PROXY or HTTP_PROXY names cannot be reached: check it, or unset it"
	case isCertificateError(e.Err):
		return "the certificate of " + e.Host + " is not trusted: behind a proxy that inspects TLS, point SSL_CERT_FILE at its certificate, in PEM form"
	case errors.As(e.Err, &dns):
		return "the name " + e.Host + " does not resolve: check it and the connection"
	case e.Silent > 0:
		return "check the connection, then run the same command again: what was fetched is kept"
	}
	return "check the connection"
}

func isCertificateError(err error) bool {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid)
}

// Temporary reports whether the same request may succeed when made again:
// broken connections, 408, 429 and 5xx.
func Temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// RetryAfter returns how long the server asked us to wait, 0 if it did not.
func RetryAfter(err error) time.Duration {
	var s *StatusError
	if errors.As(err, &s) {
		return s.RetryAfter
	}
	return 0
}

// redact returns a URL fit for errors and logs: signed queries and user names
// are secrets.
func redact(u *url.URL) string {
	if u == nil {
		return ""
	}
	s := u.Scheme + "://" + u.Host + u.EscapedPath()
	if u.RawQuery != "" {
		s += "?…"
	}
	return printable(s)
}

// maxPrinted bounds a text of the server in an error.
const maxPrinted = 300

// printable makes a text of the server fit for a terminal: one line, no
// control or escape characters, nothing invisible or that turns text around.
func printable(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c == '\n', c == '\t', c == '\r':
			return ' '
		case c == unicode.ReplacementChar, unicode.IsGraphic(c):
			return c
		}
		return -1 // controls, bidi, zero width and unassigned are not graphic
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
	s = strings.TrimSpace(s)
	if r := []rune(s); len(r) > maxPrinted {
		s = string(r[:maxPrinted]) + "…"
	}
	return s
}
