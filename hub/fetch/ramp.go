package fetch

// How the number of connections adapts. Several connections pay where each one
// is held back (by loss, or by a cap per connection) and cost a little where
// none is, so nothing but trying tells.
const (
	startConns  = 4
	gain        = 1.10 // an added connection must bring this much
	settleTicks = 1    // windows a new connection gets to come up to speed
	restTicks   = 8    // windows without a try after one that did not pay
)

// ramp climbs towards the number of connections that pays. It is a value: next
// returns what follows from one more window.
type ramp struct {
	conns int // to use now
	max   int
	base  float64 // goodput before the last addition, bytes per second
	trial bool    // the last addition has yet to prove itself
	wait  int     // windows to let pass
}

// window is what was seen in about one second.
type window struct {
	goodput  float64 // bytes per second
	failures int     // requests that failed
}

func newRamp(most int) ramp {
	return ramp{conns: min(startConns, most), max: most, wait: settleTicks}
}

func (r ramp) next(w window) ramp {
	switch {
	case w.failures > 0:
		// Whoever has trouble gets less to do, and time.
		return ramp{conns: max(1, r.conns-1), max: r.max, wait: restTicks}
	case r.wait > 0:
		r.wait--
		return r
	case r.trial && w.goodput <= gain*r.base:
		return ramp{conns: max(1, r.conns-1), max: r.max, wait: restTicks}
	case r.conns >= r.max:
		return ramp{conns: r.max, max: r.max}
	}
	return ramp{conns: r.conns + 1, max: r.max, base: w.goodput, trial: true, wait: settleTicks}
}
