package hfcache

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/qbranch/qbranch/store"
)

func TestDir(t *testing.T) {
	t.Parallel()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip(err)
	}
	for _, tc := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"nothing is set", nil, filepath.Join(home, ".cache", "huggingface", "hub")},
		{"the standard's cache", map[string]string{"XDG_CACHE_HOME": "/c"}, filepath.Join("/c", "huggingface", "hub")},
		{"the client's home", map[string]string{"XDG_CACHE_HOME": "/c", "HF_HOME": "~/hf"}, filepath.Join(home, "hf", "hub")},
		{"the old name", map[string]string{"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old"}, "/old"},
		{"the new name", map[string]string{"HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "$DISK/new", "DISK": "/d"}, "/d/new"},
	} {
		if got := Dir(func(name string) string { return tc.env[name] }); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestRepoFolder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		folder, repo string
		ok           bool
	}{
		{"models--owner--name", "owner/name", true},
		{"models--TheBloke--Llama-2-13B-GPTQ", "TheBloke/Llama-2-13B-GPTQ", true},
		{"models--gpt2", "", false}, // repositories without an owner are not ours
		{"models--a--b--c", "", false},
		{"models----b", "", false},
		{"datasets--owner--name", "", false},
		{"blobs", "", false},
	} {
		repo, ok := RepoOf(tc.folder)
		if repo != tc.repo || ok != tc.ok || ok && RepoFolder(repo) != tc.folder {
			t.Errorf("RepoOf(%s) = %q, %v", tc.folder, repo, ok)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	snap := fill(t, s, commitA, "main", branch())
	dir := t.TempDir()
	if _, err := Open(dir).Export(t.Context(), s, snap, ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	// Another tool put the same file into a snapshot's folder.
	loose := filepath.Join(dir, RepoFolder(repoA), "snapshots", commitB)
	if err := os.MkdirAll(loose, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(loose, "other.safetensors"), weights, 0o644); err != nil {
		t.Fatal(err)
	}
	lfs := store.Want{Size: int64(len(weights)), SHA256: sha(weights)}
	git := store.Want{Size: 3, GitOID: gitOID([]byte("{}\n"))}
	for _, tc := range []struct {
		name, repo string
		w          store.Want
		path       string
		want       int
	}{
		{"an LFS file", repoA, lfs, "model.safetensors", 1},
		{"by another repository", "someone/else", lfs, "renamed.safetensors", 1},
		{"a file of git", repoA, git, "config.json", 1},
		{"of another length", repoA, store.Want{Size: 4, GitOID: git.GitOID}, "config.json", 0},
		{"a file in the snapshot's folder, too", repoA, lfs, "other.safetensors", 2},
		{"a name that escapes", repoA, store.Want{Size: 3, SHA256: sha(nil)}, "../" + commitB + "/other.safetensors", 0},
		{"nothing of it", repoA, store.Want{Size: 3, SHA256: sha([]byte("abc"))}, "abc", 0},
	} {
		got := Open(dir).Find(tc.repo, tc.w, tc.path)
		if len(got) != tc.want {
			t.Errorf("%s: got %v, want %d", tc.name, got, tc.want)
		}
		if len(got) > 0 && !got[0].Stable {
			t.Errorf("%s: a blob is not stable", tc.name)
		}
	}
	if got := Open(filepath.Join(dir, "absent")).Find(repoA, lfs, "model.safetensors"); got != nil {
		t.Errorf("absent: %v", got)
	}
}

// Newer clients keep a blob once for all repositories, and link to it.
func TestFindSharedBlob(t *testing.T) {
	t.Parallel()
	needSymlinks(t)
	dir := t.TempDir()
	blobs := filepath.Join(dir, RepoFolder(repoA), "blobs")
	shared := filepath.Join(dir, "blobs", "ab")
	for _, d := range []string{blobs, shared} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	xet := "ab" + sha(nil).String()[2:]
	if err := os.WriteFile(filepath.Join(shared, xet), weights, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../blobs/ab/"+xet, filepath.Join(blobs, sha(weights).String())); err != nil {
		t.Fatal(err)
	}
	got := Open(dir).Find(repoA, store.Want{Size: int64(len(weights)), SHA256: sha(weights)}, "model.safetensors")
	if len(got) != 1 || filepath.Base(got[0].Path) != xet {
		t.Errorf("got %v", got)
	}
}

func TestSeeds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := store.Want{Size: int64(len(weights)), SHA256: sha(weights)}
	etag := w.SHA256.String()
	blobs := filepath.Join(dir, RepoFolder(repoA), "blobs")
	local := filepath.Join(dir, ".cache", "huggingface", "download", "sub")
	for _, d := range []string{blobs, local} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{etag + ".0123abcd.incomplete", etag + ".incomplete", etag + ".lock", "x.incomplete", sha(nil).String() + ".incomplete"} {
		if err := os.WriteFile(filepath.Join(blobs, name), weights[:5], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"hash=." + etag + ".0123abcd.incomplete", "hash=." + etag + ".incomplete", "hash=." + sha(nil).String() + ".incomplete", "m.metadata"} {
		if err := os.WriteFile(filepath.Join(local, name), weights[:5], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := Open(dir).Seeds(w); len(got) != 2 {
		t.Errorf("got %q", got)
	}
	if got := Open(dir).Find(repoA, w, "f"); len(got) != 0 {
		t.Errorf("an unfinished blob counts as one: %v", got)
	}
	if got := LocalSeeds(dir, w, "sub/model.safetensors"); len(got) != 2 {
		t.Errorf("got %q", got)
	}
	for _, path := range []string{"model.safetensors", "../sub/model.safetensors"} {
		if got := LocalSeeds(dir, w, path); len(got) != 0 {
			t.Errorf("%s: got %q", path, got)
		}
	}
}
