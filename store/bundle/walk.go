package bundle

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/store"
)

// receiver takes the contents of an archive.
type receiver interface {
	// have reports whether a content need not be read.
	have(c Content) bool
	// open begins to take a content.
	open(ctx context.Context, c Content, sums []store.Digest) (taker, error)
}

// taker takes one content. After open either finish or leave is called, once.
type taker interface {
	// held reports whether a part need not be read.
	held(i int) bool
	// take compares a part with its digest and keeps it if that is right; the
	// bytes are the caller's. Several goroutines call it if workers says so.
	take(ctx context.Context, i int, p []byte) (ok bool, err error)
	workers() int
	// finish ends a content all of whose parts are there; *store.MismatchError
	// when the whole is not what it should be.
	finish(ctx context.Context) error
	// leave ends a content of which something is missing.
	leave() error
}

// Event tells what became of one content. State is one of the State constants.
type Event struct {
	Paths  []string      `json:"paths"` // the files that have it; "branch:path" in a bundle of several branches
	Size   int64         `json:"size"`
	State  string        `json:"state"`
	Ranges []store.Range `json:"bad_ranges,omitempty"`
	Why    string        `json:"why,omitempty"`
}

// whyAbsent is Event.Why of a content that the bundle does not have.
const whyAbsent = "is not there"

// Missing reports whether the bundle does not have the content.
func (e Event) Missing() bool { return e.Why == whyAbsent }

// What can become of a content.
const (
	StateWritten = "written" // Export: it is in the bundle
	StateTaken   = "taken"   // read, compared and, by Import, published
	StateHeld    = "held"    // the store had it
	StateBad     = "bad"     // damaged, or not there
)

// walker reads the contents of an archive.
type walker struct {
	a      *Archive
	to     receiver
	strict bool // a damaged frame around good content is damage too
	Options

	names  map[store.Digest][]string
	damage []Damage
	reason string
}

// walk reads all contents. Damage is collected, not returned: an error is one of
// the system's, the store's or ctx's.
func (w *walker) walk(ctx context.Context) error {
	w.names = w.a.Manifest.names()
	contents := w.a.Manifest.Contents
	if w.strict && w.a.s.unsound {
		w.reason = "the frame around its part digests is damaged"
	}
	for k, c := range contents {
		err := w.content(ctx, k, c)
		var coded *codedError
		if errors.As(err, &coded) {
			err = w.a.s.resync()
		}
		if err != nil {
			return w.stop(err, contents[k+1:])
		}
	}
	return w.stop(w.a.end(), nil)
}

// stop ends the walk: what comes behind a broken place is lost.
func (w *walker) stop(err error, rest []Content) error {
	var broken *brokenError
	var coded *codedError
	if !errors.As(err, &broken) && !errors.As(err, &coded) {
		return err
	}
	w.reason = err.Error()
	for _, c := range rest {
		if w.to.have(c) {
			w.tell(c, StateHeld, nil, "")
			continue
		}
		w.tell(c, StateBad, allParts(c), whyAbsent)
	}
	return nil
}

func allParts(c Content) []int {
	all := make([]int, c.parts())
	for i := range all {
		all[i] = i
	}
	return all
}

// tell reports what became of a content.
func (w *walker) tell(c Content, state string, bad []int, why string) {
	e := Event{Paths: w.names[c.SHA256], Size: c.Size, State: state, Why: why}
	if state == StateBad {
		e.Ranges = (&store.CorruptError{Size: c.Size, Parts: bad}).Ranges()
		w.damage = append(w.damage, Damage{Paths: e.Paths, Size: c.Size, Ranges: e.Ranges, Why: why})
	}
	w.Notify(e)
}

