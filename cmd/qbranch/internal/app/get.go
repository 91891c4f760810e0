package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/store"
)

// GetOptions may be zero.
type GetOptions struct {
	Dir         string   // also lay the branch out here; checked before anything moves, also in a dry run
	Layout      Layout   // how; "" = LayoutPlain
	Link        Link     // how files come to lie in two places; "" = LinkAuto
	From        []string // folders of this machine that may hold some of the files
	NoLocal     bool     // do not look into the official client's cache
	Connections int
	LimitRate   int64  // bytes per second, 0 = none
	Patient     bool   // while the network fails, try again without end
	WaitSpace   bool   // when the disk is full, wait until somebody has made space
	Filter      Filter // which files of the branch; zero = all of them
	DryRun      bool   // plan only
	Force       bool   // fetch what fatal findings speak against; they are reported all the same
	AllowPickle bool   // fetch pickle files too; they are never opened
	Stats       *Stats
	Transfer    *Transfer   // steers this Get and shows it; nil = nobody does
	Notify      func(Event) // nil = nobody listens
}

// GetResult is what Get did.
type GetResult struct {
	Plan      Plan
	Snapshot  Snapshot // zero for a dry run; what was fetched, and not in the store, when Filtered
	Filtered  bool     // Options.Filter left files out: the store has what was fetched, and no snapshot
	Findings  []Finding
	Received  int64 // bytes over the network
	Kept      int64 // bytes found resumable at the start
	Refetched int64
	Reused    int64 // bytes of files that were in the store already
	Adopted   int64 // bytes that were taken from files of this machine
	Elapsed   time.Duration
	Dir       string // what was laid out; "" = nothing
	Linked    Linked // how the files came there
	// CannotRun says why the runner cannot generate text with the branch (an
	// architecture it does not know, no tokenizer.json); "" when nothing is known
	// that keeps it from doing so. It is not known for a dry run.
	CannotRun string
}

// Get plans, judges config and headers by ranged reads, fetches and publishes.
// A fatal finding stops it before any weight moves (*FindingsError), unless it
// is told to go on (GetOptions.Force). A commit
// that the store holds already needs no request but the one that resolves the
// branch, and offline not even that.
func (a *App) Get(ctx context.Context, ref Ref, o GetOptions) (*GetResult, error) {
	start := time.Now()
	res, err := a.get(ctx, ref, o)
	if err != nil {
		return nil, a.orHere(err, ref)
	}
	res.Elapsed = time.Since(start)
	return res, nil
}

// getter is one Get while it runs.
type getter struct {
	app    *App
	st     *store.Store
	ref    Ref
	repo   RepoID
	commit hub.Commit
	branch string // "" when pinned
	o      GetOptions
	notify func(Event)

	local   *Snapshot      // of the commit, when the store has all of it
	limit   *fetch.Limiter // of everything that is received: the Transfer's
	fetcher *fetch.Fetcher
	all     []hub.File        // the commit's listing
	files   []hub.File        // what is to be fetched of it
	judged  []hub.File        // those, and what was not asked for
	read    map[string]bool   // files that judging has fetched
	begun   map[string][]byte // first bytes of files, which judging has fetched
	adopted map[string]bool   // files that adopting has brought, and told
	res     GetResult
}

func (a *App) get(ctx context.Context, ref Ref, o GetOptions) (*GetResult, error) {
	st, err := a.openStore()
	if err != nil {
		return nil, err
	}
	if o.Stats == nil {
		o.Stats = new(Stats)
	}
	if o.Transfer == nil {
		o.Transfer = new(Transfer)
	}
	if o.LimitRate > 0 {
		o.Transfer.SetRate(o.LimitRate)
	}
	g := &getter{app: a, st: st, ref: ref, repo: ref.Repo, o: o, notify: notifier(o.Notify),
		read: make(map[string]bool), adopted: make(map[string]bool), fetcher: a.fetcher(st, o), limit: &o.Transfer.limit}
	ctx = listening(ctx, g.notify)
	if err := g.resolve(ctx, ref); err != nil {
		return nil, err
	}
	if err := g.plan(ctx); err != nil || o.DryRun {
		return &g.res, err
	}
	if err := g.bring(ctx); err != nil {
		return nil, err
	}
	return &g.res, g.layOut(ctx)
}

// bring gets everything into the store: from this machine, then from the hub.
func (g *getter) bring(ctx context.Context) (err error) {
	hold, err := g.hold(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.release(hold, err)) }()
	received, refetched := g.o.Stats.Received.Load(), g.o.Stats.Refetched.Load()
	if err := g.adopt(ctx); err != nil {
		return err
	}
	if disk, err := g.st.FileSystem(); err == nil && disk.Network {
		g.res.Findings = append(g.res.Findings, networkDisk(g.st.Dir(), disk))
	}
	if err := g.judge(ctx); err != nil {
		return err
	}
	if err := g.fetch(ctx); err != nil {
		return err
	}
	g.res.Received = g.o.Stats.Received.Load() - received
	g.res.Refetched = g.o.Stats.Refetched.Load() - refetched
	return nil
}

