package hub

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// apiRequests returns the paths that the hub was asked for since the last reset.
func (w *world) apiRequests() []string {
	var out []string
	for _, e := range w.Log() {
		if e.Origin == "api" {
			out = append(out, e.Path)
		}
	}
	w.ResetLog()
	return out
}

// look is what a listing asks for: refs, a tree, a small file.
func look(t *testing.T, c *Client) (RefList, []File, error) {
	t.Helper()
	l, err := c.Refs(t.Context(), testRepo, false)
	if err != nil {
		return l, nil, err
	}
	files, err := c.Tree(t.Context(), l.Repo, l.Branches[0].Commit)
	if err != nil {
		return l, nil, err
	}
	i := slices.IndexFunc(files, func(f File) bool { return f.Path == "config.json" })
	data, err := c.ReadListed(t.Context(), l.Repo, l.Branches[0].Commit, files[i], 100)
	if err == nil && !bytes.Equal(data, configText) {
		t.Errorf("config.json is %q", data)
	}
	return l, files, err
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	w := newWorld(t, Options{CacheDir: dir})
	first, files, err := look(t, w.client)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.apiRequests(); len(got) != 5 { // refs, three pages of the tree, the file
		t.Errorf("cold: %q", got)
	}
	// Another process: one request, and nothing when offline.
	again := newClient(t, Options{Endpoint: w.URL(), CacheDir: dir}, w.log)
	second, files2, err := look(t, again)
	if err != nil || !slices.Equal(second.Branches, first.Branches) || !slices.Equal(files2, files) {
		t.Errorf("warm: %v", err)
	}
	if got := w.apiRequests(); len(got) != 1 || !strings.HasSuffix(got[0], "/refs") {
		t.Errorf("warm: %q", got)
	}
	offline := newClient(t, Options{Endpoint: w.URL(), CacheDir: dir, Offline: true}, w.log)
	third, _, err := look(t, offline)
	if err != nil || !slices.Equal(third.Branches, first.Branches) || time.Since(third.AsOf) > time.Minute || third.AsOf.IsZero() {
		t.Errorf("offline: %+v, %v", third, err)
	}
	if got := w.apiRequests(); len(got) != 0 {
		t.Errorf("offline: %q", got)
	}
	if _, err := offline.Refs(t.Context(), testRepo, true); !errors.Is(err, ErrOffline) {
		t.Errorf("offline, never asked for: %v", err)
	}
	if _, err := offline.Revision(t.Context(), testRepo, "main"); !errors.Is(err, ErrOffline) {
		t.Errorf("offline, a revision: %v", err)
	}
	// A branch that moves is seen at once.
	if _, err := w.SetBranch(testRepo.String(), "main", map[string][]byte{"config.json": configText, "new": {1}}); err != nil {
		t.Fatal(err)
	}
	moved, files3, err := look(t, again)
	if err != nil || moved.Branches[0] == first.Branches[0] || len(files3) != 2 {
		t.Errorf("moved: %+v, %v, %v", moved, files3, err)
	}
	// Nothing of it is for others.
	if runtime.GOOS != "windows" {
		for _, f := range append(cacheFiles(dir), cacheFile{path: dir}) {
			fi, err := os.Stat(f.path)
			if err != nil || fi.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %v, %v", f.path, fi.Mode(), err)
			}
		}
	}
	// What is not ours stays.
	stranger := filepath.Join(dir, "mine.txt")
	if err := os.WriteFile(stranger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n, size, err := ClearCache(dir)
	if err != nil || n < 4 || size == 0 || len(cacheFiles(dir)) != 0 {
		t.Errorf("cleared %d, %d bytes, %v", n, size, err)
	}
	if _, err := os.Stat(stranger); err != nil {
		t.Error(err)
	}
	if n, _, err := ClearCache(filepath.Join(dir, "nothing")); n != 0 || err != nil {
		t.Errorf("nothing to clear: %d, %v", n, err)
	}
}

