package hubtest

import (
	"context"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
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
	Conn   int64  // number of the connection it came over, from 1 on each origin
	Auth   bool   // an Authorization header was present
	Fault  string // the names of the faults that acted, joined by "+"
}

// Log returns the requests so far in order of arrival, those still being
// answered included.
func (s *Server) Log() []Entry { return s.log.entries() }

// ResetLog forgets the requests so far.
func (s *Server) ResetLog() { s.log.reset() }

type requestLog struct {
	tell func(Entry) // instead of keeping them; may be nil
	mu   sync.Mutex
	list []*record
}

// record is an Entry that is still being written.
type record struct {
	entry  Entry // fixed when the request arrives, except for the fields below
	status atomic.Int64
	sent   atomic.Int64

	mu    sync.Mutex
	fault string // the names of faults, joined
}

type recordKey struct{}

// recordOf returns the entry of a request.
func recordOf(r *http.Request) *record { return r.Context().Value(recordKey{}).(*record) }

// blame notes that a fault acts. The faults come from the innermost outwards.
func (rec *record) blame(name string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.fault != "" {
		name += "+" + rec.fault
	}
	rec.fault = name
}

// now is the entry as it stands.
func (rec *record) now() Entry {
	e := rec.entry
	e.Status, e.Sent = int(rec.status.Load()), rec.sent.Load()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	e.Fault = rec.fault
	return e
}

func (l *requestLog) wrap(origin string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &record{entry: Entry{
			Time:   time.Now(),
			Origin: origin,
			Method: r.Method,
			Path:   r.URL.Path,
			Range:  r.Header.Get("Range"),
			Conn:   connOf(r).number,
			Auth:   r.Header.Get("Authorization") != "",
		}}
		if l.tell == nil {
			l.mu.Lock()
			l.list = append(l.list, rec)
			l.mu.Unlock()
		} else {
			defer func() { l.tell(rec.now()) }()
		}
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
		h.ServeHTTP(&loggedWriter{ResponseWriter: w, rec: rec, head: r.Method == http.MethodHead}, r)
	})
}

func (l *requestLog) entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Entry, len(l.list))
	for i, rec := range l.list {
		out[i] = rec.now()
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

// copyChunk is how much of a content is read, sent and counted at a time.
const copyChunk = 256 << 10

// ReadFrom sends a file without a copy of it in this process, in pieces, so
// that the log follows.
func (w *loggedWriter) ReadFrom(src io.Reader) (int64, error) {
	var total int64
	file, left, ok := onDisk(src)
	if !ok || w.head {
		return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{src}, make([]byte, bufferFor(src)))
	}
	w.rec.status.CompareAndSwap(0, http.StatusOK)
	for left > 0 {
		piece := min(left, copyChunk)
		w.rec.sent.Add(piece)
		n, err := io.CopyN(w.ResponseWriter, file, piece)
		w.rec.sent.Add(n - piece)
		total, left = total+n, left-n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// onDisk says whether src is a piece of a file, and how long.
func onDisk(src io.Reader) (file *os.File, left int64, ok bool) {
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		return nil, 0, false
	}
	file, ok = limited.R.(*os.File)
	return file, limited.N, ok
}

// bufferFor is the size of a buffer for a copy of src, which is small for a
// small file.
func bufferFor(src io.Reader) int64 {
	if limited, ok := src.(*io.LimitedReader); ok {
		return max(min(limited.N, copyChunk), 1)
	}
	return copyChunk
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
