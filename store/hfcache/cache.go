package hfcache

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/qbranch/qbranch/store"
)

// maxNames bounds how many blobs of a cache are looked at.
const maxNames = 1 << 20

// Dir returns where the official client keeps its cache: HF_HUB_CACHE, else
// HUGGINGFACE_HUB_CACHE, else hub in HF_HOME, which is huggingface in
// XDG_CACHE_HOME or ~/.cache, on every system. A leading ~ and variables are
// expanded. "" when there is no home to find it in.
func Dir(getenv func(string) string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	expand := func(path string) string {
		path = os.Expand(path, getenv)
		if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
			path = filepath.Join(home, rest)
		}
		return path
	}
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"} {
		if dir := getenv(name); dir != "" {
			return expand(dir)
		}
	}
	if dir := getenv("HF_HOME"); dir != "" {
		return filepath.Join(expand(dir), "hub")
	}
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(expand(dir), "huggingface", "hub")
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".cache", "huggingface", "hub")
}

// Cache is a cache's directory, which need not exist. It is safe for concurrent
// use.
type Cache struct {
	dir string

	once  sync.Once
	blobs map[string][]string // name → files of that name, of all repositories
	parts map[string][]string // name → unfinished files of it
}

// Open names a cache; nothing is read yet.
func Open(dir string) *Cache { return &Cache{dir: dir} }

// Dir returns the cache's directory.
func (c *Cache) Dir() string { return c.dir }

// RepoFolder returns the name of a repository's folder: models--owner--name.
func RepoFolder(repo string) string { return "models--" + strings.ReplaceAll(repo, "/", "--") }

// RepoOf is the inverse of RepoFolder; false for other names, and for those that
// several repositories would have.
func RepoOf(folder string) (repo string, ok bool) {
	id, ok := strings.CutPrefix(folder, "models--")
	owner, name, two := strings.Cut(id, "--")
	if !ok || !two || owner == "" || name == "" || strings.Contains(name, "--") || strings.ContainsAny(id, `/\`) {
		return "", false
	}
	return owner + "/" + name, true
}

// Find returns files of the cache that may hold w, which a repository has at
// path: blobs of that name in any repository, then files of that path and length
// in the snapshots of the repository itself (where symlinks do not work, they
// are files). Their names are all that is known of them. The blobs are listed
// once, by the first call.
func (c *Cache) Find(repo string, w store.Want, path string) []store.Source {
	c.once.Do(c.index)
	var out []store.Source
	for _, name := range names(w) {
		for _, file := range c.blobs[name] {
			out = add(out, file, w.Size, true)
		}
	}
	if store.CheckPath(path) != nil {
		return out
	}
	snapshots := filepath.Join(c.dir, RepoFolder(repo), "snapshots")
	commits, err := os.ReadDir(snapshots)
	if err != nil {
		return out // no such repository
	}
	for _, e := range commits {
		file := filepath.Join(snapshots, e.Name(), filepath.FromSlash(path))
		if fi, err := os.Lstat(file); err == nil && fi.Mode().IsRegular() {
			out = add(out, file, w.Size, false)
		}
	}
	return out
}

// Seeds returns files that the official client has left unfinished, and that may
// begin as w does: it writes them from the beginning, and leaves them when it is
// killed. Their length may be made up.
func (c *Cache) Seeds(w store.Want) []string {
	c.once.Do(c.index)
	var out []string
	for _, name := range names(w) {
		out = append(out, c.parts[name]...)
	}
	return out
}

// LocalSeeds is Seeds for a folder that "hf download --local-dir" was filling,
// and the file at path in it.
func LocalSeeds(dir string, w store.Want, path string) []string {
	if store.CheckPath(path) != nil {
		return nil
	}
	at := filepath.Join(dir, ".cache", "huggingface", "download", filepath.Dir(filepath.FromSlash(path)))
	entries, err := os.ReadDir(at)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name, unfinished := strings.CutSuffix(e.Name(), ".incomplete")
		for _, etag := range names(w) {
			if unfinished && (strings.HasSuffix(name, "."+etag) || strings.Contains(name, "."+etag+".")) {
				out = append(out, filepath.Join(at, e.Name()))
			}
		}
	}
	return out
}

// add appends a file of the right length, or what it leads to.
func add(out []store.Source, file string, size int64, stable bool) []store.Source {
	end, err := filepath.EvalSymlinks(file)
	if err != nil {
		return out
	}
	if fi, err := os.Lstat(end); err != nil || !fi.Mode().IsRegular() || fi.Size() != size {
		return out
	}
	return append(out, store.Source{Path: end, Stable: stable})
}

// names returns how blobs that hold w may be called.
func names(w store.Want) []string {
	var out []string
	if !w.SHA256.IsZero() {
		out = append(out, w.SHA256.String())
	}
	if w.GitOID != [20]byte{} {
		out = append(out, hex.EncodeToString(w.GitOID[:]))
	}
	return out
}

// index lists the blobs of all repositories. What cannot be read is not there.
func (c *Cache) index() {
	c.blobs, c.parts = make(map[string][]string), make(map[string][]string)
	repos, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	n := 0
	for _, repo := range repos {
		if !strings.Contains(repo.Name(), "--") {
			continue
		}
		dir := filepath.Join(c.dir, repo.Name(), "blobs")
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if n++; n > maxNames {
				return
			}
			name, unfinished := strings.CutSuffix(e.Name(), ".incomplete")
			switch etag, _, _ := strings.Cut(name, "."); {
			case !isHex(etag, 64) && !isHex(etag, 40):
			case unfinished:
				c.parts[etag] = append(c.parts[etag], filepath.Join(dir, e.Name()))
			case etag == name:
				c.blobs[etag] = append(c.blobs[etag], filepath.Join(dir, e.Name()))
			}
		}
	}
}

// isHex reports whether s is n lower-case hex digits.
func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
