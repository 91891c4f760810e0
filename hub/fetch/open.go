package fetch

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/store"
)

// fetchBig fetches contents by parts, over as many connections as pay.
func (e *engine) fetchBig(ctx context.Context, list []*content) (err error) {
	if len(list) == 0 {
		return nil
	}
	defer func() {
		for _, j := range e.jobs {
			if j.in == nil {
				continue
			}
			if closing := j.in.Close(); closing != nil {
				err = errors.Join(err, e.fail(j.file.Path, closing))
			}
			e.drop(j)
		}
	}()
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, e.queue.wake)()
	e.queue.expect(len(list))
	g.Go(func() error { return e.openAll(ctx, g, list) })
	g.Go(func() error { return e.steer(ctx, g) })
	return g.Wait()
}

// openAll opens contents one after the other, when their parts are soon needed:
// so that another fetch into the same store, which wants some of them, can take
// those that nobody works on. What others work on is left for later, and then
// waited for; if they give up or die, it is taken over where they left it.
func (e *engine) openAll(ctx context.Context, g *errgroup.Group, list []*content) error {
	var busy []*content
	for _, c := range list {
		if err := e.queue.awaitLow(ctx); err != nil {
			return err
		}
		in, err := e.store.Ingest(ctx, c.want)
		switch {
		case errors.Is(err, store.ErrLocked):
			busy = append(busy, c)
			continue
		case err == nil:
			err = e.begin(ctx, g, c, in)
		default:
			err = e.fail(c.file.Path, err)
		}
		if err != nil {
			return err
		}
	}
	for _, c := range busy {
		g.Go(func() error { return e.waitFor(ctx, g, c) })
	}
	return nil
}

// waitFor waits for a content that somebody else is fetching.
func (e *engine) waitFor(ctx context.Context, g *errgroup.Group, c *content) error {
	e.setState(c, FileWaiting)
	e.tell(Event{Kind: EventWait, Path: c.file.Path, Bytes: c.file.Size})
	in, err := e.store.IngestWait(ctx, c.want)
	if err != nil {
		return e.fail(c.file.Path, err)
	}
	digest, ok := e.store.Find(c.want)
	if !ok {
		return e.begin(ctx, g, c, in)
	}
	if err := in.Close(); err != nil {
		return e.fail(c.file.Path, err)
	}
	c.digest = digest
	e.count(-c.claims)
	e.reuse(c)
	e.queue.spare()
	return nil
}

// begin makes a job of an open content.
func (e *engine) begin(ctx context.Context, g *errgroup.Group, c *content, in *store.Ingest) error {
	j := &job{content: c, in: in, begun: in.Pieces()}
	if first := e.begun[c.file.Path]; len(first) > len(j.begun[0]) {
		if j.begun == nil {
			j.begun = make(map[int][]byte)
		}
		j.begun[0] = first
	}
	e.mu.Lock()
	e.jobs = append(e.jobs, j)
	c.job, c.state = j, FileFetching
	e.mu.Unlock()
	if err := e.useBegun(ctx, j); err != nil {
		return err
	}
	e.enqueue(j)
	g.Go(func() error { return e.complete(ctx, j) })
	return nil
}

// useBegun writes the first part of a job if all of it has come already. Less
// of it is left to the connection that fetches the rest.
func (e *engine) useBegun(ctx context.Context, j *job) error {
	if j.in.NumParts() == 0 || j.in.Held(0) {
		delete(j.begun, 0)
		return nil
	}
	n := j.in.PartLen(0)
	if len(j.begun[0]) < n {
		return nil
	}
	part := j.begun[0][:n]
	delete(j.begun, 0)
	return e.persistSpace(ctx, j.file.Path, func() error { return j.in.WritePart(ctx, 0, part) })
}

// enqueue counts what the store holds of a job and queues the rest.
func (e *engine) enqueue(j *job) {
	n := j.in.NumParts()
	var missing []int
	for i := range n {
		if !j.in.Held(i) {
			missing = append(missing, i)
		}
	}
	held := j.in.HeldBytes()
	e.stats.Kept.Add(held)
	e.count(held - j.claims)
	e.verified(j, j.in.HashedBytes())
	e.queue.add(j, n, missing)
	e.queue.doubt(j, e.seeded[j.want])
	select {
	case e.opened <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}
