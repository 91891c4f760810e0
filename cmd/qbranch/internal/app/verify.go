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

// Depth says how closely Verify looks.
type Depth int

// The depths. The zero value is what Verify is for.
const (
	VerifyParts Depth = iota // BLAKE3 of every part, on all cores
	VerifyQuick              // is it there, has it the right length, is it known to be bad: no byte is read
	VerifyDeep               // SHA-256 of every file as well, and git blob ids that are known
)

// VerifyOptions may be zero.
type VerifyOptions struct {
	Depth  Depth
	Repair bool              // fetch the bad parts again; a bundle is only looked at
	Total  func(bytes int64) // called once, before the first byte
	Done   func(bytes int64) // called with bytes hashed since the last call
	Notify func(Event)
}

// What a file was checked against.
const (
	checkedParts = "blake3" // the digests recorded when it was fetched
	checkedRead  = "read"   // nothing: it can be read, that is all
	checkedSize  = "size"   // its length and what is known: no byte was read
	checkedWhole = "sha256" // its SHA-256, and the digests recorded, which a bundle brings along
)

// FileCheck is the verdict on one file.
type FileCheck struct {
	Ref     string  `json:"ref,omitempty"` // the branch, when several are verified
	Path    string  `json:"path"`
	Size    int64   `json:"size"`
	OK      bool    `json:"ok"`
	Checked string  `json:"checked"` // "blake3" against the parts recorded in the store or the folder's manifest, "sha256" against both, or those that a bundle states, "size" when no byte was read, or "read" when nothing was recorded
	Ranges  []Range `json:"bad_ranges,omitempty"`
	Missing bool    `json:"missing,omitempty"`
}

// VerifyReport is what Verify found.
type VerifyReport struct {
	Target   string        `json:"target"`
	Commit   string        `json:"commit,omitempty"`
	Branches int           `json:"branches,omitempty"` // how many, when all are verified
	Files    []FileCheck   `json:"files"`
	Findings []Finding     `json:"findings"`
	Bytes    int64         `json:"bytes"`
	Repaired int64         `json:"repaired_bytes"`
	OK       bool          `json:"ok"`
	Elapsed  time.Duration `json:"-"`

	// Recovered is what the tensors alone say of the parameters; nil where they
	// were not read, and of several branches.
	Recovered *Recovered `json:"recovered,omitempty"`
}

// Compared reports whether every file was compared with digests recorded when
// it was fetched. Of others all that is known is that they can be read.
func (r *VerifyReport) Compared() bool {
	return !slices.ContainsFunc(r.Files, func(f FileCheck) bool { return f.Checked == checkedRead }) &&
		!slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == codeUnrecorded })
}

// Quick reports whether no byte was read.
func (r *VerifyReport) Quick() bool {
	return slices.ContainsFunc(r.Files, func(f FileCheck) bool { return f.Checked == checkedSize })
}

// Verify re-hashes every byte and judges config against tensors. The report is
// returned also when it is bad, together with a *CorruptionError, or a
// *FindingsError when the bytes are right and what they say is not. It asks
// nobody unless there is something to repair. A target that was never fetched
// is ErrNotLocal.
func (a *App) Verify(ctx context.Context, t Target, o VerifyOptions) (*VerifyReport, error) {
	if t.Bundle != "" {
		return a.verifyBundle(ctx, t.Bundle, o)
	}
	return a.verify(t.String(), o, func(v *verifier) error {
		if t.Dir != "" {
			return v.folder(ctx, t.Dir)
		}
		st, snap, err := a.localSnapshot(t.Ref)
		if err != nil && !damaged(err) {
			return err
		}
		v.rep.Commit, v.rep.Bytes = snap.Commit, snap.Bytes()
		v.o.Total(v.rep.Bytes)
		return v.snapshot(ctx, st, snap)
	})
}

// AllBranches is VerifyReport.Target of VerifyAll.
const AllBranches = "--all"

