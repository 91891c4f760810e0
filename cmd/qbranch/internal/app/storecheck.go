package app

import (
	"context"
	"fmt"

	"github.com/qbranch/qbranch/store"
)

// CheckRequest may be zero.
type CheckRequest struct {
	Fix  bool              // repair what can be repaired without losing anything
	Done func(bytes int64) // told the bytes hashed to make lists of parts again; may be nil
}

// StoreProblem is something that StoreCheck found.
type StoreProblem = store.Problem

// StoreCheckReport is what StoreCheck looked at and found.
type StoreCheckReport struct {
	Branches int            `json:"branches"`
	Blobs    int            `json:"blobs"`
	Bytes    int64          `json:"bytes"`
	Findings []StoreProblem `json:"findings"` // the gravest first
	Fixed    int            `json:"fixed"`
	OK       bool           `json:"ok"` // nothing that was fetched is damaged
}

// DamagedStoreError says that StoreCheck found damage; exit code 6.
type DamagedStoreError struct {
	Dir    string
	Report *StoreCheckReport
}

// Error counts the damages and names the first.
func (e *DamagedStoreError) Error() string {
	var first string
	n := 0
	for _, p := range e.Report.Findings {
		if p.Severity == store.SeverityFatal && !p.Fixed {
			if n++; n == 1 {
				first = p.Message
			}
		}
	}
	if n == 1 {
		return fmt.Sprintf("check %s: %s", e.Dir, first)
	}
	return fmt.Sprintf("check %s: %s, and %d more", e.Dir, first, n-1)
}

// Hint says what to do next: the advice of the first damage.
func (e *DamagedStoreError) Hint() string {
	for _, p := range e.Report.Findings {
		if p.Severity == store.SeverityFatal && !p.Fixed && p.Hint != "" {
			return p.Hint
		}
	}
	return ""
}

// StoreCheck holds the store against its format. The report comes with a
// *DamagedStoreError when something that was fetched is damaged. The bytes of
// the files are Verify's.
func (a *App) StoreCheck(ctx context.Context, q CheckRequest) (*StoreCheckReport, error) {
	st, err := a.existingStore()
	if err != nil || st == nil {
		return &StoreCheckReport{Findings: []StoreProblem{}, OK: true}, err
	}
	rep, err := st.Check(ctx, store.CheckOptions{Fix: q.Fix, Workers: a.threads, Progress: q.Done})
	if err != nil {
		return nil, err
	}
	out := &StoreCheckReport{Branches: rep.Snapshots, Blobs: rep.Blobs, Bytes: rep.Bytes,
		Findings: append([]StoreProblem{}, rep.Problems...), OK: rep.Damaged() == 0}
	for _, p := range rep.Problems {
		if p.Fixed {
			out.Fixed++
		}
	}
	if !out.OK {
		return out, &DamagedStoreError{a.dir, out}
	}
	return out, nil
}
