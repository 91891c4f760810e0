package app

import (
	"context"
	"slices"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/quant/engines"
	"github.com/qbranch/qbranch/quant/vram"
	"github.com/qbranch/qbranch/store"
)

// Where what is shown was read.
const (
	ShownHub    = "hub"
	ShownStore  = "store"
	ShownFolder = "folder"
)

// Shown is all that can be said of a branch without its weights.
type Shown struct {
	Target   string      `json:"target"`   // as it was named
	From     string      `json:"from"`     // "hub", "store" or "folder"
	Repo     string      `json:"repo"`     // "" for a folder that does not say
	Siblings []string    `json:"branches"` // of the repository, as last listed; empty when that is not known
	AsOf     time.Time   `json:"as_of"`    // when the hub said so, or when it was fetched
	Branch   BranchRow   `json:"branch"`
	Files    []ShownFile `json:"files"`

	Loaders     []Reading        `json:"loaders"` // what programs take it for
	Findings    []Finding        `json:"findings"`
	Unread      []string         `json:"unread"`         // what could not be read, and why
	TensorBytes int64            `json:"tensor_bytes"`   // what the estimate counts; 0 = not known
	TensorsFrom vram.Source      `json:"tensors_source"` // of TensorBytes; "" = not known
	Estimate    vram.Estimate    `json:"estimate"`
	Engines     []ProgramVerdict `json:"engines"`
	Card        *Card            `json:"card"` // null where there is none
	Notes       []Note           `json:"notes"`
	Requests    int              `json:"requests"`
}

// ProgramVerdict says whether a program loads a checkpoint.
type ProgramVerdict = engines.FamilyVerdict

// ShownFile is a file of a branch. A digest is "" where nobody has computed it.
type ShownFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	GitOID string `json:"git_oid"` // of the file itself, not of an LFS pointer
	Held   bool   `json:"held"`    // the store has it
}

// Reading is what a program takes a branch for, by the files that it reads.
type Reading struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	File      string   `json:"file"` // that it believes; "" = the tensors, or none
	Bits      int      `json:"bits"` // 0 = not known before the tensors are read
	GroupSize int      `json:"group_size"`
	ActOrder  *bool    `json:"act_order"` // null = it looks at the tensors
	Sym       *bool    `json:"sym"`
	Format    string   `json:"format"`
	Assumed   []string `json:"assumed"` // keys that no file it reads states
	Problem   string   `json:"problem"` // why it refuses what it reads, "" when it does not
	Misled    []string `json:"misled"`  // parameters in which it believes something else than we do
}

// Show tells all that is known of a folder or of a branch, main unless another is
// named. What is here is read from here: a folder, and a branch of the store,
// take no request. The need is measured against memory only where the options
// name some ("auto" is this machine's).
func (a *App) Show(ctx context.Context, t Target, o FitOptions) (*Shown, error) {
	f, err := newFitter(o)
	if err != nil {
		return nil, err
	}
	if o.VRAM == "auto" || len(o.GPUs) > 0 || f.profile.RAM {
		if err := f.findMemory(ctx, a); err != nil {
			return nil, err
		}
	}
	before := a.hub.Requests()
	s := &Shown{Target: t.String(), Files: []ShownFile{}, Siblings: []string{}}
	l, i, err := a.look(ctx, t, s)
	if err != nil {
		return nil, err
	}
	s.Branch, s.Notes, s.Card, s.Repo, s.AsOf = l.Branches[0], l.Notes, l.card, l.Repo, l.AsOf
	notes, err := f.recall()
	if err != nil {
		return nil, err
	}
	s.Notes = slices.DeleteFunc(append(s.Notes, notes...), func(n Note) bool { return n.Branch != "" && n.Branch != s.Branch.Branch })
	s.judge(f, i)
	s.Requests = int(a.hub.Requests() - before)
	return s, nil
}

