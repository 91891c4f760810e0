package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/store"
)

// listConns is how many requests of a listing are under way at once: tree and
// configuration of eight branches.
const listConns = 16

// branchFacts is what the hub said of one branch.
type branchFacts struct {
	hub.Branch
	kind    RefKind
	files   []hub.File
	treeErr error

	evidence evidence // only for Inspect

	configs []configFile // those that the tree lists, in the order of configNames
}

// configFile is a file that may declare the quantisation. The zero state is that
// it was left unread.
type configFile struct {
	name string
	read bool // it was asked for: data or err says what came
	data []byte
	err  error
}

// configNames are the names of configurations, in the order in which AutoGPTQ and
// GPTQModel look for them.
var configNames = [...]string{quantizeConfig, quantConfig, modelConfig}

// namedFacts asks for the refs, and begins the facts of those that are wanted: all,
// or the one that the reference names. One that the store holds needs no hub.
func (a *App) namedFacts(ctx context.Context, ref Ref, o ListOptions, st *store.Store) (hub.RefList, []branchFacts, error) {
	all, err := a.hub.Refs(ctx, ref.Repo, o.AllRefs)
	if err != nil {
		if errors.Is(err, hub.ErrOffline) && ref.Revision != "" && st != nil {
			if _, snap, e := a.localSnapshot(ref); e == nil {
				held := branchFacts{Branch: hub.Branch{Name: ref.Revision, Commit: hub.Commit(snap.Commit)}, kind: KindBranch}
				return hub.RefList{Repo: ref.Repo, AsOf: snap.Created}, []branchFacts{held}, nil
			}
		}
		return all, nil, a.orKept(err, ref.Repo, o)
	}
	kinds := map[RefKind][]hub.Branch{KindTag: all.Tags, KindConvert: all.Converts, KindPull: all.PullRequests}
	if ref.Revision == "" {
		return all, factsOf(all.Branches, kinds, o.AllRefs), nil
	}
	for _, f := range factsOf(all.Branches, kinds, true) {
		if f.Name == ref.Revision {
			return all, []branchFacts{f}, nil
		}
	}
	commit, err := a.revision(ctx, Ref{Repo: all.Repo, Revision: ref.Revision})
	return all, []branchFacts{{Branch: hub.Branch{Name: ref.Revision, Commit: commit}, kind: KindCommit}}, err
}

// factsOf begins the facts with what the refs say, branches first.
func factsOf(branches []hub.Branch, others map[RefKind][]hub.Branch, all bool) []branchFacts {
	var facts []branchFacts
	add := func(list []hub.Branch, kind RefKind) {
		for _, b := range list {
			facts = append(facts, branchFacts{Branch: b, kind: kind})
		}
	}
	add(branches, KindBranch)
	if all {
		for _, kind := range []RefKind{KindTag, KindConvert, KindPull} {
			add(others[kind], kind)
		}
	}
	return facts
}

// readBranches asks for all trees, then for what they list: the branches'
// configurations, and the card of the first one; to inspect them, also what else
// there is but weights.
//
// The first branch's card and configurations are asked for by name together with
// the trees, since nearly every repository has them, and the configurations of the
// others nearly always follow from them ([foretell]). Of the rest, each branch's
// first configuration is read, and its others as far as there are requests left of
// two for each branch, unless all are wanted.
func (a *App) readBranches(ctx context.Context, repo RepoID, facts []branchFacts, st *store.Store, o ListOptions, inspect bool) (md []byte, cardErr error) {
	if len(facts) == 0 {
		return nil, hub.ErrEntryNotFound
	}
	var g errgroup.Group // each branch keeps its own error
	g.SetLimit(listConns)
	r := contentReader{app: a, st: st, repo: repo, have: make(map[store.Want][]byte), tries: maxTries, seeds: make(map[string][][]byte)}
	trees := make(map[hub.Commit]*branchFacts) // refs that stand at one commit share its tree
	early, sent := r.readEarly(ctx, &g, &facts[0])
	for i := range facts {
		f := &facts[i]
		if trees[f.Commit] != nil {
			continue
		}
		trees[f.Commit] = f
		g.Go(func() error {
			f.files, f.treeErr = a.tree(ctx, repo, f.Commit, st)
			return nil
		})
	}
	g.Wait() // nothing returns an error
	for i := range facts {
		f := &facts[i]
		f.files, f.treeErr = trees[f.Commit].files, trees[f.Commit].treeErr
		f.listConfigs()
	}
	for name, data := range early.data {
		if file, ok := find(facts[0].files, name); ok {
			r.keep(file, data)
		}
	}
	left := 2*len(trees) - len(trees) - sent // of two requests for each, beside the refs
	if o.AllSources || inspect {
		left = len(facts) * len(configNames)
	}
	r.plan(facts, left)
	return r.readListed(ctx, &g, facts, trees, inspect)
}

