package app

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Arrange says which rows of a listing are wanted, and in which order. The zero
// value keeps all as they are.
type Arrange struct {
	Sort string // "quality", "size", "vram", "name"; "" = main first, then by name
	Wanted
}

// Wanted says which branches are. The zero value wants all.
type Wanted struct {
	Bits     []int // only these; none = any
	Groups   []int // only these group sizes, -1 = none; empty = any
	ActOrder *bool // nil = any
	MaxSize  int64 // of the weight files, bytes; 0 = any
}

// not says why a branch is not wanted, "" when it is. What is not known of it is
// not wanted.
func (w *Wanted) not(q quality) string {
	switch {
	case len(w.Bits) > 0 && q.bits == nil:
		return "nobody says how many bits it has"
	case len(w.Bits) > 0 && !slices.Contains(w.Bits, *q.bits):
		return "it has " + bitsText(*q.bits)
	case len(w.Groups) > 0 && q.group == nil:
		return "nobody says what groups it has"
	case len(w.Groups) > 0 && !slices.Contains(w.Groups, *q.group):
		return "it has " + groupText(*q.group)
	case w.ActOrder != nil && q.act == nil:
		return "nobody says whether it has act-order"
	case w.ActOrder != nil && *q.act != *w.ActOrder:
		return "it has " + actText(*q.act)
	case w.MaxSize > 0 && q.bytes == 0:
		return "the size of its weight files is not known"
	case w.MaxSize > 0 && q.bytes > w.MaxSize:
		return "its weight files have " + BytesText(q.bytes)
	}
	return ""
}

// Text is what is wanted, in words: "3 or 4 bits and groups of 32".
func (w *Wanted) Text() string {
	var parts []string
	if len(w.Bits) > 0 {
		parts = append(parts, strings.Trim(strings.ReplaceAll(fmt.Sprint(w.Bits), " ", " or "), "[]")+" bits")
	}
	if len(w.Groups) > 0 {
		groups := make([]string, len(w.Groups))
		for i, size := range w.Groups {
			groups[i] = groupText(size)
		}
		parts = append(parts, strings.Join(groups, " or "))
	}
	if w.ActOrder != nil {
		parts = append(parts, actText(*w.ActOrder))
	}
	if w.MaxSize > 0 {
		parts = append(parts, "at most "+BytesText(w.MaxSize)+" of weights")
	}
	return strings.Join(parts, " and ")
}

// Sorts are the names of Arrange.Sort.
func Sorts() []string { return []string{"quality", "size", "vram", "name"} }

// instead says what branches have, of whom none is wanted.
func (w *Wanted) instead(rows []FitRow) string {
	var bits []int
	var smallest *FitRow
	other := *w
	other.MaxSize = 0 // the smallest of those that are wanted but for their size
	for i := range rows {
		q := rows[i].quality()
		if q.bits != nil && !slices.Contains(bits, *q.bits) {
			bits = append(bits, *q.bits)
		}
		if q.bytes > 0 && other.not(q) == "" && (smallest == nil || q.bytes < smallest.Disk) {
			smallest = &rows[i]
		}
	}
	slices.Sort(bits)
	switch {
	case smallest != nil:
		return fmt.Sprintf("the smallest is %s: its weight files have %s", smallest.Branch, BytesText(smallest.Disk))
	case len(w.Bits) > 0 && len(bits) > 0:
		return "its branches have " + strings.Trim(strings.ReplaceAll(fmt.Sprint(bits), " ", ", "), "[]") + " bits"
	}
	return "'qbranch ls' lists what there is"
}

// Arrange leaves out the rows that are not wanted, with the notes about them, and
// sorts the others. A row of which a parameter is not known is not wanted where
// that parameter matters. Sorting by vram needs rows of ListFit; what is no Sort
// leaves the order.
func (l *Listing) Arrange(o Arrange) {
	gone := make(map[string]bool)
	l.Branches = slices.DeleteFunc(l.Branches, func(r BranchRow) bool {
		gone[r.Branch] = o.not(r.quality()) != ""
		return gone[r.Branch]
	})
	l.Notes = slices.DeleteFunc(l.Notes, func(n Note) bool { return gone[n.Branch] })
	if compare := comparison(o.Sort); compare != nil {
		slices.SortStableFunc(l.Branches, func(a, b BranchRow) int { return compare(&a, &b) })
	}
}