// content reads one content. A *codedError or *brokenError comes after the
// damage has been told.
func (w *walker) content(ctx context.Context, k int, c Content) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := w.a.header(c.name(), c.Size)
	have := w.to.have(c)
	switch {
	case have && err == nil:
		w.Progress(c.Size)
		err = w.a.s.skip(c.Size + padding(c.Size))
		fallthrough
	case have:
		w.tell(c, StateHeld, nil, "")
		return err
	case err != nil:
		if damaged(err) {
			w.tell(c, StateBad, allParts(c), whyAbsent)
		}
		return err
	}
	t, err := w.to.open(ctx, c, w.a.sumsOf(k))
	if err != nil {
		return err
	}
	bad, err := w.parts(ctx, c, t)
	if err == nil && len(bad) == 0 {
		padErr := w.a.pad(c.Size)
		if w.strict && damaged(padErr) {
			w.reason = padErr.Error()
		}
		return cmp.Or(w.finish(ctx, c, t), padErr)
	}
	if err == nil {
		err = w.a.pad(c.Size)
	}
	leaveErr := t.leave()
	if err != nil && !damaged(err) {
		return errors.Join(err, leaveErr)
	}
	w.tell(c, StateBad, bad, "")
	return cmp.Or(leaveErr, err) // damage has been told: what the store says is graver
}

func damaged(err error) bool {
	var broken *brokenError
	var coded *codedError
	return errors.As(err, &broken) || errors.As(err, &coded)
}

func (w *walker) finish(ctx context.Context, c Content, t taker) error {
	err := t.finish(ctx)
	var wrong *store.MismatchError
	if errors.As(err, &wrong) {
		w.tell(c, StateBad, allParts(c), "is not what the manifest says: its "+wrong.What+" is another")
		return nil
	}
	if err == nil {
		w.tell(c, StateTaken, nil, "")
	}
	return err
}

// part is a part on its way from the archive to its taker.
type part struct {
	i int
	p []byte
}

// parts reads the parts of a content that are not held, and returns those that
// are bad or, after an error, have not been read.
func (w *walker) parts(ctx context.Context, c Content, t taker) (bad []int, err error) {
	var mu sync.Mutex
	note := func(i int) {
		mu.Lock()
		defer mu.Unlock()
		bad = append(bad, i)
	}
	n := min(buffers, c.parts())
	full, free := make(chan part, n), make(chan []byte, n)
	for range n {
		free <- make([]byte, min(store.PartSize, c.Size))
	}
	g, ctx := errgroup.WithContext(ctx)
	for range min(t.workers(), n) {
		g.Go(func() error {
			for j := range full {
				ok, err := t.take(ctx, j.i, j.p)
				if err != nil {
					return err
				}
				if !ok {
					note(j.i)
				}
				w.Progress(int64(len(j.p)))
				free <- j.p[:cap(j.p)] // there is always room
			}
			return nil
		})
	}
	next, readErr := w.feed(ctx, c, t, full, free, note)
	close(full)
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i := next; i < c.parts(); i++ {
		if !t.held(i) {
			bad = append(bad, i)
		}
	}
	slices.Sort(bad)
	return slices.Compact(bad), readErr
}

// feed reads parts in order and returns the first that it has not read.
func (w *walker) feed(ctx context.Context, c Content, t taker, full chan<- part, free <-chan []byte, note func(int)) (int, error) {
	for i := range c.parts() {
		n := c.partLen(i)
		if t.held(i) {
			if err := w.a.s.skip(int64(n)); err != nil {
				return i, err
			}
			w.Progress(int64(n))
			continue
		}
		var p []byte
		select {
		case p = <-free:
		case <-ctx.Done():
			return i, ctx.Err()
		}
		w.a.s.unsound = false
		if err := w.a.s.full(p[:n]); err != nil {
			return i, w.a.s.broken(err)
		}
		if w.strict && w.a.s.unsound {
			note(i)
		}
		select {
		case full <- part{i, p[:n]}:
		case <-ctx.Done():
			return i, ctx.Err()
		}
	}
	return c.parts(), nil
}