// readListed reads what the trees list and the plan has marked, and the card.
func (r *contentReader) readListed(ctx context.Context, g *errgroup.Group, facts []branchFacts, trees map[hub.Commit]*branchFacts, inspect bool) (md []byte, cardErr error) {
	for i := range facts {
		f := &facts[i]
		if inspect && trees[f.Commit] == f {
			g.Go(func() error {
				f.evidence = r.gather(ctx, f)
				f.prove()
				return nil
			})
		}
		for j := range f.configs {
			if c := &f.configs[j]; c.read {
				g.Go(func() error {
					c.data, c.err = r.read(ctx, f, c.name, configLimit)
					return nil
				})
			}
		}
	}
	md, cardErr = r.read(ctx, &facts[0], readme, cardLimit) // the first is main, when there is one
	g.Wait()                                                // nothing returns an error
	for i := range facts {
		facts[i].evidence = trees[facts[i].Commit].evidence
	}
	return md, cardErr
}

// tree lists the files of a commit: those of the store where the hub cannot be
// asked and the store has them all.
func (a *App) tree(ctx context.Context, repo RepoID, at hub.Commit, st *store.Store) ([]hub.File, error) {
	files, err := a.hub.Tree(ctx, repo, at)
	if st == nil || !errors.Is(err, hub.ErrOffline) && !errors.Is(err, hub.ErrNetwork) {
		return files, err
	}
	snap, e := st.Snapshot(repo.String(), string(at))
	if e != nil {
		return nil, err
	}
	return snapshotFiles(snap), nil
}

// snapshotFiles is the listing of a snapshot.
func snapshotFiles(snap Snapshot) []hub.File {
	files := make([]hub.File, len(snap.Files))
	for i, f := range snap.Files {
		files[i] = hub.File{Path: f.Path, Size: f.Size, LFS: true, SHA256: hub.SHA256(f.SHA256)}
	}
	return files
}

// listConfigs notes which configurations the tree lists.
func (f *branchFacts) listConfigs() {
	for _, name := range configNames {
		if _, ok := find(f.files, name); ok {
			f.configs = append(f.configs, configFile{name: name})
		}
	}
	if len(f.configs) == 0 { // then asking for it says why there is none
		f.configs = []configFile{{name: quantizeConfig, read: true}}
	}
}

// contentReader reads small files for a listing: from the store when it has
// them, and from the hub once, however many branches have the same content.
type contentReader struct {
	app    *App
	st     *store.Store // nil when there is none
	repo   RepoID
	budget budget                // of Inspect
	once   sync.Map              // store.Want → func() ([]byte, error)
	have   map[store.Want][]byte // what came early or followed; complete before read is called
	seeds  map[string][][]byte   // by kind: configurations that are here, which others may follow from
	tries  int64                 // bytes that may still be hashed to find out whether they do
}

// earlyFiles are what was read of a branch before its tree was known, by path.
type earlyFiles struct {
	mu   sync.Mutex
	data map[string][]byte
}

// readEarly asks for the files of a branch that every listing wants, by their
// names. sent is how many requests that takes; none when the tree is known, which
// tells what is there. What does not come is asked for again when the tree lists it.
func (r *contentReader) readEarly(ctx context.Context, g *errgroup.Group, f *branchFacts) (early *earlyFiles, sent int) {
	early = &earlyFiles{data: make(map[string][]byte)}
	if r.app.offline || r.app.hub.KeepsTree(r.repo, f.Commit) {
		return early, 0
	}
	for _, name := range []string{readme, quantizeConfig, modelConfig} {
		sent++
		g.Go(func() error {
			if data, err := r.app.hub.ReadFile(ctx, r.repo, f.Commit, name, cardLimit); err == nil {
				early.mu.Lock()
				defer early.mu.Unlock()
				early.data[name] = data
			}
			return nil
		})
	}
	return early, sent
}