// VerifyAll is Verify of every branch in the store; what several have is read
// once. A snapshot that cannot be read is an error, and the others are verified.
func (a *App) VerifyAll(ctx context.Context, o VerifyOptions) (*VerifyReport, error) {
	return a.verify(AllBranches, o, func(v *verifier) error {
		st, err := a.existingStore()
		if err != nil || st == nil {
			return err
		}
		snaps, unread := st.Snapshots()
		sizes := make(map[store.Digest]int64)
		for _, snap := range snaps {
			for _, f := range snap.Files {
				sizes[f.SHA256] = f.Size
			}
		}
		for _, size := range sizes {
			v.rep.Bytes += size
		}
		v.o.Total(v.rep.Bytes)
		v.all, v.rep.Branches = true, len(snaps)
		for _, snap := range snaps {
			if err := v.snapshot(ctx, st, snap); err != nil {
				return err
			}
		}
		return unread
	})
}

// verify makes a report of what look finds.
func (a *App) verify(target string, o VerifyOptions, look func(v *verifier) error) (*VerifyReport, error) {
	start := time.Now()
	v := &verifier{app: a, o: o, notify: notifier(o.Notify), known: make(map[store.Digest]FileCheck),
		rep: &VerifyReport{Target: target, Files: []FileCheck{}, Findings: []Finding{}}}
	if v.o.Total == nil {
		v.o.Total = func(int64) {}
	}
	if v.o.Done == nil {
		v.o.Done = func(int64) {}
	}
	err := look(v)
	v.rep.Elapsed = time.Since(start)
	v.digests()
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

// digests makes a finding of every file whose bytes have changed.
func (v *verifier) digests() {
	var found []Finding
	for _, f := range v.rep.Files {
		if !f.OK && !f.Missing {
			found = append(found, quant.DigestFinding(f.name(), "bytes "+rangesText(f.Ranges)))
		}
	}
	if len(found) > 0 {
		v.rep.Findings = append(v.rep.Findings, found...)
		v.notify(Event{Findings: found})
	}
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
	all    bool                        // several branches
	known  map[store.Digest]FileCheck  // what has been checked
	git    map[store.Digest][][20]byte // git blob ids that are known, of VerifyDeep
}

// snapshot verifies what the store holds of a branch.
func (v *verifier) snapshot(ctx context.Context, st *store.Store, snap Snapshot) error {
	first := len(v.rep.Files)
	bad, err := v.hash(ctx, st, snap)
	if err != nil {
		return err
	}
	if bad && v.o.Repair {
		moved, err := v.app.repair(ctx, st, snap, v.notify)
		v.rep.Repaired += moved
		if err != nil {
			return fmt.Errorf("repair: %w", err)
		}
		if bad, err = v.hashAgain(ctx, st, snap, first); err != nil {
			return err
		}
	}
	if bad || v.o.Depth == VerifyQuick {
		return nil // what the bytes say is not worth reading, or was not asked for
	}
	c := checkpoint{branch: snap.Branch, files: make(map[string]int64)}
	digests := make(map[string]store.Digest)
	for _, f := range snap.Files {
		c.files[f.Path], digests[f.Path] = f.Size, f.SHA256
	}
	c.open = func(path string) (openFile, error) { return st.OpenBlob(digests[path]) }
	if v.all {
		c.of = StoreItem{Repo: snap.Repo, Branch: snap.Branch, Commit: snap.Commit}.Ref() + " "
	}
	return v.judge(ctx, c)
}

// hash checks every file of a snapshot; a content that several files have is
// read once.
func (v *verifier) hash(ctx context.Context, st *store.Store, snap Snapshot) (bad bool, err error) {
	if v.o.Depth == VerifyDeep && v.git == nil {
		if v.git, err = st.GitIDs(); err != nil {
			return false, err
		}
	}
	for _, f := range snap.Files {
		c, ok := v.known[f.SHA256]
		if !ok {
			if c, err = v.hashFile(ctx, st, f, v.o.Done); err != nil {
				return bad, err
			}
			v.known[f.SHA256] = c
		} else if !v.all {
			v.o.Done(f.Size) // the total counts it twice
		}
		if c.Path = f.Path; v.all {
			c.Ref = StoreItem{Repo: snap.Repo, Branch: snap.Branch, Commit: snap.Commit}.Ref()
		}
		v.rep.Files = append(v.rep.Files, c)
		v.notify(Event{File: &c})
		bad = bad || !c.OK
	}
	return bad, nil
}

// hashAgain checks what was bad once more, after a repair. The snapshot's files
// begin at first in the report.
func (v *verifier) hashAgain(ctx context.Context, st *store.Store, snap Snapshot, first int) (bad bool, err error) {
	for i, f := range snap.Files {
		was := v.rep.Files[first+i]
		if was.OK {
			continue
		}
		c, err := v.hashFile(ctx, st, f, nil)
		if err != nil {
			return true, err
		}
		v.known[f.SHA256] = c
		c.Ref = was.Ref
		v.rep.Files[first+i] = c
		v.notify(Event{File: &c})
		bad = bad || !c.OK
	}
	return bad, nil
}

// hashFile checks one blob. One that cannot be read is an error, not damage.
func (v *verifier) hashFile(ctx context.Context, st *store.Store, f store.SnapshotFile, done func(int64)) (FileCheck, error) {
	c := FileCheck{Path: f.Path, Size: f.Size, Checked: v.o.Depth.checked()}
	var err error
	switch v.o.Depth {
	case VerifyQuick:
		err = st.VerifyQuick(f)
	case VerifyDeep:
		err = st.VerifyDeep(ctx, f.SHA256, v.git[f.SHA256], done)
	default:
		err = st.Verify(ctx, f.SHA256, v.app.threads, done)
	}
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
	files, _, err := withoutPickles(all, Filter{})
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

// Files that say which tokens were added to the vocabulary.
const (
	addedTokens     = "added_tokens.json"
	tokenizerConfig = "tokenizer_config.json"
)

// openFile is a file of a checkpoint, in the store or in a folder.
type openFile interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// checkpoint is a local copy that can be judged.
type checkpoint struct {
	of     string // goes before the places that findings name, when there are several
	branch string
	files  map[string]int64
	open   func(path string) (openFile, error)
}

// judge holds config, headers and tensors against each other.
func (v *verifier) judge(ctx context.Context, c checkpoint) error {
	findings, recovered, err := c.judge(ctx)
	if err != nil {
		return err
	}
	if !v.all {
		v.rep.Recovered = recovered
	}
	for i := range findings {
		findings[i].Where = c.of + findings[i].Where
	}
	v.rep.Findings = append(v.rep.Findings, findings...)
	if len(findings) > 0 {
		v.notify(Event{Findings: findings})
	}
	return nil
}

// blind reports whether tensors cannot be read for what they are. Where two
// configurations contradict one another, or the shapes of the tensors, they can:
// they may tell which is right.
func blind(findings []Finding) bool {
	return slices.ContainsFunc(fatalOf(findings), func(f Finding) bool {
		return slices.Contains([]string{"J2", "J10", "H1", "H2", "H3", "H4", "H6", "H7"}, f.Code)
	})
}

// judge reads the tensors, too, unless what stands before them makes no sense.
func (c checkpoint) judge(ctx context.Context) ([]Finding, *Recovered, error) {
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
		if path == addedTokens || path == tokenizerConfig {
			limit = configLimit
		}
		if limit == 0 && !isWeights(path) {
			continue
		}
		f, err := c.open(path)
		if err != nil {
			return nil, nil, err
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
			return nil, nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	findings = append(findings, quant.Check(in)...)
	if len(in.Headers) == 0 || blind(findings) {
		return findings, nil, nil
	}
	recovered, data, err := quant.RecoverData(ctx, in, func(path string) (io.ReaderAt, error) {
		f, ok := weights[path]
		if !ok {
			return nil, fmt.Errorf("open %s: %w", path, os.ErrNotExist)
		}
		return f, nil
	})
	return append(findings, data...), &recovered, err
}
