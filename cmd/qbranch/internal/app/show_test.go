package app_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/quant/engines"
)

func (w *world) show(t app.Target) *app.Shown {
	w.Helper()
	s, err := w.Show(context.Background(), t, app.FitOptions{})
	if err != nil {
		w.Fatalf("show %s: %v", t, err)
	}
	return s
}

// write lays files out in a folder of their own.
func write(t *testing.T, f files) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range f {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// parameter is what is believed of one, and from whom.
func parameter(s *app.Shown, name string) string {
	for _, p := range s.Branch.Parameters {
		if p.Name == name {
			return fmt.Sprint(p.Value, " ", p.From)
		}
	}
	return "none"
}

// TestShowEverywhere: the hub, the store and a folder say the same of a branch.
func TestShowEverywhere(t *testing.T) {
	t.Parallel()
	branches := demoBranches(t, "main", main32)
	w := newWorld(t, branches)
	shown := map[string]*app.Shown{app.ShownHub: w.show(w.target(main32)), app.ShownFolder: w.show(app.Target{Dir: write(t, branches[main32])})}
	w.get(main32, app.GetOptions{})
	w.hub.ResetLog()
	shown[app.ShownStore] = w.show(w.target(main32))
	if n := len(w.hub.Log()); n != 0 {
		t.Errorf("a held branch took %d requests", n)
	}
	for from, s := range shown {
		if s.From != from || parameter(s, "bits") != "3 tensors" || parameter(s, "group_size") != "32 tensors" || parameter(s, "act_order") != "true config.json" {
			t.Errorf("%s: from %s: bits %s, groups %s, act-order %s", from, s.From, parameter(s, "bits"), parameter(s, "group_size"), parameter(s, "act_order"))
		}
		if len(s.Files) != len(branches[main32]) || s.TensorBytes == 0 || len(s.Estimate.Terms) < 3 || len(s.Engines) < 5 || len(s.Unread) > 0 || s.Card == nil {
			t.Errorf("%s: %d files, %d bytes of tensors, %d terms, %d engines, unread %q", from, len(s.Files), s.TensorBytes, len(s.Estimate.Terms), len(s.Engines), s.Unread)
		}
		for _, f := range s.Files {
			if f.SHA256 == "" && f.GitOID == "" {
				t.Errorf("%s: %s has no digest", from, f.Path)
			}
		}
		for _, l := range s.Loaders {
			if len(l.Misled) > 0 || l.Problem != "" {
				t.Errorf("%s: %s is misled in %q: %s", from, l.Name, l.Misled, l.Problem)
			}
		}
	}
	if s := shown[app.ShownStore]; s.Branch.Local != app.LocalVerified || !s.Files[0].Held {
		t.Errorf("store: local %q, held %v", s.Branch.Local, s.Files[0].Held)
	}
}

// TestShowMisled: who reads the wrong file is named.
func TestShowMisled(t *testing.T) {
	t.Parallel()
	branches := demoBranches(t, "main", main32)
	replace(t, branches[main32], "quantize_config.json", `"bits": 3`, `"bits": 4`)
	s := newWorld(t, branches).show(app.Target{Dir: write(t, branches[main32])})
	var misled []string
	for _, l := range s.Loaders {
		if slices.Contains(l.Misled, "bits") {
			misled = append(misled, l.ID)
		}
	}
	if !slices.Equal(misled, []string{"autogptq", "gptqmodel"}) {
		t.Errorf("misled are %q, want those that read quantize_config.json", misled)
	}
	if !slices.Contains(findingCodes(s.Findings), "J5") {
		t.Errorf("findings %q, want J5", findingCodes(s.Findings))
	}
}

// TestShowOdd: what is missing, broken or forbidden is said, and is no failure.
func TestShowOdd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demoBranches(t, "main"))
	empty := w.show(app.Target{Dir: t.TempDir()})
	if empty.Branch.Bits != nil || len(empty.Files) != 0 || empty.Card != nil {
		t.Errorf("empty folder: %+v", empty.Branch)
	}
	junk := w.show(app.Target{Dir: write(t, files{"config.json": []byte("{"), "model.safetensors": []byte("no header"), "README.md": []byte("# x")})})
	if codes := findingCodes(junk.Findings); !slices.Contains(codes, "H1") || !slices.Contains(codes, "J1") {
		t.Errorf("junk: findings %q, want H1 and J1", codes)
	}
	if _, err := w.Show(context.Background(), app.Target{Dir: filepath.Join(t.TempDir(), "none")}, app.FitOptions{}); err == nil {
		t.Error("a folder that is not there: no error")
	}
	if _, err := w.Show(context.Background(), app.Target{Bundle: "x.tar.zst"}, app.FitOptions{}); err == nil {
		t.Error("a bundle: no error")
	} else {
		wantHint(t, err, "store import")
	}
	if _, err := w.Show(context.Background(), w.target("main"), app.FitOptions{VRAM: "lots"}); err == nil {
		t.Error("no size: no error")
	}
	offline := w.open(hub.Options{Offline: true})
	if _, err := offline.Show(context.Background(), w.target("main"), app.FitOptions{}); !errors.Is(err, hub.ErrOffline) {
		t.Errorf("offline and not here: %v", err)
	}
	gated := newWorldOf(t, hubtest.RepoData{ID: repoID, Branches: demoBranches(t, main32), Gated: true}, hubtest.Options{Token: "hf_good"})
	if s := gated.show(gated.target(main32)); len(s.Unread) == 0 || parameter(s, "bits") != "3 name" {
		t.Errorf("gated: unread %q, bits %s", s.Unread, parameter(s, "bits"))
	} else if len(s.Loaders) != 0 || slices.ContainsFunc(s.Engines, func(e app.ProgramVerdict) bool { return e.Loads != engines.Unknown }) {
		t.Errorf("gated: what nobody could read is judged: %+v %+v", s.Loaders, s.Engines)
	}
}

