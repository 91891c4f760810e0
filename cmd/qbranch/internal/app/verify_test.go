package app_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/store"
)

// flip changes one bit of a file.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil { // blobs are read-only
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// blob returns where the store keeps a file of a fetched branch.
func (w *world) blob(res *app.GetResult, name string) string {
	w.Helper()
	s, err := store.Open(w.store)
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range res.Snapshot.Files {
		if f.Path == name {
			return s.Path(f.SHA256)
		}
	}
	w.Fatalf("no file %s", name)
	return ""
}

func TestVerify(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	w.get(main32, app.GetOptions{})
	w.hub.ResetLog()
	var sum, done int64
	var checked []string
	rep, err := w.Verify(context.Background(), w.target(main32), app.VerifyOptions{
		Total: func(n int64) { sum = n }, Done: func(n int64) { done += n },
		Notify: func(e app.Event) {
			if e.File != nil {
				checked = append(checked, e.File.Path)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	all := total(branches[main32])
	if !rep.OK || rep.Bytes != all || sum != all || done != all || len(checked) != len(branches[main32]) || len(rep.Files) != len(checked) {
		t.Errorf("report %+v; %d of %d bytes, files %q; want %d bytes", rep, done, sum, checked, all)
	}
	if r := rep.Recovered; r == nil || r.Bits != 3 || r.GroupSize == nil || *r.GroupSize != 32 || r.ActOrder == nil || !*r.ActOrder || r.Format != "gptq" {
		t.Errorf("recovered %+v", r)
	}
	if slices.ContainsFunc(rep.Findings, func(f app.Finding) bool { return f.Code == "D1" }) {
		t.Errorf("findings %+v", rep.Findings)
	}
	if rep.Commit != w.hub.Commit(repoID, main32) || rep.Target != repoID+":"+main32 {
		t.Errorf("report of %s at %s", rep.Target, rep.Commit)
	}
	if n := len(w.hub.Log()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
	offline := w.open(hub.Options{Offline: true})
	if rep, err := offline.Verify(context.Background(), w.target(main32), app.VerifyOptions{}); err != nil || !rep.OK {
		t.Errorf("offline: %v", err)
	}
}

// TestVerifyDamage: the damage is found, located, remembered, and only the bad
// part is fetched again.
func TestVerifyDamage(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	res := w.get(main32, app.GetOptions{})
	size := int64(len(branches[main32][weights]))
	flip(t, w.blob(res, weights), mib+12345)

	rep, err := w.Verify(context.Background(), w.target(main32), app.VerifyOptions{})
	var corrupt *app.CorruptionError
	if !errors.As(err, &corrupt) || rep == nil || rep.OK || corrupt.Report != rep {
		t.Fatalf("report %+v, error %v; want a CorruptionError", rep, err)
	}
	if !strings.Contains(err.Error(), weights) || !strings.Contains(err.Error(), "1048576-") {
		t.Errorf("error %q does not say where", err)
	}
	wantHint(t, err, "qbranch verify "+repoID+":"+main32+" --repair")
	if d := rep.Findings; len(d) != 1 || d[0].Code != "D1" || d[0].Severity != app.Fatal || d[0].Where != weights || !strings.Contains(d[0].Got, "1048576-") {
		t.Errorf("findings %+v, want the changed bytes", d)
	}
	for _, f := range rep.Files {
		if want := f.Path != weights; f.OK != want {
			t.Errorf("%s: ok %v, want %v", f.Path, f.OK, want)
		}
		if f.Path == weights && !slices.Equal(f.Ranges, []app.Range{{Offset: mib, Length: size - mib}}) {
			t.Errorf("bad ranges %v, want the second part", f.Ranges)
		}
	}
	if r := w.row(main32); r.Local != app.LocalCorrupt {
		t.Errorf("listed as %q, want corrupt", r.Local)
	}
	if items, err := w.StoreList(context.Background()); err != nil || items[0].State != app.LocalCorrupt {
		t.Errorf("store: %+v, %v; want corrupt", items, err)
	}
	_, err = w.LoadModel(context.Background(), w.target(main32))
	var bad *store.CorruptError
	if !errors.As(err, &bad) {
		t.Errorf("load: %v, want a store.CorruptError", err)
	}
	wantHint(t, err, "--repair")

	w.hub.ResetLog()
	var fetched []string
	rep, err = w.Verify(context.Background(), w.target(main32), app.VerifyOptions{Repair: true, Notify: func(e app.Event) {
		if e.Fetch != nil {
			fetched = append(fetched, e.Fetch.Path)
		}
	}})
	if !slices.Equal(fetched, []string{weights}) {
		t.Errorf("told of the fetch of %q, want %s alone", fetched, weights)
	}
	if err != nil || !rep.OK || rep.Repaired != size-mib {
		t.Fatalf("repair: %+v, %v; want %d bytes repaired", rep, err, size-mib)
	}
	if requests, sent := w.cdn(); len(requests) != 1 || sent != size-mib {
		t.Errorf("repair: %d requests to storage, %d bytes; want only the bad part", len(requests), sent)
	}
	if r := w.row(main32); r.Local != app.LocalVerified {
		t.Errorf("listed as %q after the repair", r.Local)
	}
	if items, err := w.StoreList(context.Background()); err != nil || items[0].Branch != main32 {
		t.Errorf("store: %+v, %v; want the snapshot to keep its branch", items, err)
	}
}

// TestGetRepairs: fetching a branch that is known to be damaged repairs it.
func TestGetRepairs(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	res := w.get(main32, app.GetOptions{})
	flip(t, w.blob(res, weights), mib+12345)
	if _, err := w.Verify(context.Background(), w.target(main32), app.VerifyOptions{}); err == nil {
		t.Fatal("damage not found")
	}
	size := int64(len(branches[main32][weights]))
	if res := w.get(main32, app.GetOptions{}); res.Kept != mib || res.Received != size-mib+headerLen(t, branches[main32][weights]) {
		t.Errorf("kept %d, received %d", res.Kept, res.Received)
	}
	if rep, err := w.Verify(context.Background(), w.target(main32), app.VerifyOptions{}); err != nil || !rep.OK {
		t.Errorf("after: %v", err)
	}
}

// TestVerifyRepairFails: damage that cannot be repaired now is still damage.
func TestVerifyRepairFails(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	res := w.get(main32, app.GetOptions{})
	flip(t, w.blob(res, "config.json"), 5)
	w.hub.AddFault(hubtest.Fault{ResetAfter: -1})
	rep, err := w.Verify(context.Background(), w.target(main32), app.VerifyOptions{Repair: true})
	var corrupt *app.CorruptionError
	if !errors.As(err, &corrupt) || !errors.Is(err, hub.ErrNetwork) || rep == nil {
		t.Errorf("report %v, error %v; want damage and the network's failure", rep, err)
	}
}

func TestVerifyMissingBlob(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	res := w.get(main32, app.GetOptions{})
	if err := os.Remove(w.blob(res, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	rep, err := w.Verify(context.Background(), w.target(main32), app.VerifyOptions{})
	var corrupt *app.CorruptionError
	if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), "tokenizer.json is missing") {
		t.Fatalf("report %+v, error %v", rep, err)
	}
	if _, err := w.LoadModel(context.Background(), w.target(main32)); !errors.Is(err, app.ErrNotLocal) {
		t.Errorf("load: %v, want ErrNotLocal", err)
	}
	if rep, err := w.Verify(context.Background(), w.target(main32), app.VerifyOptions{Repair: true}); err != nil || !rep.OK {
		t.Errorf("repair: %v", err)
	}
}

func TestNotLocal(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	offline := w.open(hub.Options{Offline: true})
	for _, verb := range []struct {
		name string
		do   func(*app.App) error
	}{
		{"verify", func(a *app.App) error {
			_, err := a.Verify(context.Background(), w.target(main32), app.VerifyOptions{Repair: true})
			return err
		}},
		{"load", func(a *app.App) error { _, err := a.LoadModel(context.Background(), w.target(main32)); return err }},
	} {
		err := verb.do(w.App)
		if !errors.Is(err, app.ErrNotLocal) || !errors.Is(err, store.ErrNotFound) || errors.Is(err, hub.ErrOffline) {
			t.Errorf("%s: %v, want ErrNotLocal", verb.name, err)
		}
		wantHint(t, err, "qbranch get "+repoID+":"+main32)
		if err := verb.do(offline); !errors.Is(err, app.ErrNotLocal) || !errors.Is(err, hub.ErrOffline) {
			t.Errorf("%s offline: %v, want ErrNotLocal and ErrOffline", verb.name, err)
		}
	}
	if n := len(w.hub.Log()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
	if _, err := os.Stat(w.store); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking made a store: %v", err)
	}
}

// TestVerifyFolder: a folder made by get carries its digests, is verified
// without the store, and is repaired through it.
func TestVerifyFolder(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	dir := filepath.Join(t.TempDir(), "model")
	w.get(main32, app.GetOptions{Dir: dir})
	target := app.Target{Dir: dir}
	verify := func(o app.VerifyOptions) (*app.VerifyReport, error) {
		return w.Verify(context.Background(), target, o)
	}
	rep, err := verify(app.VerifyOptions{})
	if err != nil || !rep.OK || len(rep.Files) != len(branches[main32]) || rep.Bytes != total(branches[main32]) || rep.Files[0].Checked != "blake3" {
		t.Fatalf("%+v, %v", rep, err)
	}

	flip(t, filepath.Join(dir, weights), mib+7) // perhaps the store's own blob by another name
	if err := os.Remove(filepath.Join(dir, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	_, err = verify(app.VerifyOptions{})
	var corrupt *app.CorruptionError
	if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), "1048576-") || !strings.Contains(err.Error(), "tokenizer.json is missing") {
		t.Fatalf("error %v", err)
	}
	rep, err = verify(app.VerifyOptions{Repair: true})
	if err != nil || !rep.OK {
		t.Fatalf("repair: %+v, %v", rep, err)
	}
	for name, want := range branches[main32] {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s after the repair: %v", name, err)
		}
	}

	// Without the store the folder can be judged and not repaired.
	flip(t, filepath.Join(dir, weights), 99)
	if err := os.RemoveAll(w.store); err != nil {
		t.Fatal(err)
	}
	w.App = w.open(hub.Options{})
	rep, err = verify(app.VerifyOptions{Repair: true})
	if !errors.As(err, &corrupt) || !errors.Is(err, app.ErrNotLocal) || rep == nil {
		t.Errorf("repair without the store: %v", err)
	}
}

// TestVerifyPlainFolder: of a folder fetched by other means nothing was
// recorded; it is read and judged, and links out of it are not followed.
func TestVerifyPlainFolder(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	dir := t.TempDir()
	for name, data := range branches[main32] {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(outside, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	linked := os.Symlink(outside, filepath.Join(dir, "generation_config_2.json")) == nil
	if err := os.Mkdir(filepath.Join(dir, ".git"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".git", "model.safetensors"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var done int64
	rep, err := w.Verify(context.Background(), app.Target{Dir: dir}, app.VerifyOptions{Done: func(n int64) { done += n }})
	if err != nil || !rep.OK || rep.Bytes != total(branches[main32]) || done != rep.Bytes || len(rep.Files) != len(branches[main32]) || rep.Files[0].Checked != "read" {
		t.Fatalf("%+v, %v", rep, err)
	}
	codes := findingCodes(rep.Findings)
	if !slices.Contains(codes, "UNRECORDED") || slices.Contains(codes, "LINK") != linked {
		t.Errorf("findings %q", codes)
	}
	if _, err := w.Verify(context.Background(), app.Target{Dir: dir}, app.VerifyOptions{Repair: true}); err == nil {
		t.Error("repair of a folder of unknown origin: no error")
	} else {
		wantHint(t, err, "--dir")
	}

	// The bytes may be as they were fetched and still not what they claim.
	for _, name := range []string{"quantize_config.json", "config.json"} {
		data := bytes.ReplaceAll(branches[main32][name], []byte(`"bits": 3`), []byte(`"bits": 4`))
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rep, err = w.Verify(context.Background(), app.Target{Dir: dir}, app.VerifyOptions{})
	var fatal *app.FindingsError
	if !errors.As(err, &fatal) || rep == nil || rep.OK {
		t.Errorf("4 bits promised, 3 there: %+v, %v; want a FindingsError", rep, err)
	}
	if _, err := w.Verify(context.Background(), app.Target{Dir: filepath.Join(dir, "nothing")}, app.VerifyOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// TestSameContentTwice: a content that two files have is fetched and hashed
// once, and both files are told of.
func TestSameContentTwice(t *testing.T) {
	branches := demoBranches(t, main32)
	f := branches[main32]
	once := total(f)
	f["tokenizer_2.json"] = f["tokenizer.json"]
	f["model_2.bin.md"] = f["README.md"]
	w := newWorld(t, branches)
	res := w.get(main32, app.GetOptions{})
	if res.Received != once || len(res.Snapshot.Files) != len(f) {
		t.Errorf("received %d for %d files, want %d", res.Received, len(res.Snapshot.Files), once)
	}
	var done int64
	rep, err := w.Verify(context.Background(), w.target(main32), app.VerifyOptions{Done: func(n int64) { done += n }})
	if err != nil || done != total(f) || len(rep.Files) != len(f) {
		t.Errorf("%d of %d bytes, %d files, %v", done, total(f), len(rep.Files), err)
	}
}

func TestVerifyCancelled(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	w.get(main32, app.GetOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	rep, err := w.Verify(ctx, w.target(main32), app.VerifyOptions{Total: func(int64) { cancel() }})
	if !errors.Is(err, context.Canceled) || rep != nil {
		t.Errorf("%+v, %v; want context.Canceled", rep, err)
	}
}
