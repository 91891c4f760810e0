package app_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/quant/vram"
)

// fit measures the repository, or the branch, that can be measured.
func (w *world) fit(branch string, o app.FitOptions) *app.FitReport {
	w.Helper()
	ref := w.ref("main")
	ref.Revision = branch
	r, err := w.Fit(context.Background(), ref, o)
	if err != nil {
		w.Fatalf("fit %q: %v", branch, err)
	}
	return r
}

// The best of those that fit has the most bits, of those the smallest groups.
func TestPick(t *testing.T) {
	w := newWorld(t, demoBranches(t))
	repo := w.ref("main").Repo
	for _, tc := range []struct {
		what string
		o    app.PickOptions
		want string
	}{
		{"anything", app.PickOptions{}, "gptq-8bit-128g-actorder_True"},
		{"4 bits", app.PickOptions{Wanted: app.Wanted{Bits: []int{4}}}, "gptq-4bit-32g-actorder_True"},
		{"3 or 4 bits in 2 MB", app.PickOptions{Wanted: app.Wanted{Bits: []int{3, 4}, MaxSize: 2_000_000}}, "gptq-3bit-32g-actorder_True"},
		{"1.9 MB", app.PickOptions{Wanted: app.Wanted{MaxSize: 1_900_000}}, "gptq-3bit-128g-actorder_True"},
		{"nothing of 2 bits", app.PickOptions{Wanted: app.Wanted{Bits: []int{2}}}, ""},
		{"nothing of 1 MB", app.PickOptions{Wanted: app.Wanted{MaxSize: 1_000_000}}, ""},
	} {
		tc.o.VRAM = "4GiB"
		p, err := w.Pick(context.Background(), repo, tc.o)
		var none *app.NothingFitsError
		switch {
		case tc.want == "" && !errors.As(err, &none):
			t.Errorf("%s: got %+v, %v, want *NothingFitsError", tc.what, p, err)
		case tc.want != "" && (err != nil || p.Ref.Revision != tc.want):
			t.Errorf("%s: got %+v, %v, want %s", tc.what, p, err, tc.want)
		}
	}
	if r := w.fit("", app.FitOptions{VRAM: "4GiB"}); r.Best != "gptq-8bit-128g-actorder_True" {
		t.Errorf("best: got %q", r.Best)
	}
}

// When nothing fits, the error names the branch that lacks the least.
func TestNothingFits(t *testing.T) {
	w := newWorld(t, demoBranches(t))
	_, err := w.Pick(context.Background(), w.ref("main").Repo, app.PickOptions{FitOptions: app.FitOptions{VRAM: "512MiB"}})
	var none *app.NothingFitsError
	if !errors.As(err, &none) || none.Nearest == nil || none.Nearest.Branch != "gptq-3bit--1g-actorder_True" {
		t.Fatalf("got %+v, %v", none, err)
	}
	if h := none.Hint(); !strings.Contains(h, "need 0.7") || app.FailureOf(err) != app.FailureNothingFits {
		t.Errorf("got hint %q, failure %d", h, app.FailureOf(err))
	}
}

// Nothing that is not known, and nothing that is wrong, fits.
func TestFitDoubtful(t *testing.T) {
	cut := demoBranches(t, "main")
	cut["main"][weights] = cut["main"][weights][:len(cut["main"][weights])-4096]
	awq := demoBranches(t, "main")
	for name, data := range awq["main"] {
		awq["main"][name] = bytes.ReplaceAll(data, []byte(`"quant_method": "gptq"`), []byte(`"quant_method": "awq"`))
	}
	delete(awq["main"], "quantize_config.json")
	empty := map[string]files{"main": {"README.md": []byte("nothing")}}
	for _, tc := range []struct {
		what string
		repo hubtest.RepoData
		want vram.Verdict
	}{
		{"whole", hubtest.RepoData{Branches: demoBranches(t, "main")}, app.VerdictFits},
		{"truncated", hubtest.RepoData{Branches: cut}, app.VerdictUnusable},
		{"not GPTQ", hubtest.RepoData{Branches: awq}, app.VerdictUnusable},
		{"gated", hubtest.RepoData{Branches: demoBranches(t, "main"), Gated: true}, app.VerdictUnknown},
		{"empty", hubtest.RepoData{Branches: empty}, app.VerdictUnusable},
	} {
		tc.repo.ID = repoID
		w := newWorldOf(t, tc.repo, hubtest.Options{Token: "good"})
		r := w.fit("", app.FitOptions{VRAM: "4GiB"})
		row := r.Branches[0]
		if row.Verdict != tc.want || row.Usable(true) != (tc.want == app.VerdictFits) || row.Usable(true) != (row.Why == "") {
			t.Errorf("%s: got %s (%q), want %s", tc.what, row.Verdict, row.Why, tc.want)
		}
	}
}