// networkDisk says what a file system on another machine may not keep.
func networkDisk(dir string, d store.Disk) Finding {
	return Finding{Code: "NETWORK_DISK", Severity: Warn, Where: dir,
		Message: fmt.Sprintf("the store is on a network file system (%s): locks may not hold between machines, and what was synced may be lost with the server", d.Kind),
		Hint:    "put the store on a local disk: --store DIR"}
}

// resolve turns the revision into a commit.
func (g *getter) resolve(ctx context.Context, ref Ref) (err error) {
	if commit, ok := ref.Commit(); ok {
		g.commit = commit
		return nil
	}
	g.branch = ref.RevisionOrMain()
	g.commit, err = g.app.revision(ctx, ref)
	g.rename()
	if errors.Is(err, hub.ErrOffline) {
		// What was fetched last is the best there is to offer, if it is whole.
		if commit, ok := g.st.BranchCommit(ref.Repo.String(), g.branch); ok {
			if _, e := g.st.Snapshot(ref.Repo.String(), commit); e == nil {
				g.commit = hub.Commit(commit)
				return nil
			}
		}
	}
	return err
}

// rename goes on with the name that the hub knows the repository by: the store
// keeps it under that one.
func (g *getter) rename() {
	if now := g.app.hub.Current(g.repo); now != g.repo {
		g.notify(Event{Renamed: &Rename{From: g.repo, To: now}})
		g.repo = now
	}
}

// revision resolves a reference with one request; it takes a second one to say
// which branches there are when that one is not.
func (a *App) revision(ctx context.Context, ref Ref) (hub.Commit, error) {
	if commit, ok := ref.Commit(); ok {
		return commit, nil
	}
	commit, err := a.hub.Revision(ctx, ref.Repo, ref.RevisionOrMain())
	if !errors.Is(err, hub.ErrRevisionNotFound) {
		return commit, err
	}
	if ref.ShortCommit() {
		return "", &revisionError{err: err, repo: ref.Repo, asked: ref.Revision}
	}
	refs, listErr := a.hub.Refs(ctx, ref.Repo, false)
	if listErr != nil {
		return "", err
	}
	unknown := &revisionError{err: err, repo: ref.Repo, asked: ref.RevisionOrMain()}
	for _, b := range refs.Branches {
		unknown.branches = append(unknown.branches, b.Name)
	}
	return "", unknown
}

// plan lists the files and compares them with the store.
func (g *getter) plan(ctx context.Context) (err error) {
	if err := g.list(ctx); err != nil {
		return err
	}
	if g.local == nil && !g.o.DryRun {
		if err := g.st.CheckWritable(); err != nil {
			return fmt.Errorf("get %s: %w", g.ref, err)
		}
	}
	if g.o.AllowPickle {
		g.files = g.all
	} else if g.files, g.res.Findings, err = withoutPickles(g.all, g.o.Filter); err != nil {
		var bad *FindingsError
		if errors.As(err, &bad) {
			bad.Op = "get " + g.ref.String()
		}
		return err
	}
	g.judged = g.files
	if g.files, err = g.filtered(g.files); err != nil {
		return err
	}
	p, err := fetch.MakePlan(g.repo, g.branch, g.commit, g.files, g.st)
	if err != nil {
		return err
	}
	if err := g.useLocal(&p); err != nil {
		return err
	}
	g.whoHolds(p)
	g.res.Plan = p
	g.res.Kept, g.res.Reused = heldByPlan(p)
	g.o.Transfer.planned(p)
	g.notify(Event{Plan: &p})
	if m := g.moved(); m != nil {
		g.notify(Event{Moved: m})
	}
	if !g.o.DryRun && p.DiskNeeded > p.DiskFree {
		return &store.NoSpaceError{Dir: g.st.Dir(), Need: p.DiskNeeded, Free: p.DiskFree}
	}
	if err := g.checkLayout(); err != nil || g.o.DryRun {
		return err
	}
	// Known from here on, and not only when the headers have been read.
	g.o.Stats.Total.Add(p.Bytes)
	g.o.Stats.Done.Add(p.Held)
	return nil
}

// list lists the commit's files: from the store when it has all of them, since
// commits never change.
func (g *getter) list(ctx context.Context) (err error) {
	if snap, err := g.st.Snapshot(g.repo.String(), string(g.commit)); err == nil {
		g.local, g.all = &snap, snapshotFiles(snap)
		return nil
	}
	if g.all, err = g.app.hub.Tree(ctx, g.repo, g.commit); err != nil {
		return err
	}
	g.rename()
	for _, f := range g.all {
		if err := store.CheckPath(f.Path); err != nil {
			return &pathError{g.repo, err}
		}
	}
	return nil
}

