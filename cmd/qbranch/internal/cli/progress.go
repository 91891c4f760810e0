package cli

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// sample is what the counters of a running verb said at a moment.
type sample struct {
	at             time.Time
	total, done    int64 // bytes; done is what is safe on disk, or hashed
	received       int64 // bytes that crossed the network; equal to done where none is used
	verified       int64
	retries, conns int64
}

// meter turns samples into a rate: an exponentially weighted mean with a time
// constant of 5 s, which forgets a stall as fast as it forgets a burst.
type meter struct {
	last sample
	rate float64 // bytes per second
	warm bool    // rate means something
}

func (m *meter) add(s sample) {
	dt := s.at.Sub(m.last.at).Seconds()
	if !m.last.at.IsZero() && dt > 0 {
		now := float64(s.received-m.last.received) / dt
		if !m.warm {
			m.rate, m.warm = now, true
		} else {
			m.rate += (now - m.rate) * (1 - math.Exp(-dt/5))
		}
	}
	m.last = s
}

// left is how long the rest will take; ok is false while nobody can know.
func (m *meter) left() (d time.Duration, ok bool) {
	if !m.warm || m.rate < 1 {
		return 0, false
	}
	seconds := float64(m.last.total-m.last.done) / m.rate
	return time.Duration(seconds * float64(time.Second)), seconds < 1e6
}

// progressMode is how progress is shown.
type progressMode int

const (
	progressNone  progressMode = iota
	progressBar                // one line that redraws itself, on a terminal
	progressPlain              // a line now and then
	progressJSON               // an object each second
)

// How often the counters are sampled, and the least steps between plain lines.
const (
	barInterval  = 100 * time.Millisecond
	lineInterval = time.Second
	plainEvery   = 10 * time.Second
	plainPercent = 5
)

// mode resolves --progress.
func (r *run) mode() progressMode {
	switch r.progress {
	case "plain":
		return progressPlain
	case "json":
		return progressJSON
	case "none":
		return progressNone
	}
	switch {
	case r.quiet && !r.json, isTrue(r.Getenv("HF_HUB_DISABLE_PROGRESS_BARS")):
		return progressNone
	case r.json:
		return progressJSON
	case isTerminal(r.Err) && r.Getenv("TERM") != "dumb":
		return progressBar
	}
	return progressPlain
}

// isTrue reads a boolean of the environment as the hub's own client does.
func isTrue(s string) bool {
	switch strings.ToUpper(s) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

// progress shows the counters of one running verb, and lets messages pass
// above the bar.
type progress struct {
	mode   progressMode
	label  string
	w      io.Writer // where bars, lines and messages go
	json   io.Writer // where objects go
	width  func() int
	ascii  bool
	sample func() sample

	mu        sync.Mutex
	meter     meter
	drawn     bool // a bar is on the screen
	plainAt   time.Time
	plainDone int64 // percent at plainAt

	stopped chan struct{}
	wg      sync.WaitGroup
}

// newProgress shows sample's counters under a label; start starts it.
func (r *run) newProgress(label string, sample func() sample) *progress {
	p := &progress{mode: r.mode(), label: clean(label), w: r.Err, json: r.out, width: func() int { return terminalWidth(r.Err) },
		ascii: asciiOnly(r.Getenv), sample: sample, stopped: make(chan struct{})}
	if !r.json {
		p.json = r.Err // --progress json beside text output
	}
	return p
}

// outWidth is the width of standard output, 0 when it is no terminal.
func (r *run) outWidth() int {
	if !isTerminal(r.Out) {
		return 0
	}
	return terminalWidth(r.Out)
}

func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 80
}

// start samples until stop.
func (p *progress) start() {
	if p.mode == progressNone {
		return
	}
	interval := lineInterval
	if p.mode == progressBar {
		interval = barInterval
	}
	p.plainAt = time.Now()
	p.wg.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				p.show(now)
			case <-p.stopped:
				return
			}
		}
	})
}

// stop takes the bar away.
func (p *progress) stop() {
	close(p.stopped)
	p.wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}

// message prints a line above the bar.
func (p *progress) message(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	fmt.Fprintln(p.w, line)
}

func (p *progress) erase() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

