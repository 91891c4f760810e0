package tui

import (
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// A hub that asks for time is counted down on the screen that waits for it, and
// esc gives up.
func TestPause(t *testing.T) {
	f := &fake{}
	m := atTales(t, f)
	hit(m, "r")
	m.work.pauses.put(app.Wait{Host: "huggingface.co", For: 192 * time.Second, Reason: "too many requests (429)"})
	m.Update(tickMsg(t0))
	wants(t, m, "waiting 3m 12s for huggingface.co: too many requests (429)", "esc gives up")
	m.Update(tickMsg(t0.Add(72 * time.Second)))
	wants(t, m, "waiting 2m 00s for huggingface.co")
	hit(m, "2")
	lacks(t, m, "waiting 2m")
	hit(m, "1")
	m.Update(tickMsg(t0.Add(192 * time.Second)))
	lacks(t, m, "huggingface.co")

	m.work.pauses.put(app.Wait{Host: "huggingface.co", Silent: 15 * time.Second, Reason: "timeout"})
	m.Update(tickMsg(t0.Add(200 * time.Second)))
	wants(t, m, "no answer from huggingface.co for 15 s, asking again: timeout")
	m.Update(tickMsg(t0.Add(211 * time.Second)))
	lacks(t, m, "no answer")

	m.work.pauses.put(app.Wait{Host: "huggingface.co", For: time.Minute})
	m.Update(tickMsg(t0.Add(212 * time.Second)))
	hit(m, "esc")
	if m.branches.running() {
		t.Error("esc did not give up")
	}
}
