package hub

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/hub/hubtest"
)

func TestRefsOfEveryKind(t *testing.T) {
	w := newWorld(t, Options{})
	for _, ref := range []string{"refs/tags/v1", "refs/pr/2", "refs/pr/1", "refs/convert/parquet"} {
		if _, err := w.SetBranch(testRepo.String(), ref, map[string][]byte{"config.json": []byte(ref)}); err != nil {
			t.Fatal(err)
		}
	}
	at := func(ref string) Commit { return Commit(w.Commit(testRepo.String(), ref)) }
	for _, pulls := range []bool{false, true} {
		l, err := w.client.Refs(t.Context(), testRepo, pulls)
		if err != nil {
			t.Fatal(err)
		}
		var want []Branch
		if pulls {
			want = []Branch{{"refs/pr/1", at("refs/pr/1")}, {"refs/pr/2", at("refs/pr/2")}}
		}
		if len(l.Branches) != 3 || !slices.Equal(l.Tags, []Branch{{"v1", at("refs/tags/v1")}}) ||
			!slices.Equal(l.Converts, []Branch{{"refs/convert/parquet", at("refs/convert/parquet")}}) || !slices.Equal(l.PullRequests, want) {
			t.Errorf("pulls %v: got %+v", pulls, l)
		}
	}
	// What is listed can be asked for.
	for ref, name := range map[string]string{"v1": "refs/tags/v1", "refs/pr/1": "refs/pr/1", "refs/convert/parquet": "refs/convert/parquet"} {
		if got, err := w.client.Revision(t.Context(), testRepo, ref); err != nil || got != at(name) {
			t.Errorf("%s: got %s, %v", ref, got, err)
		}
	}
	// A pull request whose ref is that of a branch is not passed on as one.
	w.AddFault(hubtest.Fault{Origin: "api", Rewrite: func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte(`"ref":"refs/pr/1"`), []byte(`"ref":"main"`))
	}})
	if _, err := w.client.Refs(t.Context(), testRepo, true); !errors.Is(err, ErrBadListing) {
		t.Errorf("got %v", err)
	}
}

func TestPathsInfoAndTreeSize(t *testing.T) {
	w := newWorld(t, Options{})
	got, err := w.client.PathsInfo(t.Context(), testRepo, w.at, []string{"nope", "model.safetensors", "sub", "config.json"})
	want := []File{w.files["config.json"], w.files["model.safetensors"]}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	var sum int64
	for _, f := range w.files {
		sum += f.Size
	}
	if got, err := w.client.TreeSize(t.Context(), testRepo, w.at); err != nil || got != sum {
		t.Errorf("got %d, %v, want %d", got, err, sum)
	}
	for answer, body := range map[string]string{"null": "null", "another file": `[{"type":"file","path":"x","size":0,"oid":"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"}]`} {
		remove := w.AddFault(hubtest.Fault{Origin: "api", Method: http.MethodPost, Status: 200, Body: body})
		if _, err := w.client.PathsInfo(t.Context(), testRepo, w.at, []string{"config.json"}); !errors.Is(err, ErrBadListing) {
			t.Errorf("%s: got %v", answer, err)
		}
		remove()
	}
}

// What was asked for under an old name goes on under the new one, without
// another detour.
func TestRenameIsRemembered(t *testing.T) {
	w := newWorld(t, Options{})
	now := RepoID{"acme", "new"}
	if err := w.Rename(testRepo.String(), now.String()); err != nil {
		t.Fatal(err)
	}
	at, err := w.client.Revision(t.Context(), testRepo, "main")
	if err != nil || at != w.at || w.client.Current(testRepo) != now {
		t.Fatalf("got %s, %v, name %s", at, err, w.client.Current(testRepo))
	}
	w.ResetLog()
	if _, err := w.client.Tree(t.Context(), testRepo, at); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.ReadFile(t.Context(), testRepo, at, "config.json", 100); err != nil {
		t.Fatal(err)
	}
	for _, e := range w.Log() {
		if bytes.Contains([]byte(e.Path), []byte("tiny")) {
			t.Errorf("asked under the old name: %s", e.Path)
		}
	}
	// A redirect out of the API, or to no repository, is no rename.
	for _, to := range []string{"/x/y", "/api/models/--/a/refs", "/api/models/one"} {
		remove := w.AddFault(hubtest.Fault{Origin: "api", Method: http.MethodGet, PathContains: "/acme/private/", RedirectTo: to})
		if _, err := w.client.Refs(t.Context(), hiddenRepo, false); err == nil || w.client.Current(hiddenRepo) != hiddenRepo {
			t.Errorf("%s: got %v, %s", to, err, w.client.Current(hiddenRepo))
		}
		remove()
	}
}

// A server that knows no ranges may send all of a file to whoever wants all of
// it, compressed or not, if it is exactly that.
func TestWholeFileForWholeRange(t *testing.T) {
	w := newWorld(t, Options{})
	f := w.files["config.json"]
	var z bytes.Buffer
	zw := gzip.NewWriter(&z)
	zw.Write(configText)
	zw.Close()
	plain := http.Header{"Content-Type": {"text/plain"}}
	zipped := http.Header{"Content-Encoding": {"gzip"}}
	for _, tt := range []struct {
		name    string
		header  http.Header
		body    string
		off, n  int64
		ok      bool
		network bool // found out only while reading
	}{
		{"whole", plain, string(configText), 0, f.Size, true, false},
		{"zipped", zipped, z.String(), 0, f.Size, true, false},
		{"zipped and cut off", zipped, z.String()[:12], 0, f.Size, false, true},
		{"one byte more", plain, string(configText) + "x", 0, f.Size, false, false},
		{"one byte less", plain, string(configText)[1:], 0, f.Size, false, false},
		{"not all was wanted", plain, string(configText), 0, f.Size - 1, false, false},
		{"the end was wanted", plain, string(configText), 1, f.Size - 1, false, false},
		{"web page", http.Header{"Content-Type": {"text/html"}}, string(configText), 0, f.Size, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer w.AddFault(hubtest.Fault{Origin: "api", Status: 200, Header: tt.header, Body: tt.body})()
			r, err := w.client.OpenRange(t.Context(), testRepo, w.at, f, tt.off, tt.n)
			var got []byte
			if err == nil {
				defer r.Close()
				got, err = io.ReadAll(r)
			}
			if (err == nil) != tt.ok || tt.ok && !bytes.Equal(got, configText) || errors.Is(err, ErrNetwork) != tt.network {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	// The same for small files that are read whole.
	defer w.AddFault(hubtest.Fault{Origin: "api", Status: 200, Header: zipped, Body: z.String()})()
	if got, err := w.client.ReadFile(t.Context(), testRepo, w.at, "config.json", f.Size); err != nil || !bytes.Equal(got, configText) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := w.client.ReadFile(t.Context(), testRepo, w.at, "config.json", f.Size-1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a text that grows: got %v", err)
	}
}