// TestShowMoved: a branch of the store that stands elsewhere by now.
func TestShowMoved(t *testing.T) {
	t.Parallel()
	branches := demoBranches(t, "main")
	w := newWorld(t, branches)
	w.App = w.open(hub.Options{CacheDir: filepath.Join(t.TempDir(), "cache")})
	w.get("main", app.GetOptions{})
	moved := maps.Clone(branches["main"])
	moved["NEWS.md"] = []byte("news\n")
	if _, err := w.hub.SetBranch(repoID, "main", moved); err != nil {
		t.Fatal(err)
	}
	w.list()
	s := w.show(w.target("main"))
	if !slices.ContainsFunc(s.Notes, func(n app.Note) bool { return n.Code == "MOVED" && strings.Contains(n.Message, "was fetched at") }) {
		t.Errorf("notes %+v, want MOVED", s.Notes)
	}
}

// TestDiff: files are compared by content, wherever they are.
func TestDiff(t *testing.T) {
	t.Parallel()
	branches := demoBranches(t, "main", main32)
	w := newWorld(t, branches)
	diff := func(a, b app.Target) *app.Diff {
		t.Helper()
		d, err := w.Diff(context.Background(), a, b, app.FitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	names := func(list []app.DiffFile) (all []string) {
		for _, f := range list {
			all = append(all, f.PathA+">"+f.PathB)
		}
		return all
	}
	d := diff(w.target("main"), w.target(main32))
	if want := []string{"config.json>config.json", "model.safetensors>model.safetensors", "quantize_config.json>quantize_config.json"}; !slices.Equal(names(d.Changed), want) {
		t.Errorf("changed %q, want %q", names(d.Changed), want)
	}
	if d.SharedBytes+d.SwitchBytes != d.B.TotalBytes || d.FetchBytes != d.B.TotalBytes || len(d.Shared) != 6 || len(d.Engines) == 0 {
		t.Errorf("shared %d, switch %d, fetch %d of %d; %d engines", d.SharedBytes, d.SwitchBytes, d.FetchBytes, d.B.TotalBytes, len(d.Engines))
	}
	if !slices.Contains(findingCodes(d.FindingsA), "J7") || slices.Contains(findingCodes(d.FindingsB), "J7") {
		t.Errorf("findings %q and %q, want J7 on the side without groups", findingCodes(d.FindingsA), findingCodes(d.FindingsB))
	}

	// A folder that recorded nothing: small files are hashed, of the weights only
	// name and length are known. One is renamed, one is new, one is gone.
	folder := maps.Clone(branches["main"])
	folder["licence.txt"] = []byte("new")
	folder["tok.json"] = folder["tokenizer.json"]
	delete(folder, "tokenizer.json")
	delete(folder, "added_tokens.json")
	folder[weights] = slices.Concat(folder[weights], make([]byte, 5*mib))
	d = diff(app.Target{Dir: write(t, folder)}, w.target("main"))
	if !slices.Contains(names(d.Shared), "tok.json>tokenizer.json") || !slices.Equal(names(d.OnlyB), []string{">added_tokens.json"}) {
		t.Errorf("shared %q, only B %q", names(d.Shared), names(d.OnlyB))
	}
	if !slices.Contains(names(d.OnlyA), "licence.txt>") || !slices.Equal(names(d.Changed), []string{weights + ">" + weights}) || len(d.Unknown) != 0 {
		t.Errorf("only A %q, changed %q, unknown %q", names(d.OnlyA), names(d.Changed), names(d.Unknown))
	}

	// The store counts.
	w.get("main", app.GetOptions{})
	if d := diff(w.target("main"), w.target(main32)); d.A.From != app.ShownStore || d.FetchBytes != d.SwitchBytes {
		t.Errorf("from %s, fetch %d, switch %d; want the store, and the same", d.A.From, d.FetchBytes, d.SwitchBytes)
	}
}
