package fetch

import "time"

// How the number of connections adapts. Several connections pay where each one
// is held back (by loss, or by a cap per connection) and cost a little where
// none is, so nothing but trying tells. The first seconds count: a file of some
// hundred megabytes is over before a cautious climb has reached its top. So the
// number doubles while doubling pays, in windows of a few hundredths of a
// second, and is tried one step up or down every now and then afterwards.
const (
	startConns = 4
	gain       = 1.10 // added connections must bring this much …
	wellWorth  = 1.40 // … and this much for another doubling
	loss       = 0.97 // fewer connections that keep this much are enough

	fastWindow = 25 * time.Millisecond
	slowWindow = 500 * time.Millisecond
	patience   = time.Second     // connections get to come up, or to go, before a window opens regardless
	restTime   = 8 * time.Second // without a try after one that did not pay, or after trouble

	fastTick = 5 * time.Millisecond   // between samples while doubling
	slowTick = 250 * time.Millisecond // afterwards
)

// sample is what is seen at one moment. All counts but conns and waiting go up.
type sample struct {
	at       time.Duration // since the start
	bytes    int64         // received
	failures int           // requests that failed and brought nothing
	conns    int           // connections there are
	waiting  int           // of those, without their first byte
}

// ramp looks for the number of connections that pays. It is a value: next
// returns what follows from one more sample.
type ramp struct {
	conns  int // to use now
	max    int
	steady bool // doubling is over

	was      int           // connections before the last change; 0 = none is on trial
	base     float64       // goodput before that, bytes per second
	changed  time.Duration // when
	down     bool          // the next try is one of fewer
	rest     time.Duration // no window before
	open     bool          // a window is open …
	since    time.Duration // … since
	from     int64         // bytes at that time
	failures int           // seen so far
}

func newRamp(most int) ramp { return ramp{conns: min(startConns, most), max: most} }

// tick is how long to wait before the next sample.
func (r ramp) tick() time.Duration {
	if r.steady {
		return slowTick
	}
	return fastTick
}

func (r ramp) next(s sample) ramp {
	if s.failures > r.failures {
		// Whoever has trouble gets less to do, and time.
		r.failures = s.failures
		return r.settle(max(1, r.conns-1), s.at+restTime)
	}
	if !r.open {
		coming := (s.waiting > 0 || s.conns > r.conns) && s.at < r.changed+patience
		if s.at >= r.rest && !coming {
			r.open, r.since, r.from = true, s.at, s.bytes
		}
		return r
	}
	window := fastWindow
	if r.steady {
		window = slowWindow
	}
	if s.at-r.since < window {
		return r
	}
	r.open = false
	goodput := float64(s.bytes-r.from) / (s.at - r.since).Seconds()
	if goodput == 0 {
		return r // paused, or stalled: nothing to learn
	}
	if r.was == 0 {
		return r.try(goodput, s.at)
	}
	return r.judge(goodput, s.at)
}

// try changes the number of connections, to see what that brings.
func (r ramp) try(goodput float64, now time.Duration) ramp {
	to := r.conns * 2
	if r.steady {
		step := max(1, r.conns/4)
		if to = r.conns + step; r.down || r.conns == r.max {
			to = r.conns - step
		}
	}
	to = min(max(to, 1), r.max)
	if to == r.conns {
		return r.settle(r.conns, now+restTime)
	}
	r.was, r.base, r.changed, r.conns = r.conns, goodput, now, to
	return r
}

// judge keeps a change or takes it back.
func (r ramp) judge(goodput float64, now time.Duration) ramp {
	switch {
	case r.conns < r.was && goodput >= loss*r.base:
		// Fewer do as well; perhaps still fewer. They are measured by the same
		// base, so that small losses do not add up.
		to := max(1, r.conns-max(1, r.conns/4))
		if to == r.conns {
			return r.settle(r.conns, now+restTime)
		}
		r.was, r.changed, r.conns = r.conns, now, to
		return r
	case r.conns < r.was:
		r.down = false
		return r.settle(r.was, now+restTime)
	case !r.steady && goodput > wellWorth*r.base && r.conns < r.max:
		r.was = 0
		return r.try(goodput, now)
	case goodput > gain*r.base && r.conns < r.max:
		return r.settle(r.conns, now)
	case goodput > gain*r.base:
		return r.settle(r.conns, now+restTime)
	}
	r.down = true
	return r.settle(r.was, now+restTime)
}

// settle ends a trial and the doubling.
func (r ramp) settle(conns int, rest time.Duration) ramp {
	r.conns, r.rest = conns, rest
	r.steady, r.open, r.was = true, false, 0
	return r
}

// capped is r under another maximum.
func (r ramp) capped(most int) ramp {
	if most == r.max {
		return r
	}
	r.max, r.open, r.was = most, false, 0
	r.conns = min(r.conns, most)
	return r
}
