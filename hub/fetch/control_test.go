package fetch

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qbranch/qbranch/store"
)

// A pause ends all requests at once, whatever they were doing, and loses no
// byte that had come.
func TestControlPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 8*MiB)})
		b.Connections = 2
		b.Control = new(Control)
		b.hub.script = func(ctx context.Context, _ int, _ request, body io.Reader) (io.Reader, error) {
			return slowly{ctx, body, 64 << 10, time.Second}, nil
		}
		start := time.Now()
		const length = 24 * time.Hour
		time.AfterFunc(30500*time.Millisecond, func() {
			b.Control.Pause()
			synctest.Wait()
			if n := b.stats.Connections.Load(); n != 0 || !b.Control.Paused() {
				t.Errorf("%d connections are open in a pause", n)
			}
			time.AfterFunc(length, b.Control.Resume)
		})
		b.mustRun()
		// 128 chunks of a second, two at a time, as far as parts can be shared out.
		if took := time.Since(start) - length; took < 64*time.Second || took > 110*time.Second {
			t.Errorf("took %v besides the pause", took)
		}
		if b.stats.Refetched.Load() != 0 || b.stats.Retries.Load() != 0 {
			t.Errorf("%d bytes refetched, %d retries", b.stats.Refetched.Load(), b.stats.Retries.Load())
		}
	})
}

// A paused run ends with its context like any other.
func TestControlPauseEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 2*MiB)})
		b.Control = new(Control)
		b.Control.Pause()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := b.run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n := len(b.hub.log()); n != 0 {
			t.Errorf("%d requests in a pause", n)
		}
	})
}

// The most connections can change on the way, to more and to fewer.
func TestControlConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 40*MiB)})
		b.Connections = 2
		b.Control = new(Control)
		var open [3]atomic.Int64 // at most, in each third
		var third atomic.Int64
		b.hub.script = func(ctx context.Context, _ int, _ request, body io.Reader) (io.Reader, error) {
			return readerFunc(func(p []byte) (int, error) {
				at := &open[third.Load()]
				at.Store(max(at.Load(), b.stats.Connections.Load()))
				return slowly{ctx, body, 64 << 10, time.Second}.Read(p)
			}), nil
		}
		time.AfterFunc(60*time.Second, func() { third.Store(1); b.Control.SetConnections(6) })
		time.AfterFunc(120*time.Second, func() {
			b.Control.SetConnections(1)
			// The runs that are under way are brought to an end.
			time.AfterFunc(60*time.Second, func() { third.Store(2) })
		})
		b.mustRun()
		got := []int64{open[0].Load(), open[1].Load(), open[2].Load()}
		if got[0] != 2 || got[1] != 6 || got[2] != 1 {
			t.Errorf("got %v connections, want 2, 6, 1", got)
		}
	})
}

// A full disk is waited out, for as long as it was asked for.
func TestSpaceWait(t *testing.T) {
	full := &store.NoSpaceError{Dir: "d", Need: 2, Free: 1}
	for _, tt := range []struct {
		name string
		wait time.Duration
		told int
		ok   bool
	}{
		{"not at all", 0, 0, false},
		{"not long enough", 30 * time.Second, 1, false},
		{"long enough", 2 * time.Minute, 2, true},
		{"for ever", -1, 2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []Event
				e := newEngine(&Fetcher{SpaceWait: tt.wait, Notify: func(ev Event) { told = append(told, ev) }}, Plan{})
				start := time.Now()
				err := e.persistSpace(t.Context(), "p", func() error {
					if time.Since(start) < time.Minute {
						return full
					}
					return nil
				})
				if (err == nil) != tt.ok || err != nil && !errors.Is(err, store.ErrNoSpace) {
					t.Errorf("got %v", err)
				}
				if len(told) != tt.told {
					t.Errorf("told %+v", told)
				}
				for i, ev := range told {
					if ev.Kind != EventSpace || ev.Path != "p" || (ev.Err == nil) != (i == 1) {
						t.Errorf("told %+v", ev)
					}
				}
			})
		})
	}
}

// A run that is stopped keeps what had come of parts, as a pause does: whoever
// goes on asks for the rest alone.
func TestStopKeepsPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 8*MiB)})
		b.Connections = 2
		slow := func(ctx context.Context, _ int, _ request, body io.Reader) (io.Reader, error) {
			return slowly{ctx, body, 64 << 10, time.Second}, nil
		}
		b.hub.script = slow
		received := int64(0)
		for range 3 { // within the first parts, and among others
			ctx, cancel := context.WithTimeout(t.Context(), 9500*time.Millisecond)
			if err := b.run(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
			received += b.stats.Received.Load()
			if n := b.stats.Refetched.Load(); n != 0 {
				t.Errorf("%d bytes were thrown away", n)
			}
			b.again()
			b.hub.script = slow
		}
		b.hub.script = nil
		b.mustRun()
		if received += b.stats.Received.Load(); received != 8*MiB {
			t.Errorf("%d bytes were received of %d", received, 8*MiB)
		}
	})
}
