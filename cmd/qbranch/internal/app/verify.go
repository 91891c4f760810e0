package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/safetensors"
	"github.com/qbranch/qbranch/store"
)

// VerifyOptions may be zero.
type VerifyOptions struct {
	Repair bool              // fetch the bad parts again
	Total  func(bytes int64) // called once, before the first byte
	Done   func(bytes int64) // called with bytes hashed since the last call
	Notify func(Event)
}

// What a file was checked against.
const (
	checkedParts = "blake3" // the digests recorded when it was fetched
	checkedRead  = "read"   // nothing: it can be read, that is all
)

// FileCheck is the verdict on one file.
type FileCheck struct {
	Path    string  `json:"path"`
	Size    int64   `json:"size"`
	OK      bool    `json:"ok"`
	Checked string  `json:"checked"` // "blake3" against the parts recorded in the store or the folder's manifest, or "read" when nothing was recorded
	Ranges  []Range `json:"bad_ranges,omitempty"`
	Missing bool    `json:"missing,omitempty"`
}

// VerifyReport is what Verify found.
type VerifyReport struct {
	Target   string        `json:"target"`
	Commit   string        `json:"commit,omitempty"`
	Files    []FileCheck   `json:"files"`
	Findings []Finding     `json:"findings"`
	Bytes    int64         `json:"bytes"`
	Repaired int64         `json:"repaired_bytes"`
	OK       bool          `json:"ok"`
	Elapsed  time.Duration `json:"-"`
}

// Compared reports whether every file was compared with digests recorded when
// it was fetched. Of others all that is known is that they can be read.
func (r *VerifyReport) Compared() bool {
	return !slices.ContainsFunc(r.Files, func(f FileCheck) bool { return f.Checked != checkedParts })
}

// Verify re-hashes every byte and judges config against tensors. The report is
// returned also when it is bad, together with a *CorruptionError, or a
// *FindingsError when the bytes are right and what they say is not. It asks
// nobody unless there is something to repair. A target that was never fetched
// is ErrNotLocal.
func (a *App) Verify(ctx context.Context, t Target, o VerifyOptions) (*VerifyReport, error) {
	start := time.Now()
	v := &verifier{app: a, o: o, notify: notifier(o.Notify),
		rep: &VerifyReport{Target: t.String(), Files: []FileCheck{}, Findings: []Finding{}}}
	if v.o.Total == nil {
		v.o.Total = func(int64) {}
	}
	if v.o.Done == nil {
		v.o.Done = func(int64) {}
	}
	var err error
	if t.Dir != "" {
		err = v.folder(ctx, t.Dir)
	} else {
		err = v.snapshot(ctx, t.Ref)
	}
	v.rep.Elapsed = time.Since(start)
	if bad := v.rep.verdict(); bad != nil {
		if err == nil {
			return v.rep, bad
		}
		return v.rep, fmt.Errorf("%w; then: %w", bad, err) // found damage, failed to repair it
	}
	if err != nil {
		return nil, err
	}
	v.rep.OK = true
	return v.rep, nil
}

// verdict turns what was found into an error.
func (r *VerifyReport) verdict() error {
	for _, f := range r.Files {
		if !f.OK {
			return &CorruptionError{r}
		}
	}
	if len(fatalOf(r.Findings)) > 0 {
		return &FindingsError{r.Findings, "verify " + r.Target}
	}
	return nil
}

// verifier is one Verify while it runs.
type verifier struct {
	app    *App
	o      VerifyOptions
	notify func(Event)
	rep    *VerifyReport
}

// snapshot verifies what the store holds of a reference.
func (v *verifier) snapshot(ctx context.Context, ref Ref) error {
	st, snap, err := v.app.localSnapshot(ref)
	if err != nil && !damaged(err) {
		return err
	}
	v.rep.Commit, v.rep.Bytes = snap.Commit, snap.Bytes()
	v.o.Total(v.rep.Bytes)
	bad, err := v.hash(ctx, st, snap)
	if err != nil {
		return err
	}
	if bad && v.o.Repair {
		if v.rep.Repaired, err = v.app.repair(ctx, st, snap, v.notify); err != nil {
			return fmt.Errorf("repair: %w", err)
		}
		if bad, err = v.hashAgain(ctx, st, snap); err != nil {
			return err
		}
	}
	if bad {
		return nil // what the bytes say is not worth reading
	}
	c := checkpoint{branch: snap.Branch, files: make(map[string]int64)}
	digests := make(map[string]store.Digest)
	for _, f := range snap.Files {
		c.files[f.Path], digests[f.Path] = f.Size, f.SHA256
	}
	c.open = func(path string) (openFile, error) { return st.OpenBlob(digests[path]) }
	return v.judge(ctx, c)
}

