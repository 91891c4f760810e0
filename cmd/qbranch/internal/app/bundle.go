package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/store"
	"github.com/qbranch/qbranch/store/bundle"
)

// BundleEvent tells what became of one content of a bundle.
type BundleEvent = bundle.Event

// What a BundleEvent can say.
const (
	BundleTaken = bundle.StateTaken
	BundleBad   = bundle.StateBad
)

// BundlePlan is what writing or reading a bundle takes.
type BundlePlan struct {
	Snapshots  []Snapshot
	Files      int
	Bytes      int64 // of all distinct contents
	Held       int64 // of them in the store already; import only
	DiskNeeded int64 // at most; 0 when standard output takes a bundle
	DiskFree   int64
}

// BundleOptions may be zero.
type BundleOptions struct {
	DryRun bool             // import: read and compare everything, change nothing
	Force  bool             // export: replace the file
	Plan   func(BundlePlan) // called once, before anything is written
	Done   func(n int64)    // told the bytes written or read since it was last called, by several goroutines
	Notify func(BundleEvent)
}

func (o *BundleOptions) fill() {
	if o.Plan == nil {
		o.Plan = func(BundlePlan) {}
	}
}

// BundleResult is what was written or read.
type BundleResult struct {
	Plan      BundlePlan
	Written   int64      // export: the length of the bundle
	Snapshots []Snapshot // import: those that are whole now
	Kept      []Snapshot // import: of them, those whose branch stays at a later commit
	Taken     int64      // import: bytes of contents that came from the bundle
	Held      int64      // import: bytes that the store had
	Elapsed   time.Duration
}

// brokenBranchError is a branch that cannot be exported.
type brokenBranchError struct {
	ref Ref
	err error
}

func (e *brokenBranchError) Error() string { return fmt.Sprintf("export %s: %v", e.ref, e.err) }
func (e *brokenBranchError) Unwrap() error { return e.err }

// Hint says what to do next.
func (e *brokenBranchError) Hint() string {
	return fmt.Sprintf("'qbranch verify %s --repair' fetches what is missing or damaged; then export again", e.ref)
}

// StoreExport writes the branches of refs into one bundle: the file path, which
// appears whole or not at all, or w when path is empty. Branches that are not in
// the store whole are refused: ErrNotLocal, *store.CorruptError, fs.ErrNotExist.
func (a *App) StoreExport(ctx context.Context, refs []Ref, path string, w io.Writer, o BundleOptions) (*BundleResult, error) {
	start := time.Now()
	o.fill()
	x := &bundleExport{app: a, refs: refs, path: path, w: w, o: o}
	if err := x.run(ctx); err != nil {
		return nil, err
	}
	x.res.Elapsed = time.Since(start)
	return &x.res, nil
}

// bundleExport is one StoreExport while it runs.
type bundleExport struct {
	app  *App
	refs []Ref
	path string
	w    io.Writer
	o    BundleOptions

	st  *store.Store
	m   bundle.Manifest
	res BundleResult
}

func (x *bundleExport) run(ctx context.Context) (err error) {
	snaps, wants, err := x.find()
	if err != nil {
		return err
	}
	hold, err := x.st.Hold(ctx, "export a bundle", wants)
	if err != nil && !errors.Is(err, store.ErrNotWritable) { // nobody removes from a store that cannot be written to
		return err
	}
	defer func() { err = errors.Join(err, hold.Release()) }()
	if x.m, err = bundle.NewManifest(ctx, x.st, snaps); err != nil {
		return x.explain(err)
	}
	if err := x.plan(); err != nil {
		return err
	}
	return x.explain(x.write(ctx))
}

// find looks the branches up.
func (x *bundleExport) find() (snaps []Snapshot, wants []store.Want, err error) {
	for _, ref := range x.refs {
		st, snap, err := x.app.localSnapshot(ref)
		if err != nil && damaged(err) {
			return nil, nil, &brokenBranchError{ref, err}
		}
		if err != nil {
			return nil, nil, err
		}
		whole, err := wholeCommit(st, ref)
		if err != nil {
			return nil, nil, err
		}
		if _, pinned := whole.Commit(); !pinned {
			snap.Branch = ref.RevisionOrMain() // two branches can be at one commit
		}
		x.st, snaps = st, append(snaps, snap)
		for _, f := range snap.Files {
			wants = append(wants, store.Want{Size: f.Size, SHA256: f.SHA256})
		}
	}
	return snaps, wants, nil
}

// explain names the branch that a damaged blob belongs to.
func (x *bundleExport) explain(err error) error {
	var corrupt *store.CorruptError
	if !errors.As(err, &corrupt) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, ref := range x.refs {
		if _, _, e := x.app.localSnapshot(ref); e != nil && damaged(e) {
			return &brokenBranchError{ref, e}
		}
	}
	return err
}

func (x *bundleExport) plan() error {
	most, err := bundle.MaxSize(x.m)
	if err != nil {
		return err
	}
	p := BundlePlan{Snapshots: x.m.Snapshots, Files: x.m.Files(), Bytes: x.m.Bytes()}
	if x.path != "" {
		p.DiskNeeded = most
		if err := bundle.CheckFile(x.path, most, x.o.Force); err != nil {
			return err
		}
		if disk, err := store.OS().Disk(filepath.Dir(x.path)); err == nil {
			p.DiskFree = disk.Free
		}
	}
	x.res.Plan = p
	x.o.Plan(p)
	return nil
}

