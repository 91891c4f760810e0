package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant/engines"
	"github.com/qbranch/qbranch/quant/vram"
)

// PickOptions say what Pick may choose.
type PickOptions struct {
	FitOptions
	Wanted
}

// Pick is what Pick chose.
type Pick struct {
	Ref    Ref
	Row    FitRow
	Passed []Passed   // over: the others
	Report *FitReport // all branches
}

// Passed is a branch that was not picked.
type Passed struct {
	Branch  string       `json:"branch"`
	Verdict vram.Verdict `json:"verdict"`
	Why     string       `json:"why"`
}

// Pick names the branch of the highest expected quality that fits: the most bits,
// of those the smallest groups, of those act-order, of those the fewest bytes. A
// branch with a fatal finding, or of which it is not known whether it fits, is
// never picked. Nothing fits: *NothingFitsError.
func (a *App) Pick(ctx context.Context, repo RepoID, o PickOptions) (*Pick, error) {
	r, err := a.Fit(ctx, Ref{Repo: repo}, o.FitOptions)
	if err != nil {
		return nil, err
	}
	if len(r.Cards) == 0 {
		return nil, &noMemoryError{r.NoCard}
	}
	all := r.Branches
	r.Branches = slices.Clone(all)
	r.Arrange(o.Wanted, o.AllowTight)
	best := bestOf(r.Branches, o.AllowTight)
	if best == nil {
		return nil, r.nothing(all)
	}
	r.Branches = all
	id, err := ParseRef(r.Repo)
	if err != nil {
		return nil, err
	}
	return &Pick{Ref: Ref{Repo: id.Repo, Revision: best.Branch}, Row: *best, Passed: o.passed(r.Branches, best), Report: r}, nil
}

// passed says of all branches but the best why they were passed over.
func (o *PickOptions) passed(rows []FitRow, best *FitRow) []Passed {
	list := []Passed{}
	for i := range rows {
		r := &rows[i]
		if r.Branch == best.Branch {
			continue
		}
		p := Passed{r.Branch, r.Verdict, r.Why}
		if why := o.not(r.quality()); why != "" {
			p.Why = why
		} else if r.Usable(o.AllowTight) {
			p.Why = fmt.Sprintf("less quality to be expected than of %s, or as much in a larger file", best.Branch)
		}
		list = append(list, p)
	}
	return list
}

// bestOf is the usable row of the highest expected quality, nil if none is usable.
func bestOf(rows []FitRow, tight bool) *FitRow {
	var best *FitRow
	for i := range rows {
		r := &rows[i]
		if r.Usable(tight) && (best == nil || r.quality().compare(best.quality()) < 0) {
			best = r
		}
	}
	return best
}

// Doubts are what speaks against taking a branch that fits without a second look:
// that no program runs it on a card as it is.
func (r *FitRow) Doubts() (list []string) {
	if e := r.Engine; e != nil {
		if e.Loads == engines.Caveat && len(e.Why) > 0 {
			list = append(list, fmt.Sprintf("%s loads it with a caveat: %s", e.Name, e.Why[0]))
		}
		return list
	}
	var names []string
	for _, e := range r.Engines {
		switch {
		case e.OnCPU || e.Loads == engines.No:
		case e.Loads == engines.Yes:
			return list
		case e.Loads == engines.Caveat:
			names = append(names, e.Name)
		}
	}
	if len(names) == 0 {
		return append(list, "no program is known to run it on a card")
	}
	return append(list, "each program that runs it on a card has a caveat ("+strings.Join(names, ", ")+"): --engine NAME asks about one")
}

// Warnings are the codes of what is doubtful about the branch.
func (r *FitRow) Warnings() (codes []string) {
	for _, f := range r.Findings {
		if f.Severity == Warn && !slices.Contains(codes, f.Code) {
			codes = append(codes, f.Code)
		}
	}
	return codes
}

// NothingFitsError says that no branch fits.
type NothingFitsError struct {
	Repo    string
	Memory  string  // what was there: "24.00 GiB"
	Engine  string  // that was asked for; "" = any
	Nearest *FitRow // the branch that needs the least more; nil = none could be measured
	Wanted  string  // what else was asked of a branch: "3 bits"; "" = nothing
	Instead string  // what there is, where no branch is what was asked for; "" = nothing to say
	Unknown bool    // of none of them it is known
}

// nothing says that no branch fits: of those that were wanted, or that there is
// none among all.
func (r *FitReport) nothing(all []FitRow) *NothingFitsError {
	e := &NothingFitsError{Repo: r.Repo, Memory: r.MemoryText(), Engine: r.Engine, Nearest: nearestRow(r.Branches), Wanted: r.wanted.Text(), Unknown: noneKnown(r.Branches)}
	if e.Wanted != "" && len(r.Branches) == 0 {
		e.Instead = r.wanted.instead(all)
	}
	return e
}

// Error names the memory.
func (e *NothingFitsError) Error() string {
	text := "no branch of " + e.Repo
	if e.Instead != "" {
		return text + " has " + e.Wanted
	}
	if e.Wanted != "" {
		text += " with " + e.Wanted
	}
	if e.Engine != "" {
		text += " that " + e.Engine + " loads"
	}
	if e.Unknown {
		return text + " is known to fit in " + e.Memory
	}
	return text + " fits in " + e.Memory
}

// Hint names the nearest branch, and what would make it fit.
func (e *NothingFitsError) Hint() string {
	switch {
	case e.Instead != "":
		return e.Instead
	case e.Nearest == nil:
		return "'qbranch fit " + e.Repo + "' says why not"
	}
	text := fmt.Sprintf("the nearest is %s: %s", e.Nearest.Branch, e.Nearest.Why)
	if e.Nearest.Verdict == VerdictTight {
		return text + ", which is tight; --allow-tight takes it"
	}
	if help := e.Nearest.Help(false); len(help) > 0 {
		text += "; it would fit with " + help[0]
	}
	return text
}

// Nearest is the branch that needs the least more, nil when none could be measured.
func (r *FitReport) Nearest() *FitRow { return nearestRow(r.Branches) }

// noneKnown reports whether there are rows, and nothing is known of any.
func noneKnown(rows []FitRow) bool {
	return len(rows) > 0 && !slices.ContainsFunc(rows, func(r FitRow) bool { return r.Verdict != VerdictUnknown })
}

// nearest is the row that needs the least more, nil when none was measured.
func nearestRow(rows []FitRow) *FitRow {
	var near *FitRow
	for i := range rows {
		r := &rows[i]
		if r.Verdict != VerdictTooBig && r.Verdict != VerdictTight {
			continue
		}
		if near == nil || r.Verdict == VerdictTight && near.Verdict != VerdictTight ||
			r.Verdict == near.Verdict && r.Estimate.Slack > near.Estimate.Slack {
			near = r
		}
	}
	return near
}
