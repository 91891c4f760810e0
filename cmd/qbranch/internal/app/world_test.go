package app_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// Branches of the demo repository that the tests use.
const (
	main32  = "gptq-3bit-32g-actorder_True"
	main128 = "gptq-4bit-128g-actorder_True"
	weights = "model.safetensors"
	mib     = 1 << 20
	repoID  = demo.RepoID
)

// files are the contents of one branch.
type files = map[string][]byte

// demoBranches returns branches of the embedded repository, all when none is
// named. The maps may be changed, the contents not.
func demoBranches(t testing.TB, names ...string) map[string]files {
	t.Helper()
	all, err := demo.Branches()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]files)
	for name, f := range all {
		if len(names) == 0 || slices.Contains(names, name) {
			out[name] = maps.Clone(f)
		}
	}
	return out
}

// world is a hub with one repository and an App with a store of its own.
type world struct {
	testing.TB
	*app.App
	hub   *hubtest.Server
	store string
}

func newWorld(t testing.TB, branches map[string]files) *world {
	t.Helper()
	return newWorldOf(t, hubtest.RepoData{ID: repoID, Branches: branches}, hubtest.Options{})
}

func newWorldOf(t testing.TB, repo hubtest.RepoData, o hubtest.Options) *world {
	t.Helper()
	server, err := hubtest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if err := server.Add(repo); err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, hub: server, store: filepath.Join(t.TempDir(), "store")}
	w.App = w.open(hub.Options{})
	return w
}

// open makes another App on the same store and hub.
func (w *world) open(o hub.Options) *app.App {
	w.Helper()
	o.Endpoint, o.RetryWait = w.hub.URL(), time.Millisecond
	a, err := app.New(app.Config{Hub: o, StoreDir: w.store})
	if err != nil {
		w.Fatal(err)
	}
	return a
}

// ref names a branch of the repository.
func (w *world) ref(branch string) app.Ref {
	w.Helper()
	r, err := app.ParseRef(repoID + ":" + branch)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *world) target(branch string) app.Target { return app.Target{Ref: w.ref(branch)} }

// get fetches a branch that can be fetched.
func (w *world) get(branch string, o app.GetOptions) *app.GetResult {
	w.Helper()
	res, err := w.Get(context.Background(), w.ref(branch), o)
	if err != nil {
		w.Fatalf("get %s: %v", branch, err)
	}
	return res
}

// list lists the repository.
func (w *world) list() *app.Listing {
	w.Helper()
	l, err := w.List(context.Background(), w.ref("main").Repo, app.ListOptions{})
	if err != nil {
		w.Fatalf("list: %v", err)
	}
	return l
}

// row finds a branch of a listing.
func (w *world) row(branch string) app.BranchRow {
	w.Helper()
	l := w.list()
	i := slices.IndexFunc(l.Branches, func(r app.BranchRow) bool { return r.Branch == branch })
	if i < 0 {
		w.Fatalf("no row of %s", branch)
	}
	return l.Branches[i]
}

// cdn returns the ranged requests that storage answered, and the bytes it sent.
func (w *world) cdn() (requests []hubtest.Entry, sent int64) {
	for _, e := range w.hub.Log() {
		if e.Origin == "cdn" {
			requests = append(requests, e)
			sent += e.Sent
		}
	}
	return requests, sent
}

// replace changes a text file of a branch; old must be there.
func replace(t testing.TB, f files, name, old, new string) {
	t.Helper()
	if !bytes.Contains(f[name], []byte(old)) {
		t.Fatalf("%s does not contain %q", name, old)
	}
	f[name] = bytes.ReplaceAll(f[name], []byte(old), []byte(new))
}

func total(f files) (n int64) {
	for _, data := range f {
		n += int64(len(data))
	}
	return n
}

// wantHint checks that an error tells what to do.
func wantHint(t *testing.T, err error, part string) {
	t.Helper()
	var h hub.Hinter
	if !errors.As(err, &h) {
		t.Fatalf("%v has no hint, want one with %q", err, part)
	}
	if !strings.Contains(h.Hint(), part) {
		t.Errorf("hint of %q is %q, want one with %q", err, h.Hint(), part)
	}
}

// findingCodes lists the codes of findings.
func findingCodes(findings []app.Finding) []string {
	var codes []string
	for _, f := range findings {
		codes = append(codes, f.Code)
	}
	return codes
}
