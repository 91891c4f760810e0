package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/qbranch/qbranch/store"
)

// Plan is what importing a bundle takes.
type Plan struct {
	Manifest   Manifest
	Held       int64 // bytes of the contents that the store holds, or parts of
	Move       int64 // the rest
	DiskNeeded int64 // more bytes of disk
	DiskFree   int64
}

// MakePlan compares a manifest with a store. It is a *ConflictError when the
// store knows other files for one of the commits.
func MakePlan(st *store.Store, m Manifest) (Plan, error) {
	p := Plan{Manifest: m}
	for _, snap := range m.Snapshots {
		if _, err := known(st, snap); err != nil {
			return p, err
		}
	}
	for _, c := range m.Contents {
		held := c.Size
		if _, ok := st.Find(c.want()); !ok {
			held = min(c.Size, st.Held(c.want()))
		}
		p.Held += held
		p.Move += c.Size - held
		p.DiskNeeded += st.DiskNeeded(c.want())
	}
	var err error
	if p.DiskFree, err = st.Free(); err != nil {
		return p, fmt.Errorf("look for free space: %w", err)
	}
	return p, nil
}

// known reports whether the store has the snapshot; a *ConflictError when it has
// another one of that commit.
func known(st *store.Store, snap store.Snapshot) (bool, error) {
	have, err := st.Snapshot(snap.Repo, snap.Commit)
	var corrupt *store.CorruptError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil && !errors.As(err, &corrupt) && !errors.Is(err, fs.ErrNotExist):
		return false, err
	case !slices.Equal(have.Files, snap.Files):
		return false, &ConflictError{snap.Repo, snap.Commit, "it lists other files or other contents"}
	}
	return true, nil
}

// Options may be zero.
type Options struct {
	Progress func(n int64) // told the bytes done since it was last called, by several goroutines; in the end Manifest.Bytes, if nothing is lost
	Notify   func(Event)   // told what became of each content, by one goroutine
}

func (o *Options) fill() {
	if o.Progress == nil {
		o.Progress = func(int64) {}
	}
	if o.Notify == nil {
		o.Notify = func(Event) {}
	}
}

// Result is what Import did.
type Result struct {
	Imported []store.Snapshot // whole now
	Kept     []store.Snapshot // of them, those whose branch the store had seen later; it stays where it is
	Taken    int64            // bytes of contents read from the bundle in this run
	Held     int64            // bytes that were there already
	Damage   []Damage
}

// Import brings what an archive (Open) holds into a store. Nothing of the
// archive is believed: each part is compared with its digest and each content
// with its SHA-256 before it is published, snapshots come last, and nothing
// that the store has is replaced. A content that is damaged keeps its good parts
// as an unfinished ingestion; the others are imported, then a *DamagedError says
// what is missing. Import of the same bundle after an interruption goes on where
// it was.
func Import(ctx context.Context, st *store.Store, a *Archive, o Options) (*Result, error) {
	o.fill()
	wants := make([]store.Want, len(a.Manifest.Contents))
	for i, c := range a.Manifest.Contents {
		wants[i] = c.want()
	}
	// Until the snapshots are there, nothing else says that the blobs are needed.
	hold, err := st.Hold(ctx, "import a bundle", wants)
	if err != nil {
		return nil, err
	}
	res, err := run(ctx, st, a, o)
	return res, errors.Join(err, hold.Release())
}

func run(ctx context.Context, st *store.Store, a *Archive, o Options) (*Result, error) {
	p, err := MakePlan(st, a.Manifest)
	if err != nil {
		return nil, err
	}
	if p.DiskNeeded > p.DiskFree {
		return nil, &store.NoSpaceError{Dir: st.Dir(), Need: p.DiskNeeded, Free: p.DiskFree}
	}
	im := &importer{st: st}
	w := &walker{a: a, to: im, Options: o}
	if err := w.walk(ctx); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	res := &Result{Taken: im.taken, Held: p.Held, Damage: w.damage}
	for _, snap := range a.Manifest.Snapshots {
		if err := im.publish(res, snap); err != nil {
			return nil, fmt.Errorf("import %s@%s: %w", snap.Repo, snap.Commit, err)
		}
	}
	if len(w.damage) > 0 || w.reason != "" && len(res.Imported) < len(a.Manifest.Snapshots) {
		return res, &DamagedError{Files: w.damage, Reason: w.reason, Stored: true}
	}
	if w.reason != "" {
		return res, &DamagedError{Reason: w.reason + ", yet all contents are there", Stored: true}
	}
	return res, nil
}