// whoHolds says which branch brought the files that the store holds: an earlier
// commit of this one, another of the repository, or any. It is for people, so a
// store of which that cannot be read is no error here.
func (g *getter) whoHolds(p Plan) {
	if !slices.ContainsFunc(p.Files, func(f fetch.FilePlan) bool { return f.State == fetch.StateHeld }) {
		return
	}
	snaps, err := g.st.Snapshots()
	if err != nil {
		return
	}
	rank := func(s Snapshot) int {
		switch {
		case s.Repo != g.repo.String():
			return 2
		case s.Branch != g.branch:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(snaps, func(a, b Snapshot) int { return cmp.Compare(rank(a), rank(b)) })
	by := make(map[store.Digest]string)
	for _, s := range snaps {
		for _, f := range s.Files {
			if _, ok := by[f.SHA256]; !ok {
				by[f.SHA256] = StoreItem{Repo: s.Repo, Branch: s.Branch, Commit: s.Commit}.Ref()
			}
		}
	}
	for i, f := range p.Files {
		if d, ok := g.st.Find(fetch.Wanted(f.File)); ok && f.State == fetch.StateHeld {
			p.Files[i].HeldBy = by[d]
		}
	}
}

// heldByPlan sums the bytes of unfinished files and of whole files that the
// store holds, each content once.
func heldByPlan(p Plan) (partial, whole int64) {
	seen := make(map[store.Want]bool)
	for _, f := range p.Files {
		w := fetch.Wanted(f.File)
		switch {
		case seen[w]:
		case f.State == fetch.StateHeld:
			whole += f.Held
		default:
			partial += f.Held
		}
		seen[w] = true
	}
	return partial, whole
}

// pickleCode is the finding about files that run code when they are loaded.
const pickleCode = "PICKLE"

// withoutPickles leaves out the files that run code when they are loaded. A
// listing that has no other weights is refused.
func withoutPickles(all []hub.File, wanted Filter) (files []hub.File, findings []Finding, err error) {
	safe := false
	var pickles []string
	var size int64
	for _, f := range all {
		if isPickle(f.Path) {
			if wanted.Keeps(f.Path) {
				pickles = append(pickles, f.Path)
				size += f.Size
			}
			continue
		}
		safe = safe || isWeights(f.Path) || isGGUF(f.Path)
		files = append(files, f)
	}
	if len(pickles) == 0 {
		return files, nil, nil
	}
	finding := Finding{Code: pickleCode, Severity: quant.Warn, Where: list(pickles, ", ", 4),
		Message: BytesText(size) + " left out: pickle files can run code when they are loaded, and other files hold the weights",
		Hint:    "--allow-pickle fetches them, unopened"}
	if safe {
		return files, []Finding{finding}, nil
	}
	finding.Severity = quant.Fatal
	finding.Message = "the weights are pickle files, which can run code when they are loaded; there are no safetensors files"
	finding.Hint = "look for a branch or repository with safetensors files, or fetch them unopened with --allow-pickle"
	return nil, nil, &FindingsError{Findings: []Finding{finding}}
}

// fetch moves what is missing. The plan is made again: what was read for
// judging is in the store by now.
func (g *getter) fetch(ctx context.Context) error {
	p, err := fetch.MakePlan(g.repo, g.branch, g.commit, g.files, g.st)
	if err != nil {
		return err
	}
	p.Some = g.res.Filtered
	f := g.fetcher
	f.Limit, f.Begun = g.limit, g.begun
	f.Patient = g.o.Patient
	if g.o.WaitSpace {
		f.SpaceWait = -1
	}
	g.o.Stats.Done.Add(p.Held - g.res.Plan.Held - g.res.Adopted)
	f.Counted = true
	f.Control, f.Watch = &g.o.Transfer.control, &g.o.Transfer.watch
	g.o.Transfer.begun(g.read, g.adopted)
	f.Notify = func(e fetch.Event) {
		if e.Kind == fetch.EventReuse && g.adopted[e.Path] {
			return // it has been told
		}
		if e.Kind == fetch.EventReuse && g.read[e.Path] {
			e.Kind = fetch.EventFile // it was not there when the verb began
		}
		g.notify(Event{Fetch: &e})
	}
	if g.res.Snapshot, err = f.Run(ctx, p); err != nil {
		return err
	}
	if g.local != nil && g.branch == "" && !p.Some {
		g.res.Snapshot = *g.local // keeps the name of its branch
		return g.st.PutSnapshot(*g.local)
	}
	return nil
}

func (a *App) fetcher(st *store.Store, o GetOptions) *fetch.Fetcher {
	return &fetch.Fetcher{Hub: a.hub, Store: st, Connections: o.Connections, Stall: a.hub.StallTimeout(), Stats: o.Stats, Logger: a.log}
}
