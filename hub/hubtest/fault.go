package hubtest

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Fault misbehaves for matching requests. The fields of the first group say
// which; After skips that many of them, Times is how often it acts (0 =
// always). The action fields combine where that makes sense. Several faults may
// act on one request, the oldest outermost. Offsets and lengths are in bytes.
//
// presets.go has functions for faults that take more than a field to say.
type Fault struct {
	Name string // shown in the log; "" = "fault"

	Origin        string // "api", "cdn", "" = both
	Method        string
	PathContains  string // the path on the CDN ends with the path of the file
	QueryContains string // "cursor=" matches the second page of a listing and those behind it
	RangedOnly    bool   // requests with a Range header
	AuthOnly      bool   // requests with an Authorization header
	At            int64  // requests that get byte At-1 of the content (1-based, 0 = none); the …After fields count from it
	OneConn       bool   // requests on the connection of the first that matches
	After         int
	Times         int

	Do          func()        // called before the answer …
	DoAfter     int64         // … or when so many body bytes were sent
	Delay       time.Duration // before the head
	SlowHead    time.Duration // between the bytes of the head
	EndlessHead bool          // header lines until the client goes away
	FirstByte   time.Duration // between head and body
	Rate        int64         // bytes per second of the body
	Ramp        time.Duration // the rate grows from 0 to Rate in this time

	Status     int                 // answer this status …
	Header     http.Header         // … with these headers (without a Status: beside the usual ones) …
	Body       string              // … and this body
	Without    []string            // leave these headers out; without Content-Length the body comes in chunks
	ETag       func(string) string // change ETag and X-Linked-Etag, quotes included
	RedirectTo string              // redirect there instead (302, or Status); {uri} is the path and query asked for

	ResetAfter  int64 // reset the connection (RST) after n body bytes (use 1 for "at once", -1 for "before the head")
	CloseAfter  int64 // close it (FIN) after n body bytes, whatever the length said
	ResetEvery  int64 // reset each connection on which the body bytes of all matching answers pass a multiple of n
	CloseEvery  int64 // the same, with FIN
	StallAfter  int64 // after n body bytes send nothing more until the client goes away
	Truncate    int64 // end the body n bytes early though the length says more
	Extra       int64 // n zeros behind the body, and in its length
	FlipAt      int64 // flip a bit of the content's byte n-1 (1-based offset in the file; 0 = none); requests without that byte do not count
	OtherBytes  bool  // the head is right, the body is that of another file
	IgnoreRange bool  // 200 with the whole content
	WrongRange  bool  // 206 with a Content-Range of another offset
	WrongTotal  bool  // 206 with a Content-Range that gives the file a byte more
	Gzip        bool  // compressed, in chunks, without a length, and a range is ignored

	Rewrite func(body []byte) []byte // change a JSON or text answer
}

// AddFault adds a fault and returns a function that removes it.
func (s *Server) AddFault(f Fault) (remove func()) { return s.faults.add(f) }

// ClearFaults removes all faults.
func (s *Server) ClearFaults() { s.faults.clear() }

type faultList struct {
	mu   sync.Mutex
	list []*activeFault
}

type activeFault struct {
	Fault
	traffic atomic.Int64 // body bytes of all answers it acted on

	// guarded by faultList.mu
	seen, acted int
	conn        *trackedConn // of the first match

	flips   sync.Mutex // guards flipped
	flipped int
}

func (l *faultList) add(f Fault) func() {
	if f.Name == "" {
		f.Name = "fault"
	}
	a := &activeFault{Fault: f}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, a)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.list = slices.DeleteFunc(l.list, func(x *activeFault) bool { return x == a })
	}
}

func (l *faultList) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

// match returns the faults that act on this request, and counts it for all.
func (l *faultList) match(origin string, r *http.Request) []*activeFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*activeFault
	for _, f := range l.list {
		if !f.matches(origin, r) {
			continue
		}
		if f.OneConn {
			c := connOf(r)
			if f.conn == nil {
				f.conn = c
			}
			if f.conn != c {
				continue
			}
		}
		f.seen++
		if f.seen <= f.After || f.Times > 0 && f.acted >= f.Times {
			continue
		}
		if f.FlipAt == 0 { // flips count when they happen: the client may go away before
			f.acted++
		}
		out = append(out, f)
	}
	return out
}

