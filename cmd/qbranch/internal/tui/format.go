package tui

import (
	"fmt"
	"strconv"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// unit is a decimal unit of size: what the hub's pages and model cards use.
type unit struct {
	name  string
	bytes float64
}

// unitFor chooses the unit of a column by its largest value, so that a column
// never mixes units and its header can name one.
func unitFor(largest int64) unit {
	if largest >= 1e9 {
		return unit{"GB", 1e9}
	}
	return unit{"MB", 1e6}
}

// of prints n in the unit, without its name.
func (u unit) of(n int64) string {
	if n > 0 && float64(n) < u.bytes/100 {
		return "<0.01"
	}
	return strconv.FormatFloat(float64(n)/u.bytes, 'f', 2, 64)
}

// rate prints bytes per second, in nine columns at most.
func rate(n float64) string {
	switch {
	case n < 1e6:
		return fmt.Sprintf("%.0f kB/s", n/1e3)
	case n < 99.95e6:
		return fmt.Sprintf("%.1f MB/s", n/1e6)
	case n < 1e9:
		return fmt.Sprintf("%.0f MB/s", n/1e6)
	}
	return fmt.Sprintf("%.2f GB/s", n/1e9)
}

// percent rounds down: 100% means all of it.
func percent(done, total int64) string {
	if total <= 0 {
		return "0%"
	}
	return strconv.Itoa(int(float64(min(done, total))/float64(total)*100)) + "%"
}

// duration prints a time for people; whole seconds below ten stay whole.
func duration(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second && d%time.Second != 0:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm %02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh %02dm", int(d.Hours()), int(d.Minutes())%60)
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// paramsText says what a branch claims to be in a few words.
func paramsText(r app.BranchRow) string {
	s := "bits unknown"
	if r.Bits != nil {
		s = fmt.Sprintf("%d bits", *r.Bits)
	}
	switch {
	case r.GroupSize == nil:
	case *r.GroupSize < 0:
		s += ", no groups"
	default:
		s += fmt.Sprintf(", groups of %d", *r.GroupSize)
	}
	switch {
	case r.ActOrder == nil:
	case *r.ActOrder:
		s += ", act-order"
	default:
		s += ", no act-order"
	}
	return s
}

// meter measures a transfer from samples of its counters. The clock comes with
// the samples.
type meter struct {
	first, last, moved time.Time
	bytes              int64
	perSecond          float64 // moving average with a time constant of 5 s
	stalled            time.Duration
}

// sample takes the bytes received so far.
func (m *meter) sample(now time.Time, bytes int64) {
	if m.first.IsZero() {
		*m = meter{first: now, last: now, moved: now, bytes: bytes}
		return
	}
	dt := now.Sub(m.last).Seconds()
	if dt <= 0 {
		return
	}
	// The average starts as the mean so far and becomes exponential after 5 s.
	weight := dt / min(5, now.Sub(m.first).Seconds())
	m.perSecond += min(1, weight) * (float64(bytes-m.bytes)/dt - m.perSecond)
	if bytes != m.bytes {
		m.moved = now
	}
	m.last, m.bytes, m.stalled = now, bytes, now.Sub(m.moved)
}

// left estimates the time for the bytes still to come; "" while it would be a guess.
func (m *meter) left(bytes int64) string {
	if m.stalled >= 5*time.Second || m.perSecond < 1 || m.last.Sub(m.first) < 3*time.Second {
		return ""
	}
	return duration(time.Duration(float64(bytes) / m.perSecond * float64(time.Second)).Round(time.Second))
}

// rateArg writes bytes per second as --limit-rate takes them.
func rateArg(n int64) string {
	switch {
	case n%1e6 == 0:
		return fmt.Sprintf("%dM", n/1e6)
	case n%1e3 == 0:
		return fmt.Sprintf("%dk", n/1e3)
	}
	return strconv.FormatInt(n, 10)
}
