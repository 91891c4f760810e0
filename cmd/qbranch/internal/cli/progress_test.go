package cli

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-runewidth"
)

// half is a meter in the middle of a fetch at 10 MB/s.
func half() *meter {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := &meter{}
	m.add(sample{at: start, total: 40e6, done: 10e6})
	m.add(sample{at: start.Add(time.Second), total: 40e6, done: 20e6, received: 10e6})
	return m
}

func TestBarLine(t *testing.T) {
	const label = "gptq-4bit-32g-actorder_True"
	for _, tc := range []struct {
		name  string
		width int
		ascii bool
		want  string
	}{
		{"wide", 120, false, label + " ████████████████████····················   50%  20.00 MB of 40.00 MB  10.00 MB/s  2 s left"},
		{"a terminal of 80: the label goes first", 79, true, "##############...............   50%  20.00 MB of 40.00 MB  10.00 MB/s  2 s left"},
		{"too narrow for a bar", 50, false, " 50%  20.00 MB of 40.00 MB  10.00 MB/s  2 s left"},
		{"cut", 20, false, " 50%  20.00 MB of 40"},
	} {
		if got := barLine(label, half(), tc.width, tc.ascii); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	// No width makes a line that wraps: a wrapped bar scrolls the screen.
	for width := range 200 {
		for _, ascii := range []bool{false, true} {
			if got := barLine(label, half(), width, ascii); runewidth.StringWidth(got) > width {
				t.Errorf("width %d: %q is wider", width, got)
			}
		}
	}
}

func TestBarEighths(t *testing.T) {
	for _, tc := range []struct {
		done  int64 // of 80: a cell is 8
		ascii bool
		want  string
	}{
		{0, false, "··········"},
		{1, false, "▏·········"},
		{40, false, "█████·····"},
		{45, false, "█████▋····"},
		{79, false, "█████████▉"},
		{80, false, "██████████"},
		{96, false, "██████████"}, // more than was planned does not overflow
		{45, true, "#####....."},
	} {
		if got := bar(sample{total: 80, done: tc.done}, 10, tc.ascii); got != tc.want {
			t.Errorf("%d of 80: got %q, want %q", tc.done, got, tc.want)
		}
	}
}

func TestMeter(t *testing.T) {
	m := &meter{}
	if _, ok := m.left(); ok {
		t.Error("a meter without samples knows the time left")
	}
	start := time.Unix(1000, 0)
	for i := range 100 { // steady
		m.add(sample{at: start.Add(time.Duration(i) * time.Second), total: 1e9, done: int64(i) * 1e6, received: int64(i) * 1e6})
	}
	if m.rate < 0.999e6 || m.rate > 1.001e6 {
		t.Errorf("steady 1 MB/s measured as %.0f B/s", m.rate)
	}
	for i := range 60 { // stalled for a minute
		m.add(sample{at: start.Add(time.Duration(100+i) * time.Second), total: 1e9, done: 99e6, received: 99e6})
	}
	if left, ok := m.left(); ok && left < time.Hour {
		t.Errorf("stalled, and yet %v left at %.1f B/s", left, m.rate)
	}
}

// A plain line appears after both 10 s and 5 %, whichever is later.
func TestPlainLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var done int64
		p := &progress{mode: progressPlain, label: "main", w: &out, stopped: make(chan struct{}),
			sample: func() sample { return sample{total: 1000e6, done: done, received: done} }}
		p.start()
		step := func(seconds int, toPercent int64) {
			done = toPercent * 10e6
			time.Sleep(time.Duration(seconds) * time.Second)
			synctest.Wait()
		}
		step(9, 50) // far enough, too early
		if got := out.String(); got != "" {
			t.Errorf("after 9 s: %q", got)
		}
		step(2, 50)
		if got := strings.Count(out.String(), "\n"); got != 1 {
			t.Errorf("after 11 s and 50 %%: %d lines", got)
		}
		step(60, 54) // long enough, too little
		if got := strings.Count(out.String(), "\n"); got != 1 {
			t.Errorf("a minute and 4 %% later: %d lines", got)
		}
		step(2, 55)
		if got := strings.Count(out.String(), "\n"); got != 2 {
			t.Errorf("at 55 %%: %d lines", got)
		}
		p.stop()
		if !strings.HasPrefix(out.String(), "main:  50%  500.00 MB of 1.00 GB") {
			t.Errorf("got %q", out.String())
		}
	})
}

// A message goes above the bar, and stop leaves nothing of it.
func TestBarAndMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &progress{mode: progressBar, label: "x", w: &out, width: func() int { return 60 }, ascii: true, stopped: make(chan struct{}),
			sample: func() sample { return sample{total: 100, done: 50, received: 50} }}
		p.start()
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		p.message("hello")
		p.stop()
		const drawn = "\rx ##################..................   50%  50 B of 100 B\x1b[K"
		if got, want := out.String(), drawn+"\r\x1b[Khello\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestProgressJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &progress{mode: progressJSON, json: &out, stopped: make(chan struct{}),
			sample: func() sample { return sample{total: 100, done: 50, received: 40, verified: 30, conns: 4, retries: 1} }}
		p.start()
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		p.stop()
		want := `{"type":"progress","time":"2000-01-01T00:00:01.000Z","total_bytes":100,"done_bytes":50,"received_bytes":40,` +
			`"verified_bytes":30,"bytes_per_second":0,"seconds_left":null,"connections":4,"retries":1}` + "\n"
		if got := out.String(); got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	})
}
