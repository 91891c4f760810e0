package hubtest

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Entry is one request in the log.
type Entry struct {
	Time   time.Time
	Origin string // "api" or "cdn"
	Method string
	Path   string // without the query
	Range  string // the Range header
	Status int    // 0 while, or because, no answer was sent
	Sent   int64  // body bytes written
	Auth   bool   // an Authorization header was present
	Fault  string // the names of the faults that acted, joined by "+"
}

// Log returns the requests so far in order of arrival, those still being
// answered included.
func (s *Server) Log() []Entry { return s.log.entries() }

// ResetLog forgets the requests so far.
func (s *Server) ResetLog() { s.log.reset() }

type requestLog struct {
	mu   sync.Mutex
	list []*record
}

// record is an Entry that is still being written.
type record struct {
	entry  Entry // fixed when the request arrives, except for the fields below
	status atomic.Int64
	sent   atomic.Int64
	fault  atomic.Pointer[string]
}

type recordKey struct{}

func (l *requestLog) wrap(origin string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &record{entry: Entry{
			Time:   time.Now(),
			Origin: origin,
			Method: r.Method,
			Path:   r.URL.Path,
			Range:  r.Header.Get("Range"),
			Auth:   r.Header.Get("Authorization") != "",
		}}
		l.mu.Lock()
		l.list = append(l.list, rec)
		l.mu.Unlock()
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
		h.ServeHTTP(&loggedWriter{ResponseWriter: w, rec: rec, head: r.Method == http.MethodHead}, r)
	})
}

func (l *requestLog) entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Entry, len(l.list))
	for i, rec := range l.list {
		out[i] = rec.entry
		out[i].Status = int(rec.status.Load())
		out[i].Sent = rec.sent.Load()
		if f := rec.fault.Load(); f != nil {
			out[i].Fault = *f
		}
	}
	return out
}

func (l *requestLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

type loggedWriter struct {
	http.ResponseWriter
	rec  *record
	head bool // a HEAD answer has no body bytes, whatever the handler writes
}

func (w *loggedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *loggedWriter) WriteHeader(status int) {
	w.rec.status.CompareAndSwap(0, int64(status))
	w.ResponseWriter.WriteHeader(status)
}

// Write counts before it writes: a client that has seen the last byte must
// find it in the log.
func (w *loggedWriter) Write(p []byte) (int, error) {
	w.rec.status.CompareAndSwap(0, http.StatusOK)
	if w.head {
		return w.ResponseWriter.Write(p)
	}
	w.rec.sent.Add(int64(len(p)))
	n, err := w.ResponseWriter.Write(p)
	w.rec.sent.Add(int64(n - len(p)))
	return n, err
}

// maxRateChunk bounds what the bucket of SetRate hands out at a time: a
// fiftieth of a second's bytes, so that a new rate is felt at once.
const maxRateChunk = 64 << 10

// SetRate limits the CDN to bytes per second over all connections; 0 = none.
func (s *Server) SetRate(bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		s.limiter.SetLimit(rate.Inf)
		s.limiter.SetBurst(maxRateChunk)
		return
	}
	chunk := int(min(max(bytesPerSecond/50, 1), maxRateChunk))
	s.limiter.SetBurst(chunk)
	s.limiter.SetLimit(rate.Limit(bytesPerSecond))
}

func (s *Server) limit(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&limitedWriter{ResponseWriter: w, ctx: r.Context(), limiter: s.limiter}, r)
	})
}

type limitedWriter struct {
	http.ResponseWriter
	ctx     context.Context
	limiter *rate.Limiter
}

func (w *limitedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *limitedWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		piece := p[written:]
		if w.limiter.Limit() != rate.Inf {
			piece = piece[:min(len(piece), w.limiter.Burst())]
			// An error other than the end of the request means that the rate
			// changed in between; the next piece will fit.
			if err := w.limiter.WaitN(w.ctx, len(piece)); err != nil {
				if w.ctx.Err() != nil {
					return written, w.ctx.Err()
				}
				continue
			}
		}
		n, err := w.ResponseWriter.Write(piece)
		written += n
		if err != nil {
			return written, err
		}
		if w.limiter.Limit() != rate.Inf {
			// Without this the pieces would gather in the server's buffer.
			http.NewResponseController(w.ResponseWriter).Flush()
		}
	}
	return written, nil
}
