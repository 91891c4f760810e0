package app_test

import (
	"context"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// fileStates are the states of a transfer's files by path.
func fileStates(tr *app.Transfer) map[string]app.FileState {
	out := make(map[string]app.FileState)
	for _, f := range tr.Files() {
		out[f.Path] = f.State
	}
	return out
}

// A transfer that is paused before it begins is planned and judged, and moves no
// weights until it may go on.
func TestTransferPause(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	tr := new(app.Transfer)
	if tr.Files() != nil || tr.Parts(weights, 8) != nil || tr.Connections() != nil || tr.Paused() || tr.Rate() != 0 {
		t.Error("a zero Transfer shows something")
	}
	tr.Pause()
	tr.SetConnections(2)
	planned, looked := false, false
	w.get(main32, app.GetOptions{LimitRate: 1 << 30, Transfer: tr, Notify: func(e app.Event) {
		switch {
		case e.Plan != nil:
			planned = true
			for _, f := range tr.Files() {
				if f.State != app.FileQueued || f.Held != 0 || f.Size != int64(len(branches[main32][f.Path])) {
					t.Errorf("planned: %+v", f)
				}
			}
		case e.Fetch != nil && !looked: // a configuration, which judging has fetched
			looked = true
			if got := fileStates(tr)[e.Fetch.Path]; got != app.FileVerified {
				t.Errorf("%s is %s, want verified: this transfer has brought it", e.Fetch.Path, got)
			}
			if got := fileStates(tr)[weights]; got != app.FileQueued || !tr.Paused() {
				t.Errorf("the weights are %s, paused %v", got, tr.Paused())
			}
			tr.Resume()
		}
	}})
	if !planned || !looked || tr.Rate() != 1<<30 {
		t.Errorf("planned %v, looked %v, rate %d", planned, looked, tr.Rate())
	}
	for path, state := range fileStates(tr) {
		if state != app.FileVerified {
			t.Errorf("at the end %s is %s", path, state)
		}
	}
	if got := tr.Parts(weights, 1000); len(got) == 0 || got[0] != app.PartHeld {
		t.Errorf("parts of the weights at the end: %v", got)
	}
	again := new(app.Transfer)
	w.get(main32, app.GetOptions{Transfer: again})
	if got := fileStates(again)[weights]; got != app.FileReused {
		t.Errorf("the second time the weights are %s", got)
	}
}

// A transfer that failed shows how far it came, and so does the next one before
// anything moves.
func TestTransferAfterFailure(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	remove := w.hub.AddFault(hubtest.Fault{Origin: "cdn", After: 2, Status: 404})
	tr := new(app.Transfer)
	if _, err := w.Get(context.Background(), w.ref(main32), app.GetOptions{Connections: 1, Transfer: tr}); err == nil {
		t.Fatal("no error though storage refuses")
	}
	remove()
	held := func(tr *app.Transfer) (n int64) {
		for _, f := range tr.Files() {
			if f.Path == weights {
				n = f.Held
			}
		}
		return n
	}
	if got := held(tr); got != mib {
		t.Errorf("%d bytes of the weights held after the failure, want one part", got)
	}
	if got := tr.Parts(weights, 1000); got[0] != app.PartHeld || got[1] == app.PartHeld {
		t.Errorf("parts after the failure: %v", got)
	}
	next := new(app.Transfer)
	w.get(main32, app.GetOptions{Transfer: next, Notify: func(e app.Event) {
		if e.Plan != nil && held(next) != mib {
			t.Errorf("%d bytes planned as held, want %d", held(next), mib)
		}
	}})
}
