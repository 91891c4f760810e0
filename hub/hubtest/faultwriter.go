package hubtest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

var errBroken = errors.New("connection broken by a fault")

// faultyWriter changes an answer on its way out.
type faultyWriter struct {
	http.ResponseWriter
	fault   *activeFault
	req     *http.Request
	without []string  // canonical
	begun   time.Time // of the head; zero = not yet
	offset  int64     // of the next body byte in the file
	written int64     // body bytes so far
	from    int64     // of those, before the fault's At
	limit   int64     // body bytes to let through before Truncate swallows; -1 = all
	broken  bool      // the connection, by us
}

func newFaultyWriter(f *activeFault, w http.ResponseWriter, r *http.Request) *faultyWriter {
	out := &faultyWriter{ResponseWriter: w, fault: f, req: r, limit: -1}
	for _, k := range f.Without {
		out.without = append(out.without, http.CanonicalHeaderKey(k))
	}
	return out
}

func (w *faultyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *faultyWriter) WriteHeader(status int) {
	if !w.begun.IsZero() {
		return
	}
	w.begun = time.Now()
	f, h := w.fault, w.Header()
	f.setHeader(h)
	if f.ETag != nil {
		for _, k := range []string{"Etag", "X-Linked-Etag"} {
			if v := h.Get(k); v != "" {
				h[k] = []string{f.ETag(v)}
			}
		}
	}
	if status == http.StatusPartialContent {
		w.changeRange(h)
	}
	w.from = max(f.At-1-w.offset, 0)
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
		if f.Truncate > 0 {
			w.limit = max(n-f.Truncate, 0)
		}
		if f.Extra > 0 {
			h.Set("Content-Length", strconv.FormatInt(n+f.Extra, 10))
		}
	}
	for _, k := range w.without {
		delete(h, k)
	}
	if v, ok := h["Content-Type"]; ok && (len(v) == 0 || v[0] == "") {
		h["Content-Type"] = nil // the server would guess one
	}
	w.ResponseWriter.WriteHeader(status)
	if slices.Contains(w.without, "Content-Length") || f.FirstByte > 0 {
		w.flush() // before a short body is there to be counted
	}
	if f.FirstByte > 0 {
		pause(w.req.Context(), f.FirstByte)
		w.begun = time.Now()
	}
}

// changeRange notes where in the file an answer begins, and lies about it.
func (w *faultyWriter) changeRange(h http.Header) {
	var first, last, total int64
	if _, err := fmt.Sscanf(h.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total); err != nil {
		return
	}
	w.offset = first
	if w.fault.WrongRange {
		first, last = first+1, last+1
	}
	if w.fault.WrongTotal {
		total++
	}
	h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, total))
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if w.begun.IsZero() {
		w.WriteHeader(http.StatusOK)
	}
	if w.broken {
		return 0, errBroken
	}
	total := len(p)
	if w.limit >= 0 {
		// The rest is swallowed; the server then closes the connection, since
		// less was written than the length said.
		p = p[:min(int64(len(p)), w.limit-w.written)]
	}
	if w.fault.OtherBytes {
		p = make([]byte, len(p))
		stream(len(w.req.URL.Path)).ReadAt(p, w.offset) // fills all of p
	}
	p = w.flip(p)
	n, end := w.end(int64(len(p)))
	if err := w.send(p[:n]); err != nil {
		return 0, err
	}
	if end == nil {
		return total, nil
	}
	// What is in the server's buffer would not survive.
	w.flush()
	w.broken = true
	end()
	return 0, errBroken
}

// end says how many of the next n body bytes are sent, and what happens then;
// nil = nothing.
func (w *faultyWriter) end(n int64) (int64, func()) {
	f := w.fault
	var end func()
	cut := func(after int64, do func()) {
		if after > 0 && w.from+after-w.written <= n {
			n, end = max(w.from+after-w.written, 0), do
		}
	}
	reset := func() { breakConn(w.ResponseWriter, true) }
	fin := func() { breakConn(w.ResponseWriter, false) }
	cut(f.ResetAfter, reset)
	cut(f.CloseAfter, fin)
	cut(f.StallAfter, func() { <-w.req.Context().Done() })
	for every, do := range map[int64]func(){f.ResetEvery: reset, f.CloseEvery: fin} {
		if every <= 0 {
			continue
		}
		sum := f.traffic.Add(n)
		if boundary := sum / every * every; boundary > sum-n {
			f.traffic.Store(boundary) // what is not sent does not count
			n, end = n-(sum-boundary), do
		}
	}
	return n, end
}

