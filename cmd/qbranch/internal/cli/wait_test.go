package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// A pause is told where the verb tells its progress, cleaned like all that
// comes from outside.
func TestWaitIsTold(t *testing.T) {
	var out, errs bytes.Buffer
	r := &run{Program: Program{Out: &out, Err: &errs}, out: &stickyWriter{w: &out}}
	v := &getView{run: r, p: &progress{w: &errs}}
	e := app.Event{Wait: &app.Wait{Host: "hub\x1b[2J.example", For: 41 * time.Second, Reason: "too many requests (429)"}}
	v.event(e)
	if want := "  waiting 41.0 s for hub.example: too many requests (429)\n"; errs.String() != want {
		t.Errorf("got %q, want %q", errs.String(), want)
	}
	r.json = true
	v.event(e)
	if got := out.String(); !strings.HasPrefix(got, `{"type":"wait","time":"`) || !strings.Contains(got, `"wait_seconds":41,"message":"too many requests (429)"}`) {
		t.Errorf("got %s", got)
	}
	if got := waitText(app.Wait{Host: "hub.example", Silent: 15 * time.Second, Reason: "timeout"}); got != "no answer from hub.example for 15.0 s, asking again: timeout" {
		t.Errorf("got %q", got)
	}
	errs.Reset()
	r.tellWait(*e.Wait)
	if !strings.HasPrefix(errs.String(), "waiting 41.0 s") {
		t.Errorf("got %q", errs.String())
	}
	errs.Reset()
	r.browsing = true
	if r.tellWait(*e.Wait); errs.Len() > 0 {
		t.Errorf("the browser's screen got %q", errs.String())
	}
}
