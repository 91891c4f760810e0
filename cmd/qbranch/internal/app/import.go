package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/store"
	"github.com/qbranch/qbranch/store/hfcache"
)

// ImportOptions may be zero.
type ImportOptions struct {
	As     *Ref // take this branch only, and the files that are there for all it has
	Link   Link
	Stats  *Stats
	Notify func(Event) // nil = nobody listens; File events of a fetch (EventAdopt, EventReuse, EventRefused)
}

// Imported is one commit that was imported, or could not be.
type Imported struct {
	Repo    string `json:"repo"`
	Branch  string `json:"branch"` // "" when no branch stands at it
	Commit  string `json:"commit"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`         // of all files that were taken or there
	Adopted int64  `json:"adopted_bytes"` // of those that were taken
	Known   bool   `json:"recorded"`      // it is a branch of the store now
	Why     string `json:"why,omitempty"` // it is not

	unlisted bool // that is all that is wrong with it
}

// Ref is what to type for it.
func (i Imported) Ref() string {
	return StoreItem{Repo: i.Repo, Branch: i.Branch, Commit: i.Commit}.Ref()
}

// ImportFolder takes what a folder holds into the store without asking anybody:
// a cache of the official client, a repository or a snapshot in one, or a folder
// that Get made. Every byte is hashed.
//
// A commit becomes a branch of the store only when all its files are known and
// there: the folder's manifest or the cache's listing names them, or ImportOptions.As
// says that what is there is all. What was taken stays in any case, so that Get
// fetches only the rest. An *ImportError when nothing says what the folder is, or
// when a commit did not become a branch.
func (a *App) ImportFolder(ctx context.Context, dir string, o ImportOptions) ([]Imported, error) {
	dir, err := expandHome(dir)
	if err != nil {
		return nil, err
	}
	if fi, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	} else if !fi.IsDir() {
		return nil, fmt.Errorf("%s is a file, not a folder", dir)
	}
	revs, err := revisionsOf(dir)
	if err == nil {
		revs, err = selectRevisions(dir, revs, o.As)
	}
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", dir, err)
	}
	st, err := a.openStore()
	if err != nil {
		return nil, err
	}
	if o.Stats == nil {
		o.Stats = new(Stats)
	}
	im := &importer{st: st, o: o, notify: notifier(o.Notify)}
	var out []Imported
	failed := 0
	for _, rev := range revs {
		done, err := im.revision(ctx, rev)
		if err != nil {
			return out, fmt.Errorf("import %s@%s: %w", rev.Repo, rev.Commit, err)
		}
		if !done.Known {
			failed++
		}
		out = append(out, done)
	}
	if failed > 0 {
		return out, &ImportError{Dir: dir, Failed: failed, Total: len(out), First: out[slices.IndexFunc(out, func(i Imported) bool { return !i.Known })]}
	}
	return out, nil
}

// ImportError says that a folder, or some of it, did not become a branch.
type ImportError struct {
	Dir    string
	Failed int // commits; 0: nothing says what the folder holds
	Total  int
	First  Imported // of those that failed
}

// Error says why.
func (e *ImportError) Error() string {
	if e.Failed == 0 {
		return "nothing says which repository and commit this is"
	}
	return fmt.Sprintf("import %s: %d of %d commits could not be recorded: %s: %s", e.Dir, e.Failed, e.Total, e.First.Ref(), e.First.Why)
}

// Hint says what to do next.
func (e *ImportError) Hint() string {
	if e.Failed == 0 {
		return fmt.Sprintf("'qbranch get REF --from %s' asks the hub for the files of REF, and takes from the folder what is right", e.Dir)
	}
	if e.First.unlisted {
		return fmt.Sprintf("if they are, 'qbranch store import %s --as %s' says so; otherwise 'qbranch get %[2]s' fetches the rest", e.Dir, e.First.Ref())
	}
	return fmt.Sprintf("what was right is kept: 'qbranch get %s' asks the hub for the list of files and fetches the rest", e.First.Ref())
}

