package hfcache

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gofrs/flock"

	"github.com/qbranch/qbranch/store"
)

const (
	repoA   = "owner/some-model-GPTQ"
	commitA = "0123456789abcdef0123456789abcdef01234567"
	commitB = "fedcba9876543210fedcba9876543210fedcba98"
)

func openStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sha(data []byte) store.Digest { return sha256.Sum256(data) }

func gitOID(data []byte) [20]byte {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00%s", len(data), data)
	return [20]byte(h.Sum(nil))
}

// weights is the content of an LFS file.
var weights = bytes.Repeat([]byte("0123456789abcdef"), 3<<16)

// branch is what a repository looks like: two files of git, two of LFS, one in a
// folder, and two of the same content.
func branch() map[string][]byte {
	return map[string][]byte{
		"config.json": []byte("{}\n"), "model.safetensors": weights, "sub/dir/copy.safetensors": weights, "sub/empty.txt": {},
	}
}

func isLFS(path string) bool { return strings.HasSuffix(path, ".safetensors") }

// fill makes a snapshot, as a fetch would.
func fill(t *testing.T, s *store.Store, commit, branch string, files map[string][]byte) store.Snapshot {
	t.Helper()
	snap := store.Snapshot{Repo: repoA, Commit: commit, Branch: branch}
	for path, data := range files {
		w := store.Want{Size: int64(len(data)), GitOID: gitOID(data)}
		if isLFS(path) {
			w = store.Want{Size: int64(len(data)), SHA256: sha(data)}
		}
		d, err := s.Put(t.Context(), w, data)
		if err != nil {
			t.Fatal(err)
		}
		snap.Files = append(snap.Files, store.SnapshotFile{Path: path, Size: w.Size, SHA256: d})
	}
	if err := s.PutSnapshot(snap); err != nil {
		t.Fatal(err)
	}
	return snap
}

// listing is every file and link below dir: path → content, or "-> target".
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			out[filepath.ToSlash(rel)] = "-> " + filepath.ToSlash(target)
			return err
		}
		data, err := os.ReadFile(path)
		out[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func needSymlinks(t *testing.T) {
	t.Helper()
	if err := os.Symlink("x", filepath.Join(t.TempDir(), "link")); err != nil {
		t.Skip("no symlinks here: ", err)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	needSymlinks(t)
	s := openStore(t)
	snap := fill(t, s, commitA, "a/gptq-8bit--1g", branch())
	dir := filepath.Join(t.TempDir(), "new", "hub")
	var first Exported
	for i := range 2 {
		did, err := Open(dir).Export(t.Context(), s, snap, ExportOptions{Complete: true})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = did
		} else if did.Linked != (store.Linked{Kept: snap.Bytes()}) || did.Dir != first.Dir {
			t.Errorf("the second time: %+v", did)
		}
	}
	repo := "models--owner--some-model-GPTQ/"
	at := repo + "snapshots/" + commitA + "/"
	git := func(s string) string { oid := gitOID([]byte(s)); return hex.EncodeToString(oid[:]) }
	lfs := sha(weights).String()
	want := map[string]string{
		"CACHEDIR.TAG":                  cacheTag,
		repo + "blobs/" + git("{}\n"):   "{}\n",
		repo + "blobs/" + git(""):       "",
		repo + "blobs/" + lfs:           string(weights),
		at + "config.json":              "-> ../../blobs/" + git("{}\n"),
		at + "model.safetensors":        "-> ../../blobs/" + lfs,
		at + "sub/dir/copy.safetensors": "-> ../../../../blobs/" + lfs,
		at + "sub/empty.txt":            "-> ../../../blobs/" + git(""),
		repo + "refs/a/gptq-8bit--1g":   commitA,
		repo + "trees/" + commitA + ".json": fmt.Sprintf(`{
 "format_version": 1,
 "files": {
  "config.json": {
   "size": 3,
   "blob_id": %q
  },
  "model.safetensors": {
   "size": 3145728,
   "blob_id": %[2]q,
   "lfs_sha256": %[3]q,
   "lfs_size": 3145728
  },
  "sub/dir/copy.safetensors": {
   "size": 3145728,
   "blob_id": %[2]q,
   "lfs_sha256": %[3]q,
   "lfs_size": 3145728
  },
  "sub/empty.txt": {
   "size": 0,
   "blob_id": %[4]q
  }
 }
}`, git("{}\n"), git("version https://git-lfs.github.com/spec/v1\noid sha256:"+lfs+"\nsize 3145728\n"), lfs, git("")),
	}
	for _, etag := range []string{git("{}\n"), git(""), lfs} {
		want[".locks/models--owner--some-model-GPTQ/"+etag+".lock"] = ""
	}
	got := listing(t, dir)
	for path := range maps.Keys(want) {
		if got[path] != want[path] {
			t.Errorf("%s: got %.200q, want %.200q", path, got[path], want[path])
		}
		delete(got, path)
	}
	if len(got) != 0 {
		t.Errorf("also there: %q", got)
	}
	// A blob in the cache never is a way to the store.
	fi, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(repo+"blobs/"+lfs)))
	if err != nil || !fi.Mode().IsRegular() {
		t.Errorf("blob: %v, %v", fi, err)
	}
	if first.Linked.Hard > 0 && runtime.GOOS != "windows" && fi.Mode()&0o222 != 0 {
		t.Error("a hard link that can be written to")
	}
}

