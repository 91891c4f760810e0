package fetch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiterRate(t *testing.T) {
	tests := []struct {
		name string
		rate int64
		n    int // bytes per call
		call int
		want time.Duration
	}{
		{"no limit", 0, 1 << 20, 100, 0},
		{"one large call", 1 << 20, 4 << 20, 1, 4 * time.Second},
		{"many small calls", 100_000, 1000, 200, 2 * time.Second},
		{"slower than a chunk a second", 100, 1000, 1, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, start := NewLimiter(tt.rate), time.Now()
				for range tt.call {
					if err := l.Wait(t.Context(), tt.n); err != nil {
						t.Fatal(err)
					}
				}
				got := time.Since(start)
				if got < tt.want*99/100 || got > tt.want*101/100 {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// A rate is shared: eight who wait get no more than one would.
func TestLimiterShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := NewLimiter(1<<20), time.Now()
		done := make(chan error)
		for range 8 {
			go func() { done <- l.Wait(t.Context(), 1<<20) }()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if got := time.Since(start).Round(10 * time.Millisecond); got != 8*time.Second {
			t.Errorf("8 MiB at 1 MiB/s took %v", got)
		}
	})
}

func TestLimiterChangesAtOnce(t *testing.T) {
	tests := []struct {
		name          string
		before, after int64
		want          time.Duration // for 1 MiB, changed after 10 s
	}{
		{"lifted", 1000, 0, 10 * time.Second},
		{"raised", 1000, 1 << 20, 11 * time.Second},
		{"lifted by a number that is no rate", 1000, -1, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, start := NewLimiter(tt.before), time.Now()
				time.AfterFunc(10*time.Second, func() { l.SetRate(tt.after) })
				if err := l.Wait(t.Context(), 1<<20); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start).Round(100 * time.Millisecond); got != tt.want {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestLimiterEndsWithContext(t *testing.T) {
	for _, rate := range []int64{1, 1000} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := NewLimiter(rate).Wait(ctx, 1<<20); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("rate %d: got %v", rate, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var none *Limiter
	if err := none.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("nil limiter: got %v", err)
	}
}

func TestLimiterChunk(t *testing.T) {
	var none *Limiter
	if got := none.chunk(); got != maxChunk {
		t.Errorf("nil: got %d", got)
	}
	tests := []struct {
		rate int64
		want int
	}{
		{0, maxChunk},
		{-1, maxChunk},
		{1000, minChunk},
		{1 << 20, 1 << 20 / 20},
		{1 << 40, maxChunk},
	}
	for _, tt := range tests {
		if got := NewLimiter(tt.rate).chunk(); got != tt.want {
			t.Errorf("rate %d: got %d, want %d", tt.rate, got, tt.want)
		}
	}
}