func (f *Fault) matches(origin string, r *http.Request) bool {
	return (f.Origin == "" || f.Origin == origin) &&
		(f.Method == "" || f.Method == r.Method) &&
		strings.Contains(r.URL.Path, f.PathContains) &&
		strings.Contains(r.URL.RawQuery, f.QueryContains) &&
		(!f.RangedOnly || r.Header.Get("Range") != "") &&
		(!f.AuthOnly || r.Header.Get("Authorization") != "") &&
		(f.At == 0 || covers(r.Header.Get("Range"), f.At-1)) &&
		(f.FlipAt == 0 || covers(r.Header.Get("Range"), f.FlipAt-1))
}

// covers says whether a request for a range, or for everything, gets a byte.
func covers(rng string, at int64) bool {
	first, last, ok := strings.Cut(strings.TrimPrefix(rng, "bytes="), "-")
	a, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil {
		return true // no range, or one that the server will judge
	}
	b, err := strconv.ParseInt(last, 10, 64)
	return a <= at && (err != nil || at <= b)
}

func (l *faultList) wrap(origin string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := h
		for _, f := range slices.Backward(l.match(origin, r)) {
			next = f.wrap(next)
			if f.FlipAt == 0 {
				recordOf(r).blame(f.Name)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// wrap puts the fault around a handler, for one request.
func (f *activeFault) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.Do != nil && f.DoAfter == 0 {
			f.Do()
		}
		if f.Delay > 0 && !pause(r.Context(), f.Delay) {
			return
		}
		if f.SlowHead > 0 {
			connOf(r).drip.Store(int64(f.SlowHead))
		}
		switch {
		case f.EndlessHead:
			endlessHead(w)
		case f.ResetAfter < 0:
			breakConn(w, true)
		case f.RedirectTo != "":
			status := f.Status
			if status == 0 {
				status = http.StatusFound
			}
			w.Header().Set("Location", strings.ReplaceAll(f.RedirectTo, "{uri}", r.URL.RequestURI()))
			f.answer(w, r, status)
		case f.Status != 0:
			f.answer(w, r, f.Status)
		default:
			f.change(w, r, h)
		}
	})
}

// answer sends an answer that is the fault's own.
func (f *activeFault) answer(w http.ResponseWriter, r *http.Request, status int) {
	out := newFaultyWriter(f, w, r)
	h := w.Header()
	f.setHeader(h)
	_, named := h["Content-Type"] // an empty one means that there is to be none
	if !named {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if status != http.StatusNotModified && status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(f.Body)))
	}
	out.WriteHeader(status)
	out.Write([]byte(f.Body)) // the client may be gone
	out.finish()
}

func (f *Fault) setHeader(h http.Header) {
	for k, v := range f.Header {
		h[http.CanonicalHeaderKey(k)] = slices.Clone(v)
	}
}

// change lets the handler answer, and changes what it says.
func (f *activeFault) change(w http.ResponseWriter, r *http.Request, h http.Handler) {
	if f.IgnoreRange || f.Gzip {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	out := newFaultyWriter(f, w, r)
	defer out.finish()
	if f.Rewrite == nil && !f.Gzip {
		h.ServeHTTP(out, r)
		return
	}
	c := &collector{header: w.Header(), status: http.StatusOK}
	h.ServeHTTP(c, r)
	body := c.body.Bytes()
	if f.Rewrite != nil {
		body = f.Rewrite(body)
	}
	if f.Gzip {
		body = gzipped(body)
		w.Header().Set("Content-Encoding", "gzip")
		out.without = append(out.without, "Content-Length", "Accept-Ranges")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	out.WriteHeader(c.status)
	out.Write(body) // the client may be gone
}

type collector struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (c *collector) Header() http.Header         { return c.header }
func (c *collector) WriteHeader(status int)      { c.status = status }
func (c *collector) Write(p []byte) (int, error) { return c.body.Write(p) }
