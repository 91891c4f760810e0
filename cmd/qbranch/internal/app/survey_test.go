package app_test

import (
	"reflect"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
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