// look reads what the target is, where it is.
func (a *App) look(ctx context.Context, t Target, s *Shown) (*Listing, *Inspection, error) {
	if t.Bundle != "" {
		return nil, nil, &bundleShownError{t.Bundle}
	}
	if t.Dir != "" {
		s.From = ShownFolder
		return a.lookFolder(t.Dir, s)
	}
	ref := t.Ref
	ref.Revision = ref.RevisionOrMain()
	st, snap, err := a.localSnapshot(ref)
	if err == nil {
		s.From, s.Siblings = ShownStore, a.lastBranches(ref.Repo)
		return a.lookStore(ctx, ref, st, snap, s)
	}
	s.From = ShownHub
	l, seen, err := a.Inspect(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	s.Siblings = l.branches
	s.addFiles(seen[0].Files, st)
	return l, &seen[0], nil
}

// lookStore reads a branch that the store holds.
func (a *App) lookStore(ctx context.Context, ref Ref, st *store.Store, snap Snapshot, s *Shown) (*Listing, *Inspection, error) {
	f := branchFacts{Branch: hub.Branch{Name: ref.Revision, Commit: hub.Commit(snap.Commit)}, kind: KindBranch, files: snapshotFiles(snap)}
	if _, pinned := ref.Commit(); pinned {
		f.kind = KindCommit
	}
	r := contentReader{app: a, st: st, repo: ref.Repo}
	f.listConfigs()
	f.evidence = r.gather(ctx, &f)
	f.prove()
	for i := range f.configs {
		c := &f.configs[i]
		c.read = true
		c.data, c.err = r.read(ctx, &f, c.name, configLimit)
	}
	md, cardErr := r.read(ctx, &f, readme, cardLimit)
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	l := &Listing{Repo: ref.Repo.String(), Endpoint: a.Endpoint(), AsOf: snap.Created.UTC()}
	i := l.one(&f, md, cardErr)
	row := &l.Branches[0]
	row.Local, row.LocalBytes = localState(st, l.Repo, f)
	l.sinceFetched(row, a)
	s.addFiles(f.files, st)
	for j := range s.Files {
		if file := &s.Files[j]; file.Size <= smallFile {
			if data, ok := r.here(f.files[j]); ok {
				file.GitOID = hub.GitBlobOID(data).String()
			}
		}
	}
	return l, i, nil
}

// lastBranches names the branches of the last listing that is kept.
func (a *App) lastBranches(repo RepoID) []string {
	last, _ := a.hub.LastRefs(repo, false) // nothing is kept of a repository that was never listed
	return branchNames(last.Branches)
}

func branchNames(list []hub.Branch) []string {
	names := make([]string, len(list))
	for i, b := range list {
		names[i] = b.Name
	}
	return names
}

// sinceFetched compares where a branch of the store stands with where the hub
// last said that it does.
func (l *Listing) sinceFetched(row *BranchRow, a *App) {
	p := Parameter{Name: "commit", Value: row.Commit, From: FromStore, Why: "this is what was fetched", Agree: true,
		Says: []Said{{FromStore, row.Commit}, {Source: FromCache}}}
	ref, err := ParseRef(l.Repo)
	if last, ok := a.hub.LastRefs(ref.Repo, false); ok && err == nil {
		if then, ok := branchOf(last.Branches, row.Branch); ok {
			p.Says[1].Value, p.Agree = string(then.Commit), string(then.Commit) == row.Commit
			if !p.Agree {
				l.note(row.Branch, "MOVED", "was fetched at %s; %s ago it stood at %s", hub.Commit(row.Commit).Short(), agoText(time.Since(last.AsOf)), then.Commit.Short())
			}
		}
	}
	row.Parameters = append(row.Parameters, p)
}

// smallFile is the largest file of which digests are computed to compare it, in
// bytes.
const smallFile = 4 << 20

// one makes the listing of one branch.
func (l *Listing) one(f *branchFacts, md []byte, cardErr error) *Inspection {
	c := l.readCard(md, cardErr, l.Repo)
	row := l.addRow(*f, c)
	row.Parameters = slices.DeleteFunc(row.Parameters, func(p Parameter) bool { return p.Name == "listed" }) // nobody has asked the hub
	l.Branches = append(l.Branches, row)
	i := inspected(f, cardClaims(c, f.Name))
	l.compareEngines([]Inspection{i}, c, md)
	return &i
}

// addFiles lists files with the digests that are known of them.
func (s *Shown) addFiles(files []hub.File, st *store.Store) {
	for _, f := range files {
		shown := ShownFile{Path: f.Path, Size: f.Size}
		if f.LFS {
			shown.SHA256 = f.SHA256.String()
		} else {
			shown.GitOID = f.OID.String()
		}
		if st != nil {
			if d, ok := st.Find(fetch.Wanted(f)); ok {
				shown.Held, shown.SHA256 = true, d.String()
			}
		}
		s.Files = append(s.Files, shown)
	}
}

// judge adds what follows from what was read.
func (s *Shown) judge(f *fitter, i *Inspection) {
	row := f.row(i, s.Branch.Local)
	s.Findings, s.Unread = i.Findings, i.Unread
	s.TensorBytes, s.TensorsFrom, s.Estimate = row.Bytes, row.Source, row.Estimate
	subject := f.subject(i)
	s.Engines = engines.Families(i.verdicts(subject))
	if slices.ContainsFunc(s.Findings, func(f Finding) bool { return f.Severity == Fatal && (f.Code == "J2" || f.Code == "H7") }) {
		return // it is another format: what loaders of GPTQ would take it for helps nobody
	}
	if i.blind() {
		return // they would find files that we could not read
	}
	for _, b := range i.Beliefs {
		c := b.Config
		r := Reading{ID: b.Loader.ID, Name: b.Loader.Name, File: b.File, Bits: c.Bits, GroupSize: c.GroupSize,
			ActOrder: c.DescAct, Sym: c.Sym, Format: c.Format, Assumed: b.Assumed, Problem: b.Problem}
		for _, m := range subject.Misreadings(&b) {
			r.Misled = append(r.Misled, m.Name)
		}
		s.Loaders = append(s.Loaders, r)
	}
}

// bundleShownError says that a bundle is no branch.
type bundleShownError struct{ path string }

func (e *bundleShownError) Error() string { return "show " + e.path + ": this is a bundle" }

// Hint says what to do next.
func (e *bundleShownError) Hint() string {
	return "'qbranch store import " + e.path + "' brings its branches into the store"
}