func (x *bundleExport) write(ctx context.Context) error {
	fill := func(w io.Writer) (err error) {
		x.res.Written, err = bundle.Export(ctx, x.st, x.m, w, bundle.Options{Progress: x.o.Done, Notify: x.o.Notify})
		return err
	}
	if x.path == "" {
		return fill(x.w)
	}
	return bundle.WriteFile(x.path, fill)
}

// StoreImport brings the branches of a bundle into the store (bundle.Import). r
// is the file or pipe that holds it. A damaged bundle is a *bundle.DamagedError,
// which comes with the result; what is good in it has been kept then. A dry run
// reads everything, compares it, and changes nothing.
func (a *App) StoreImport(ctx context.Context, r io.Reader, o BundleOptions) (*BundleResult, error) {
	start := time.Now()
	o.fill()
	archive, err := openBundle(r)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	res := &BundleResult{}
	if o.DryRun {
		err = a.dryImport(ctx, archive, o, res)
	} else {
		err = a.storeImport(ctx, archive, o, res)
	}
	res.Elapsed = time.Since(start)
	if err != nil && !errors.Is(err, bundle.ErrDamaged) {
		return nil, err
	}
	return res, err
}

// openBundle opens a bundle and refuses names that no reference can name.
func openBundle(r io.Reader) (*bundle.Archive, error) {
	archive, err := bundle.Open(r)
	if err != nil {
		return nil, err
	}
	for _, snap := range archive.Manifest.Snapshots {
		name := StoreItem{Repo: snap.Repo, Branch: snap.Branch, Commit: snap.Commit}.Ref()
		if _, err := ParseRef(name); err != nil {
			archive.Close()
			return nil, &bundle.FormatError{Reason: fmt.Sprintf("%q names no branch", name)}
		}
	}
	return archive, nil
}

func (a *App) storeImport(ctx context.Context, archive *bundle.Archive, o BundleOptions, res *BundleResult) error {
	st, err := a.openStore()
	if err != nil {
		return err
	}
	p, err := bundle.MakePlan(st, archive.Manifest)
	if err != nil {
		return err
	}
	res.Plan = importPlan(p)
	o.Plan(res.Plan)
	did, err := bundle.Import(ctx, st, archive, bundle.Options{Progress: o.Done, Notify: o.Notify})
	if did != nil {
		res.Snapshots, res.Kept, res.Taken, res.Held = did.Imported, did.Kept, did.Taken, did.Held
	}
	return err
}

func importPlan(p bundle.Plan) BundlePlan {
	return BundlePlan{Snapshots: p.Manifest.Snapshots, Files: p.Manifest.Files(), Bytes: p.Manifest.Bytes(),
		Held: p.Held, DiskNeeded: p.DiskNeeded, DiskFree: p.DiskFree}
}

// dryImport compares a bundle with the store, if there is one, and with itself.
func (a *App) dryImport(ctx context.Context, archive *bundle.Archive, o BundleOptions, res *BundleResult) error {
	st, err := a.existingStore()
	if err != nil {
		return err
	}
	m := archive.Manifest
	p := bundle.Plan{Manifest: m, Move: m.Bytes(), DiskNeeded: m.Bytes()}
	if st != nil {
		p, err = bundle.MakePlan(st, m)
	} else {
		p.DiskFree, err = freeAt(a.dir)
	}
	if err != nil {
		return err
	}
	res.Plan, res.Held = importPlan(p), p.Held
	o.Plan(res.Plan)
	return bundle.Check(ctx, archive, bundle.Options{Progress: o.Done, Notify: o.Notify})
}

// freeAt returns the free bytes where dir is or would be made.
func freeAt(dir string) (int64, error) {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
			disk, err := store.OS().Disk(dir)
			return disk.Free, err
		}
		dir = filepath.Dir(dir)
	}
}

// bundleTargetError is a bundle where a branch or a folder is needed. It is
// infer.ErrNoCheckpoint.
type bundleTargetError struct{ path string }

func (e *bundleTargetError) Error() string        { return e.path + " is a file, not a folder" }
func (e *bundleTargetError) Is(target error) bool { return target == infer.ErrNoCheckpoint }

// Hint says what to do next.
func (e *bundleTargetError) Hint() string {
	return fmt.Sprintf("if it is a bundle: 'qbranch store import %s' brings its branches into the store", e.path)
}

// verifyBundle compares a bundle with its own digests, without a store. The
// report comes also with a *bundle.DamagedError.
func (a *App) verifyBundle(ctx context.Context, path string, o VerifyOptions) (*VerifyReport, error) {
	start := time.Now()
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	archive, err := openBundle(f)
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", path, err)
	}
	defer archive.Close()
	rep := &VerifyReport{Target: path, Files: []FileCheck{}, Findings: []Finding{}, Bytes: archive.Manifest.Bytes()}
	if snaps := archive.Manifest.Snapshots; len(snaps) == 1 {
		rep.Commit = snaps[0].Commit
	}
	if o.Total != nil {
		o.Total(rep.Bytes)
	}
	notify := notifier(o.Notify)
	err = bundle.Check(ctx, archive, bundle.Options{Progress: o.Done, Notify: func(e BundleEvent) {
		for _, p := range e.Paths {
			c := FileCheck{Path: p, Size: e.Size, OK: e.State == bundle.StateTaken, Checked: checkedWhole, Ranges: e.Ranges, Missing: e.Missing()}
			rep.Files = append(rep.Files, c)
			notify(Event{File: &c})
		}
	}})
	rep.OK, rep.Elapsed = err == nil, time.Since(start)
	if err != nil && !errors.Is(err, bundle.ErrDamaged) {
		return nil, err
	}
	if err != nil {
		err = fmt.Errorf("verify %s: %w", path, err)
	}
	return rep, err
}
