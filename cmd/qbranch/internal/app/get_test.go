package app_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/quant/safetensors"
	"github.com/qbranch/qbranch/store"
)

func TestGet(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	var events []app.Event
	stats := new(app.Stats)
	dir := filepath.Join(t.TempDir(), "model")
	res := w.get(main32, app.GetOptions{Dir: dir, Stats: stats, Notify: func(e app.Event) { events = append(events, e) }})

	all := total(branches[main32])
	if res.Received != all || res.Kept != 0 || res.Reused != 0 || res.Refetched != 0 || res.Plan.Bytes != all || res.Plan.Held != 0 {
		t.Errorf("received %d, kept %d, reused %d, again %d of %d; want every byte once (%d)", res.Received, res.Kept, res.Reused, res.Refetched, res.Plan.Bytes, all)
	}
	if stats.Done.Load() != all || stats.Total.Load() != all {
		t.Errorf("stats: %d of %d done, want %d", stats.Done.Load(), stats.Total.Load(), all)
	}
	if res.Snapshot.Commit != w.hub.Commit(repoID, main32) || res.Snapshot.Branch != main32 || len(res.Snapshot.Files) != len(branches[main32]) {
		t.Errorf("snapshot %+v", res.Snapshot)
	}
	if _, sent := w.cdn(); sent != int64(len(branches[main32][weights])) {
		t.Errorf("storage sent %d bytes of weights, want %d: the header's read must not be made again", sent, len(branches[main32][weights]))
	}
	checkEvents(t, events, len(branches[main32]))
	for name, want := range branches[main32] {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s in the folder: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}

	// Again: one request resolves the branch, nothing moves.
	w.hub.ResetLog()
	again := w.get(main32, app.GetOptions{Dir: dir})
	if again.Received != 0 || again.Reused != all || again.Dir != dir {
		t.Errorf("again: received %d, reused %d; want 0, %d", again.Received, again.Reused, all)
	}
	if log := w.hub.Log(); len(log) != 1 {
		t.Errorf("again: %d requests, want 1: %+v", len(log), log)
	}
}

// checkEvents wants the plan first, then what was judged, then a file each.
func checkEvents(t *testing.T, events []app.Event, files int) {
	t.Helper()
	var order []string
	done := make(map[string]bool)
	for _, e := range events {
		switch {
		case e.Plan != nil:
			order = append(order, "plan")
		case e.Judged != "":
			order = append(order, e.Judged)
		case e.Findings != nil:
			order = append(order, "findings")
		case e.Fetch != nil && e.Fetch.Kind == fetch.EventFile:
			done[e.Fetch.Path] = true
		default:
			t.Errorf("event %+v", e)
		}
	}
	order = slices.DeleteFunc(order, func(s string) bool { return s == "findings" }) // when there are any
	if want := []string{"plan", "config", "header"}; !slices.Equal(order, want) {
		t.Errorf("events %q, want %q", order, want)
	}
	if len(done) != files {
		t.Errorf("%d files were told of as fetched, want %d", len(done), files)
	}
}

// TestGetSecondBranch: what branches share is not fetched again.
func TestGetSecondBranch(t *testing.T) {
	branches := demoBranches(t, main32, main128)
	w := newWorld(t, branches)
	w.get(main32, app.GetOptions{})
	var shared int64
	for name, data := range branches[main128] {
		if bytes.Equal(data, branches[main32][name]) {
			shared += int64(len(data))
		}
	}
	res := w.get(main128, app.GetOptions{})
	if shared == 0 || res.Reused != shared || res.Received != total(branches[main128])-shared {
		t.Errorf("reused %d, received %d; want %d, %d", res.Reused, res.Received, shared, total(branches[main128])-shared)
	}
	items, err := w.StoreList(context.Background())
	if err != nil || len(items) != 2 || items[0].SharedBytes != shared || items[0].State != app.LocalVerified {
		t.Errorf("store: %+v, %v; want two snapshots that share %d bytes", items, err, shared)
	}
}

// TestGetResume: a fetch that failed goes on where it stopped.
func TestGetResume(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	size := int64(len(branches[main32][weights]))
	remove := w.hub.AddFault(hubtest.Fault{Origin: "cdn", After: 2, Status: 404}) // behind the header and part 0
	if _, err := w.Get(context.Background(), w.ref(main32), app.GetOptions{Connections: 1}); err == nil {
		t.Fatal("no error though storage refuses")
	}
	remove()
	w.hub.ResetLog()
	res := w.get(main32, app.GetOptions{})
	small := total(branches[main32]) - size
	if res.Kept != mib || res.Reused != small {
		t.Errorf("kept %d, reused %d; want %d, %d", res.Kept, res.Reused, mib, small)
	}
	// The header that is judged is in the part that is held.
	if _, sent := w.cdn(); sent != size-mib || res.Received != sent {
		t.Errorf("storage sent %d, received %d; want %d", sent, res.Received, size-mib)
	}
}

