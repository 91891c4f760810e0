package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/store"
	"github.com/qbranch/qbranch/store/hfcache"
)

// maxFolder bounds how many files of a folder are looked at.
const maxFolder = 100_000

// HFCacheDir is where the official client keeps its cache (hfcache.Dir).
func HFCacheDir(getenv func(string) string) string { return hfcache.Dir(getenv) }

// sources are the places of this machine that are searched for contents, in
// this order.
type sources []fetch.Local

// Find returns what all places have.
func (s sources) Find(repo hub.RepoID, w store.Want, path string) []store.Source {
	var out []store.Source
	for _, place := range s {
		out = append(out, place.Find(repo, w, path)...)
	}
	return out
}

// Seeds returns what other downloaders have left unfinished.
func (s sources) Seeds(repo hub.RepoID, w store.Want, path string) []string {
	var out []string
	for _, place := range s {
		if seeder, ok := place.(fetch.Seeder); ok {
			out = append(out, seeder.Seeds(repo, w, path)...)
		}
	}
	return out
}

// sources opens the folders that were named, then the official client's cache.
func (g *getter) sources() (sources, error) {
	var out sources
	for _, dir := range g.o.From {
		dir, err := expandHome(dir)
		if err != nil {
			return nil, err
		}
		fi, err := os.Stat(dir)
		if err == nil && !fi.IsDir() {
			err = errors.New("not a folder")
		}
		if err != nil {
			return nil, fmt.Errorf("look for files in %s: %w", dir, err)
		}
		out = append(out, openFolder(dir))
	}
	if !g.o.NoLocal && g.app.hfCache != "" {
		out = append(out, cacheSource{hfcache.Open(g.app.hfCache)})
	}
	return out, nil
}

// cacheSource is the official client's cache.
type cacheSource struct{ cache *hfcache.Cache }

func (c cacheSource) Find(repo hub.RepoID, w store.Want, path string) []store.Source {
	return c.cache.Find(repo.String(), w, path)
}

func (c cacheSource) Seeds(_ hub.RepoID, w store.Want, _ string) []string { return c.cache.Seeds(w) }

// openFolder takes a folder for what it looks like: a cache of the official
// client, a repository in one, or a folder of files.
func openFolder(dir string) fetch.Local {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	if _, ok := hfcache.RepoOf(filepath.Base(abs)); ok {
		return cacheSource{hfcache.Open(filepath.Dir(abs))}
	}
	if repos, _ := filepath.Glob(filepath.Join(abs, "models--*")); len(repos) > 0 {
		return cacheSource{hfcache.Open(abs)}
	}
	return &folderSource{dir: abs}
}

// folderSource is a folder of files: one that was downloaded, one of
// text-generation-webui, or a git clone with its LFS objects.
type folderSource struct {
	dir    string
	bySize map[int64][]string // files of a part or more; nil = not listed yet
}

// Find returns the LFS object of that name, the file at that path, and, for
// weights, files of that length wherever they lie: people rename them.
func (f *folderSource) Find(_ hub.RepoID, w store.Want, p string) []store.Source {
	var out []store.Source
	seen := make(map[string]bool)
	add := func(file string) {
		end, err := filepath.EvalSymlinks(file)
		if err != nil || seen[end] {
			return
		}
		seen[end] = true
		if fi, err := os.Lstat(end); err == nil && fi.Mode().IsRegular() && fi.Size() == w.Size {
			// Whoever names a file by its content replaces it, and never writes into it.
			named := !w.SHA256.IsZero() && filepath.Base(end) == w.SHA256.String()
			out = append(out, store.Source{Path: end, Stable: named})
		}
	}
	if !w.SHA256.IsZero() {
		oid := w.SHA256.String()
		add(filepath.Join(f.dir, ".git", "lfs", "objects", oid[:2], oid[2:4], oid))
	}
	if store.CheckPath(p) == nil {
		add(filepath.Join(f.dir, filepath.FromSlash(p)))
		add(filepath.Join(f.dir, path.Base(p)))
	}
	if w.Size >= store.PartSize {
		if f.bySize == nil {
			f.list()
		}
		for _, file := range f.bySize[w.Size] {
			add(file)
		}
	}
	return out
}

// Seeds returns what "hf download --local-dir" has left in the folder.
func (f *folderSource) Seeds(_ hub.RepoID, w store.Want, path string) []string {
	return hfcache.LocalSeeds(f.dir, w, path)
}

// list notes the large files of the folder. What cannot be read is not there.
func (f *folderSource) list() {
	f.bySize = make(map[int64][]string)
	n := 0
	_ = filepath.WalkDir(f.dir, func(file string, d fs.DirEntry, err error) error {
		if n++; n > maxFolder {
			return fs.SkipAll
		}
		if err != nil {
			return nil
		}
		if d.IsDir() {
			if file != f.dir && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() && fi.Size() >= store.PartSize {
			f.bySize[fi.Size()] = append(f.bySize[fi.Size()], file)
		}
		return nil
	})
}

// useLocal looks for what the plan would move among the files of this machine.
func (g *getter) useLocal(p *Plan) error {
	places, err := g.sources()
	if err == nil && len(places) > 0 {
		p.UseLocal(places, g.st, g.o.Link)
	}
	return err
}

// adopt takes into the store what the plan found on this machine, before
// anything is asked of the hub.
func (g *getter) adopt(ctx context.Context) (err error) {
	if g.res.Plan.Local == 0 {
		return nil
	}
	f := g.fetcher
	f.Notify = func(e fetch.Event) {
		if e.Kind == fetch.EventAdopt {
			g.adopted[e.Path] = true
		}
		g.notify(Event{Fetch: &e})
	}
	g.res.Adopted, err = f.Adopt(ctx, g.res.Plan, g.o.Link)
	return err
}
