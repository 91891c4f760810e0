package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qbranch/qbranch/hub"
)

// What a hub says of a broken line, and of being asked too often.
var errLine = &hub.NetworkError{Op: "fetch p of o/n", Host: "h", Err: syscall.ECONNRESET}

func tooOften(wait time.Duration) error {
	return &hub.StatusError{Op: "fetch p of o/n", Status: 429, RetryAfter: wait}
}

// Our own errors say what the retries go by.
func TestErrorsOfTheLine(t *testing.T) {
	for _, cause := range []error{errStalled, io.ErrUnexpectedEOF} {
		err := error(&lineError{"fetch p of o/n", cause})
		if !hub.Temporary(err) || !errors.Is(err, hub.ErrNetwork) || !errors.Is(err, cause) {
			t.Errorf("%v is not a temporary failure of the network", err)
		}
	}
	// Too many open files is temporary to the system, not to us.
	err := diskError{fmt.Errorf("write: %w", syscall.EMFILE)}
	if hub.Temporary(err) || !errors.Is(err, syscall.EMFILE) {
		t.Errorf("%v would be tried again", err)
	}
	// Who shares a question with a request that lost must ask again.
	if !errors.Is(errTaken, context.Canceled) {
		t.Error("errTaken is not a cancellation")
	}
}

func TestHints(t *testing.T) {
	dns := &hub.NetworkError{Op: "fetch p of o/n", Host: "h", Err: &net.DNSError{Name: "h"}}
	tests := []struct {
		err  hub.Hinter
		want string
	}{
		{&GaveUpError{Tries: 8, Err: &lineError{"fetch p of o/n", errStalled}}, "check the connection; run the same command again to resume"},
		// Who knows more says so.
		{&GaveUpError{Tries: 8, Err: dns}, dns.Hint() + "; run the same command again to resume"},
	}
	for _, tt := range tests {
		if got := tt.err.Hint(); got != tt.want {
			t.Errorf("%v: got hint %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestPause(t *testing.T) {
	ceilings := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
		8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}
	for i, want := range ceilings {
		if got := ceiling(defaultRetryWait, i+1); got != want {
			t.Errorf("ceiling(%d) = %v, want %v", i+1, got, want)
		}
		for range 100 {
			if got, ok := pause(defaultRetryWait, i+1, io.EOF); !ok || got < 0 || got >= want {
				t.Fatalf("pause(%d) = %v, %v; want below %v", i+1, got, ok, want)
			}
		}
	}
	if got := ceiling(defaultRetryWait, 1000); got != maxWait {
		t.Errorf("ceiling(1000) = %v", got)
	}
	// What the other side asks for is obeyed, and never undercut.
	for range 100 {
		got, ok := pause(defaultRetryWait, 8, tooOften(7*time.Second))
		if !ok || got < 7*time.Second || got > 7500*time.Millisecond {
			t.Fatalf("Retry-After of 7 s: %v, %v", got, ok)
		}
	}
	if _, ok := pause(defaultRetryWait, 1, tooOften(time.Hour)); ok {
		t.Error("a Retry-After of an hour was accepted")
	}
}

func TestPersist(t *testing.T) {
	fail := errors.New("final")
	type step struct {
		progress bool
		err      error
	}
	bad, good := step{false, errLine}, step{true, errLine}
	repeat := func(s step, n int) (out []step) {
		for range n {
			out = append(out, s)
		}
		return out
	}
	done := step{true, nil}
	tests := []struct {
		name  string
		steps []step
		want  error
		calls int
	}{
		{"at once", []step{done}, nil, 1},
		{"after seven failures", append(repeat(bad, 7), done), nil, 8},
		{"eight failures", repeat(bad, 20), hub.ErrNetwork, 8},
		// Progress pays back the whole budget; the failure that follows it counts anew.
		{"slow but steady", append(repeat(good, 50), done), nil, 51},
		{"progress, then none", append([]step{good}, repeat(bad, 20)...), hub.ErrNetwork, 8},
		{"failures, progress, failures", append(append(repeat(bad, 7), good), append(repeat(bad, 6), done)...), nil, 15},
		{"a final error", []step{bad, {false, fail}}, fail, 2},
		{"asked to wait too long", []step{{false, tooOften(time.Hour)}}, hub.ErrNetwork, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stats Stats
				var told int64
				e := newEngine(&Fetcher{Stats: &stats, Notify: func(ev Event) {
					if ev.Kind == EventRetry && ev.Path == "p" && ev.Err != nil {
						told++
					}
				}}, Plan{})
				calls, row := 0, 0
				err := e.persist(t.Context(), e.dial(&content{file: hub.File{Path: "p"}}), func(failures int) (bool, error) {
					if failures != row {
						t.Errorf("call %d: told of %d failures, want %d", calls, failures, row)
					}
					s := tt.steps[calls]
					calls++
					if s.progress {
						row = 0
					}
					row++
					return s.progress, s.err
				})
				if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if calls != tt.calls {
					t.Errorf("got %d calls, want %d", calls, tt.calls)
				}
				if told != stats.Retries.Load() || told != int64(calls-1) {
					t.Errorf("told of %d retries, counted %d, made %d", told, stats.Retries.Load(), calls-1)
				}
			})
		})
	}
}

func TestPersistEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		e := newEngine(&Fetcher{}, Plan{})
		start := time.Now()
		err := e.persist(ctx, e.dial(&content{file: hub.File{Path: "p"}}), func(int) (bool, error) { return false, tooOften(4 * time.Minute) })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}