// importer takes contents into a store.
type importer struct {
	st *store.Store

	mu    sync.Mutex
	taken int64
}

// publish writes a snapshot if all its contents are there. The branch follows
// unless the store has seen a later commit of it.
func (im *importer) publish(res *Result, snap store.Snapshot) error {
	there, err := known(im.st, snap)
	if err != nil {
		return err
	}
	if missing, corrupt := im.st.SnapshotState(snap); len(missing)+len(corrupt) > 0 {
		return nil
	}
	if !there {
		if err := im.st.PutSnapshot(snap); err != nil {
			return err
		}
	}
	res.Imported = append(res.Imported, snap)
	if snap.Branch == "" {
		return nil
	}
	if commit, ok := im.st.BranchCommit(snap.Repo, snap.Branch); ok && commit != snap.Commit {
		if have, err := im.st.Snapshot(snap.Repo, commit); err == nil && have.Created.After(snap.Created) {
			res.Kept = append(res.Kept, snap)
			return nil
		}
	}
	return im.st.SetBranch(snap.Repo, snap.Branch, snap.Commit)
}

func (im *importer) have(c Content) bool {
	_, ok := im.st.Find(c.want())
	return ok
}

func (im *importer) open(ctx context.Context, c Content, sums []store.Digest) (taker, error) {
	if !c.stored() {
		return &small{im: im, c: c, sums: sums}, nil
	}
	in, err := im.st.Ingest(ctx, c.want())
	if err != nil {
		return nil, err
	}
	// What an earlier run left came from a bundle with other digests, perhaps, or
	// over the network. One of them is wrong; this one can be taken again.
	for i, want := range sums {
		if got, ok := in.PartSum(i); ok && got != want {
			if err := in.Drop(i); err != nil {
				return nil, errors.Join(err, in.Close())
			}
		}
	}
	return &large{im: im, in: in, sums: sums}, nil
}

func (im *importer) count(n int) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.taken += int64(n)
}

// small is a content of one part or none; it is kept in memory until it is
// known to be right.
type small struct {
	im   *importer
	c    Content
	sums []store.Digest
	data []byte
}

func (s *small) held(int) bool { return s.data != nil }
func (s *small) workers() int  { return 1 }
func (s *small) leave() error  { return nil }

func (s *small) take(_ context.Context, i int, p []byte) (bool, error) {
	if store.SumPart(p) != s.sums[i] {
		return false, nil
	}
	s.data = bytes.Clone(p)
	return true, nil
}

func (s *small) finish(ctx context.Context) error {
	_, err := s.im.st.Put(ctx, s.c.want(), s.data)
	if err == nil {
		s.im.count(len(s.data))
	}
	return err
}

// large is a content of several parts.
type large struct {
	im   *importer
	in   *store.Ingest
	sums []store.Digest
}

func (l *large) held(i int) bool { return l.in.Held(i) }
func (l *large) workers() int    { return 2 } // one hashes while one writes; SHA-256 keeps a third core busy
func (l *large) leave() error    { return l.in.Close() }

// take writes first, so that the part is hashed once, by the ingestion.
func (l *large) take(ctx context.Context, i int, p []byte) (bool, error) {
	if err := l.in.WritePart(ctx, i, p); err != nil {
		return false, err
	}
	if got, ok := l.in.PartSum(i); ok && got != l.sums[i] {
		return false, l.in.Drop(i)
	}
	l.im.count(len(p))
	return true, nil
}

func (l *large) finish(ctx context.Context) error {
	_, err := l.in.Commit(ctx)
	if errors.Is(err, store.ErrMismatch) {
		// Its parts are what the bundle says and the whole is not, so the bundle
		// contradicts itself and no part is worth keeping.
		return errors.Join(err, l.in.Abort())
	}
	if err != nil {
		return errors.Join(err, l.in.Close())
	}
	return nil
}
