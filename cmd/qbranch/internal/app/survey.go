package app

import (
	"context"
	"slices"
)

// Survey is what Fit reads of a repository, kept so that it can be measured
// again, with another context or for another card, without asking anybody. It is
// safe for concurrent use: nothing in it changes.
type Survey struct {
	listing *Listing
	ref     Ref
	seen    []Inspection
}

// Survey reads a repository, or the one branch that the reference names, as
// Inspect does.
func (a *App) Survey(ctx context.Context, ref Ref) (*Survey, error) {
	l, seen, err := a.survey(ctx, ref, ListOptions{}, true)
	if err != nil {
		return nil, err
	}
	return &Survey{l, ref, seen}, nil
}

// Kept is the survey of what the hub said last of a repository, for when it does
// not answer. It sends nothing; nil when nothing is kept.
func (a *App) Kept(ctx context.Context, repo RepoID) *Survey {
	if a.offline || !a.hub.KeepsRefs(repo, false) {
		return nil // an App that is offline has looked there already
	}
	c := a.config
	c.Hub.Offline = true
	last, err := New(c)
	if err != nil {
		return nil
	}
	s, err := last.Survey(ctx, Ref{Repo: repo})
	if err != nil {
		return nil // the trees are not kept: the refs alone are no table
	}
	return s
}

// Rows is the listing, as List has it. It is the caller's own.
func (s *Survey) Rows() *Listing {
	l := *s.listing
	l.Branches, l.Notes = slices.Clone(l.Branches), slices.Clone(l.Notes)
	return &l
}

// Fit measures the branches, as App.Fit does. What it runs in is o.Machine or
// o.VRAM: nobody looks for cards. It reads what was measured in o.StateDir.
func (s *Survey) Fit(o FitOptions) (*FitReport, error) {
	if o.Machine == nil {
		o.Machine = &GPUReport{}
	}
	o.Measured, o.Forget = 0, false
	f, err := newFitter(o)
	if err != nil {
		return nil, err
	}
	if err := f.useMachine(o.Machine); err != nil {
		return nil, err
	}
	return f.measure(s.listing, s.seen, s.ref)
}

// measure makes the report of branches that were read.
func (f *fitter) measure(l *Listing, seen []Inspection, ref Ref) (*FitReport, error) {
	notes, err := f.recall()
	if err != nil {
		return nil, err
	}
	r := f.report(l)
	r.Notes = append(slices.Clone(r.Notes), notes...)
	if r.Measured, r.Forgotten, err = f.learn(ref, seen); err != nil {
		return nil, err
	}
	for i := range seen {
		r.Branches = append(r.Branches, f.row(&seen[i], l.Branches[i].Local))
	}
	if best := bestOf(r.Branches, f.o.AllowTight); best != nil {
		r.Best = best.Branch
	}
	return r, nil
}
