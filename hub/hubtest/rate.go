package hubtest

import (
	"context"
	"io"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// maxRateChunk bounds what a bucket hands out at a time: a fiftieth of a
// second's bytes, so that a new rate is felt at once.
const maxRateChunk = copyChunk

// SetRate limits the CDN to bytes per second over all connections; 0 = none.
func (s *Server) SetRate(bytesPerSecond int64) { setRate(s.limiter, bytesPerSecond) }

// SetConnRate limits the CDN to bytes per second on each connection, those
// already open included; 0 = none.
func (s *Server) SetConnRate(bytesPerSecond int64) { s.cdn.setRate(bytesPerSecond) }

// SetLatency makes every request wait for the time that a packet takes to the
// other side and back, on both origins: a request on an open connection costs
// one such time, the first on a new connection two, as with TCP. It does not
// limit what a connection carries (see SetConnRate). 0 = none.
func (s *Server) SetLatency(roundTrip time.Duration) { s.latency.Store(int64(roundTrip)) }

func newLimiter() *rate.Limiter { return rate.NewLimiter(rate.Inf, maxRateChunk) }

func setRate(l *rate.Limiter, bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		l.SetLimit(rate.Inf)
		l.SetBurst(maxRateChunk)
		return
	}
	l.SetBurst(int(min(max(bytesPerSecond/50, 1), maxRateChunk)))
	l.SetLimit(rate.Limit(bytesPerSecond))
}

// delay is the latency of a request.
func (s *Server) delay(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d := time.Duration(s.latency.Load()); d > 0 {
			if connOf(r).used.Swap(true) {
				pause(r.Context(), d)
			} else {
				pause(r.Context(), 2*d)
			}
		}
		h.ServeHTTP(w, r)
	})
}

// pause waits, or until the client goes away. It says whether it waited to the
// end.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) limit(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&limitedWriter{ResponseWriter: w, ctx: r.Context(), limiters: [2]*rate.Limiter{s.limiter, connOf(r).limiter}}, r)
	})
}

// limitedWriter paces an answer by the rate of all connections and that of its
// own.
type limitedWriter struct {
	http.ResponseWriter
	ctx      context.Context
	limiters [2]*rate.Limiter
}

func (w *limitedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *limitedWriter) limited() bool {
	return w.limiters[0].Limit() != rate.Inf || w.limiters[1].Limit() != rate.Inf
}

// ReadFrom keeps the way of a file to the kernel open while there is no rate.
func (w *limitedWriter) ReadFrom(src io.Reader) (int64, error) {
	if w.limited() {
		return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{src}, make([]byte, bufferFor(src)))
	}
	return w.ResponseWriter.(io.ReaderFrom).ReadFrom(src)
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		piece := p[written:]
		limited := w.limited()
		if limited {
			piece = piece[:min(len(piece), w.limiters[0].Burst(), w.limiters[1].Burst())]
			for _, l := range w.limiters {
				if err := waitFor(w.ctx, l, len(piece)); err != nil {
					return written, err
				}
			}
		}
		n, err := w.ResponseWriter.Write(piece)
		written += n
		if err != nil {
			return written, err
		}
		if limited {
			// Without this the pieces would gather in the server's buffer.
			http.NewResponseController(w.ResponseWriter).Flush()
		}
	}
	return written, nil
}

// waitFor takes n tokens. An error other than the end of the request means that
// the rate changed in between: then fewer are taken at a time.
func waitFor(ctx context.Context, l *rate.Limiter, n int) error {
	for n > 0 {
		k := min(n, l.Burst())
		if err := l.WaitN(ctx, k); err == nil {
			n -= k
		} else if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
