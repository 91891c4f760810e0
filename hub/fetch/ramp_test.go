package fetch

import (
	"slices"
	"testing"
)

func TestRamp(t *testing.T) {
	ok := func(goodput ...float64) (out []window) {
		for _, g := range goodput {
			out = append(out, window{goodput: g})
		}
		return out
	}
	failed := window{goodput: 50, failures: 1}
	tests := []struct {
		name    string
		max     int
		windows []window
		want    []int // connections after each window
	}{
		{
			// Capped per connection: each one brings its share, up to the most.
			"every connection pays", 8,
			ok(40, 40, 50, 50, 60, 60, 70, 70, 80, 80),
			[]int{4, 5, 5, 6, 6, 7, 7, 8, 8, 8},
		},
		{
			// The line is full: the fifth is taken back, and nothing is tried for a while.
			"no gain", 8,
			ok(100, 100, 100, 105, 100, 100, 100, 100, 100, 100, 100, 100, 100),
			[]int{4, 5, 5, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5},
		},
		{
			// 10 % is not enough: it may be noise.
			"hardly any gain", 8,
			ok(100, 100, 110, 110),
			[]int{4, 5, 5, 4},
		},
		{
			"failures shed one each", 8,
			[]window{failed, failed, failed, failed, failed},
			[]int{3, 2, 1, 1, 1},
		},
		{
			// A failure during a trial ends the trial too: from 5 to 4, then rest.
			"failure in a trial", 8,
			append(ok(40, 40), failed, window{goodput: 90}, window{goodput: 90}),
			[]int{4, 5, 4, 4, 4},
		},
		{
			// Paused: nothing comes, and nothing is gained.
			"nothing comes", 8,
			ok(0, 0, 0, 0, 0),
			[]int{4, 5, 5, 4, 4},
		},
		{
			"fewer allowed than the start", 2,
			ok(10, 20, 30, 40),
			[]int{2, 2, 2, 2},
		},
		{
			"one connection", 1,
			append(ok(10, 20), failed, failed),
			[]int{1, 1, 1, 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRamp(tt.max)
			var got []int
			for _, w := range tt.windows {
				r = r.next(w)
				got = append(got, r.conns)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
