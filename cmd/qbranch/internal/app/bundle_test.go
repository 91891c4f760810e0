package app_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
	"github.com/qbranch/qbranch/store/bundle"
)

// far is an App with a store of its own and no network.
func far(t *testing.T) *app.App {
	t.Helper()
	a, err := app.New(app.Config{Hub: hub.Options{Offline: true}, StoreDir: filepath.Join(t.TempDir(), "far")})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Two branches at one commit stay two branches on the other side.
func TestBundleOfTwoBranchesAtOneCommit(t *testing.T) {
	branches := demoBranches(t, main32)
	branches["twin"] = branches[main32]
	w := newWorld(t, branches)
	first := w.get(main32, app.GetOptions{})
	if w.get("twin", app.GetOptions{}).Snapshot.Commit != first.Snapshot.Commit {
		t.Fatal("the hub gave the twins two commits")
	}
	var b bytes.Buffer
	if _, err := w.StoreExport(context.Background(), []app.Ref{w.ref(main32), w.ref("twin"), w.ref("twin")}, "", &b, app.BundleOptions{}); err != nil {
		t.Fatal(err)
	}
	a := far(t)
	res, err := a.StoreImport(context.Background(), &b, app.BundleOptions{})
	if err != nil || len(res.Snapshots) != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	for _, branch := range []string{main32, "twin"} {
		if _, err := a.Verify(context.Background(), w.target(branch), app.VerifyOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// A branch that is not whole is refused, with what to do about it.
func TestExportOfWhatIsNotWhole(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	path := filepath.Join(t.TempDir(), "x.tar.zst")
	export := func() error {
		_, err := w.StoreExport(context.Background(), []app.Ref{w.ref(main32)}, path, nil, app.BundleOptions{})
		return err
	}
	if err := export(); !errors.Is(err, app.ErrNotLocal) || !strings.Contains(app.HintOf(err), "qbranch get") {
		t.Errorf("never fetched: %v (%s)", err, app.HintOf(err))
	}
	snap := w.get(main32, app.GetOptions{}).Snapshot
	st, err := store.Open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(st.Path(snap.Files[0].SHA256)); err != nil {
		t.Fatal(err)
	}
	if err := export(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(app.HintOf(err), "--repair") {
		t.Errorf("a blob is gone: %v (%s)", err, app.HintOf(err))
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused export left %v", err)
	}
}

// A cancelled export leaves nothing.
func TestExportCancelled(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	w.get(main32, app.GetOptions{})
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	_, err := w.StoreExport(ctx, []app.Ref{w.ref(main32)}, filepath.Join(dir, "x.tar.zst"), nil, app.BundleOptions{Done: func(int64) { cancel() }})
	left, readErr := os.ReadDir(dir)
	if !errors.Is(err, context.Canceled) || readErr != nil || len(left) != 0 {
		t.Errorf("%v leaves %v (%v)", err, left, readErr)
	}
}

// A bundle whose branch nobody could name on a command line is refused.
func TestImportOfNamesThatAreNone(t *testing.T) {
	st, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	config := []byte("{}")
	d, err := st.Put(t.Context(), store.Want{Size: 2, SHA256: sha256.Sum256(config)}, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, snap := range []store.Snapshot{
		{Repo: "acme/ll ama", Branch: "main"},
		{Repo: "acme/ll\x1b[31mama", Branch: "main"},
		{Repo: "acme/llama", Branch: "ma in"},
	} {
		snap.Commit = strings.Repeat("a", 40)
		snap.Files = []store.SnapshotFile{{Path: "config.json", Size: 2, SHA256: d}}
		m, err := bundle.NewManifest(t.Context(), st, []store.Snapshot{snap})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := bundle.Export(t.Context(), st, m, &b, bundle.Options{}); err != nil {
			t.Fatal(err)
		}
		a := far(t)
		if _, err := a.StoreImport(t.Context(), io.MultiReader(&b), app.BundleOptions{}); !errors.Is(err, bundle.ErrFormat) || app.FailureOf(err) != app.FailureIntegrity {
			t.Errorf("%q:%q: %v", snap.Repo, snap.Branch, err)
		}
		if _, err := os.Stat(a.StoreDir()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("refusing made a store: %v", err)
		}
	}
}
