package app_test

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/infer"
)

// TestLoadModel: a branch generates the same from the store and from a folder,
// without a request.
func TestLoadModel(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	dir := filepath.Join(t.TempDir(), "model")
	w.get(main32, app.GetOptions{Dir: dir})
	w.hub.ResetLog()
	var texts []string
	for _, target := range []app.Target{w.target(main32), {Dir: dir}} {
		m, err := w.LoadModel(context.Background(), target)
		if err != nil {
			t.Fatal(err)
		}
		res, err := m.Generate(context.Background(), app.Request{Prompt: "Write a story about llamas", MaxTokens: 12}, nil)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, res.Text)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if texts[0] == "" || texts[0] != texts[1] {
		t.Errorf("texts %q", texts)
	}
	if n := len(w.hub.Log()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
	empty := t.TempDir()
	if err := os.WriteFile(filepath.Join(empty, "config.json"), []byte(`{"architectures": ["GPTBigCodeForCausalLM"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.LoadModel(context.Background(), app.Target{Dir: empty}); !errors.Is(err, infer.ErrUnsupported) || !strings.Contains(err.Error(), "GPTBigCode") {
		t.Errorf("unknown architecture: %v, want ErrUnsupported with its name", err)
	}
}

func TestCard(t *testing.T) {
	branches := demoBranches(t, "main", main32)
	w := newWorld(t, branches)
	dir := t.TempDir()
	file := filepath.Join(dir, "README.md")
	if err := os.WriteFile(file, branches["main"]["README.md"], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{repoID, repoID + ":" + main32, file, dir} {
		c, err := w.Card(context.Background(), arg)
		if err != nil || len(c.Rows) != 8 {
			t.Errorf("card of %s: %+v, %v; want eight rows", arg, c, err)
		}
	}
	if _, err := w.Card(context.Background(), repoID+":nope"); !errors.Is(err, hub.ErrRevisionNotFound) {
		t.Errorf("no branch: %v", err)
	}
}

func TestStoreListEmpty(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	items, err := w.StoreList(context.Background())
	if items == nil || len(items) != 0 || err != nil {
		t.Errorf("%v, %v; want an empty list", items, err)
	}
	if _, err := os.Stat(w.store); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking made a store: %v", err)
	}
}

func TestStoreDir(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name             string
		config, env, xdg string
		want             string
	}{
		{"configured", filepath.Join(dir, "c"), filepath.Join(dir, "e"), dir, filepath.Join(dir, "c")},
		{"QBRANCH_STORE", "", filepath.Join(dir, "e"), dir, filepath.Join(dir, "e")},
		{"XDG_DATA_HOME", "", "", dir, filepath.Join(dir, "qbranch")},
	}
	for _, test := range tests {
		t.Setenv("QBRANCH_STORE", test.env)
		t.Setenv("XDG_DATA_HOME", test.xdg)
		a, err := app.New(app.Config{StoreDir: test.config})
		if err != nil {
			t.Fatal(err)
		}
		if a.StoreDir() != test.want {
			t.Errorf("%s: %s, want %s", test.name, a.StoreDir(), test.want)
		}
		if a.Endpoint() != hub.DefaultEndpoint {
			t.Errorf("endpoint %s", a.Endpoint())
		}
	}
	t.Setenv("XDG_DATA_HOME", "relative") // to be ignored, says the standard
	a, err := app.New(app.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := a.StoreDir(); !filepath.IsAbs(got) || strings.Contains(got, "relative") {
		t.Errorf("relative XDG_DATA_HOME: %s", got)
	}
	if _, err := app.New(app.Config{Hub: hub.Options{Endpoint: "ftp://x"}}); err == nil {
		t.Error("endpoint ftp://x: no error")
	}
}

func TestParseTarget(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Chdir(home)
	for _, dir := range []string{"owner/name", "owner/bare", "model", "sub"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"owner/name/config.json", "model/config.json", "file", "owner/x.tar.zst"} {
		if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		in     string
		dir    string
		ref    string
		bundle string
		fail   bool
	}{
		{in: "owner/name", dir: "owner/name"},                        // a folder with a config.json
		{in: "owner/bare", ref: "owner/bare"},                        // a folder without one is not a checkpoint
		{in: "./owner/bare", dir: "./owner/bare"},                    // unless it can only be a path
		{in: "model", dir: "model"},                                  // no slash at all
		{in: "sub", dir: "sub"},                                      // cannot be a reference
		{in: "~/model", dir: filepath.Join(home, "model")},           // quoted for the shell
		{in: "~", dir: home},                                         //
		{in: home, dir: home},                                        // absolute
		{in: ".", dir: "."},                                          //
		{in: "other/name:branch", ref: "other/name:branch"},          //
		{in: "https://huggingface.co/other/name", ref: "other/name"}, //
		{in: "./file", bundle: "./file"},                             // whatever its name
		{in: "owner/x.tar.zst", bundle: "owner/x.tar.zst"},           // it is there
		{in: "owner/y.tar.zst", ref: "owner/y.tar.zst"},              // it is not
		{in: "./nothing", fail: true},
		{in: "nothing", fail: true},
		{in: "", fail: true},
	}
	for _, test := range tests {
		got, err := app.ParseTarget(test.in)
		if test.fail {
			if err == nil {
				t.Errorf("%q: %+v, want an error", test.in, got)
			}
			continue
		}
		want := cmp.Or(test.dir, test.ref, test.bundle)
		if err != nil || got.Dir != test.dir || got.Bundle != test.bundle || got.String() != want {
			t.Errorf("%q: %q in %q, %v; want %q", test.in, got.String(), got.Dir, err, want)
		}
	}
}
