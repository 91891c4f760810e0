package fetch

import (
	"slices"
	"testing"
	"time"
)

// climb runs a ramp against a line until a time and returns the numbers of
// connections it went through, beginning with the first.
func climb(r ramp, until time.Duration, line func(at time.Duration, conns int) (goodput float64, s sample)) []int {
	went := []int{r.conns}
	var bytes float64
	failures := 0
	for at := time.Duration(0); at < until; at += r.tick() {
		goodput, s := line(at, r.conns)
		bytes += goodput * r.tick().Seconds()
		failures += s.failures
		s.at, s.bytes, s.conns, s.failures = at, int64(bytes), r.conns, failures
		if r = r.next(s); r.conns != went[len(went)-1] {
			went = append(went, r.conns)
		}
	}
	return went
}

func TestRamp(t *testing.T) {
	const MB = 1e6
	perConnection := func(_ time.Duration, conns int) (float64, sample) { return float64(conns) * 20 * MB, sample{} }
	full := func(time.Duration, int) (float64, sample) { return 400 * MB, sample{} }
	tests := []struct {
		name  string
		max   int
		until time.Duration
		line  func(time.Duration, int) (float64, sample)
		want  []int
	}{
		// Capped per connection: at the top after a window, and every
		// now and then a look whether fewer would do.
		{"every connection pays", 16, 120 * time.Millisecond, perConnection, []int{4, 16}},
		{"every connection pays, later", 16, 30 * time.Second, perConnection, []int{4, 16, 12, 16, 12, 16}},
		{"up to the most", 6, 120 * time.Millisecond, perConnection, []int{4, 6}},
		// The line is full: what was added goes again, then fewer are tried.
		{"no gain", 16, 5 * time.Second, full, []int{4, 8, 4}},
		{"fewer do as well", 16, 60 * time.Second, full, []int{4, 8, 4, 3, 2, 1}},
		// Pays up to a point: 8 bring 25 % more than 4, 10 no more than 8.
		{"some gain", 16, 9 * time.Second, func(_ time.Duration, conns int) (float64, sample) {
			return min(float64(conns)*60*MB, 300*MB), sample{}
		}, []int{4, 8, 10, 8}},
		{"paused", 16, time.Minute, func(time.Duration, int) (float64, sample) { return 0, sample{} }, []int{4}},
		// A window opens when all connections have had their first byte.
		{"slow to come", 16, 500 * time.Millisecond, func(at time.Duration, conns int) (float64, sample) {
			if at < 400*time.Millisecond {
				return float64(conns) * 20 * MB, sample{waiting: 1}
			}
			return float64(conns) * 20 * MB, sample{}
		}, []int{4, 16}},
		// One that never comes does not keep the others from being counted.
		{"one never comes", 16, 1200 * time.Millisecond, func(at time.Duration, conns int) (float64, sample) {
			return float64(conns) * 60 * MB, sample{waiting: 1}
		}, []int{4, 8}},
		{"failures shed one each", 8, 50 * time.Millisecond, func(at time.Duration, conns int) (float64, sample) {
			return 50 * MB, sample{failures: 1}
		}, []int{4, 3}},
		{"trouble", 8, 3 * time.Second, func(at time.Duration, conns int) (float64, sample) {
			return 50 * MB, sample{failures: 1}
		}, []int{4, 3, 2, 1}},
		{"fewer allowed than the start", 2, time.Second, perConnection, []int{2}},
		{"one connection", 1, time.Minute, perConnection, []int{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := climb(newRamp(tt.max), tt.until, tt.line); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Whatever is seen, there is at least one connection and never too many, also
// when the maximum changes.
func FuzzRamp(f *testing.F) {
	f.Add([]byte{4, 200, 9, 9, 1, 0, 3, 250})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRamp(16)
		var s sample
		for i := 0; i+3 < len(b); i += 4 {
			s.at += time.Duration(b[i]) * 10 * time.Millisecond
			s.bytes += int64(b[i+1]) << 16
			s.failures += int(b[i+2] & 1)
			s.conns, s.waiting = r.conns, int(b[i+2]>>7)
			r = r.capped(1 + int(b[i+3])%20).next(s)
			if r.conns < 1 || r.conns > r.max || r.tick() <= 0 {
				t.Fatalf("got %+v", r)
			}
		}
	})
}