func headerLen(t *testing.T, file []byte) int64 {
	t.Helper()
	n, err := safetensors.HeaderLen(file[:8], int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestGetBrokenHeaderRead: a connection that breaks while the header is read
// is made again, from where it broke.
func TestGetBrokenHeaderRead(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	w.hub.AddFault(hubtest.Fault{Origin: "cdn", Times: 1, Truncate: mib / 2})
	if res := w.get(main32, app.GetOptions{}); res.Received != total(branches[main32]) {
		t.Errorf("received %d, want %d: every byte once", res.Received, total(branches[main32]))
	}
}

// TestGetJudgesFirst: nothing but a header moves of weights that are not what
// they claim, and nothing of them stays.
func TestGetJudgesFirst(t *testing.T) {
	tests := []struct {
		name   string
		change func(*testing.T, files)
		code   string // of a fatal finding
		ranged int    // requests to storage
	}{
		{"bits 5", func(t *testing.T, f files) {
			replace(t, f, "quantize_config.json", `"bits": 3`, `"bits": 5`)
			replace(t, f, "config.json", `"bits": 3`, `"bits": 5`)
		}, "J3", 0},
		{"config is not JSON", func(t *testing.T, f files) { f["config.json"] = append(slices.Clone(f["config.json"]), '}') }, "J1", 0},
		{"no quantisation", func(t *testing.T, f files) {
			delete(f, "quantize_config.json")
			var config map[string]any
			if err := json.Unmarshal(f["config.json"], &config); err != nil {
				t.Fatal(err)
			}
			delete(config, "quantization_config")
			f["config.json"], _ = json.Marshal(config)
			var out bytes.Buffer
			if err := safetensors.Write(&out, nil, []safetensors.Data{{Name: "lm_head.weight", DType: "F16", Shape: []int64{mib}, Bytes: make([]byte, 2*mib)}}); err != nil {
				t.Fatal(err)
			}
			f[weights] = out.Bytes()
		}, "J2", 1}, // the tensors may be quantised for all that
		{"quantised, but not by GPTQ", func(t *testing.T, f files) {
			delete(f, "quantize_config.json")
			replace(t, f, "config.json", `"quant_method": "gptq"`, `"quant_method": "awq"`)
		}, "J2", 0},
		// Both configurations promise 4 bits, the tensors have 3.
		{"other bits than the tensors", func(t *testing.T, f files) {
			replace(t, f, "quantize_config.json", `"bits": 3`, `"bits": 4`)
			replace(t, f, "config.json", `"bits": 3`, `"bits": 4`)
		}, "H5", 1},
		{"header of 2^60 bytes", func(_ *testing.T, f files) {
			f[weights] = binary.LittleEndian.AppendUint64(nil, 1<<60)
			f[weights] = append(f[weights], make([]byte, 2*mib)...)
		}, "H1", 2},
		{"header that is no JSON", func(_ *testing.T, f files) {
			f[weights] = binary.LittleEndian.AppendUint64(nil, 1000)
			f[weights] = append(f[weights], make([]byte, 2*mib)...)
		}, "H1", 2},
		{"a pointer file in place of the weights", func(_ *testing.T, f files) {
			f[weights] = []byte("version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("0", 64) + "\nsize 1975776\n")
		}, "H1", 2},
		{"tensors beyond the end", func(_ *testing.T, f files) { f[weights] = f[weights][:len(f[weights])-1] }, "H1", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			branches := demoBranches(t, main32)
			test.change(t, branches[main32])
			w := newWorld(t, branches)
			var told []app.Finding
			_, err := w.Get(context.Background(), w.ref(main32), app.GetOptions{Notify: func(e app.Event) { told = append(told, e.Findings...) }})
			var fatal *app.FindingsError
			if !errors.As(err, &fatal) {
				t.Fatalf("error %v, want a FindingsError", err)
			}
			if codes := findingCodes(fatal.Findings); !slices.Contains(codes, test.code) || !slices.Equal(codes, findingCodes(told)) {
				t.Errorf("findings %q, told %q; want %s", codes, findingCodes(told), test.code)
			}
			if err.Error() == "" || fatal.Hint() == "" {
				t.Errorf("error %q with hint %q", err, fatal.Hint())
			}
			requests, sent := w.cdn()
			if len(requests) != test.ranged || sent > int64(test.ranged)*mib {
				t.Errorf("%d requests to storage, %d bytes; want %d of at most 1 MiB each", len(requests), sent, test.ranged)
			}
			if left, err := os.ReadDir(filepath.Join(w.store, "partial")); len(left) != 0 {
				t.Errorf("the store holds %v, %v; want nothing of the weights", left, err)
			}
		})
	}
}

// TestGetDamagedConfig: a config that the disk has changed is fetched again, not
// judged as if it had been published so.
func TestGetDamagedConfig(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	path := w.blob(w.get(main32, app.GetOptions{}), "config.json")
	flip(t, path, 0)
	w.get(main32, app.GetOptions{})
	if data, err := os.ReadFile(path); err != nil || !json.Valid(data) {
		t.Errorf("%s holds %.20q, %v", path, data, err)
	}
}

// TestGetHeaderAgain: a header that came wrong is read again before it is judged.
func TestGetHeaderAgain(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	w.hub.AddFault(hubtest.Fault{Origin: "cdn", FlipAt: 3, Times: 1}) // in the length of the header
	if res := w.get(main32, app.GetOptions{}); res.Snapshot.Commit == "" {
		t.Error("nothing was published")
	}
}

// TestGetContradictingConfigs: when two configurations contradict each other
// the headers say which is right, and it is a warning.
func TestGetContradictingConfigs(t *testing.T) {
	branches := demoBranches(t, main32)
	replace(t, branches[main32], "quantize_config.json", `"bits": 3`, `"bits": 4`)
	w := newWorld(t, branches)
	res := w.get(main32, app.GetOptions{})
	if codes := findingCodes(res.Findings); !slices.Contains(codes, "J5") {
		t.Errorf("findings %q, want J5", codes)
	}
}

// TestGetLongHeader: a header of more than a part takes a second request.
func TestGetLongHeader(t *testing.T) {
	branches := demoBranches(t, main32)
	f := branches[main32]
	h, err := safetensors.Parse(bytes.NewReader(f[weights]), int64(len(f[weights])))
	if err != nil {
		t.Fatal(err)
	}
	var tensors []safetensors.Data
	for _, x := range h.Tensors {
		tensors = append(tensors, safetensors.Data{Name: x.Name, DType: x.DType, Shape: x.Shape, Bytes: f[weights][x.Offset : x.Offset+x.Size]})
	}
	meta := map[string]string{"format": "pt", "history": strings.Repeat("long ago ", mib/8)}
	var out bytes.Buffer
	if err := safetensors.Write(&out, meta, tensors); err != nil {
		t.Fatal(err)
	}
	f[weights] = out.Bytes()
	w := newWorld(t, branches)
	w.get(main32, app.GetOptions{})
	header := headerLen(t, f[weights])
	if _, sent := w.cdn(); header <= mib || sent != int64(len(f[weights]))+header-mib {
		t.Errorf("storage sent %d; want the file and what the header of %d bytes has beyond 1 MiB", sent, header)
	}
}

func TestGetDryRun(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	plans := 0
	res := w.get(main32, app.GetOptions{DryRun: true, Dir: filepath.Join(t.TempDir(), "x"), Notify: func(e app.Event) {
		if e.Plan != nil {
			plans++
		}
	}})
	if plans != 1 || res.Plan.Move != total(branches[main32]) || len(res.Plan.Files) != len(branches[main32]) || res.Dir != "" {
		t.Errorf("plan %+v, told %d times", res.Plan, plans)
	}
	if n := len(w.hub.Log()); n != 2 {
		t.Errorf("%d requests, want revision and tree", n)
	}
	if items, err := w.StoreList(context.Background()); len(items) != 0 || err != nil {
		t.Errorf("store: %+v, %v", items, err)
	}
}

func TestGetUnknownBranch(t *testing.T) {
	w := newWorld(t, demoBranches(t))
	tests := []struct{ asked, hint string }{
		{"gptq-3bit-32g-actorder_Tru", "did you mean " + repoID + ":" + main32 + "?"},
		{"8bit", "did you mean one of: gptq-8bit-"},
		{"exl2", "its branches are: main, gptq-3bit--1g-actorder_True"},
	}
	for _, test := range tests {
		_, err := w.Get(context.Background(), w.ref(test.asked), app.GetOptions{})
		if !errors.Is(err, hub.ErrRevisionNotFound) {
			t.Errorf("%s: %v, want ErrRevisionNotFound", test.asked, err)
			continue
		}
		wantHint(t, err, test.hint)
	}
	// A commit is not looked up among the branches.
	ref, err := app.ParseRef(repoID + "@" + strings.Repeat("0", 40))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Get(context.Background(), ref, app.GetOptions{}); !errors.Is(err, hub.ErrRevisionNotFound) {
		t.Errorf("unknown commit: %v", err)
	}
}

// TestGetPinned: a commit needs no resolving, and what the store has of it
// needs no request at all.
func TestGetPinned(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	ref, err := app.ParseRef(repoID + "@" + w.hub.Commit(repoID, main32))
	if err != nil {
		t.Fatal(err)
	}
	w.get(main32, app.GetOptions{})
	w.hub.ResetLog()
	res, err := w.Get(context.Background(), ref, app.GetOptions{})
	if err != nil || len(w.hub.Log()) != 0 || res.Received != 0 {
		t.Errorf("%v, %d requests; want none", err, len(w.hub.Log()))
	}
	if items, err := w.StoreList(context.Background()); err != nil || len(items) != 1 || items[0].Branch != main32 {
		t.Errorf("store: %+v, %v; want the snapshot to keep its branch", items, err)
	}
}

func TestGetPickles(t *testing.T) {
	branches := demoBranches(t, main32)
	branches[main32]["pytorch_model.bin"] = []byte("\x80\x02}q\x00.")
	w := newWorld(t, branches)
	res := w.get(main32, app.GetOptions{})
	if !slices.Contains(findingCodes(res.Findings), "PICKLE") {
		t.Errorf("findings %q, want PICKLE", findingCodes(res.Findings))
	}
	if slices.ContainsFunc(res.Snapshot.Files, func(f store.SnapshotFile) bool { return f.Path == "pytorch_model.bin" }) {
		t.Error("the pickle was fetched")
	}
	if r := w.row(main32); r.Local != app.LocalVerified || r.Files != len(branches[main32]) {
		t.Errorf("row %+v; want verified", r)
	}

	delete(branches[main32], weights)
	if _, err := w.hub.SetBranch(repoID, main32, branches[main32]); err != nil {
		t.Fatal(err)
	}
	w.hub.ResetLog()
	_, err := w.Get(context.Background(), w.ref(main32), app.GetOptions{})
	var fatal *app.FindingsError
	if !errors.As(err, &fatal) || !strings.Contains(err.Error(), "pickle") {
		t.Errorf("pickles only: %v, want a FindingsError", err)
	}
	if requests, _ := w.cdn(); len(requests) != 0 {
		t.Errorf("pickles only: %d requests to storage", len(requests))
	}
	res, err = w.Get(context.Background(), w.ref(main32), app.GetOptions{AllowPickle: true, Force: true})
	if err != nil || !slices.ContainsFunc(res.Snapshot.Files, func(f store.SnapshotFile) bool { return f.Path == "pytorch_model.bin" }) {
		t.Errorf("pickles allowed: %v, want them fetched", err)
	}
}

// TestGetBadAnswers: what the hub says is checked before anything is kept.
func TestGetBadAnswers(t *testing.T) {
	tests := []struct {
		name  string
		fault hubtest.Fault
		want  error
	}{
		{"config that is not the one listed", hubtest.Fault{PathContains: "/quantize_config.json", Rewrite: func(b []byte) []byte { return bytes.ToUpper(b) }}, store.ErrMismatch},
		{"config cut short", hubtest.Fault{PathContains: "/config.json", Rewrite: func(b []byte) []byte { return b[:10] }}, store.ErrMismatch},
		{"a whole file in answer to a range", hubtest.Fault{Origin: "cdn", IgnoreRange: true}, hub.ErrRange},
		{"another range", hubtest.Fault{Origin: "cdn", WrongRange: true}, hub.ErrRange},
		{"the listing lies about a size", hubtest.Fault{PathContains: "/tree/", Rewrite: func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("1975776"), []byte("1975777"))
		}}, hub.ErrBadListing},
		{"a name that leaves the folder", hubtest.Fault{PathContains: "/tree/", Rewrite: func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(`"added_tokens.json"`), []byte(`"../evil"`))
		}}, hub.ErrBadListing},
		{"a name that cannot be kept everywhere", hubtest.Fault{PathContains: "/tree/", Rewrite: func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(`"added_tokens.json"`), []byte(`"a|b.json"`))
		}}, hub.ErrBadListing},
		{"listing cut short", hubtest.Fault{PathContains: "/tree/", Rewrite: func(b []byte) []byte { return b[:len(b)/2] }}, hub.ErrNotHub},
		{"no network", hubtest.Fault{ResetAfter: -1}, hub.ErrNetwork},
		{"storage that asks to wait for an hour", hubtest.Fault{Origin: "cdn", Status: 429, Header: http.Header{"Retry-After": {"3600"}}}, hub.ErrRateLimited},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, demoBranches(t, main32))
			w.hub.AddFault(test.fault)
			if _, err := w.Get(context.Background(), w.ref(main32), app.GetOptions{}); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if items, err := w.StoreList(context.Background()); len(items) != 0 || err != nil {
				t.Errorf("store: %+v, %v; want nothing published", items, err)
			}
		})
	}
}