// keep takes a content that has the listed digest, for this listing and for the
// cache.
func (r *contentReader) keep(file hub.File, data []byte) bool {
	ok := r.app.hub.Keep(file, data)
	if ok {
		r.have[fetch.Wanted(file)] = data
	}
	return ok
}

// plan marks the configurations to be read: what costs no request, each branch's
// first, and as many more as there are requests left.
func (r *contentReader) plan(facts []branchFacts, left int) {
	for _, f := range facts {
		for _, c := range f.configs {
			kind := seedKind(c.name)
			if file, ok := find(f.files, c.name); ok && len(r.seeds[kind]) < maxSeeds {
				if data, ok := r.here(file); ok {
					r.seeds[kind] = append(r.seeds[kind], data)
				}
			}
		}
	}
	asked := make(map[store.Want]bool)
	mark := func(f *branchFacts, c *configFile, must bool) {
		file, ok := find(f.files, c.name)
		if !ok || c.read {
			return
		}
		w := fetch.Wanted(file)
		if !asked[w] && !r.free(file) {
			if left <= 0 && !must {
				return
			}
			left--
		}
		c.read, asked[w] = true, true
	}
	for i := range facts {
		mark(&facts[i], &facts[i].configs[0], true)
	}
	for i := range facts {
		for j := range facts[i].configs {
			mark(&facts[i], &facts[i].configs[j], false)
		}
	}
}

// seedKind puts files together that have the same text under several names.
func seedKind(name string) string {
	if name == quantConfig {
		return quantizeConfig
	}
	return name
}

// here returns a content that the store or the cache holds.
func (r *contentReader) here(file hub.File) ([]byte, bool) {
	if file.Size > configLimit {
		return nil, false
	}
	w := fetch.Wanted(file)
	if data, ok := r.have[w]; ok {
		return data, true
	}
	if r.st != nil {
		if d, ok := r.st.Find(w); ok {
			data, err := readBlob(r.st, d, configLimit)
			return data, err == nil
		}
	}
	return r.app.hub.Cached(file)
}

// free reports whether a content is here, or follows from one that is; then it is
// here from now on.
func (r *contentReader) free(file hub.File) bool {
	if _, ok := r.here(file); ok {
		return true
	}
	for _, seed := range r.seeds[seedKind(file.Path)] {
		if data, ok := foretell(seed, file, &r.tries); ok {
			return r.keep(file, data)
		}
	}
	return false
}

// read returns the content of a file that the branch's tree lists, checked
// against its digest.
func (r *contentReader) read(ctx context.Context, f *branchFacts, path string, limit int64) ([]byte, error) {
	if f.treeErr != nil {
		return nil, f.treeErr
	}
	file, ok := find(f.files, path)
	if !ok {
		return nil, fmt.Errorf("read %s: %w", path, hub.ErrEntryNotFound)
	}
	w := fetch.Wanted(file)
	if data, ok := r.have[w]; ok && int64(len(data)) <= limit {
		return data, nil
	}
	get, _ := r.once.LoadOrStore(w, sync.OnceValues(func() ([]byte, error) {
		if r.st != nil {
			if d, ok := r.st.Find(w); ok {
				return readBlob(r.st, d, limit)
			}
		}
		return r.app.hub.ReadListed(ctx, r.repo, f.Commit, file, limit)
	}))
	return get.(func() ([]byte, error))()
}

// find returns the file of that path.
func find(files []hub.File, path string) (hub.File, bool) {
	i := slices.IndexFunc(files, func(f hub.File) bool { return f.Path == path })
	if i < 0 {
		return hub.File{}, false
	}
	return files[i], true
}

// noneReadable returns the first error when not a single tree could be read:
// then it is not about a branch.
func noneReadable(facts []branchFacts) error {
	for _, f := range facts {
		if f.treeErr == nil {
			return nil
		}
	}
	if len(facts) == 0 {
		return nil
	}
	return facts[0].treeErr
}
