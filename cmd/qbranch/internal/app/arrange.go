package app

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
)

// Arrange says which rows of a listing are wanted, and in which order. The zero
// value keeps all as they are.
type Arrange struct {
	Sort     string // "quality", "size", "vram", "name"; "" = main first, then by name
	Bits     []int  // only these; none = any
	Groups   []int  // only these group sizes, -1 = none; empty = any
	ActOrder *bool  // nil = any
}

// Sorts are the names of Arrange.Sort.
func Sorts() []string { return []string{"quality", "size", "vram", "name"} }

// Arrange leaves out the rows that are not wanted, with the notes about them, and
// sorts the others. A row of which a parameter is not known is not wanted where
// that parameter matters. Sorting by vram needs rows of ListFit; what is no Sort
// leaves the order.
func (l *Listing) Arrange(o Arrange) {
	gone := make(map[string]bool)
	l.Branches = slices.DeleteFunc(l.Branches, func(r BranchRow) bool {
		gone[r.Branch] = !o.wants(&r)
		return gone[r.Branch]
	})
	l.Notes = slices.DeleteFunc(l.Notes, func(n Note) bool { return gone[n.Branch] })
	if compare := comparison(o.Sort); compare != nil {
		slices.SortStableFunc(l.Branches, func(a, b BranchRow) int { return compare(&a, &b) })
	}
}

func (o *Arrange) wants(r *BranchRow) bool {
	switch {
	case len(o.Bits) > 0 && (r.Bits == nil || !slices.Contains(o.Bits, *r.Bits)),
		len(o.Groups) > 0 && (r.GroupSize == nil || !slices.Contains(o.Groups, *r.GroupSize)),
		o.ActOrder != nil && (r.ActOrder == nil || *r.ActOrder != *o.ActOrder):
		return false
	}
	return true
}

// comparison orders rows; nil keeps their order. What is not known comes last.
func comparison(by string) func(a, b *BranchRow) int {
	switch by {
	case "quality":
		return func(a, b *BranchRow) int { return a.quality().compare(b.quality()) }
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
