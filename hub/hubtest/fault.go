package hubtest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault misbehaves for matching requests. Match by Origin ("api", "cdn", "" =
// both), Method and PathContains (the path on the CDN ends with the path of
// the file); After skips that many matching requests, Times is how often it
// acts (0 = always). The action fields combine where that makes sense. Several
// faults may act on one request, the oldest outermost.
type Fault struct {
	Name         string // shown in the log; "" = "fault"
	Origin       string
	Method       string
	PathContains string
	RangedOnly   bool
	After        int
	Times        int

	Status      int                      // answer this status …
	Header      http.Header              // … with these headers (without a Status: beside the usual ones) …
	Body        string                   // … and this body
	ResetAfter  int64                    // reset the connection after n body bytes (use 1 for "at once", -1 for "before the headers")
	StallAfter  int64                    // after n body bytes send nothing more until the client goes away
	Truncate    int64                    // end the body n bytes early though the length says more
	FlipAt      int64                    // flip a bit of the content's byte n-1 (1-based offset in the file; 0 = none)
	Delay       time.Duration            // before the headers
	IgnoreRange bool                     // 200 with the whole content
	WrongRange  bool                     // 206 with a Content-Range of another offset
	RedirectTo  string                   // redirect there instead (302, or Status)
	Rewrite     func(body []byte) []byte // change a JSON or text answer
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
	seen, acted int
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
func (l *faultList) match(origin string, r *http.Request) []Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Fault
	for _, f := range l.list {
		if f.Origin != "" && f.Origin != origin ||
			f.Method != "" && f.Method != r.Method ||
			!strings.Contains(r.URL.Path, f.PathContains) ||
			f.RangedOnly && r.Header.Get("Range") == "" {
			continue
		}
		f.seen++
		if f.seen <= f.After || f.Times > 0 && f.acted >= f.Times {
			continue
		}
		f.acted++
		out = append(out, f.Fault)
	}
	return out
}

func (l *faultList) wrap(origin string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		faults := l.match(origin, r)
		next := h
		names := make([]string, len(faults))
		for i, f := range slices.Backward(faults) {
			next = f.wrap(next)
			names[i] = f.Name
		}
		if rec, ok := r.Context().Value(recordKey{}).(*record); ok && len(names) > 0 {
			joined := strings.Join(names, "+")
			rec.fault.Store(&joined)
		}
		next.ServeHTTP(w, r)
	})
}

// wrap puts the fault around a handler, for one request.
func (f Fault) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.Delay > 0 {
			select {
			case <-time.After(f.Delay):
			case <-r.Context().Done():
				return
			}
		}
		switch {
		case f.ResetAfter < 0:
			resetConn(w)
			return
		case f.RedirectTo != "":
			status := f.Status
			if status == 0 {
				status = http.StatusFound
			}
			w.Header().Set("Location", f.RedirectTo)
			f.answer(w, status)
			return
		case f.Status != 0:
			f.answer(w, f.Status)
			return
		}
		if f.IgnoreRange {
			r = r.Clone(r.Context())
			r.Header.Del("Range")
		}
		if f.Rewrite != nil {
			f.rewrite(w, r, h)
			return
		}
		h.ServeHTTP(&faultyWriter{ResponseWriter: w, fault: f, req: r, limit: -1}, r)
	})
}

func (f Fault) setHeader(w http.ResponseWriter) {
	for k, v := range f.Header {
		w.Header()[http.CanonicalHeaderKey(k)] = slices.Clone(v)
	}
}

func (f Fault) answer(w http.ResponseWriter, status int) {
	f.setHeader(w)
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	if status != http.StatusNotModified && status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(f.Body)))
	}
	w.WriteHeader(status)
	w.Write([]byte(f.Body)) // the client may be gone
}

// rewrite collects the whole answer, changes it, and sends it with its new
// length through the fault's other actions.
func (f Fault) rewrite(w http.ResponseWriter, r *http.Request, h http.Handler) {
	c := &collector{header: w.Header(), status: http.StatusOK}
	h.ServeHTTP(c, r)
	body := f.Rewrite(c.body.Bytes())
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	out := &faultyWriter{ResponseWriter: w, fault: f, req: r, limit: -1}
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

var errBroken = errors.New("connection broken by a fault")

// faultyWriter changes an answer on its way out.
type faultyWriter struct {
	http.ResponseWriter
	fault   Fault
	req     *http.Request
	started bool
	offset  int64 // of the next body byte in the file
	written int64 // body bytes so far
	limit   int64 // body bytes to let through before Truncate swallows; -1 = all
}

func (w *faultyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *faultyWriter) WriteHeader(status int) {
	if w.started {
		return
	}
	w.started = true
	w.fault.setHeader(w)
	h := w.Header()
	if status == http.StatusPartialContent {
		var first, last, total int64
		if _, err := fmt.Sscanf(h.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total); err == nil {
			w.offset = first
			if w.fault.WrongRange {
				h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first+1, last+1, total))
			}
		}
	}
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil && w.fault.Truncate > 0 {
		w.limit = max(n-w.fault.Truncate, 0)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if !w.started {
		w.WriteHeader(http.StatusOK)
	}
	total := len(p)
	if w.limit >= 0 {
		// The rest is swallowed; the server then closes the connection, since
		// less was written than the length said.
		p = p[:min(int64(len(p)), w.limit-w.written)]
	}
	p = w.flip(p)
	if at := w.fault.ResetAfter; at > 0 && w.written+int64(len(p)) >= at {
		w.send(p[:at-w.written])
		// The server's buffer would not survive the reset.
		http.NewResponseController(w.ResponseWriter).Flush()
		resetConn(w.ResponseWriter)
		return 0, errBroken
	}
	if at := w.fault.StallAfter; at > 0 && w.written+int64(len(p)) >= at {
		w.send(p[:at-w.written])
		http.NewResponseController(w.ResponseWriter).Flush()
		<-w.req.Context().Done()
		return 0, errBroken
	}
	if err := w.send(p); err != nil {
		return 0, err
	}
	return total, nil
}

func (w *faultyWriter) send(p []byte) error {
	n, err := w.ResponseWriter.Write(p)
	w.offset += int64(n)
	w.written += int64(n)
	return err
}

// flip returns p with a bit changed where the fault says so. The content
// itself is shared and stays as it is.
func (w *faultyWriter) flip(p []byte) []byte {
	at := w.fault.FlipAt - 1 - w.offset
	if w.fault.FlipAt == 0 || at < 0 || at >= int64(len(p)) {
		return p
	}
	p = bytes.Clone(p)
	p[at] ^= 1
	return p
}

// resetConn breaks the connection with an RST. What is buffered is lost.
func resetConn(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // hijacked already: break it the common way
	}
	if c, ok := conn.(*trackedConn); ok {
		c.reset()
		return
	}
	conn.Close()
}