// TestGetConfigSpoiltOnce: a config that comes wrong is read again.
func TestGetConfigSpoiltOnce(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	w.hub.AddFault(hubtest.Fault{PathContains: "/quantize_config.json", Times: 1, Rewrite: bytes.ToUpper})
	if res := w.get(main32, app.GetOptions{}); res.Refetched == 0 {
		t.Error("nothing was fetched again")
	}
}

// TestGetNoSpace: a listing of more bytes than the disk has is refused before
// anything moves.
func TestGetNoSpace(t *testing.T) {
	branches := demoBranches(t, main32)
	w := newWorld(t, branches)
	const huge = 1 << 43
	w.hub.AddFault(hubtest.Fault{PathContains: "/tree/", Rewrite: func(b []byte) []byte {
		var entries []map[string]any
		if err := json.Unmarshal(b, &entries); err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			lfs, ok := e["lfs"].(map[string]any)
			if !ok {
				continue
			}
			sha, err := hub.ParseSHA256(lfs["oid"].(string))
			if err != nil {
				t.Error(err)
			}
			e["size"], lfs["size"] = int64(huge), int64(huge)
			e["oid"] = hub.PointerOID(sha, huge).String()
			delete(lfs, "pointerSize")
		}
		out, err := json.Marshal(entries)
		if err != nil {
			t.Error(err)
		}
		return out
	}})
	var planned int64
	_, err := w.Get(context.Background(), w.ref(main32), app.GetOptions{Notify: func(e app.Event) {
		if e.Plan != nil {
			planned = e.Plan.DiskNeeded
		}
	}})
	if !errors.Is(err, store.ErrNoSpace) || planned < huge {
		t.Errorf("error %v after a plan of %d bytes, want ErrNoSpace", err, planned)
	}
	if requests, _ := w.cdn(); len(requests) != 0 {
		t.Errorf("%d requests to storage", len(requests))
	}
}