// Arrange leaves out the branches that are not wanted, with the notes about them,
// and names the best of the others.
func (r *FitReport) Arrange(w Wanted, tight bool) {
	gone := make(map[string]bool)
	r.Branches = slices.DeleteFunc(r.Branches, func(row FitRow) bool {
		gone[row.Branch] = w.not(row.quality()) != ""
		return gone[row.Branch]
	})
	r.Notes = slices.DeleteFunc(slices.Clone(r.Notes), func(n Note) bool { return gone[n.Branch] })
	r.wanted, r.Best = w, ""
	if best := bestOf(r.Branches, tight); best != nil {
		r.Best = best.Branch
	}
}

// comparison orders rows; nil keeps their order. What is not known comes last.
func comparison(by string) func(a, b *BranchRow) int {
	switch by {
	case "quality":
		return func(a, b *BranchRow) int {
			return cmp.Or(unusableLast(a)-unusableLast(b), CompareQuality(a, b))
		}
	case "size":
		return func(a, b *BranchRow) int { return cmp.Compare(unknownLast(a.WeightBytes), unknownLast(b.WeightBytes)) }
	case "vram":
		return func(a, b *BranchRow) int { return cmp.Compare(a.need(), b.need()) }
	case "name":
		return func(a, b *BranchRow) int { return strings.Compare(a.Branch, b.Branch) }
	}
	return nil
}

// quality is what is to be expected of a quant, and its size.
type quality struct {
	bits, group *int
	act         *bool
	bytes       int64
}

func (r *BranchRow) quality() quality { return quality{r.Bits, r.GroupSize, r.ActOrder, r.WeightBytes} }

func (r *FitRow) quality() quality {
	return quality{valueOf(r.Settled.Bits), valueOf(r.Settled.GroupSize), valueOf(r.Settled.ActOrder), r.Disk}
}

// compare orders by expected quality, best first: more bits, smaller groups (none
// is worst), act-order, then fewer bytes. What nobody states is worst.
func (q quality) compare(o quality) int {
	return cmp.Or(
		-cmp.Compare(orZero(q.bits), orZero(o.bits)),
		cmp.Compare(coarseness(q.group), coarseness(o.group)),
		-cmp.Compare(boolRank(q.act), boolRank(o.act)),
		cmp.Compare(q.bytes, o.bytes))
}

func valueOf[T any](s *Sourced[T]) *T {
	if s == nil {
		return nil
	}
	return &s.Value
}

func orZero(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// coarseness is the group size, with none beyond all and unknown beyond that.
func coarseness(group *int) int {
	switch {
	case group == nil:
		return math.MaxInt
	case *group < 0:
		return math.MaxInt - 1
	}
	return *group
}

func boolRank(b *bool) int {
	if b != nil && *b {
		return 1
	}
	return 0
}

// CompareQuality orders two rows by the quality that is to be expected of them,
// the better one first (negative): more bits, smaller groups, act-order, then fewer
// bytes. It is an order by parameters, not a measurement.
func CompareQuality(a, b *BranchRow) int { return a.quality().compare(b.quality()) }

// unusableLast is 1 for a branch that something is wrong with, or that no engine
// loads: what its parameters promise is not to be had.
func unusableLast(r *BranchRow) int {
	if r.Fit != nil && r.Fit.Verdict == VerdictUnusable {
		return 1
	}
	return 0
}

// need is the expected need of memory.
func (r *BranchRow) need() int64 {
	if r.Fit == nil {
		return math.MaxInt64
	}
	return unknownLast(r.Fit.Estimate.Need.Expected)
}

func unknownLast(n int64) int64 {
	if n <= 0 {
		return math.MaxInt64
	}
	return n
}

// ListFit is List, and for every row whether it fits (BranchRow.Fit). It reads what
// Inspect reads.
func (a *App) ListFit(ctx context.Context, repo RepoID, o ListOptions, fit FitOptions) (*Listing, *FitReport, error) {
	l, r, err := a.fit(ctx, Ref{Repo: repo}, o, fit)
	if err != nil {
		return nil, nil, err
	}
	for i := range l.Branches {
		l.Branches[i].Fit = &r.Branches[i]
	}
	return l, r, nil
}
