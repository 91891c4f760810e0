package app_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/quant/vram"
)

// inspect inspects a repository that can be inspected.
func inspect(t *testing.T, a *app.App, ref app.Ref) (*app.Listing, []app.Inspection) {
	t.Helper()
	l, seen, err := a.Inspect(context.Background(), ref)
	if err != nil {
		t.Fatalf("inspect %s: %v", ref, err)
	}
	return l, seen
}

// TestInspect: once from the hub, then one request, then none.
func TestInspect(t *testing.T) {
	w := newWorld(t, demoBranches(t))
	cache := filepath.Join(t.TempDir(), "cache")
	ref := w.ref("main")
	ref.Revision = ""
	for _, tc := range []struct {
		what     string
		options  hub.Options
		requests int // at most
	}{
		{"cold", hub.Options{CacheDir: cache}, 1 + 8*5 + 1},
		{"warm", hub.Options{CacheDir: cache}, 1},
		{"offline", hub.Options{CacheDir: cache, Offline: true}, 0},
	} {
		l, seen := inspect(t, w.open(tc.options), ref)
		if l.Requests > tc.requests || len(seen) != 8 {
			t.Errorf("%s: got %d branches with %d requests, want 8 with at most %d", tc.what, len(seen), l.Requests, tc.requests)
		}
		for _, i := range seen {
			s := i.Settled
			if len(i.Unread) > 0 || len(i.Fatal()) > 0 || i.Model == nil {
				t.Errorf("%s: %s: got unread %q, fatal %v, model %v", tc.what, i.Branch, i.Unread, i.Fatal(), i.Model)
			}
			if s.Bits == nil || s.Bits.Source != app.FromTensors || s.ActOrder == nil || s.ActOrder.Source != "config.json" {
				t.Errorf("%s: %s: got %+v", tc.what, i.Branch, s)
			}
			if weights := i.Weights(); weights.Source != vram.FromTensorHeaders || weights.Bytes == 0 {
				t.Errorf("%s: %s: got weights %+v", tc.what, i.Branch, weights)
			}
		}
	}
}

// TestInspectHeld: a branch of the store needs no hub and no cache.
func TestInspectHeld(t *testing.T) {
	w := newWorld(t, demoBranches(t, "main"))
	w.get("main", app.GetOptions{})
	w.hub.Close()
	_, seen := inspect(t, w.open(hub.Options{Offline: true}), w.ref("main"))
	if len(seen) != 1 || len(seen[0].Headers) != 1 || seen[0].Weights().Source != vram.FromTensorHeaders {
		t.Errorf("got %d inspections: %+v", len(seen), seen)
	}
}

// TestInspectGated: what needs permission is said, and the tree's sizes count.
func TestInspectGated(t *testing.T) {
	w := newWorldOf(t, hubtest.RepoData{ID: repoID, Branches: demoBranches(t, main128), Gated: true}, hubtest.Options{Token: "good"})
	_, seen := inspect(t, w.App, w.ref(main128))
	i := seen[0]
	if !slices.ContainsFunc(i.Unread, func(s string) bool { return strings.Contains(s, weights) }) {
		t.Errorf("got unread %q", i.Unread)
	}
	if s := i.Settled; s.Bits == nil || *s.Bits != (app.Sourced[int]{Value: 4, Source: app.FromName}) {
		t.Errorf("got %+v", s.Bits)
	}
	if got := i.Weights(); got.Source != vram.FromTreeSizes || got.Bytes == 0 {
		t.Errorf("got weights %+v", got)
	}
}
