package hfcache

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/store"
)

// What Export writes Revisions reads, and Adopt takes.
func TestRevisions(t *testing.T) {
	t.Parallel()
	needSymlinks(t)
	s := openStore(t)
	dir := t.TempDir()
	snap := fill(t, s, commitA, "a/b", branch())
	if _, err := Open(dir).Export(t.Context(), s, snap, ExportOptions{Complete: true}); err != nil {
		t.Fatal(err)
	}
	partial := fill(t, s, commitB, "", map[string][]byte{"config.json": []byte("{}\n")})
	if _, err := Open(dir).Export(t.Context(), s, partial, ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, RepoFolder(repoA), "snapshots", commitB)
	if err := os.WriteFile(filepath.Join(other, "loose.txt"), []byte("?"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../blobs/gone", filepath.Join(other, "broken.txt")); err != nil {
		t.Fatal(err)
	}
	c := Open(dir)
	repos, err := c.Repos()
	if err != nil || !slices.Equal(repos, []string{repoA}) {
		t.Errorf("repositories %q, %v", repos, err)
	}
	revs, err := c.Revisions(repoA)
	if err != nil || len(revs) != 2 {
		t.Fatalf("%+v, %v", revs, err)
	}
	a, b := revs[0], revs[1]
	if a.Commit != commitA || !a.Listed || !slices.Equal(a.Branches, []string{"a/b"}) || len(a.Files) != len(branch()) {
		t.Errorf("got %+v", a)
	}
	if b.Commit != commitB || b.Listed || len(b.Branches) != 0 || len(b.Files) != 2 {
		t.Errorf("got %+v", b)
	}
	if loose := b.Files[1]; loose.Path != "loose.txt" || loose.Want != (store.Want{Size: 1}) {
		t.Errorf("a file that nothing names: %+v", loose)
	}
	into := openStore(t)
	for _, f := range append(a.Files, b.Files[0]) {
		d, err := into.Adopt(t.Context(), f.Want, f.Sources[0], store.AdoptOptions{})
		if err != nil {
			t.Errorf("%s: %v", f.Path, err)
			continue
		}
		if got, err := os.ReadFile(into.Path(d.Digest)); err != nil || !bytes.Equal(got, branch()[f.Path]) {
			t.Errorf("%s has other content (%v)", f.Path, err)
		}
	}

	// A listing names what is not there, too.
	lfs := filepath.Join(dir, RepoFolder(repoA), "blobs", sha(weights).String())
	if err := os.Remove(lfs); err != nil {
		t.Fatal(err)
	}
	if revs, err = Open(dir).Revisions(repoA); err != nil || len(revs[0].Files) != len(branch()) {
		t.Fatalf("%+v, %v", revs, err)
	}
	for _, f := range revs[0].Files {
		if there := len(f.Sources) > 0; there == isLFS(f.Path) {
			t.Errorf("%s is there: %v", f.Path, there)
		}
	}
}

func TestDecodeTree(t *testing.T) {
	t.Parallel()
	const git = "0123456789abcdef0123456789abcdef01234567"
	digest := sha(nil).String()
	for _, tc := range []struct {
		name, in string
		ok       bool
	}{
		{"a file of git", `{"format_version":1,"files":{"a":{"size":3,"blob_id":"` + git + `"}}}`, true},
		{"an LFS file, as the client writes it", `{"format_version":1,"files":{"a":{"size":3,"blob_id":"` + git + `","lfs_sha256":"` + digest + `","lfs_size":3,"xet_hash":"` + digest + `"}}}`, true},
		{"no file", `{"format_version":1,"files":{}}`, true},
		{"another format", `{"format_version":2,"files":{}}`, false},
		{"no files", `{"format_version":1}`, false},
		{"a path that escapes", `{"format_version":1,"files":{"../a":{"size":3,"blob_id":"` + git + `"}}}`, false},
		{"a length below zero", `{"format_version":1,"files":{"a":{"size":-1,"blob_id":"` + git + `"}}}`, false},
		{"no digest", `{"format_version":1,"files":{"a":{"size":3,"blob_id":"../../x"}}}`, false},
		{"a digest in capitals", `{"format_version":1,"files":{"a":{"size":3,"blob_id":"` + git + `","lfs_sha256":"ABCD"}}}`, false},
		{"no JSON", `<html>`, false},
	} {
		if _, err := decodeTree([]byte(tc.in)); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// Whatever a listing holds, nothing of it becomes a path or a digest unchecked,
// and what was read is what would be written.
func FuzzDecodeTree(f *testing.F) {
	f.Add([]byte(`{"format_version":1,"files":{"a/b":{"size":3,"blob_id":"0123456789abcdef0123456789abcdef01234567"}}}`))
	f.Add([]byte(`{"format_version":1,"files":{"..":{"size":-3,"blob_id":""}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		files, err := decodeTree(b)
		if err != nil {
			return
		}
		for p, file := range files {
			if err := store.CheckPath(p); err != nil {
				t.Error(err)
			}
			if w, err := file.want(); err != nil || w.Size < 0 || w == (store.Want{Size: w.Size}) {
				t.Errorf("%q: %+v, %v", p, w, err)
			}
		}
		again, err := json.Marshal(treeJSON{treeFormat, files})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeTree(again); err != nil || !reflect.DeepEqual(got, files) {
			t.Errorf("a round trip gives %+v, %v", got, err)
		}
	})
}