// revisionsOf finds out what a folder is.
func revisionsOf(dir string) ([]hfcache.Revision, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	m, err := store.ReadManifest(abs)
	if err == nil {
		return []hfcache.Revision{fromManifest(abs, m)}, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if repo, ok := hfcache.RepoOf(filepath.Base(abs)); ok {
		return hfcache.Open(filepath.Dir(abs)).Revisions(repo)
	}
	if snapshots := filepath.Dir(abs); filepath.Base(snapshots) == "snapshots" {
		if repo, ok := hfcache.RepoOf(filepath.Base(filepath.Dir(snapshots))); ok {
			revs, err := hfcache.Open(filepath.Dir(filepath.Dir(snapshots))).Revisions(repo)
			return slices.DeleteFunc(revs, func(r hfcache.Revision) bool { return r.Commit != filepath.Base(abs) }), err
		}
	}
	cache := hfcache.Open(abs)
	repos, err := cache.Repos()
	var out []hfcache.Revision
	for _, repo := range repos {
		revs, revErr := cache.Revisions(repo)
		if errors.Is(revErr, fs.ErrNotExist) {
			continue // a repository of which nothing was downloaded
		}
		out = append(out, revs...)
		err = errors.Join(err, revErr)
	}
	return out, err
}

// fromManifest is a folder that Get made.
func fromManifest(dir string, m store.Manifest) hfcache.Revision {
	rev := hfcache.Revision{Repo: m.Repo, Commit: m.Commit, Listed: true}
	if m.Branch != "" {
		rev.Branches = []string{m.Branch}
	}
	for _, f := range m.Files {
		rev.Files = append(rev.Files, hfcache.File{Path: f.Path, Want: store.Want{Size: f.Size, SHA256: f.SHA256},
			Sources: []store.Source{{Path: filepath.Join(dir, filepath.FromSlash(f.Path))}}})
	}
	return rev
}

// selectRevisions keeps what as names.
func selectRevisions(dir string, revs []hfcache.Revision, as *Ref) ([]hfcache.Revision, error) {
	if len(revs) == 0 {
		return nil, &ImportError{Dir: dir}
	}
	if as == nil {
		return revs, nil
	}
	commit, pinned := as.Commit()
	var out []hfcache.Revision
	for _, r := range revs {
		switch {
		case r.Repo != as.Repo.String():
		case pinned && r.Commit == string(commit):
			out = append(out, r)
		case !pinned && slices.Contains(r.Branches, as.RevisionOrMain()):
			r.Branches = []string{as.RevisionOrMain()}
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s is not in it: %w", as, store.ErrNotFound)
	}
	return out, nil
}

// importer is one ImportFolder.
type importer struct {
	st     *store.Store
	o      ImportOptions
	notify func(Event)
}

// revision takes one commit.
func (im *importer) revision(ctx context.Context, rev hfcache.Revision) (out Imported, err error) {
	out = Imported{Repo: rev.Repo, Commit: rev.Commit}
	if len(rev.Branches) > 0 {
		out.Branch = rev.Branches[0]
	}
	files, why := wantedOf(rev)
	var wants []store.Want
	for _, f := range files {
		wants = append(wants, f.Want)
		im.o.Stats.Total.Add(f.Want.Size)
	}
	if len(wants) == 0 {
		out.Why = "it has no files"
		return out, nil
	}
	hold, err := im.st.Hold(ctx, "import "+rev.Repo, wants)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, hold.Release()) }()
	snap := Snapshot{Repo: rev.Repo, Commit: rev.Commit, Branch: out.Branch, Created: time.Now()}
	for _, f := range files {
		got, err := im.file(ctx, f)
		if err != nil {
			return out, err
		}
		if got.Digest.IsZero() {
			why = append(why, f.Path+" is missing, or not what it should be")
			continue
		}
		if got.Link != "" {
			out.Adopted += f.Want.Size
		}
		out.Files++
		out.Bytes += f.Want.Size
		snap.Files = append(snap.Files, store.SnapshotFile{Path: f.Path, Size: f.Want.Size, SHA256: got.Digest})
	}
	if !rev.Listed && im.o.As == nil {
		out.unlisted = len(why) == 0
		why = append(why, "nothing says whether these are all its files")
	}
	if len(why) > 0 {
		out.Why = list(why, "; ", 3)
		return out, nil
	}
	out.Known = true
	return out, im.record(snap, rev.Branches)
}

// wantedOf is what a fetch would take of the commit, and why some of it cannot
// be.
func wantedOf(rev hfcache.Revision) (files []hfcache.File, why []string) {
	byPath := make(map[string]hfcache.File)
	var all []hub.File
	for _, f := range rev.Files {
		if f.Want == (store.Want{Size: f.Want.Size}) {
			why = append(why, "nothing says what "+f.Path+" has to hold")
			continue
		}
		byPath[f.Path] = f
		all = append(all, hub.File{Path: f.Path, Size: f.Want.Size})
	}
	kept, _, err := withoutPickles(all, Filter{})
	if err != nil {
		why = append(why, "its weights are pickle files")
	}
	for _, f := range kept {
		files = append(files, byPath[f.Path])
	}
	return files, why
}

// file takes one file from the first source that is right; a zero digest when
// none is.
func (im *importer) file(ctx context.Context, f hfcache.File) (store.Adopted, error) {
	tell := func(kind fetch.EventKind, from string, link Link, err error) {
		im.notify(Event{Fetch: &FetchEvent{Kind: kind, Path: f.Path, Bytes: f.Want.Size, From: from, Link: link, Err: err}})
	}
	if d, ok := im.st.Find(f.Want); ok {
		im.o.Stats.Done.Add(f.Want.Size)
		tell(EventReuse, "", "", nil)
		return store.Adopted{Digest: d}, nil
	}
	var told int64 // Done never falls
	for _, src := range f.Sources {
		var read int64
		got, err := im.st.Adopt(ctx, f.Want, src, store.AdoptOptions{Link: im.o.Link, Progress: func(n int64) {
			if read += n; read > told {
				im.o.Stats.Done.Add(read - told)
				told = read
			}
		}})
		switch {
		case err == nil:
			tell(EventAdopt, src.Path, got.Link, nil)
			return got, nil
		case ctx.Err() != nil, errors.Is(err, store.ErrNoSpace), errors.Is(err, store.ErrNotWritable):
			return got, err
		}
		tell(EventRefused, src.Path, "", err)
	}
	return store.Adopted{}, nil
}

// record makes the commit a branch of the store. What the store knows of the
// branch is newer than a cache, and stays.
func (im *importer) record(snap Snapshot, branches []string) error {
	if old, err := im.st.Snapshot(snap.Repo, snap.Commit); err != nil || len(old.Files) < len(snap.Files) {
		if err := im.st.PutSnapshot(snap); err != nil {
			return err
		}
	}
	for _, b := range branches {
		if _, known := im.st.BranchCommit(snap.Repo, b); known {
			continue
		}
		if err := im.st.SetBranch(snap.Repo, b, snap.Commit); err != nil {
			return err
		}
	}
	return nil
}
