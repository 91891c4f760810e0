package hub

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// StatusError is an HTTP error status from the hub or from storage.
type StatusError struct {
	Op         string
	URL        string // without query
	Status     int
	Code       string        // X-Error-Code, often empty
	Message    string        // the server's text, made printable
	RequestID  string        // X-Request-Id, for reports
	RetryAfter time.Duration // how long the server asks us to wait; 0 = not said
	Kind       error         // the sentinel that fits, or nil
	Repo       RepoID        // what was asked about
	Tries      int           // how often the request was sent; 0 = not known

	storage bool   // storage said it, not the hub
	host    string // who said it
	page    string // the repository's web page
	token   Token  // what was sent; zero = nothing
}

// kindText reads better than the sentinel where the status leaves two causes.
func (e *StatusError) kindText() string {
	switch {
	case e.Kind == ErrUnauthorized && e.token.IsZero():
		return "no such repository, or it is private"
	case e.Kind == ErrUnauthorized:
		return "the " + e.token.String() + " is rejected"
	case e.Kind == ErrRedirect:
		return "redirect to nowhere"
	case e.Kind == ErrNetwork && e.storage && !transientStatus(e.Status):
		return "storage refuses a fresh link"
	case e.Kind == ErrNetwork:
		return "the server is in trouble"
	case e.Kind != nil:
		return e.Kind.Error()
	}
	return strings.ToLower(http.StatusText(e.Status))
}

