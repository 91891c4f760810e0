package app_test

import (
	"context"
	"os"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// pendings lists what is unfinished.
func (w *world) pendings() []app.Pending {
	w.Helper()
	r, err := w.Pending(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	return r.Fetches
}

// A Get that stopped is listed by its branch with what is left of it, until it
// has been gone on with; while one runs, its process is.
func TestPending(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	if got := w.pendings(); len(got) != 0 {
		t.Errorf("without a store: %+v", got)
	}
	all := total(branches[main32])
	small := all - int64(len(branches[main32][weights]))
	remove := w.hub.AddFault(hubtest.Fault{Origin: "cdn", After: 2, Status: 404})
	running := false
	_, err := w.Get(context.Background(), w.ref(main32), app.GetOptions{Connections: 1, Notify: func(e app.Event) {
		if e.Judged == "config" {
			running = true
			if got := w.pendings(); len(got) != 1 || got[0].PID != os.Getpid() || got[0].Ref != w.ref(main32) {
				t.Errorf("while it runs: %+v", got)
			}
		}
	}})
	if err == nil || !running {
		t.Fatalf("%v, running %v", err, running)
	}
	remove()
	got := w.pendings()
	if len(got) != 1 {
		t.Fatalf("after the failure: %+v", got)
	}
	p := got[0]
	if p.Ref != w.ref(main32) || p.PID != 0 || p.Bytes != all || p.Held != small+mib || p.Commit != w.hub.Commit(repoID, main32) || len(p.Files) != len(branches[main32]) {
		t.Errorf("after the failure: %+v", p)
	}
	for _, f := range p.Files {
		want := app.PendingFile{Path: f.Path, Size: int64(len(branches[main32][f.Path])), Held: int64(len(branches[main32][f.Path])), Done: true}
		if f.Path == weights {
			want.Held, want.Done = mib, false
		}
		if f != want {
			t.Errorf("got %+v, want %+v", f, want)
		}
	}
	w.get(main32, app.GetOptions{})
	if got := w.pendings(); len(got) != 0 {
		t.Errorf("after the end: %+v", got)
	}
	w.get(main32, app.GetOptions{}) // which brings nothing
	if r, err := w.Pending(context.Background()); err != nil || len(r.Fetches) != 0 || r.Free <= 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// A Get that was refused, and one that brought nothing of the weights, are not
// offered to go on with. A filter is remembered.
func TestPendingLeavesOut(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	branches := demoBranches(t, main32)
	replace(t, branches[main32], "quantize_config.json", `"bits": 3`, `"bits": 4`)
	replace(t, branches[main32], "config.json", `"bits": 3`, `"bits": 4`)
	bad := newWorld(t, branches)
	if _, err := bad.Get(context.Background(), bad.ref(main32), app.GetOptions{}); err == nil {
		t.Fatal("a contradiction was not refused")
	}
	if got := bad.pendings(); len(got) != 0 {
		t.Errorf("refused: %+v", got)
	}
	w.hub.AddFault(hubtest.Fault{Origin: "cdn", After: 1, Status: 404})
	if _, err := w.Get(context.Background(), w.ref(main32), app.GetOptions{}); err == nil {
		t.Fatal("no error though storage refuses")
	}
	if got := w.pendings(); len(got) != 0 {
		t.Errorf("nothing but small files is here: %+v", got)
	}
}

func TestPendingFilter(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	w.hub.AddFault(hubtest.Fault{Origin: "cdn", After: 2, Status: 404})
	o := app.GetOptions{Connections: 1, Filter: app.Filter{Include: []string{"*.safetensors", "*.json"}}}
	if _, err := w.Get(context.Background(), w.ref(main32), o); err == nil {
		t.Fatal("no error though storage refuses")
	}
	if got := w.pendings(); len(got) != 1 || len(got[0].Filter.Include) != 2 {
		t.Errorf("got %+v", got)
	}
}
