package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant/vram"
)

// PickOptions say what Pick may choose.
type PickOptions struct {
	FitOptions
	MaxSize int64 // of the weight files, bytes; 0 = any
	Bits    []int // only these; none = any
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
	var wanted []FitRow
	for _, row := range r.Branches {
		if o.unwanted(&row) == "" {
			wanted = append(wanted, row)
		}
	}
	best := bestOf(wanted, o.AllowTight)
	if best == nil {
		e := &NothingFitsError{Repo: r.Repo, Memory: r.MemoryText(), Nearest: nearestRow(wanted), Wanted: o.wantedText(), Unknown: noneKnown(wanted)}
		if len(wanted) == 0 {
			e.Instead = o.instead(r.Branches)
		}
		return nil, e
	}
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
		if why := o.unwanted(r); why != "" {
			p.Why = why
		} else if r.Usable(o.AllowTight) {
			p.Why = fmt.Sprintf("less quality to be expected than of %s, or as much in a larger file", best.Branch)
		}
		list = append(list, p)
	}
	return list
}

// unwanted says why a branch is not what was asked for, "" when it is.
func (o *PickOptions) unwanted(r *FitRow) string {
	bits := sourcedOr(r.Settled.Bits, 0)
	switch {
	case len(o.Bits) > 0 && bits == 0:
		return "nobody says how many bits it has"
	case len(o.Bits) > 0 && !slices.Contains(o.Bits, bits):
		return fmt.Sprintf("it has %d bits", bits)
	case o.MaxSize > 0 && r.Disk == 0:
		return "the size of its weight files is not known"
	case o.MaxSize > 0 && r.Disk > o.MaxSize:
		return fmt.Sprintf("its weight files have %s", vram.GiBText(r.Disk))
	}
	return ""
}

// instead says what there is, where no branch is what was asked for.
func (o *PickOptions) instead(rows []FitRow) string {
	var bits []int
	var smallest *FitRow
	for i := range rows {
		r := &rows[i]
		if b := sourcedOr(r.Settled.Bits, 0); b > 0 && !slices.Contains(bits, b) {
			bits = append(bits, b)
		}
		if r.Disk > 0 && (len(o.Bits) == 0 || slices.Contains(o.Bits, sourcedOr(r.Settled.Bits, 0))) && (smallest == nil || r.Disk < smallest.Disk) {
			smallest = r
		}
	}
	slices.Sort(bits)
	switch {
	case smallest != nil:
		return fmt.Sprintf("the smallest is %s: its weight files have %s (%s)", smallest.Branch, vram.GiBText(smallest.Disk), BytesText(smallest.Disk))
	case len(bits) > 0:
		return "its branches have " + strings.Trim(strings.ReplaceAll(fmt.Sprint(bits), " ", ", "), "[]") + " bits"
	}
	return ""
}

func sourcedOr[T any](s *Sourced[T], other T) T {
	if s == nil {
		return other
	}
	return s.Value
}

func (o *PickOptions) wantedText() string {
	var parts []string
	if len(o.Bits) > 0 {
		parts = append(parts, strings.Trim(strings.ReplaceAll(fmt.Sprint(o.Bits), " ", " or "), "[]")+" bits")
	}
	if o.MaxSize > 0 {
		parts = append(parts, "at most "+vram.GiBText(o.MaxSize)+" of weights")
	}
	return strings.Join(parts, " and ")
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

// NothingFitsError says that no branch fits.
type NothingFitsError struct {
	Repo    string
	Memory  string  // what was there: "24.00 GiB"
	Nearest *FitRow // the branch that needs the least more; nil = none could be measured
	Wanted  string  // what else was asked of a branch: "3 bits"; "" = nothing
	Instead string  // what there is, where no branch is what was asked for; "" = nothing to say
	Unknown bool    // of none of them it is known
}

// Error names the memory.
func (e *NothingFitsError) Error() string {
	text := "no branch of " + e.Repo
	if e.Wanted != "" {
		text += " with " + e.Wanted
	}
	if e.Unknown {
		return text + " is known to fit in " + e.Memory
	}
	return text + " fits in " + e.Memory
}

// Hint names the nearest branch, and what would make it fit.
func (e *NothingFitsError) Hint() string {
	if e.Instead != "" {
		return e.Instead
	}
	if e.Nearest == nil {
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