// hash checks every file of a snapshot; a content that several files have is
// read once.
func (v *verifier) hash(ctx context.Context, st *store.Store, snap Snapshot) (bad bool, err error) {
	known := make(map[store.Digest]FileCheck)
	for _, f := range snap.Files {
		c, ok := known[f.SHA256]
		if ok {
			c.Path = f.Path
			v.o.Done(f.Size)
		} else if c, err = v.hashFile(ctx, st, f, v.o.Done); err != nil {
			return bad, err
		}
		known[f.SHA256] = c
		v.rep.Files = append(v.rep.Files, c)
		v.notify(Event{File: &c})
		bad = bad || !c.OK
	}
	return bad, nil
}

// hashAgain checks what was bad once more, after a repair.
func (v *verifier) hashAgain(ctx context.Context, st *store.Store, snap Snapshot) (bad bool, err error) {
	for i, f := range snap.Files {
		if v.rep.Files[i].OK {
			continue
		}
		c, err := v.hashFile(ctx, st, f, nil)
		if err != nil {
			return true, err
		}
		v.rep.Files[i] = c
		v.notify(Event{File: &c})
		bad = bad || !c.OK
	}
	return bad, nil
}

// hashFile checks one blob. One that cannot be read is an error, not damage.
func (v *verifier) hashFile(ctx context.Context, st *store.Store, f store.SnapshotFile, done func(int64)) (FileCheck, error) {
	c := FileCheck{Path: f.Path, Size: f.Size, Checked: checkedParts}
	err := st.Verify(ctx, f.SHA256, v.app.threads, done)
	var corrupt *store.CorruptError
	switch {
	case err == nil:
		c.OK = true
	case errors.As(err, &corrupt):
		c.Ranges = corrupt.Ranges()
	case errors.Is(err, store.ErrNotFound):
		c.Missing = true
	default:
		return c, fmt.Errorf("%s: %w", f.Path, err)
	}
	return c, nil
}

// repair fetches the bad parts of a snapshot again and returns how many bytes
// that took.
func (a *App) repair(ctx context.Context, st *store.Store, snap Snapshot, notify func(Event)) (int64, error) {
	ref, err := ParseRef(snap.Repo + "@" + snap.Commit)
	if err != nil {
		return 0, err
	}
	commit := hub.Commit(snap.Commit)
	all, err := a.hub.Tree(ctx, ref.Repo, commit)
	if err != nil {
		return 0, err
	}
	files, _, err := withoutPickles(all)
	if err != nil {
		return 0, err
	}
	// Without a branch: the one it was fetched as may have moved on since.
	p, err := fetch.MakePlan(ref.Repo, "", commit, files, st)
	if err != nil {
		return 0, err
	}
	stats := new(Stats)
	f := a.fetcher(st, GetOptions{Stats: stats})
	f.Notify = func(e fetch.Event) {
		if e.Kind != fetch.EventReuse { // the files that are not damaged
			notify(Event{Fetch: &e})
		}
	}
	if _, err := f.Run(ctx, p); err != nil {
		return stats.Received.Load(), err
	}
	return stats.Received.Load(), st.PutSnapshot(snap) // keeps the name of its branch
}

// openFile is a file of a checkpoint, in the store or in a folder.
type openFile interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// checkpoint is a local copy that can be judged.
type checkpoint struct {
	branch string
	files  map[string]int64
	open   func(path string) (openFile, error)
}

// judge holds config, headers and tensors against each other.
func (v *verifier) judge(ctx context.Context, c checkpoint) error {
	findings, err := c.judge(ctx)
	if err != nil {
		return err
	}
	v.rep.Findings = append(v.rep.Findings, findings...)
	if len(findings) > 0 {
		v.notify(Event{Findings: findings})
	}
	return nil
}

func (c checkpoint) judge(ctx context.Context) ([]Finding, error) {
	in := quant.Input{Branch: c.branch, Files: c.files, JSON: make(map[string][]byte), Headers: make(map[string]*safetensors.Header)}
	weights := make(map[string]openFile)
	defer func() {
		for _, f := range weights {
			f.Close() // only read from
		}
	}()
	var findings []Finding
	for _, path := range slices.Sorted(maps.Keys(c.files)) {
		limit := jsonLimit(path)
		if limit == 0 && !isWeights(path) {
			continue
		}
		f, err := c.open(path)
		if err != nil {
			return nil, err
		}
		if limit > 0 {
			in.JSON[path], err = readAtMost(f, limit)
			f.Close() // only read from
		} else {
			weights[path] = f
			var bad *safetensors.FormatError
			var h *safetensors.Header
			h, err = safetensors.Parse(f, c.files[path])
			if err = asBad(err, &bad); bad != nil {
				findings = append(findings, quant.HeaderFinding(path, bad))
			} else {
				in.Headers[path] = h
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	findings = append(findings, quant.Check(in)...)
	if len(fatalOf(findings)) > 0 {
		return findings, nil // the tensors cannot be interpreted
	}
	data, err := quant.CheckData(ctx, in, func(path string) (io.ReaderAt, error) {
		f, ok := weights[path]
		if !ok {
			return nil, fmt.Errorf("open %s: %w", path, os.ErrNotExist)
		}
		return f, nil
	})
	return append(findings, data...), err
}