// Headers that do not come are not the end: the sizes of the files count, and the
// branch says so.
func TestFitWithoutHeaders(t *testing.T) {
	w := newWorld(t, demoBranches(t, "main"))
	w.hub.AddFault(hubtest.Fault{Origin: "cdn", Status: 404})
	row := w.fit("main", app.FitOptions{VRAM: "4GiB"}).Branches[0]
	if row.Source != vram.FromTreeSizes || row.Verdict != app.VerdictFits || len(row.Unread) != 1 {
		t.Errorf("got %s by %s, unread %q", row.Verdict, row.Source, row.Unread)
	}
}

// A repository cannot ask for more memory than there is: what is beyond the limit
// is not read, and said.
func TestInspectLimit(t *testing.T) {
	const length = 15 << 20
	text := `{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}`
	header := append(binary.LittleEndian.AppendUint64(nil, length), text+strings.Repeat(" ", length-len(text))...)
	data := hubtest.SyntheticAfter(header, int64(len(header))+4, 1)
	r := hubtest.RepoData{ID: repoID, Files: map[string]map[string]*hubtest.Content{}}
	for _, name := range []string{"main", "a", "b", "c", "d"} {
		r.Files[name] = map[string]*hubtest.Content{weights: data, "README.md": hubtest.Bytes([]byte(name))}
	}
	w := newWorldOf(t, r, hubtest.Options{})
	ref := w.ref("main")
	ref.Revision = ""
	_, seen := inspect(t, w.App, ref)
	read := 0
	for _, i := range seen {
		read += len(i.Headers)
		if len(i.Headers) == 0 && !slices.ContainsFunc(i.Unread, func(s string) bool { return strings.Contains(s, "name one branch") }) {
			t.Errorf("%s: got unread %q", i.Branch, i.Unread)
		}
	}
	if read != 4 {
		t.Errorf("got %d headers of 15 MiB, want 4 of 5", read)
	}
}

// What is unusable comes last, whatever its parameters promise.
func TestArrangeUnusable(t *testing.T) {
	row := func(branch string, bits int, v app.Verdict) app.BranchRow {
		return app.BranchRow{Branch: branch, Bits: &bits, Fit: &app.FitRow{Verdict: v}}
	}
	l := &app.Listing{Branches: []app.BranchRow{row("a", 8, app.VerdictUnusable), row("b", 3, app.VerdictTooBig), row("c", 4, app.VerdictFits)}}
	l.Arrange(app.Arrange{Sort: "quality"})
	got := ""
	for _, r := range l.Branches {
		got += r.Branch
	}
	if got != "cba" {
		t.Errorf("got %q, want cba", got)
	}
}

func TestArrange(t *testing.T) {
	w := newWorld(t, demoBranches(t))
	yes := true
	for _, tc := range []struct {
		what string
		o    app.Arrange
		want string
	}{
		{"as it is", app.Arrange{Wanted: app.Wanted{Bits: []int{8}}}, "gptq-8bit--1g-actorder_True gptq-8bit-128g-actorder_True"},
		{"quality", app.Arrange{Sort: "quality", Wanted: app.Wanted{Bits: []int{4, 8}}}, "gptq-8bit-128g-actorder_True gptq-8bit--1g-actorder_True gptq-4bit-32g-actorder_True gptq-4bit-128g-actorder_True main"},
		{"size", app.Arrange{Sort: "size", Wanted: app.Wanted{Bits: []int{3}}}, "gptq-3bit--1g-actorder_True gptq-3bit-128g-actorder_True gptq-3bit-32g-actorder_True"},
		{"name", app.Arrange{Sort: "name", Wanted: app.Wanted{Groups: []int{-1}, ActOrder: &yes}}, "gptq-3bit--1g-actorder_True gptq-8bit--1g-actorder_True main"},
		{"none", app.Arrange{Wanted: app.Wanted{Bits: []int{2}}}, ""},
	} {
		l := w.list()
		l.Arrange(tc.o)
		var got []string
		for _, r := range l.Branches {
			got = append(got, r.Branch)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: got %v, want %s", tc.what, got, tc.want)
		}
	}
}