// Error says what was being done to what, the status in words, and who sent it.
func (e *StatusError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (%d from %s", e.Op, e.kindText(), e.Status, e.host)
	if e.Tries > 1 {
		fmt.Fprintf(&b, ", %d tries", e.Tries)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.RequestID != "" && slices.Contains([]error{nil, ErrNetwork, ErrBadRequest, ErrForbidden, ErrNotHub}, e.Kind) {
		b.WriteString("; request " + e.RequestID)
	}
	b.WriteString(")")
	return b.String()
}

// Unwrap returns the sentinel that fits, or nil.
func (e *StatusError) Unwrap() error { return e.Kind }

// Is makes an anonymous refusal both things that it may mean: the hub does not
// say whether a repository is missing or private.
func (e *StatusError) Is(target error) bool {
	return target == ErrRepoNotFound && e.Kind == ErrUnauthorized && e.token.IsZero()
}

// Temporary reports whether the same request may succeed later.
func (e *StatusError) Temporary() bool {
	return transientStatus(e.Status) || e.storage && e.Kind == ErrNetwork
}

// Hint says what to do next.
func (e *StatusError) Hint() string {
	switch e.Kind {
	case ErrRepoNotFound:
		return "check the name; a private repository needs a token that may read it: set HF_TOKEN"
	case ErrUnauthorized:
		if e.token.IsZero() {
			return "check the name, or log in: set HF_TOKEN to a token that may read the repository"
		}
		return "renew the " + e.token.String() + ", or go on without: HF_HUB_DISABLE_IMPLICIT_TOKEN=1"
	case ErrRevisionNotFound:
		return "list the branches with: qbranch ls " + e.Repo.String()
	case ErrEntryNotFound:
		return "check the name of the file: upper and lower case differ"
	case ErrGated:
		if e.token.IsZero() {
			return "ask for access at " + e.page + " and set HF_TOKEN to a token of that account"
		}
		return "ask for access at " + e.page + " with the account of the " + e.token.String()
	case ErrDisabled:
		return "the hub has closed this repository for everybody: look for another one that holds the same model"
	case ErrBadRequest:
		return "the hub finds fault with the request itself: a mirror may be in between; with -v every request is shown, and the request's number helps whoever runs the hub"
	case ErrProxy:
		return proxyHint
	case ErrForbidden:
		if !e.token.IsZero() {
			return "the " + e.token.String() + " is not good for this: a fine-grained token needs the right to read this repository"
		}
		return "the server does not let this account read it; HF_TOKEN decides which account that is"
	case ErrRateLimited:
		if e.RetryAfter > 0 {
			return fmt.Sprintf("wait %v and run the same command again; with HF_TOKEN set the limits are higher", e.RetryAfter)
		}
		return "wait a few minutes and run the same command again; with HF_TOKEN set the limits are higher"
	case ErrNotHub, ErrRange, ErrRedirect:
		return (&Error{Kind: e.Kind}).Hint()
	case ErrNetwork:
		return "wait a little: the server may be well again soon"
	}
	return ""
}

// transientStatus says which statuses may pass by themselves.
func transientStatus(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests ||
		status >= 500 && status != http.StatusNotImplemented
}

// maxErrorBody bounds what is read of an error answer.
const maxErrorBody = 64 << 10

// statusError reads an error answer and closes it.
func (c *Client) statusError(q request, resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what came of it has to do
	resp.Body.Close()
	e := &StatusError{
		Op:         q.op,
		URL:        redact(resp.Request.URL),
		Status:     resp.StatusCode,
		Code:       printable(resp.Header.Get("X-Error-Code")),
		RequestID:  printable(resp.Header.Get("X-Request-Id")),
		RetryAfter: retryAfter(resp.Header, time.Now()),
		Repo:       q.repo,
		Tries:      triesOf(resp.Request.Context()),
		host:       printable(resp.Request.URL.Host),
		page:       c.Endpoint() + "/" + q.repo.String(),
		storage:    !c.isEndpoint(resp.Request.URL),
	}
	if !e.storage {
		e.token = c.token
	}
	html := isHTML(resp.Header, body)
	e.Message = errorMessage(resp.Header, body, html)
	e.Kind = e.classify(q, html)
	return e
}

// classify picks the sentinel, by status first and then by code or text:
// mirrors drop the codes.
func (e *StatusError) classify(q request, html bool) error {
	says := func(code, text string) bool { return e.Code == code || strings.HasPrefix(e.Message, text) }
	switch s := e.Status; {
	case e.storage && refusedByStorage(s):
		return ErrNetwork
	case transientStatus(s) && s != http.StatusTooManyRequests:
		return ErrNetwork
	case s == http.StatusTooManyRequests:
		return ErrRateLimited
	case e.Code == "GatedRepo" && (s == http.StatusUnauthorized || s == http.StatusForbidden):
		return ErrGated
	case s == http.StatusUnauthorized:
		return ErrUnauthorized
	case s == http.StatusForbidden && strings.HasPrefix(e.Message, "Access to this resource is disabled"):
		return ErrDisabled
	case s == http.StatusForbidden, s == http.StatusPaymentRequired, s == http.StatusUnavailableForLegalReasons:
		return ErrForbidden
	case s == http.StatusProxyAuthRequired:
		return ErrProxy
	case s == http.StatusRequestedRangeNotSatisfiable:
		return ErrRange
	case s == http.StatusBadRequest, s == http.StatusUnprocessableEntity:
		return ErrBadRequest
	case isRedirect(s):
		return ErrRedirect // there was no Location
	case s != http.StatusNotFound && s != http.StatusGone:
		return ErrNotHub // no hub says that
	case says("RevisionNotFound", "Invalid rev id"):
		return ErrRevisionNotFound
	case says("EntryNotFound", "Entry not found"):
		return ErrEntryNotFound
	case says("RepoNotFound", "Repository not found"):
		return ErrRepoNotFound
	case html || !q.file:
		return ErrNotHub // a route that the hub has and this server does not
	}
	return ErrEntryNotFound
}

var xmlMessage = regexp.MustCompile(`<Message>([^<]*)</Message>`)

// errorMessage finds the server's words in header, JSON, XML or plain text.
func errorMessage(h http.Header, body []byte, html bool) string {
	if m := h.Get("X-Error-Message"); m != "" {
		return printable(m)
	}
	var v struct {
		Error  string
		Errors []struct{ Message string }
	}
	if json.Unmarshal(body, &v) == nil {
		if v.Error == "" && len(v.Errors) > 0 {
			v.Error = v.Errors[0].Message
		}
		return printable(v.Error)
	}
	if m := xmlMessage.FindSubmatch(body); m != nil {
		return printable(string(m[1]))
	}
	if html || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
		return ""
	}
	return printable(string(body))
}

// isHTML says whether an answer is a web page. Where no type is given the body
// has to begin as a page does: a model card may well begin with a tag.
func isHTML(h http.Header, body []byte) bool {
	t := strings.ToLower(h.Get("Content-Type"))
	start := strings.ToLower(strings.TrimSpace(string(body[:min(len(body), 512)])))
	return strings.HasPrefix(t, "text/html") || strings.HasPrefix(t, "application/xhtml") ||
		t == "" && (strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html"))
}

// retryAfter reads how long a server asks us to wait: the seconds until the
// RateLimit window ends when nothing remains of it, else Retry-After in seconds
// or as a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if remaining, reset, ok := rateLimit(h.Get("RateLimit")); ok && remaining == 0 {
		return time.Duration(reset+1) * time.Second
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseInt(v, 10, 32); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return t.Sub(now).Round(time.Second)
	}
	return 0
}

// rateLimit reads `"api";r=987;t=9`: requests that remain, seconds to the
// reset.
func rateLimit(v string) (remaining, reset int64, ok bool) {
	var haveR, haveT bool
	for part := range strings.SplitSeq(v, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || n < 0 {
			continue
		}
		switch strings.ToLower(name) {
		case "r":
			remaining, haveR = n, true
		case "t":
			reset, haveT = n, true
		}
	}
	return remaining, reset, haveR && haveT
}
