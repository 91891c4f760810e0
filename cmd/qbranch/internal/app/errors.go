package app

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/store"
)

// ErrNotLocal says that the store does not hold the branch. It is also
// store.ErrNotFound and, when the App is offline, hub.ErrOffline.
var ErrNotLocal = errors.New("not in the store")

// notLocalError is ErrNotLocal of one reference.
type notLocalError struct {
	ref     Ref
	offline bool
	reason  string // "" = never fetched
}

func (e *notLocalError) Error() string {
	return fmt.Sprintf("%s is %s", e.ref, cmp.Or(e.reason, ErrNotLocal.Error()))
}

func (e *notLocalError) Is(target error) bool {
	return target == ErrNotLocal || target == store.ErrNotFound || target == hub.ErrOffline && e.offline
}

// Hint says what to do next.
func (e *notLocalError) Hint() string {
	if e.ref.ShortCommit() {
		return "if this is a commit, give all 40 digits of it to fetch it; 'qbranch store ls' lists what is here"
	}
	if fi, err := os.Stat(e.ref.String()); err == nil && fi.IsDir() {
		return fmt.Sprintf("the folder of that name has no config.json; to name it all the same: ./%s", e.ref)
	}
	if e.offline {
		return fmt.Sprintf("go online, then: qbranch get %s", e.ref)
	}
	return fmt.Sprintf("fetch it, or go on fetching it: qbranch get %s", e.ref)
}

// storeError is a store that cannot be opened, whatever the system calls it: a
// place that is not there is not a branch that is not there.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

// Hint says what to do next: what the cause knows, if it knows.
func (e *storeError) Hint() string {
	if h := HintOf(e.err); h != "" {
		return h
	}
	return "choose another directory with --store"
}

// CorruptionError says that verification failed; exit code 6.
type CorruptionError struct{ Report *VerifyReport }

// Error names the bad files and byte ranges, the first few of many.
func (e *CorruptionError) Error() string {
	var bad []string
	for _, f := range e.Report.Files {
		switch {
		case f.OK:
		case f.Missing:
			bad = append(bad, f.name()+" is missing")
		default:
			bad = append(bad, fmt.Sprintf("%s is corrupt at bytes %s", f.name(), rangesText(f.Ranges)))
		}
	}
	return "verify " + e.Report.Target + ": " + list(bad, "; ", 3)
}

// name is the file's path, after the branch when there are several.
func (f FileCheck) name() string {
	if f.Ref == "" {
		return f.Path
	}
	return f.Ref + " " + f.Path
}

func rangesText(ranges []Range) string {
	texts := make([]string, len(ranges))
	for i, r := range ranges {
		texts[i] = r.String()
	}
	return list(texts, ", ", 4)
}

// list joins the first few of many.
func list(items []string, sep string, most int) string {
	if n := len(items); n > most {
		items = append(slices.Clone(items[:most]), fmt.Sprintf("and %d more", n-most))
	}
	return strings.Join(items, sep)
}

// Hint says what to do next.
func (e *CorruptionError) Hint() string {
	if e.Report.Commit == "" && e.Report.Target != AllBranches {
		return "nothing says where this folder came from: fetch it again, with 'qbranch get REF --dir DIR' it can be repaired from then on"
	}
	return fmt.Sprintf("'qbranch verify %s --repair' fetches only these parts", e.Report.Target)
}

// Pickled reports whether findings are about weights that are pickle files, which a
// Get fetches only where GetOptions.AllowPickle is set.
func Pickled(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool {
		return f.Severity == Fatal && (f.Code == pickleCode || f.Code == "J12")
	})
}

// FindingsError says that fatal findings stopped a verb; exit code 6.
type FindingsError struct {
	Findings []Finding
	Op       string // what was being done: "get owner/name:main"; may be ""
}

// Error quotes the first fatal finding and counts the others.
func (e *FindingsError) Error() string {
	fatal := fatalOf(e.Findings)
	if len(fatal) == 0 {
		return "no fatal finding"
	}
	f := fatal[0]
	text := fmt.Sprintf("%s (%s)", f.Message, f.Code)
	for _, before := range []string{f.Where, e.Op} {
		if before != "" {
			text = before + ": " + text
		}
	}
	if n := len(fatal) - 1; n > 0 {
		text += fmt.Sprintf(", and %d more", n)
	}
	return text
}

// Hint says what to do next: the first advice of a fatal finding.
func (e *FindingsError) Hint() string {
	for _, f := range fatalOf(e.Findings) {
		if f.Hint != "" {
			return f.Hint + e.force()
		}
	}
	return "the checkpoint is not what it claims to be: take another branch, and tell its publisher" + e.force()
}

// force offers to fetch it all the same, where that is possible.
func (e *FindingsError) force() string {
	if !strings.HasPrefix(e.Op, "get ") || fatalOf(e.Findings)[0].Code == pickleCode {
		return ""
	}
	return "; --force fetches it all the same"
}

// fatalOf returns the fatal findings.
func fatalOf(findings []Finding) []Finding {
	var out []Finding
	for _, f := range findings {
		if f.Severity == quant.Fatal {
			out = append(out, f)
		}
	}
	return out
}

// revisionError is an unknown revision of a repository whose branches are known.
type revisionError struct {
	err      error // wraps hub.ErrRevisionNotFound
	repo     RepoID
	asked    string
	branches []string
}

func (e *revisionError) Error() string { return e.err.Error() }
func (e *revisionError) Unwrap() error { return e.err }

// Hint lists the branches, those spelled most like what was asked for first.
func (e *revisionError) Hint() string {
	if (Ref{Repo: e.repo, Revision: e.asked}).ShortCommit() {
		return "if this is a commit, give all 40 digits of it"
	}
	if len(e.branches) == 0 {
		return fmt.Sprintf("%s has no branches", e.repo)
	}
	near := nearest(e.asked, e.branches)
	if len(near) == 1 {
		return fmt.Sprintf("did you mean %s:%s?", e.repo, near[0])
	}
	if len(near) > 1 {
		return "did you mean one of: " + list(near, ", ", 3)
	}
	return "its branches are: " + list(e.branches, ", ", 8)
}

// nearest returns the names that can be meant by asked: those the fewest typing
// mistakes away, if that is few, else those that contain it.
func nearest(asked string, names []string) []string {
	low := strings.ToLower(asked)
	few := max(2, len(asked)/5)
	var near, containing []string
	for _, name := range names {
		d := editDistance(low, strings.ToLower(name))
		if d < few {
			few, near = d, nil
		}
		if d == few {
			near = append(near, name)
		}
		if len(low) > 2 && strings.Contains(strings.ToLower(name), low) {
			containing = append(containing, name)
		}
	}
	if len(near) > 0 {
		return near
	}
	return containing
}

// editDistance is Levenshtein's, by bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// pathError is a file of the listing that cannot be kept.
type pathError struct {
	repo RepoID
	err  error
}

func (e *pathError) Error() string {
	return fmt.Sprintf("list the files of %s: a name that cannot be kept: %v", e.repo, e.err)
}

// Unwrap makes it a listing that is wrong.
func (e *pathError) Unwrap() []error { return []error{hub.ErrBadListing, e.err} }

// Hint says what to do next.
func (e *pathError) Hint() string {
	return "such a name is refused because it could not be written on every system: ask the repository's owner to rename the file"
}