// send writes p, at the fault's rate if it has one, and does what was to be
// done on the way.
func (w *faultyWriter) send(p []byte) error {
	f := w.fault
	after := w.from + f.DoAfter
	if f.Do != nil && f.DoAfter > 0 && w.written < after && w.written+int64(len(p)) >= after {
		head := p[:after-w.written]
		p = p[len(head):]
		if err := w.paced(head); err != nil {
			return err
		}
		w.flush()
		f.Do()
	}
	return w.paced(p)
}

func (w *faultyWriter) paced(p []byte) error {
	if w.fault.Rate <= 0 {
		return w.put(p)
	}
	piece := int(min(max(w.fault.Rate/100, 1), copyChunk))
	for len(p) > 0 {
		next := p[:min(len(p), piece)]
		at := w.fault.due(w.written + int64(len(next)))
		if !pause(w.req.Context(), time.Until(w.begun.Add(at))) {
			return errBroken
		}
		if err := w.put(next); err != nil {
			return err
		}
		w.flush()
		p = p[len(next):]
	}
	return nil
}

// due is the time at which so many bytes have been sent: the integral of a rate
// that grows linearly in Ramp and then stays.
func (f *Fault) due(n int64) time.Duration {
	rate, ramp := float64(f.Rate), f.Ramp.Seconds()
	seconds := ramp/2 + float64(n)/rate
	if float64(n) < rate*ramp/2 {
		seconds = math.Sqrt(2 * ramp * float64(n) / rate)
	}
	return time.Duration(seconds * float64(time.Second))
}

func (w *faultyWriter) put(p []byte) error {
	n, err := w.ResponseWriter.Write(p)
	w.offset += int64(n)
	w.written += int64(n)
	return err
}

func (w *faultyWriter) flush() { http.NewResponseController(w.ResponseWriter).Flush() }

// finish sends what comes behind the body.
func (w *faultyWriter) finish() {
	if w.fault.Extra > 0 && !w.broken && !w.begun.IsZero() {
		zeros := make([]byte, min(w.fault.Extra, copyChunk))
		for left := w.fault.Extra; left > 0; left -= int64(len(zeros)) {
			zeros = zeros[:min(left, copyChunk)]
			if err := w.put(zeros); err != nil {
				return // the client is gone
			}
		}
	}
}

// flip returns p with a bit changed where the fault says so. The content
// itself is shared and stays as it is.
func (w *faultyWriter) flip(p []byte) []byte {
	at := w.fault.FlipAt - 1 - w.offset
	if w.fault.FlipAt == 0 || at < 0 || at >= int64(len(p)) || !w.fault.mayFlip() {
		return p
	}
	recordOf(w.req).blame(w.fault.Name)
	p = bytes.Clone(p)
	p[at] ^= 1
	return p
}

// mayFlip counts a flip against Times.
func (f *activeFault) mayFlip() bool {
	f.flips.Lock()
	defer f.flips.Unlock()
	if f.Times > 0 && f.flipped >= f.Times {
		return false
	}
	f.flipped++
	return true
}

// breakConn ends the connection: with an RST, after which what is buffered is
// lost, or with a FIN.
func breakConn(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // hijacked already: break it the common way
	}
	if c, ok := conn.(*trackedConn); ok && reset {
		c.reset()
		return
	}
	conn.Close()
}

// endlessHead sends header lines until the client has had enough.
func endlessHead(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	line := "HTTP/1.1 200 OK\r\n"
	for i := 0; err == nil; i++ {
		_, err = conn.Write([]byte(line))
		line = fmt.Sprintf("X-Filler-%d: %0512d\r\n", i, i)
	}
}

func gzipped(body []byte) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		panic("qbranch: internal error: compress: " + err.Error())
	}
	z.Write(body) // a buffer takes everything
	z.Close()
	return out.Bytes()
}