// Whatever is done to the cache, the answers are the hub's.
func TestSpoiltCache(t *testing.T) {
	spoil := map[string]func(path string) error{
		"gone":   os.Remove,
		"empty":  func(p string) error { return os.Truncate(p, 0) },
		"torn":   func(p string) error { return os.Truncate(p, 300) },
		"folder": func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) },
		"link out of the cache": func(p string) error {
			return errors.Join(os.Remove(p), os.Symlink("/etc/hosts", p))
		},
		"a byte": func(p string) error {
			data, err := os.ReadFile(p)
			data[len(data)-3] ^= 4
			return errors.Join(err, os.WriteFile(p, data, 0o600))
		},
		"another's entry": func(p string) error {
			data, err := encodeCached(cached{Key: "other", body: []byte("[]")})
			return errors.Join(err, os.WriteFile(p, data, 0o600))
		},
		"huge": func(p string) error { return os.Truncate(p, 1<<40) },
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && (strings.HasPrefix(name, "link") || name == "huge") {
				t.Skip("not on Windows")
			}
			dir := t.TempDir()
			w := newWorld(t, Options{CacheDir: dir})
			if _, _, err := look(t, w.client); err != nil {
				t.Fatal(err)
			}
			for _, f := range cacheFiles(dir) {
				if err := spoil(f.path); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := look(t, w.client); err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Entries that are whole and lie: by a hand that knows the format.
func TestForgedCache(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, Options{CacheDir: dir})
	f := w.files["config.json"]
	endpoint, repo := w.client.Endpoint(), testRepo.String()
	etag := `W/"stale"`
	for _, e := range []cached{
		{Key: f.cacheKey(), body: []byte(`{"bits": 8}`)}, // the right length
		{Key: "tree " + endpoint + " " + repo + " " + string(w.at), body: []byte(`[{"type":"file","oid":"` + testCommit + `","size":1,"path":"../x"}]`)},
		{Key: "refs " + endpoint + " " + repo, ETag: etag, body: []byte(`{"branches":[{"name":"main","targetCommit":"x"}]}`)},
		{Key: "revision " + endpoint + " " + repo + " main", ETag: etag, body: []byte(`[]`)},
	} {
		w.client.cache.put(e)
	}
	if _, _, err := look(t, w.client); err != nil {
		t.Errorf("got %v", err)
	}
	if at, err := w.client.Revision(t.Context(), testRepo, "main"); err != nil || at != w.at {
		t.Errorf("got %s, %v", at, err)
	}
	// A hub that says "not modified" to a forged answer is believed once only.
	w.client.cache.put(cached{Key: "refs " + endpoint + " " + repo, ETag: etag, body: []byte(`{"branches":[{"name":"main","targetCommit":"x"}]}`)})
	remove := w.AddFault(hubtest.Fault{Origin: "api", PathContains: "/refs", Status: 304})
	if _, err := w.client.Refs(t.Context(), testRepo, false); !errors.Is(err, ErrBadListing) {
		t.Errorf("got %v", err)
	}
	remove()
	if _, err := w.client.Refs(t.Context(), testRepo, false); err != nil {
		t.Errorf("got %v", err)
	}
}

// A cache that cannot be written costs nothing but its use.
func TestCacheThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, Options{CacheDir: filepath.Join(file, "x")})
	for range 2 {
		if _, _, err := look(t, w.client); err != nil {
			t.Error(err)
		}
	}
}

// The cache has an end: the oldest entries go.
func TestCacheIsBounded(t *testing.T) {
	dir := t.TempDir()
	c := newCache(dir, newClient(t, Options{}, new(bytes.Buffer)).log)
	body := make([]byte, maxCache/10)
	old := time.Now().Add(-time.Hour)
	for i, key := range strings.Split("abcdefghijklm", "") {
		c.put(cached{Key: key, body: body})
		path := filepath.Join(dir, cachePath(key))
		at := old.Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(path, at, at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		var sum int64
		for _, f := range cacheFiles(dir) {
			sum += f.size
		}
		if sum > maxCache {
			t.Errorf("after %s: %d bytes", key, sum)
		}
	}
	if _, ok := c.get("a"); ok {
		t.Error("the oldest is still there")
	}
	if _, ok := c.get("m"); !ok {
		t.Error("the newest is gone")
	}
	c.put(cached{Key: "big", body: make([]byte, maxCacheEntry+1)})
	if _, ok := c.get("big"); ok {
		t.Error("an entry beyond the limit was kept")
	}
}

func FuzzCached(f *testing.F) {
	good, err := encodeCached(cached{Key: "k", ETag: `W/"1"`, body: []byte("body\nmore")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(cacheMagic))
	f.Add([]byte(cacheMagic + "{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decodeCached("k", data)
		if err != nil {
			return
		}
		back, err := encodeCached(e)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeCached("k", back); err != nil || again.ETag != e.ETag || !bytes.Equal(again.body, e.body) {
			t.Errorf("%q: %v, %+v", data, err, again)
		}
	})
}