// show samples and shows, if there is something to show by now.
func (p *progress) show(now time.Time) {
	s := p.sample()
	s.at = now
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.total == 0 {
		return // no plan yet
	}
	p.meter.add(s)
	switch p.mode {
	case progressBar:
		// The last two columns are left to the ^C that a terminal echoes: one that
		// wrapped would leave the bar behind.
		fmt.Fprint(p.w, "\r"+barLine(p.label, &p.meter, p.width()-2, p.ascii)+"\x1b[K")
		p.drawn = true
	case progressPlain:
		percent := 100 * s.done / s.total
		if now.Sub(p.plainAt) >= plainEvery && percent-p.plainDone >= plainPercent {
			fmt.Fprintln(p.w, p.label+": "+statusText(&p.meter))
			p.plainAt, p.plainDone = now, percent
		}
	case progressJSON:
		emitTo(p.json, progressLine(&p.meter)) // a failed write is remembered by the writer
	}
}

// statusText is percent, bytes, rate and time left.
func statusText(m *meter) string {
	s := m.last
	text := fmt.Sprintf("%3d%%  %s of %s", 100*s.done/s.total, app.BytesText(s.done), app.BytesText(s.total))
	if m.warm {
		text += fmt.Sprintf("  %s/s", app.BytesText(int64(m.rate)))
	}
	if left, ok := m.left(); ok && s.done < s.total {
		text += "  " + strings.Replace(durationText(left.Round(time.Second)), ".0 s", " s", 1) + " left"
	}
	return text
}

// barLine fits label, bar and status into width columns: first the bar
// shrinks, then the label, which then goes, then the bar, and the status is cut
// last.
func barLine(label string, m *meter, width int, ascii bool) string {
	const widest, narrowest, shortest = 40, 8, 8
	status := statusText(m)
	room := width - runewidth.StringWidth(status) - 2
	if most := room - narrowest - 1; most >= shortest {
		tail := "…"
		if ascii {
			tail = "~"
		}
		label = runewidth.Truncate(label, most, tail)
	}
	if withLabel := room - runewidth.StringWidth(label) - 1; withLabel >= narrowest {
		return label + " " + bar(m.last, min(withLabel, widest), ascii) + "  " + status
	}
	if room >= narrowest {
		return bar(m.last, min(room, widest), ascii) + "  " + status
	}
	return runewidth.Truncate(status, max(width, 0), "")
}

// bar is cells columns wide. Its last filled cell shows eighths.
func bar(s sample, cells int, ascii bool) string {
	eighths := int(int64(cells) * 8 * min(s.done, s.total) / max(s.total, 1))
	full := eighths / 8
	if ascii {
		return strings.Repeat("#", full) + strings.Repeat(".", cells-full)
	}
	b := strings.Repeat("█", full)
	if rest := eighths % 8; rest > 0 {
		b += string(rune('█' + 8 - rest))
		full++
	}
	return b + strings.Repeat("·", cells-full)
}

// progressObject is the JSON of progress.
type progressObject struct {
	Type           string   `json:"type"` // "progress"
	Time           string   `json:"time"`
	TotalBytes     int64    `json:"total_bytes"`
	DoneBytes      int64    `json:"done_bytes"`
	ReceivedBytes  int64    `json:"received_bytes"`
	VerifiedBytes  int64    `json:"verified_bytes"`
	BytesPerSecond int64    `json:"bytes_per_second"`
	SecondsLeft    *float64 `json:"seconds_left"` // null while unknown
	Connections    int64    `json:"connections"`
	Retries        int64    `json:"retries"`
}

func progressLine(m *meter) progressObject {
	s := m.last
	o := progressObject{Type: "progress", Time: timeText(s.at), TotalBytes: s.total, DoneBytes: s.done,
		ReceivedBytes: s.received, VerifiedBytes: s.verified, BytesPerSecond: int64(m.rate),
		Connections: s.conns, Retries: s.retries}
	if left, ok := m.left(); ok {
		seconds := math.Round(left.Seconds()*10) / 10
		o.SecondsLeft = &seconds
	}
	return o
}

// timeText is a time in JSON: RFC 3339 in UTC, to the millisecond.
func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
