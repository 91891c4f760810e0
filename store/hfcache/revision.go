package hfcache

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/store"
)

// Bounds of what is read of a repository.
const (
	maxFiles = 100_000 // of one commit
	maxRef   = 256     // bytes
)

// Revision is a commit of a repository, as a cache has it.
type Revision struct {
	Repo     string
	Commit   string
	Branches []string // that stand at it, sorted
	Listed   bool     // the cache has the commit's listing, and Files are all its files; otherwise they are those that were downloaded
	Files    []File   // by path
}

// File is one file of a revision.
type File struct {
	Path    string
	Want    store.Want     // zero digests: nothing says what it has to hold
	Sources []store.Source // where it may be; none: it has not been downloaded
}

// Repos returns the repositories of the cache, sorted; none when there is no
// cache.
func (c *Cache) Repos() ([]string, error) {
	entries, err := os.ReadDir(c.dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the cache: %w", err)
	}
	var out []string
	for _, e := range entries {
		if repo, ok := RepoOf(e.Name()); ok {
			out = append(out, repo)
		}
	}
	return out, nil
}

// Revisions returns the commits of a repository, by commit. Nothing of them is
// hashed.
func (c *Cache) Revisions(repo string) ([]Revision, error) {
	dir := filepath.Join(c.dir, RepoFolder(repo))
	entries, err := os.ReadDir(filepath.Join(dir, "snapshots"))
	if err != nil {
		return nil, fmt.Errorf("list %s in the cache: %w", repo, err)
	}
	branches := readRefs(filepath.Join(dir, "refs"))
	var out []Revision
	for _, e := range entries {
		if !isHex(e.Name(), 40) {
			continue
		}
		r := Revision{Repo: repo, Commit: e.Name(), Branches: branches[e.Name()]}
		tree, err := readTree(filepath.Join(dir, "trees", r.Commit+".json"))
		if err == nil && tree != nil {
			r.Listed, r.Files = true, c.listed(repo, tree)
		} else if r.Files, err = downloaded(filepath.Join(dir, "snapshots", r.Commit)); err != nil {
			return nil, fmt.Errorf("list %s@%s in the cache: %w", repo, r.Commit, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// readRefs returns commit → branches. What cannot be read is not there.
func readRefs(dir string) map[string][]string {
	out := make(map[string][]string)
	_ = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return nil
		}
		b, err := readLimited(file, maxRef)
		// The official client would not find one with a newline; we do.
		if commit := strings.TrimSpace(string(b)); err == nil && isHex(commit, 40) {
			out[commit] = append(out[commit], filepath.ToSlash(rel))
		}
		return nil
	})
	for _, branches := range out {
		slices.Sort(branches)
	}
	return out
}

// listed finds the files that a listing names.
func (c *Cache) listed(repo string, tree map[string]treeFile) []File {
	var out []File
	for _, path := range slices.Sorted(maps.Keys(tree)) {
		w, err := tree[path].want()
		if err != nil {
			continue // decodeTree has looked
		}
		out = append(out, File{Path: path, Want: w, Sources: c.Find(repo, w, path)})
	}
	return out
}

// downloaded returns what lies in a snapshot's folder. A link names the blob, and
// so the content; a file that is no link says nothing.
func downloaded(dir string) ([]File, error) {
	var out []File
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		f := File{Path: filepath.ToSlash(rel)}
		if store.CheckPath(f.Path) != nil {
			return nil
		}
		if len(out) == maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		fi, err := os.Stat(file)
		if err != nil || !fi.Mode().IsRegular() {
			return nil // a broken link
		}
		f.Want.Size = fi.Size()
		stable := false
		if target, err := os.Readlink(file); err == nil {
			if w, err := named(filepath.Base(target), fi.Size()); err == nil {
				f.Want, stable = w, true
			}
		}
		f.Sources = add(nil, file, fi.Size(), stable)
		out = append(out, f)
		return nil
	})
	slices.SortFunc(out, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return out, err
}
