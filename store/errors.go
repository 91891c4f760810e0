package store

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// Errors callers branch on.
var (
	ErrNotFound    = errors.New("not in the store")
	ErrLocked      = errors.New("another process is writing this blob")
	ErrMismatch    = errors.New("content does not match its digest")
	ErrNoSpace     = errors.New("not enough disk space")
	ErrNotWritable = errors.New("the store is not writable")
	ErrFolder      = errors.New("the folder cannot take an export")
	ErrNotRegular  = errors.New("not a regular file") // a directory, symlink, pipe or device in its place
	ErrFormat      = errors.New("the file is damaged or of an unknown format")
)

// Range is a byte range of a blob.
type Range struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// String returns "first-last", both inclusive, as in an HTTP Range header.
func (r Range) String() string { return fmt.Sprintf("%d-%d", r.Offset, r.Offset+r.Length-1) }

// CorruptError says which parts of a blob no longer hold what was verified.
type CorruptError struct {
	Digest Digest
	Parts  []int // indexes of bad parts, ascending
	Size   int64 // length of the blob
}

// Error names the blob and the bad byte ranges (the first few of many).
func (e *CorruptError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "blob %s is corrupt", e.Digest)
	const show = 4
	ranges := e.Ranges()
	for i, r := range ranges {
		if i == show {
			fmt.Fprintf(&b, " and %d more ranges", len(ranges)-show)
			break
		}
		b.WriteString([]string{" at bytes ", ", "}[min(i, 1)] + r.String())
	}
	return b.String()
}

// Hint says what to do next.
func (e *CorruptError) Hint() string {
	return "fetch it again: only the bad parts are moved"
}

// Ranges returns the bad byte ranges, adjacent parts joined.
func (e *CorruptError) Ranges() []Range { return joinParts(e.Size, e.Parts) }

// joinParts turns ascending part indexes into byte ranges, adjacent ones joined.
func joinParts(size int64, parts []int) []Range {
	var out []Range
	for _, p := range parts {
		if p < 0 || p >= numParts(size) {
			continue
		}
		off, n := int64(p)*PartSize, int64(partLen(size, p))
		if k := len(out) - 1; k >= 0 && out[k].Offset+out[k].Length == off {
			out[k].Length += n
		} else {
			out = append(out, Range{off, n})
		}
	}
	return out
}

// MismatchError says that content is not what was asked for. It is ErrMismatch.
type MismatchError struct {
	What string // "length", "SHA-256" or "git blob id"
	Got  string
	Want string
}

// Error says what differs.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("content does not match: %s is %s, want %s", e.What, e.Got, e.Want)
}

// Is makes errors.Is(err, ErrMismatch) hold.
func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }

// Hint says what to do next.
func (e *MismatchError) Hint() string {
	return "the bytes that came are not the ones the hub lists; try again, and if it persists suspect a proxy or the mirror"
}

// NoSpaceError says that the disk is full or would be. It is ErrNoSpace.
type NoSpaceError struct {
	Dir  string
	Need int64 // bytes still needed; 0 when unknown (the disk filled up while writing)
	Free int64 // bytes free
	Err  error // what the system said, nil when found out before writing

	folder bool // Dir is a folder that takes an export, not a store
}

// Error says how much is missing.
func (e *NoSpaceError) Error() string {
	if errors.Is(e.Err, syscall.EDQUOT) {
		return fmt.Sprintf("disk quota used up while writing to %s", e.Dir)
	}
	if e.Need == 0 {
		return fmt.Sprintf("disk full while writing to %s", e.Dir)
	}
	return fmt.Sprintf("not enough disk space in %s: %s needed, %s free", e.Dir, BytesText(e.Need), BytesText(e.Free))
}

// Is makes errors.Is(err, ErrNoSpace) hold.
func (e *NoSpaceError) Is(target error) bool { return target == ErrNoSpace }

// Unwrap returns what the system said.
func (e *NoSpaceError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *NoSpaceError) Hint() string {
	elsewhere := "put the store on another disk; what is there already is kept"
	if e.folder {
		elsewhere = "choose a folder on another disk; the store has what was fetched"
	}
	if e.Need > e.Free {
		return fmt.Sprintf("free at least %s more, or %s", BytesText(e.Need-e.Free), elsewhere)
	}
	return "free some space, or " + elsewhere
}

// BytesText is a number of bytes as people read it, in decimal units: "1.79 GB".
func BytesText(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.2f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}

// NotWritableError says that the system refused to let us write. It is
// ErrNotWritable.
type NotWritableError struct {
	Path string
	Err  error

	whole bool // Path is the store itself
}

// Error names the path.
func (e *NotWritableError) Error() string {
	if e.whole {
		return fmt.Sprintf("the store %s is read-only: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("store not writable: %s: %v", e.Path, e.Err)
}

// Is makes errors.Is(err, ErrNotWritable) hold.
func (e *NotWritableError) Is(target error) bool { return target == ErrNotWritable }

// Unwrap returns what the system said.
func (e *NotWritableError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *NotWritableError) Hint() string {
	return "check the owner and mode of that directory and that its disk is not mounted read-only, or choose another store directory"
}

// LockedError says that somebody else is writing the blob. It is ErrLocked.
type LockedError struct {
	Key  string // which blob
	Path string // the lock file
}

// Error names the blob.
func (e *LockedError) Error() string {
	return fmt.Sprintf("another process is writing it (blob %.12s…)", e.Key)
}

// Is makes errors.Is(err, ErrLocked) hold.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// Hint says what to do next.
func (e *LockedError) Hint() string {
	return "wait for the other download to finish or stop it; a lock never outlives its process"
}

// FormatError says that the store was written by a newer program, or that a
// directory is not a store. It is ErrFormat.
type FormatError struct {
	Path   string
	Reason string
	Advice string
}

// Error says what is wrong with the file.
func (e *FormatError) Error() string { return e.Path + ": " + e.Reason }

// Is makes errors.Is(err, ErrFormat) hold.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// Hint says what to do next.
func (e *FormatError) Hint() string { return e.Advice }

// ioError gives an error of writing to path the type that callers branch on.
func (s *Store) ioError(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case isNoSpace(err):
		free, _ := s.Free() // only for the message
		return &NoSpaceError{Dir: s.dir, Free: free, Err: err}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return &NotWritableError{Path: path, Err: err}
	}
	return err
}
