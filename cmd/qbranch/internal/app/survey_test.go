package app_test

import (
	"reflect"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
)

// A survey is measured again without asking anybody, and says what Fit says.
func TestSurvey(t *testing.T) {
	w := newWorld(t, demoBranches(t))
	ref := app.Ref{Repo: w.ref("main").Repo}
	s, err := w.Survey(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	w.hub.ResetLog()
	for _, o := range []app.FitOptions{
		{VRAM: "2GiB", VRAMFrom: "--vram"},
		{VRAM: "2GiB,2GiB", Split: "layers", Context: 512, KV: "q4"},
		{VRAM: "24GiB", Engine: "exllamav2"},
	} {
		got, err := s.Fit(o)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(w.hub.Log()); n != 0 {
			t.Errorf("%+v: %d requests to measure again", o, n)
		}
		want, err := w.Fit(t.Context(), ref, o)
		if err != nil {
			t.Fatal(err)
		}
		got.Requests, want.Requests = 0, 0
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: got %+v\nwant %+v", o, got, want)
		}
		w.hub.ResetLog()
	}
	if _, err := s.Fit(app.FitOptions{VRAM: "much"}); err == nil {
		t.Error("a size that is none was measured against")
	}
	rows := s.Rows()
	rows.Branches[0].Branch = "changed"
	if s.Rows().Branches[0].Branch == "changed" {
		t.Error("Rows is not the caller's own")
	}
}

// What the hub said last is there when it is gone, with its age; without a cache
// there is nothing.
func TestKept(t *testing.T) {
	w := newWorld(t, demoBranches(t))
	repo := w.ref("main").Repo
	a := w.open(hub.Options{CacheDir: t.TempDir()})
	if s := a.Kept(t.Context(), repo); s != nil {
		t.Errorf("before anything was asked: %+v", s.Rows())
	}
	asked, err := a.Survey(t.Context(), app.Ref{Repo: repo})
	if err != nil {
		t.Fatal(err)
	}
	w.hub.Close()
	s := a.Kept(t.Context(), repo)
	if s == nil {
		t.Fatal("nothing is kept")
	}
	got, want := s.Rows(), asked.Rows()
	if got.Age == "" || want.Age != "" {
		t.Errorf("the kept list is of %q ago, the hub's of %q", got.Age, want.Age)
	}
	if len(got.Branches) != len(want.Branches) || got.Branches[0].Commit != want.Branches[0].Commit {
		t.Errorf("kept %+v\nwant %+v", got.Branches, want.Branches)
	}
	if s := w.Kept(t.Context(), repo); s != nil {
		t.Error("kept without a cache")
	}
}