// What is not the whole commit has no listing: with one the official client
// would refuse it when it is offline.
func TestExportPartial(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	snap := fill(t, s, commitA, "", branch())
	dir := t.TempDir()
	if _, err := Open(dir).Export(t.Context(), s, snap, ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	for path := range listing(t, dir) {
		if strings.Contains(path, "/trees/") || strings.Contains(path, "/refs/") {
			t.Errorf("written: %s", path)
		}
	}
}

func TestExportWithoutSymlinks(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	snap := fill(t, s, commitA, "main", branch())
	dir := t.TempDir()
	for range 2 {
		did, err := Open(dir).Export(t.Context(), s, snap, ExportOptions{NoSymlinks: true})
		if err != nil || did.Symlinks {
			t.Fatalf("%+v, %v", did, err)
		}
		for path, want := range branch() {
			if got, err := os.ReadFile(filepath.Join(did.Dir, path)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s has other content (%v)", path, err)
			}
		}
	}
	if got := listing(t, dir); len(got) != len(snap.Files)+len([]string{"CACHEDIR.TAG", "main"})+3 { // and three locks
		t.Errorf("%d files: %q", len(got), slicesOf(got))
	}
}

func slicesOf(m map[string]string) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

// A blob whose content is not what its name says is replaced; what the
// snapshot's folder holds of somebody else is not.
func TestExportOverOther(t *testing.T) {
	t.Parallel()
	needSymlinks(t)
	s := openStore(t)
	snap := fill(t, s, commitA, "main", branch())
	dir := t.TempDir()
	blobs := filepath.Join(dir, RepoFolder(repoA), "blobs")
	at := filepath.Join(dir, RepoFolder(repoA), "snapshots", commitA)
	for _, d := range []string{blobs, at} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	blob := filepath.Join(blobs, sha(weights).String())
	bad := bytes.Clone(weights)
	bad[5] ^= 1
	if err := os.WriteFile(blob, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../blobs/nowhere", filepath.Join(at, "config.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir).Export(t.Context(), s, snap, ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	for path, want := range branch() {
		if got, err := os.ReadFile(filepath.Join(at, path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has other content (%v)", path, err)
		}
	}
	if err := os.Remove(filepath.Join(at, "config.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "config.json"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	var there *store.ExistsError
	if _, err := Open(dir).Export(t.Context(), s, snap, ExportOptions{}); !errors.As(err, &there) {
		t.Errorf("got %v", err)
	}
	if got, _ := os.ReadFile(filepath.Join(at, "config.json")); string(got) != "mine" {
		t.Errorf("overwritten: %q", got)
	}
}

// No symlink in a cache leads the export anywhere else.
func TestExportAttacks(t *testing.T) {
	t.Parallel()
	needSymlinks(t)
	for _, name := range []string{
		".locks", RepoFolder(repoA), RepoFolder(repoA) + "/blobs", RepoFolder(repoA) + "/snapshots",
		RepoFolder(repoA) + "/refs", RepoFolder(repoA) + "/snapshots/" + commitA, RepoFolder(repoA) + "/trees",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t)
			snap := fill(t, s, commitA, "main", branch())
			dir, outside := t.TempDir(), t.TempDir()
			link := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, link); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir).Export(t.Context(), s, snap, ExportOptions{Complete: true}); err == nil {
				t.Error("it went through a link that leads outside")
			}
			if got := listing(t, outside); len(got) != 0 {
				t.Errorf("written outside: %q", slicesOf(got))
			}
		})
	}
}

// The lock is the one of the official client, and it is waited for.
func TestExportWaits(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	snap := fill(t, s, commitA, "main", branch())
	dir := t.TempDir()
	locks := filepath.Join(dir, ".locks", RepoFolder(repoA))
	if err := os.MkdirAll(locks, 0o755); err != nil {
		t.Fatal(err)
	}
	l := flock.New(filepath.Join(locks, sha(weights).String()+".lock"))
	if err := l.Lock(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Open(dir).Export(ctx, s, snap, ExportOptions{})
		done <- err
	}()
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir).Export(t.Context(), s, snap, ExportOptions{}); err != nil {
		t.Error(err)
	}
}

// Deleting an exported cache, or writing a new file over it, leaves the store as
// it was; two commits of a repository share what is the same.
func TestExportIsNotTheStore(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a := fill(t, s, commitA, "main", branch())
	other := branch()
	other["config.json"] = []byte("{ }\n")
	b := fill(t, s, commitB, "next", other)
	dir := t.TempDir()
	for _, snap := range []store.Snapshot{a, b} {
		if _, err := Open(dir).Export(t.Context(), s, snap, ExportOptions{Complete: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, f := range append(a.Files, b.Files...) {
		if err := s.Verify(t.Context(), f.SHA256, 0, nil); err != nil {
			t.Error(err)
		}
	}
}
