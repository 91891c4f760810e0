package app_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// nineBranches is the demo with a ninth branch, which has the parameters of none
// of the others.
func nineBranches(t testing.TB) map[string]files {
	t.Helper()
	branches := demoBranches(t)
	ninth := maps.Clone(branches[main128])
	for _, name := range []string{"config.json", "quantize_config.json"} {
		ninth[name] = []byte(strings.Replace(string(ninth[name]), `"group_size": 128`, `"group_size": 64`, 1))
	}
	branches["gptq-4bit-64g-actorder_True"] = ninth
	return branches
}

// waves lets no request of a wave be answered before all of it have come: a
// listing that asked for one thing after the other would never end.
type waves struct {
	mu    sync.Mutex
	sizes []int // how many requests each wave has
	come  int   // of the first wave left
	open  chan struct{}
	extra int // requests after the last wave
}

// wait is called by each request.
func (w *waves) wait(ctx context.Context) {
	w.mu.Lock()
	if len(w.sizes) == 0 {
		w.extra++
		w.mu.Unlock()
		return
	}
	if w.open == nil {
		w.open = make(chan struct{})
	}
	open := w.open
	if w.come++; w.come == w.sizes[0] {
		close(w.open)
		w.sizes, w.come, w.open = w.sizes[1:], 0, nil
	}
	w.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	}
}

// TestListBounds: nine branches take one request and at most two for each, in
// three round trips; then one; then none.
func TestListBounds(t *testing.T) {
	t.Parallel()
	follow := nineBranches(t)
	// Here no configuration but two follows from main's.
	alone := nineBranches(t)
	n := 0
	for name, f := range alone {
		if n++; name != "main" && name != main32 && name != main128 {
			f["quantize_config.json"] = fmt.Appendf(nil, `{"bits":4,"group_size":128,"desc_act":true,"uploaded":%d}`, n)
		}
	}
	for _, test := range []struct {
		name     string
		branches map[string]files
		waves    []int
	}{
		{"configurations follow from main's", follow, []int{1, 9 + 3}},
		{"they do not", alone, []int{1, 9 + 3, 6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.branches)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			gate := &waves{sizes: test.waves}
			remove := w.hub.AddFault(hubtest.Fault{Do: func() { gate.wait(ctx) }})
			cache := hub.Options{CacheDir: filepath.Join(t.TempDir(), "cache")}
			repo := w.ref("main").Repo
			list := func(what string, o hub.Options, most int) *app.Listing {
				t.Helper()
				w.hub.ResetLog()
				l, err := w.open(o).List(ctx, repo, app.ListOptions{})
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if n := len(w.hub.Log()); n > most || l.Requests != n || len(l.Branches) != 9 {
					t.Errorf("%s: %d branches with %d requests, says %d; want 9 with at most %d", what, len(l.Branches), n, l.Requests, most)
				}
				for _, b := range l.Branches {
					if b.Bits == nil || b.Error != "" {
						t.Errorf("%s: %s: bits %v, error %q", what, b.Branch, b.Bits, b.Error)
					}
				}
				return l
			}
			list("cold", cache, 1+2*9)
			if len(gate.sizes) > 0 || gate.extra > 0 {
				t.Errorf("%d waves were not complete, %d requests came after the last", len(gate.sizes), gate.extra)
			}
			remove()
			list("warm", cache, 1)
			cache.Offline = true
			if l := list("offline", cache, 0); l.Notes[0].Code != "OFFLINE" || !strings.Contains(l.Notes[0].Message, "ago") {
				t.Errorf("offline: first note %+v, want one with the age", l.Notes[0])
			}
		})
	}
}

func BenchmarkListCold(b *testing.B)    { benchmarkList(b, false, false) }
func BenchmarkListWarm(b *testing.B)    { benchmarkList(b, true, false) }
func BenchmarkListOffline(b *testing.B) { benchmarkList(b, true, true) }

// benchmarkList lists nine branches of a hub on loopback that takes 20 ms for
// each answer: what a listing costs beside its round trips.
func benchmarkList(b *testing.B, cached, offline bool) {
	w := newWorld(b, nineBranches(b))
	w.hub.SetLatency(20 * time.Millisecond)
	o := hub.Options{}
	if cached {
		o.CacheDir = filepath.Join(b.TempDir(), "cache")
	}
	repo := w.ref("main").Repo
	list := func(o hub.Options) int {
		l, err := w.open(o).List(context.Background(), repo, app.ListOptions{})
		if err != nil {
			b.Fatal(err)
		}
		return l.Requests
	}
	list(o)
	o.Offline = offline
	requests := 0
	for b.Loop() {
		requests = list(o)
	}
	b.ReportMetric(float64(requests), "requests")
}
