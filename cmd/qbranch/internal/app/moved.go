package app

import (
	"slices"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/store"
)

// Moved says that a branch stands elsewhere than when it was last fetched. What
// has not changed is in the store and not fetched again.
type Moved struct {
	From    string   `json:"from"` // commit of the last fetch
	To      string   `json:"to"`
	Changed []string `json:"changed"` // paths with other contents, by name
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Bytes   int64    `json:"bytes"` // of what changed or was added
}

// moved compares the branch with its last fetch; nil when it stands where it
// did, or was never fetched.
func (g *getter) moved() *Moved {
	if g.branch == "" {
		return nil
	}
	from, ok := g.st.BranchCommit(g.repo.String(), g.branch)
	if !ok || from == string(g.commit) {
		return nil
	}
	old, err := g.st.Snapshot(g.repo.String(), from)
	if err != nil {
		return nil // removed since then, or damaged: nothing to compare with
	}
	m := &Moved{From: from, To: string(g.commit), Changed: []string{}, Added: []string{}, Removed: []string{}}
	then := make(map[string]store.SnapshotFile)
	for _, f := range old.Files {
		then[f.Path] = f
	}
	for _, f := range g.files {
		was, ok := then[f.Path]
		delete(then, f.Path)
		switch {
		case !ok:
			m.Added = append(m.Added, f.Path)
		case !g.same(f, was):
			m.Changed = append(m.Changed, f.Path)
		default:
			continue
		}
		m.Bytes += f.Size
	}
	for path := range then {
		if g.o.Filter.Keeps(path) {
			m.Removed = append(m.Removed, path)
		}
	}
	slices.Sort(m.Changed)
	slices.Sort(m.Added)
	slices.Sort(m.Removed)
	return m
}

// same reports whether a listed file has the content of a fetched one. Of a file
// that is not LFS the hub gives another digest: the store knows which content it
// belongs to, if it has it.
func (g *getter) same(f hub.File, was store.SnapshotFile) bool {
	if f.LFS {
		return store.Digest(f.SHA256) == was.SHA256
	}
	d, ok := g.st.Find(fetch.Wanted(f))
	return ok && d == was.SHA256
}
