package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
)

// stream is the body of one ranged request, watched and limited.
type stream struct {
	e    *engine
	op   string
	ctx  context.Context // the request's: its life is that of the body
	stop context.CancelCauseFunc
	body io.ReadCloser
	dog  *time.Timer // ends ctx when no byte comes
	slot *slot
}

// open asks for n bytes at off. ctx is the request's own: stop ends it. The
// watchdog begins with the body; before that the hub has its own time limits,
// and its own waits.
func (e *engine) open(ctx context.Context, stop context.CancelCauseFunc, l *slot, f hub.File, off, n int64) (*stream, error) {
	body, err := e.hub.OpenRange(ctx, e.plan.Repo, e.plan.Commit, f, off, n)
	if err != nil {
		return nil, err
	}
	e.stats.Connections.Add(1)
	dog := time.AfterFunc(e.stall, func() { stop(errStalled) })
	return &stream{e, e.op(f.Path), ctx, stop, body, dog, l}, nil
}

// host is who sends the bytes, "" when the hub does not say.
func (s *stream) host() string {
	if h, ok := s.body.(interface{ Host() string }); ok {
		return h.Host()
	}
	return ""
}

func (s *stream) close() {
	s.dog.Stop()
	s.stop(nil)
	s.body.Close() // only read from: nothing is lost
	s.e.stats.Connections.Add(-1)
}

// fill reads len(p) bytes. It returns how many came, and calls first when the
// first of them have.
func (s *stream) fill(p []byte, first func()) (n int, err error) {
	s.dog.Reset(s.e.stall)
	defer s.dog.Stop()
	for n < len(p) {
		k, err := s.body.Read(p[n:min(len(p), n+s.e.limit.chunk())])
		n += k
		s.e.stats.Received.Add(int64(k))
		s.e.received.Add(int64(k))
		s.slot.received.Add(int64(k))
		if k > 0 {
			first()
			s.dog.Stop()             // waiting for the limiter is not stalling
			s.e.limit.Wait(s.ctx, k) // fails only when ctx has ended
			s.dog.Reset(s.e.stall)
		}
		switch {
		case context.Cause(s.ctx) == errStalled:
			return n, &lineError{s.op, fmt.Errorf("%w (%v)", errStalled, s.e.stall)}
		case s.ctx.Err() != nil:
			return n, context.Cause(s.ctx)
		case n == len(p):
		case err == io.EOF:
			return n, &lineError{s.op, io.ErrUnexpectedEOF}
		case err != nil:
			return n, err
		}
	}
	return n, nil
}

// connection is one worker: what it holds besides its request.
type connection struct {
	*engine
	slot  *slot
	fresh bool   // no byte has come yet
	buf   []byte // one part; all that a connection ever holds

	// Of the part that the last request broke off in, buf has the first have
	// bytes: contents never change, so that the next one goes on behind them.
	job   *job
	part  int
	have  int
	given int // of those, not from this connection

	gained int // bytes that came since the last progress
}

// arrived notes the first byte, or that there will be none.
func (c *connection) arrived() {
	if c.fresh {
		c.fresh = false
		c.waiting.Add(-1)
	}
}

// kept returns how many bytes of a part the connection has; what it has of
// another one is thrown away.
func (c *connection) kept(j *job, part int) int {
	if c.job != j || c.part != part {
		c.forget()
		c.job, c.part = j, part
	}
	if c.have == 0 {
		c.have = copy(c.buf, c.queue.takeBegun(j, part))
		c.given = c.have
	}
	return c.have
}

// leave keeps what there is of a part in the store, for whoever goes on.
func (c *connection) leave() {
	if c.have == 0 || c.have == c.given {
		return // what was given is kept already, or is read again before the weights
	}
	c.mu.Lock()
	in := c.job.in // nil when the job is over: others were faster
	c.mu.Unlock()
	if in != nil {
		in.Keep(c.part, slices.Clone(c.buf[:c.have]))
		c.have = 0
	}
}

// forget throws away what there is of a part.
func (c *connection) forget() {
	c.stats.Refetched.Add(int64(c.have))
	c.have = 0
}

// enough is how many bytes count as progress though no part became whole: what
// a connection has of a part is not asked for again.
const enough = 64 << 10

