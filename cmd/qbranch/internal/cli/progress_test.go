package cli

import (
	"bytes"
	"strings"
	"sync/atomic"
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
		{"a terminal of 80: the label is cut", 78, true, "gptq-4bit-32g-acto~ ####....   50%  20.00 MB of 40.00 MB  10.00 MB/s  2 s left"},
		{"a narrower one: the label goes", 66, true, "########........   50%  20.00 MB of 40.00 MB  10.00 MB/s  2 s left"},
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
	start := time.Unix(1000, 0)
	var out bytes.Buffer
	var done int64
	p := &progress{mode: progressPlain, label: "main", w: &out, plainAt: start,
		sample: func() sample { return sample{total: 1000e6, done: done, received: done} }}
	for _, tc := range []struct {
		second  int
		percent int64
		want    int // lines so far
	}{
		{1, 0, 0},
		{9, 50, 0},  // far enough, too early
		{10, 50, 1}, // both
		{11, 60, 1},
		{70, 54, 1}, // long enough, too little
		{71, 55, 2},
		{200, 100, 3},
	} {
		done = tc.percent * 10e6
		p.show(start.Add(time.Duration(tc.second) * time.Second))
		if got := strings.Count(out.String(), "\n"); got != tc.want {
			t.Errorf("at %d s and %d %%: %d lines, want %d", tc.second, tc.percent, got, tc.want)
		}
	}
	if want := "main:  50%  500.00 MB of 1.00 GB"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("got %q, want it to begin with %q", out.String(), want)
	}
}

// A message goes above the bar, and stop leaves nothing of it. Before there is
// a plan there is no bar.
func TestBarAndMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var total atomic.Int64
		p := &progress{mode: progressBar, label: "x", w: &out, width: func() int { return 60 }, ascii: true, stopped: make(chan struct{}),
			sample: func() sample { return sample{total: total.Load(), done: 50, received: 50} }}
		p.start()
		time.Sleep(barInterval) // fake time: no plan yet
		synctest.Wait()
		p.message("plan")
		total.Store(100)
		time.Sleep(barInterval)
		synctest.Wait()
		p.message("hello")
		time.Sleep(barInterval)
		synctest.Wait()
		p.stop()
		const drawn = "\rx #################..................   50%  50 B of 100 B\x1b[K"
		const again = "\rx ##############..............   50%  50 B of 100 B  0 B/s\x1b[K"
		const erased = "\r\x1b[K"
		if got, want := out.String(), "plan\n"+drawn+erased+"hello\n"+again+erased; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestProgressJSON(t *testing.T) {
	var out bytes.Buffer
	p := &progress{mode: progressJSON, json: &out,
		sample: func() sample { return sample{total: 100, done: 50, received: 40, verified: 30, conns: 4, retries: 1} }}
	p.show(time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC))
	want := `{"type":"progress","time":"2026-01-02T03:04:05.006Z","total_bytes":100,"done_bytes":50,"received_bytes":40,` +
		`"verified_bytes":30,"bytes_per_second":0,"seconds_left":null,"connections":4,"retries":1}` + "\n"
	if got := out.String(); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}
