package bundle

import (
	"errors"
	"fmt"
	"strings"

	"github.com/qbranch/qbranch/store"
)

// ErrFormat says that a file is not a bundle, or not one that may be read.
var ErrFormat = errors.New("not a bundle that can be read")

// ErrDamaged says that a bundle does not hold what its manifest says.
var ErrDamaged = errors.New("the bundle is damaged")

// ErrConflict says that a bundle contradicts what the store knows.
var ErrConflict = errors.New("the bundle contradicts the store")

// FormatError says why a file is not a bundle that can be read. It is ErrFormat.
type FormatError struct {
	Reason string
	Advice string // "" for the usual one
}

// Error says what is wrong with it.
func (e *FormatError) Error() string { return "not a bundle that can be read: " + e.Reason }

// Is makes errors.Is(err, ErrFormat) hold.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// Hint says what to do next.
func (e *FormatError) Hint() string {
	if e.Advice != "" {
		return e.Advice
	}
	return "nothing was taken from it; 'qbranch store export REF -o FILE.tar.zst' makes a bundle: if this is one, copy it again"
}

func badFormat(format string, args ...any) *FormatError {
	return &FormatError{Reason: fmt.Sprintf(format, args...)}
}

// brokenError says that nothing can be read behind a place: cut off, or no zstd
// or tar any more.
type brokenError struct {
	at  int64 // offset in the file
	why string
}

func (e *brokenError) Error() string { return fmt.Sprintf("%s at byte %d of the file", e.why, e.at) }

// Damage is what is wrong with one content of a bundle.
type Damage struct {
	Paths  []string      `json:"paths"` // the files that have it
	Size   int64         `json:"size"`
	Ranges []store.Range `json:"bad_ranges"` // of the content
	Why    string        `json:"why,omitempty"`
}

// DamagedError says which files of a bundle are damaged. It is ErrDamaged.
type DamagedError struct {
	Files  []Damage
	Reason string // why nothing behind a place could be read, or ""
	Stored bool   // the good parts were kept in a store
}

// Error names the files and ranges, the first few of many.
func (e *DamagedError) Error() string {
	const show = 3
	var what []string
	for i, d := range e.Files {
		if i == show {
			what = append(what, fmt.Sprintf("and %d more files", len(e.Files)-show))
			break
		}
		what = append(what, d.text())
	}
	if e.Reason != "" {
		what = append(what, e.Reason)
	}
	return "the bundle is damaged: " + strings.Join(what, "; ")
}

func (d Damage) text() string {
	name := "?"
	if len(d.Paths) > 0 {
		name = d.Paths[0]
	}
	if d.Why != "" {
		return name + " " + d.Why
	}
	var ranges []string
	for i, r := range d.Ranges {
		if i == 4 {
			ranges = append(ranges, fmt.Sprintf("and %d more ranges", len(d.Ranges)-i))
			break
		}
		ranges = append(ranges, r.String())
	}
	return name + " is bad at bytes " + strings.Join(ranges, ", ")
}

// Is makes errors.Is(err, ErrDamaged) hold.
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }

// Hint says what to do next.
func (e *DamagedError) Hint() string {
	if e.Stored {
		return "what is good in it is kept: copy the bundle again and repeat the command, only the rest is taken"
	}
	return "copy the bundle again, or export it again"
}

// ConflictError says that the store knows another list of files for a commit.
// It is ErrConflict.
type ConflictError struct{ Repo, Commit, Why string }

// Error names the commit.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("the bundle contradicts the store about %s@%s: %s", e.Repo, e.Commit, e.Why)
}

// Is makes errors.Is(err, ErrConflict) hold.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// Hint says what to do next.
func (e *ConflictError) Hint() string {
	return fmt.Sprintf("nothing was imported; if you trust the bundle more than the store: qbranch store rm %s@%s", e.Repo, e.Commit)
}