func TestGetOffline(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32, main128))
	w.get(main32, app.GetOptions{})
	offline := w.open(hub.Options{Offline: true})
	dir := filepath.Join(t.TempDir(), "model")
	if res, err := offline.Get(context.Background(), w.ref(main32), app.GetOptions{Dir: dir}); err != nil || res.Received != 0 {
		t.Errorf("what is in the store: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, weights)); err != nil {
		t.Errorf("the folder: %v", err)
	}
	if _, err := offline.Get(context.Background(), w.ref(main128), app.GetOptions{}); !errors.Is(err, hub.ErrOffline) {
		t.Errorf("what is not: %v, want ErrOffline", err)
	}
}

func TestGetStoreNotWritable(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	// A file where the store's parent should be, which not even root can write into.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := app.New(app.Config{Hub: hub.Options{Endpoint: w.hub.URL()}, StoreDir: filepath.Join(file, "store")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Get(context.Background(), w.ref(main32), app.GetOptions{}); err == nil {
		t.Error("no error though the store cannot be made")
	}
	// Listing works all the same and says what it does not know.
	l, err := a.List(context.Background(), w.ref("main").Repo, app.ListOptions{})
	if err != nil || len(l.Branches) != 1 {
		t.Fatalf("list: %v", err)
	}
	if !slices.ContainsFunc(l.Notes, func(n app.Note) bool { return n.Code == "STORE_UNREADABLE" }) {
		t.Errorf("notes %+v, want STORE_UNREADABLE", l.Notes)
	}
	if _, err := os.Stat(w.store); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("somebody made %s", w.store)
	}
}
