package app

import (
	"errors"
	"sync"

	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/store"
)

// What a Transfer shows; the types are those of the fetch.
type (
	// FileProgress is how far one file is.
	FileProgress = fetch.FileProgress
	// FileState says what happens to a file.
	FileState = fetch.FileState
	// PartState says where a part of a file is.
	PartState = fetch.PartState
	// ConnProgress is what one connection does.
	ConnProgress = fetch.ConnProgress
)

// The states of a file and of a part.
const (
	FileQueued    = fetch.FileQueued
	FileWaiting   = fetch.FileWaiting
	FileFetching  = fetch.FileFetching
	FileChecking  = fetch.FileChecking
	FileRepairing = fetch.FileRepairing
	FileVerified  = fetch.FileVerified
	FileReused    = fetch.FileReused

	PartHeld     = fetch.PartHeld
	PartMissing  = fetch.PartMissing
	PartInFlight = fetch.PartInFlight
	PartRedo     = fetch.PartRedo
)

// DefaultConnections is how many connections a Get makes at most when it is not
// told otherwise.
const DefaultConnections = fetch.DefaultConnections

// NoSpaceError says that the disk has too little space, and how much is needed.
type NoSpaceError = store.NoSpaceError

// NoSpace reports whether something failed because the disk has too little space.
func NoSpace(err error) bool { return errors.Is(err, store.ErrNoSpace) }

// Transfer steers one Get while it runs and shows it to a front end that samples
// it (GetOptions.Transfer). The zero value may be used, before Get begins and
// after it has ended too; it then shows how far the Get came. Its methods are
// safe for concurrent use and do no I/O.
//
// Pausing and the number of connections count from when the weights begin to
// move; the rate counts for everything but listings.
type Transfer struct {
	control fetch.Control
	limit   fetch.Limiter
	watch   fetch.Watch

	mu    sync.Mutex // guards what follows
	plan  []FileProgress
	fresh map[string]bool // files that this Get brought before the weights move
}

// Pause stops all requests. What has come is kept, and connections are closed.
func (t *Transfer) Pause() { t.control.Pause() }

// Resume lets requests go on where they were.
func (t *Transfer) Resume() { t.control.Resume() }

// Paused reports whether the transfer is paused.
func (t *Transfer) Paused() bool { return t.control.Paused() }

// SetConnections changes how many connections there are at most; 0 is what
// GetOptions.Connections says.
func (t *Transfer) SetConnections(n int) { t.control.SetConnections(n) }

// SetRate changes the limit in bytes per second, also for those who wait; 0 is
// none.
func (t *Transfer) SetRate(bytesPerSecond int64) { t.limit.SetRate(bytesPerSecond) }

// Rate is the limit in bytes per second; 0 = none.
func (t *Transfer) Rate() int64 { return t.limit.Rate() }

// Files lists the files of the plan, small ones first; nil before there is one.
func (t *Transfer) Files() []FileProgress {
	t.mu.Lock()
	defer t.mu.Unlock()
	files := t.watch.Files()
	if files == nil {
		return append(files, t.plan...)
	}
	for i, f := range files {
		if f.State == FileReused && t.fresh[f.Path] {
			files[i].State = FileVerified
		}
	}
	return files
}

// Parts shows where the parts of a file are, in at most so many cells; nil before
// the weights move, and for a file that is not in the plan.
func (t *Transfer) Parts(path string, cells int) []PartState { return t.watch.Parts(path, cells) }

// Connections lists the connections there are, by number; what the validation
// before the weights reads is not among them.
func (t *Transfer) Connections() []ConnProgress { return t.watch.Connections() }

// planned shows a plan until the fetch begins.
func (t *Transfer) planned(p Plan) {
	files := make([]FileProgress, len(p.Files))
	for i, f := range p.Files {
		files[i] = FileProgress{Path: f.File.Path, Size: f.File.Size, Held: f.Held, State: FileQueued}
		if f.State == fetch.StateHeld {
			files[i].Hashed, files[i].State = f.File.Size, FileReused
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.plan = files
}

// begun says which files judging and adopting have brought.
func (t *Transfer) begun(sets ...map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fresh = make(map[string]bool)
	for _, set := range sets {
		for path := range set {
			t.fresh[path] = true
		}
	}
}
