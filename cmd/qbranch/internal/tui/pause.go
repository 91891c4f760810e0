package tui

import (
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// pause is the last one that a task reported.
type pause struct {
	app.Wait
	began, now time.Time // of the tick that brought it, and of the last one
}

// sample takes what tasks reported since the last tick.
func (p *pause) sample(now time.Time, pauses *outbox[app.Wait]) {
	for _, w := range pauses.take() {
		*p = pause{Wait: w, began: now}
	}
	p.now = now
}

// tells is the longest that is said of a host that does not answer: by then there
// is news of it.
const tells = 10 * time.Second

// remark counts down what is left of a pause; nothing when it is over.
func (p *pause) remark() remark {
	since := p.now.Sub(p.began)
	switch {
	case p.Host == "":
	case p.For > 0 && since < p.For:
		return remark{warn, "waiting " + duration((p.For - since).Round(time.Second)) + " for " + p.Host + ": " + p.Reason, "then it goes on by itself; esc gives up"}
	case p.For == 0 && since < tells:
		return remark{warn, "no answer from " + p.Host + " for " + duration(p.Silent.Round(time.Second)) + ", asking again: " + p.Reason, "esc gives up"}
	}
	return remark{}
}

// waiting is what keeps the screen from its answer.
func (m *model) waiting() remark {
	asks := map[screenID]bool{onBranches: m.branches.running(), onDetail: m.detail.task.running(), onCompare: m.compare.task.running()}
	if !asks[m.top()] {
		return remark{}
	}
	return m.pause.remark()
}
