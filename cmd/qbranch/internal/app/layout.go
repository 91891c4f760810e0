package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/store"
	"github.com/qbranch/qbranch/store/hfcache"
)

// Layout is how a branch is laid out for other programs (docs/layouts.md).
type Layout string

// The layouts.
const (
	LayoutPlain Layout = "plain" // a folder with the repository's files
	LayoutHF    Layout = "hf"    // in a cache of the official client
	LayoutTGWUI Layout = "tgwui" // in a folder of text-generation-webui's models
)

// ParseLayout reads the name of a layout; "" is LayoutPlain.
func ParseLayout(s string) (Layout, error) {
	switch l := Layout(s); l {
	case "":
		return LayoutPlain, nil
	case LayoutPlain, LayoutHF, LayoutTGWUI:
		return l, nil
	}
	return "", fmt.Errorf("%q is none of plain, hf and tgwui", s)
}

// ParseLink reads the name of a way to link (store.ParseLink).
func ParseLink(s string) (Link, error) { return store.ParseLink(s) }

// layoutDir is the folder that is going to be written, "" for none.
func (g *getter) layoutDir() (string, error) {
	switch g.o.Layout {
	case LayoutHF:
		dir := cmp.Or(g.o.Dir, g.app.hfCache)
		if dir == "" {
			return "", fmt.Errorf("find the cache of the official client: no home directory is known")
		}
		return dir, nil
	case LayoutTGWUI:
		name, err := webuiFolder(g.repo, g.branch, string(g.commit))
		return filepath.Join(g.o.Dir, name), err
	}
	return g.o.Dir, nil
}

// webuiFolder is what text-generation-webui calls the folder of a branch, for
// branches that it accepts.
func webuiFolder(repo RepoID, branch, commit string) (string, error) {
	name := strings.ReplaceAll(repo.String(), "/", "_")
	switch branch {
	case "main":
		return name, nil
	case "":
		return name + "_" + commit, nil
	}
	for _, c := range branch {
		if c > 0x7f || !strings.ContainsRune("._-", c) && !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return "", &layoutError{branch}
		}
	}
	return name + "_" + branch, nil
}

// layoutError is a branch that text-generation-webui has no folder name for.
type layoutError struct{ branch string }

func (e *layoutError) Error() string {
	return fmt.Sprintf("text-generation-webui cannot name a folder after the branch %q", e.branch)
}

// Hint says what to do next.
func (e *layoutError) Hint() string { return "name a folder yourself: --layout plain --dir DIR" }

// checkLayout refuses a folder that the branch could not be put into, before
// anything moves.
func (g *getter) checkLayout() error {
	dir, err := g.layoutDir()
	if dir == "" || err != nil {
		return err
	}
	if err := g.st.CheckOutside(dir); err != nil {
		return err
	}
	if g.o.Layout == LayoutHF {
		return store.CheckWritable(dir)
	}
	t := store.Target{Repo: g.repo.String(), Commit: string(g.commit), Branch: g.branch, Files: make(map[string]store.Want)}
	if g.branch == "" && g.local != nil {
		t.Branch = g.local.Branch
	}
	for _, f := range g.files {
		t.Files[f.Path] = fetch.Wanted(f)
	}
	err = store.CheckFolder(dir, t)
	var folder *store.FolderError
	if errors.As(err, &folder) {
		return &folderTakenError{g.ref, dir, folder}
	}
	return err
}

// folderTakenError is a folder that a branch cannot be put into.
type folderTakenError struct {
	ref Ref
	dir string
	err *store.FolderError
}

func (e *folderTakenError) Error() string {
	text := fmt.Sprintf("get %s --dir %s: the folder %s", e.ref, e.dir, e.err.Reason)
	if e.err.Err != nil {
		text += ": " + e.err.Err.Error()
	}
	return text
}

func (e *folderTakenError) Unwrap() error { return e.err }

// layOut lays the branch out where it was asked for.
func (g *getter) layOut(ctx context.Context) error {
	dir, err := g.layoutDir()
	if dir == "" || err != nil {
		return err
	}
	if g.o.Layout == LayoutHF {
		out, err := hfcache.Open(dir).Export(ctx, g.st, g.res.Snapshot, hfcache.ExportOptions{
			Link: g.o.Link, Complete: g.complete(ctx),
		})
		g.res.Dir, g.res.Linked = out.Dir, out.Linked
		return err
	}
	g.res.Linked, err = g.st.Export(ctx, g.res.Snapshot, dir, g.o.Link)
	g.res.Dir = dir
	return err
}

// complete reports whether the snapshot is known to have every file of the
// commit. A snapshot of the store does not say so: files may have been left out.
func (g *getter) complete(ctx context.Context) bool {
	all := g.all
	if g.local != nil {
		var err error
		if all, err = g.app.hub.Tree(ctx, g.repo, g.commit); err != nil {
			return false // offline, perhaps: then nobody says so
		}
	}
	return len(all) == len(g.res.Snapshot.Files)
}
