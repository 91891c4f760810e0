package app_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/store"
)

// TestStoreRemoveRefuses: what stands against a removal, the kind of failure it
// is, and that it says what to do.
func TestStoreRemoveRefuses(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	ctx := context.Background()
	whole, err := app.ParseRef(repoID)
	if err != nil {
		t.Fatal(err)
	}
	remove := func(ref app.Ref) error {
		_, err := w.StoreRemove(ctx, app.RemoveRequest{Refs: []app.Ref{ref}})
		return err
	}
	expect := func(step string, err error, want app.Failure) {
		t.Helper()
		if err == nil || app.FailureOf(err) != want || app.HintOf(err) == "" {
			t.Errorf("%s: got %v, failure %d, hint %q; want failure %d and a hint", step, err, app.FailureOf(err), app.HintOf(err), want)
		}
	}
	expect("no store", remove(w.ref(main32)), app.FailureNotFound)
	w.get(main32, app.GetOptions{})
	expect("another branch", remove(w.ref("main")), app.FailureNotFound)

	if changed, err := w.StorePin(ctx, w.ref(main32), false); !changed || err != nil {
		t.Fatal(changed, err)
	}
	expect("pinned", remove(whole), app.FailureUsage)
	if changed, err := w.StorePin(ctx, w.ref(main32), true); !changed || err != nil {
		t.Fatal(changed, err)
	}

	st, err := store.Open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	hold, err := st.Hold(ctx, "import", nil)
	if err != nil {
		t.Fatal(err)
	}
	expect("another process needs everything", remove(whole), app.FailureLocked)
	_, err = w.StoreCollect(ctx, app.CollectRequest{})
	expect("gc", err, app.FailureLocked)
	if err := hold.Release(); err != nil {
		t.Fatal(err)
	}

	files, err := w.StoreFiles(w.ref(main32))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files[0].Place); err != nil {
		t.Fatal(err)
	}
	rep, err := w.StoreCheck(ctx, app.CheckRequest{})
	expect("damage", err, app.FailureIntegrity)
	if rep == nil || rep.OK || len(rep.Findings) == 0 || rep.Findings[0].Code != "BLOB_MISSING" {
		t.Errorf("got %+v", rep)
	}

	if err := remove(whole); err != nil {
		t.Fatal(err)
	}
	use, err := w.StoreUse(ctx, nil)
	if err != nil || use.Blobs.Files != 0 || use.Unreferenced.Files != 0 {
		t.Errorf("left %+v, %v", use, err)
	}
	if _, err := w.Verify(ctx, w.target(main32), app.VerifyOptions{}); !errors.Is(err, app.ErrNotLocal) {
		t.Errorf("verify: %v", err)
	}
}

// TestVerifyAll: every branch is verified, what they share once, and damage is
// told and repaired where it is.
func TestVerifyAll(t *testing.T) {
	branches := demoBranches(t, main32, main128)
	w := newWorld(t, branches)
	w.get(main32, app.GetOptions{})
	w.get(main128, app.GetOptions{})
	var read int64
	distinct := make(map[string]int64)
	for _, f := range branches {
		for _, data := range f {
			distinct[string(data)] = int64(len(data))
		}
	}
	var want int64
	for _, n := range distinct {
		want += n
	}
	rep, err := w.VerifyAll(context.Background(), app.VerifyOptions{Done: func(n int64) { read += n }})
	if err != nil || !rep.OK || rep.Branches != 2 || rep.Bytes != want || read != want || len(rep.Files) != 18 {
		t.Errorf("%d branches, %d files, %d bytes, read %d; want %d: %v", rep.Branches, len(rep.Files), rep.Bytes, read, want, err)
	}
	files, err := w.StoreFiles(w.ref(main128))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Path == weights {
			if err := errors.Join(os.Chmod(f.Place, 0o600), os.WriteFile(f.Place, make([]byte, f.Size), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	rep, err = w.VerifyAll(context.Background(), app.VerifyOptions{})
	var bad *app.CorruptionError
	if !errors.As(err, &bad) || rep.OK {
		t.Fatalf("got %v", err)
	}
	for _, f := range rep.Files {
		if f.OK == (f.Path == weights && f.Ref == w.ref(main128).String()) {
			t.Errorf("got %+v", f)
		}
	}
	wantHint(t, err, "verify --all --repair")
	rep, err = w.VerifyAll(context.Background(), app.VerifyOptions{Repair: true, Depth: app.VerifyDeep})
	if err != nil || rep.Repaired == 0 || !rep.OK {
		t.Errorf("repair: %+v, %v", rep, err)
	}
}
