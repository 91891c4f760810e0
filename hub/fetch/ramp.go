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
	slowLine   = 50e6 // bytes per second that a connection brings where it is hardly held back; if less, the number is quadrupled
	loss       = 0.97 // fewer connections that keep this much are enough

	// A window is over when it has lasted so long and has seen so much of each
	// connection: a slow line comes in lumps.
	fastWindow, fastBytes = 25 * time.Millisecond, 64 << 10
	slowWindow, slowBytes = 500 * time.Millisecond, 256 << 10
	longWindow            = 15 * time.Second // at most

	patience = time.Second      // connections get to come up before a window opens regardless
	rest     = 8 * time.Second  // without a try after one that did not pay, or after trouble; doubled each time …
	longRest = 64 * time.Second // … up to this, since a try costs something

	fastTick = 5 * time.Millisecond   // between samples while doubling
	slowTick = 250 * time.Millisecond // afterwards
	helpTick = 25 * time.Millisecond  // while some connections have nothing to do
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
	calm     time.Duration // how long to rest next
	until    time.Duration // no window before
	open     bool          // a window is open …
	since    time.Duration // … since
	from     int64         // bytes at that time
	failures int           // seen so far
}

func newRamp(most int) ramp { return ramp{conns: min(startConns, most), max: most, calm: rest} }

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
		return r.relax(max(1, r.conns-1), s.at)
	}
	if !r.open {
		coming := s.waiting > 0 && s.at < r.changed+patience
		if s.at >= r.until && s.conns <= r.conns && !coming {
			r.open, r.since, r.from = true, s.at, s.bytes
		}
		return r
	}
	window, least := fastWindow, int64(fastBytes)
	if r.steady {
		window, least = slowWindow, slowBytes
	}
	took := s.at - r.since
	if took < window || took < longWindow && s.bytes-r.from < least*int64(r.conns) {
		return r
	}
	r.open = false
	goodput := float64(s.bytes-r.from) / took.Seconds()
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
	if goodput < slowLine*float64(r.conns) {
		to *= 2
	}
	if r.steady {
		step := max(1, r.conns/4)
		if to = r.conns + step; r.down || r.conns == r.max {
			to = r.conns - step
		}
	}
	to = min(max(to, 1), r.max)
	if to == r.conns {
		return r.relax(r.conns, now)
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
			return r.relax(r.conns, now)
		}
		r.was, r.changed, r.conns = r.conns, now, to
		return r
	case r.conns < r.was:
		r.down = false
		return r.relax(r.was, now)
	case !r.steady && goodput > wellWorth*r.base && r.conns < r.max:
		r.was = 0
		return r.try(goodput, now)
	case goodput > gain*r.base:
		r.calm = rest
		if r.conns == r.max {
			return r.relax(r.conns, now)
		}
		return r.settle(r.conns, now)
	}
	r.down = true
	return r.relax(r.was, now)
}

// settle ends a trial and the doubling.
func (r ramp) settle(conns int, now time.Duration) ramp {
	r.conns, r.changed, r.until = conns, now, now
	r.steady, r.open, r.was = true, false, 0
	return r
}

// relax settles, and leaves the line in peace for a while.
func (r ramp) relax(conns int, now time.Duration) ramp {
	r = r.settle(conns, now)
	r.until = now + r.calm
	r.calm = min(2*r.calm, longRest)
	return r
}

// capped is r under another maximum. A higher one is an invitation to climb.
func (r ramp) capped(most int) ramp {
	if most == r.max {
		return r
	}
	if most > r.max {
		r.steady, r.until, r.calm = false, 0, rest
	}
	r.max, r.open, r.was = most, false, 0
	r.conns = min(r.conns, most)
	return r
}