// fetchRun brings in the parts of r, however many requests that takes.
func (c *connection) fetchRun(ctx context.Context, r *run) error {
	if c.buf == nil {
		c.buf = make([]byte, store.PartSize)
	}
	return c.persist(ctx, c.slot, func(failures int) (progress bool, err error) {
		for err == nil && !c.queue.empty(r) {
			if err := c.queue.awaitUnpaused(ctx); err != nil {
				return progress, err
			}
			var n int
			n, err = c.request(ctx, r, failures > 0 && !progress)
			progress = progress || n > 0 || c.gained >= enough
			if progress {
				c.gained = 0
			}
		}
		return progress, err
	})
}

// request asks for what is left of r in one request and returns how many parts
// it wrote. It ends early, without an error, when others have taken what was
// left, and when the fetch is paused.
func (c *connection) request(ctx context.Context, r *run, suspect bool) (parts int, err error) {
	reqCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	first, n := c.queue.begin(r, stop)
	defer func() { c.queue.finish(r, first, err != nil, c.have > 0) }()
	if n == 0 {
		return 0, nil
	}
	if c.limit.limited() {
		// While the limiter holds us back the kernel goes on receiving: all that
		// was asked for and not yet read is lost if we are killed.
		n = 1
	}
	j := r.job
	off := int64(first)*store.PartSize + int64(c.kept(j, first))
	end := min(int64(first+n)*store.PartSize, j.file.Size)
	s, err := c.open(reqCtx, stop, c.slot, j.file, off, end-off)
	if err != nil {
		return 0, untaken(reqCtx, err)
	}
	defer s.close()
	c.queue.sentBy(j, s.host())
	for range n {
		i, ok := c.queue.step(r)
		if !ok {
			return parts, nil
		}
		suspect := c.kept(j, i) > 0 && i > 0 || suspect
		p := c.buf[:j.partLen(i)] // not the ingestion's: another connection may just have ended it
		got, err := s.fill(p[c.have:], c.arrived)
		c.gained += got
		if c.have += got; err != nil {
			return parts, untaken(reqCtx, err)
		}
		if !c.queue.claim(r) {
			c.forget()
			continue
		}
		c.have = 0
		if err := c.write(ctx, j, i, p); err != nil {
			return parts, err
		}
		parts++
		c.queue.wrote(j, i, suspect)
	}
	return parts, nil
}

// write gives a part to the store.
func (e *engine) write(ctx context.Context, j *job, i int, p []byte) error {
	err := e.persistSpace(ctx, j.file.Path, func() error { return j.in.WritePart(ctx, i, p) })
	if err != nil {
		return diskError{e.fail(j.file.Path, err)}
	}
	e.count(int64(len(p)))
	e.verified(j, j.in.HashedBytes())
	return nil
}

// untaken turns the end of a request that lost to another one, or that was
// stopped for a pause, into no error.
func untaken(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errTaken) || errors.Is(cause, errPaused) {
		return nil
	}
	return err
}

// fetchWhole fetches a small content. One that comes wrong comes again, since a
// proxy may have a bad moment.
func (e *engine) fetchWhole(ctx context.Context, c *content) error {
	const attempts = 3
	data := make([]byte, c.file.Size)
	var host string
	e.setState(c, FileFetching)
	l := e.dial(c)
	defer e.hangUp(l)
	for attempt := 1; ; attempt++ {
		err := e.persist(ctx, l, func(int) (bool, error) {
			if err := e.control.await(ctx); err != nil {
				return false, err
			}
			var err error
			host, err = e.readWhole(ctx, l, c.file, data)
			return false, err
		})
		if err != nil {
			return err
		}
		c.digest, err = e.store.Put(ctx, c.want, data)
		switch {
		case err == nil:
			e.count(c.file.Size)
			e.stats.Verified.Add(c.file.Size)
			e.tellAll(EventFile, c)
			return nil
		case !errors.Is(err, store.ErrMismatch):
			return e.fail(c.file.Path, err)
		case attempt == attempts:
			return e.mismatch(c.file.Path, attempt, []string{host}, err)
		}
		e.stats.Refetched.Add(c.file.Size)
		e.tell(Event{Kind: EventMismatch, Path: c.file.Path, Bytes: c.file.Size, Err: err,
			Ranges: []store.Range{{Offset: 0, Length: c.file.Size}}})
	}
}

// readWhole reads a small content and returns who sent it.
func (e *engine) readWhole(ctx context.Context, l *slot, f hub.File, data []byte) (host string, err error) {
	if len(data) == 0 {
		return "", nil
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s, err := e.open(ctx, stop, l, f, 0, f.Size)
	if err != nil {
		return "", err
	}
	defer s.close()
	got, err := s.fill(data, func() {})
	if err != nil {
		e.stats.Refetched.Add(int64(got))
	}
	return s.host(), err
}
