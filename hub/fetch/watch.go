package fetch

import (
	"slices"
	"sync/atomic"

	"github.com/qbranch/qbranch/store"
)

// Watch shows a run to front ends that sample it: files, parts, connections. The
// zero value shows nothing, and goes on showing a run that has ended. Its methods
// are safe for concurrent use. A look takes locks that connections need too, for
// the time that it takes to pass once over the parts of a file; ten a second
// cannot be measured. Nobody looking costs nothing.
type Watch struct{ run atomic.Pointer[engine] }

// FileState says how far a file of a run is.
type FileState string

// The states of a file, in the order in which it may pass through them.
const (
	FileQueued    FileState = "queued"    // no connection is at it
	FileWaiting   FileState = "waiting"   // another fetch into the store is bringing it
	FileFetching  FileState = "fetching"  // connections bring its parts
	FileChecking  FileState = "checking"  // all of it is on disk; SHA-256 is on its way to the end
	FileRepairing FileState = "repairing" // it did not match its digest; parts are fetched again
	FileVerified  FileState = "verified"  // it was published in this run
	FileReused    FileState = "reused"    // it was in the store already
)

// FileProgress is how far one file of a run is. Files of one content share it.
type FileProgress struct {
	Path        string
	Size        int64
	Held        int64 // bytes on disk and journaled
	Hashed      int64 // bytes that SHA-256 has followed
	State       FileState
	Connections int // at it now
	Retries     int // requests that failed so far and were made again
}

// PartState says where a part of a file is. Of several parts the greatest state
// tells for all of them.
type PartState uint8

// The states of a part.
const (
	PartHeld     PartState = iota // on disk
	PartMissing                   // nobody is at it
	PartInFlight                  // a request that runs asks for it, or a pause keeps what came of it
	PartRedo                      // its request failed, or it came wrong: it is asked for again
)

// ConnProgress is what one connection does. A number is used again for another
// connection when one has ended.
type ConnProgress struct {
	Number   int    // from 1
	Path     string // the file whose parts it brings; "" = it has nothing to do
	Received int64  // bytes over this number so far: two looks make a rate
	Retries  int    // requests of this connection that failed and were made again
	Err      error  // the last of them; nil = none
}

// Files lists the files of the run in the order of the plan; nil before there is
// a run.
func (w *Watch) Files() []FileProgress {
	e := w.run.Load()
	if e == nil {
		return nil
	}
	byWant := make(map[store.Want]FileProgress, len(e.all))
	for _, c := range e.all {
		byWant[c.want] = e.look(c)
	}
	out := make([]FileProgress, len(e.plan.Files))
	for i, f := range e.plan.Files {
		out[i] = byWant[Wanted(f.File)]
		out[i].Path = f.File.Path
	}
	return out
}

// look says how far a content is.
func (e *engine) look(c *content) FileProgress {
	e.mu.Lock()
	p := FileProgress{Size: c.file.Size, Held: c.claims, State: c.state, Retries: c.retries}
	for _, l := range e.slots {
		if l.content.Load() == c {
			p.Connections++
		}
	}
	j := c.job
	var in *store.Ingest
	if j != nil {
		in, p.Hashed = j.in, j.hashed
	}
	e.mu.Unlock()
	if in != nil {
		p.Held = in.HeldBytes()
	}
	switch {
	case p.State == FileVerified || p.State == FileReused:
		p.Held, p.Hashed = p.Size, p.Size
	case p.State != FileFetching:
	case in != nil && e.queue.whole(j):
		p.State = FileChecking
	case p.Connections == 0:
		p.State = FileQueued
	}
	return p
}

// Parts shows where the parts of a file are in at most so many cells, each of
// which stands for as many parts as the others, give or take one; nil for a file
// that is not in the run, or is empty.
func (w *Watch) Parts(path string, cells int) []PartState {
	e := w.run.Load()
	if e == nil || cells < 1 {
		return nil
	}
	i := slices.IndexFunc(e.all, func(c *content) bool { return slices.Contains(c.paths, path) })
	if i < 0 {
		return nil
	}
	c := e.all[i]
	e.mu.Lock()
	j, state := c.job, c.state
	e.mu.Unlock()
	n := int((c.file.Size + store.PartSize - 1) / store.PartSize)
	out := make([]PartState, min(cells, n))
	switch {
	case state == FileVerified || state == FileReused: // PartHeld
	case j != nil && e.queue.show(j, out):
	default:
		for i := range out {
			out[i] = PartMissing
		}
	}
	return out
}

// Connections lists those there are, by number.
func (w *Watch) Connections() []ConnProgress {
	e := w.run.Load()
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []ConnProgress
	for i, l := range e.slots {
		if !l.busy {
			continue
		}
		p := ConnProgress{Number: i + 1, Received: l.received.Load(), Retries: l.retries, Err: l.err}
		if c := l.content.Load(); c != nil {
			p.Path = c.file.Path
		}
		out = append(out, p)
	}
	return out
}

// slot is one connection as a Watch sees it.
type slot struct {
	content  atomic.Pointer[content] // it is at; nil = none
	received atomic.Int64            // bytes

	// The engine's mu guards these.
	busy    bool
	retries int
	err     error
}

// dial gives a connection the lowest slot that is free.
func (e *engine) dial(c *content) *slot {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.slots, func(l *slot) bool { return !l.busy })
	if i < 0 {
		i = len(e.slots)
		e.slots = append(e.slots, new(slot))
	}
	l := e.slots[i]
	l.busy, l.retries, l.err = true, 0, nil
	l.content.Store(c)
	return l
}

// hangUp gives a slot back.
func (e *engine) hangUp(l *slot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.busy = false
	l.content.Store(nil)
}

// retried notes that a request failed and will be made again.
func (e *engine) retried(l *slot, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.retries, l.err = l.retries+1, err
	if c := l.content.Load(); c != nil {
		c.retries++
	}
}

func (e *engine) setState(c *content, s FileState) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.state = s
}

// partLen is the length of a part.
func (j *job) partLen(i int) int {
	return int(min(store.PartSize, j.file.Size-int64(i)*store.PartSize))
}

// whole reports whether all parts of a job are in the file.
func (q *queue) whole(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return j.claimed != nil && j.left == 0
}

// show raises the cells of a job's parts to the parts' states; false when the job
// has not been queued yet.
func (q *queue) show(j *job, cells []PartState) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(j.claimed)
	if n == 0 {
		return false
	}
	part := 0
	for c := range cells {
		// A part's cell is part*len(cells)/n.
		for end := ((c+1)*n + len(cells) - 1) / len(cells); part < end; part++ {
			if !j.claimed[part] {
				cells[c] = max(cells[c], PartMissing)
			}
			if j.redo != nil && j.redo[part] {
				cells[c] = PartRedo
			}
		}
	}
	for _, r := range q.runs {
		if r.job == j && r.reading {
			j.raise(cells, r.next, min(r.asked, r.end), PartInFlight)
		} else if r.job == j && r.broke {
			j.raise(cells, r.next, r.end, PartRedo)
		} else if r.job == j && r.kept && r.next < r.end {
			j.raise(cells, r.next, r.next+1, PartInFlight)
		}
	}
	return true
}

// raise raises the cells of parts that are not there. The caller has the queue's
// lock.
func (j *job) raise(cells []PartState, first, end int, s PartState) {
	for i := first; i < end; i++ {
		if c := i * len(cells) / len(j.claimed); !j.claimed[i] {
			cells[c] = max(cells[c], s)
		}
	}
}
