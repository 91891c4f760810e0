package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
)

// engine is one Run.
type engine struct {
	hub     Hub
	store   *store.Store
	plan    Plan
	all     []*content // of the plan
	asked   int        // connections at most, as Fetcher.Connections says
	stall   time.Duration
	wait    time.Duration // bound of the first one
	space   time.Duration // Fetcher.SpaceWait
	patient bool          // Fetcher.Patient
	limit   *Limiter
	stats   *Stats
	seeded  map[store.Want]int // Fetcher.seeded
	counted bool               // Fetcher.Counted
	notify  func(Event)
	log     *slog.Logger
	queue   *queue

	control *Control
	opened  chan struct{}     // tells steer that there is more to do
	begun   map[string][]byte // Fetcher.Begun

	received atomic.Int64 // bytes, for the ramp
	failures atomic.Int64 // requests that brought nothing, for the ramp
	waiting  atomic.Int64 // connections without their first byte, for the ramp

	telling sync.Mutex // serialises notify

	mu    sync.Mutex // guards what follows
	jobs  []*job     // that were opened
	slots []*slot    // one for each connection there was at once
	held  int64      // bytes; falls when parts are dropped, which Stats.Done does not
	high  int64      // what Stats.Done has been told
}

func newEngine(f *Fetcher, p Plan) *engine {
	e := &engine{
		hub: f.Hub, store: f.Store, plan: p, all: contents(p.Files),
		stall: cmp.Or(f.Stall, defaultStall),
		wait:  cmp.Or(f.RetryWait, defaultRetryWait),
		space: f.SpaceWait,
		begun: f.Begun, patient: f.Patient,
		limit:  f.Limit,
		stats:  cmp.Or(f.Stats, new(Stats)),
		notify: f.Notify,
		seeded: f.seeded,
		log:    cmp.Or(f.Logger, slog.New(slog.DiscardHandler)),
	}
	e.control = cmp.Or(f.Control, new(Control))
	e.asked, e.opened = f.Connections, make(chan struct{}, 1)
	most := e.control.most(e.asked)
	if e.counted = f.Counted; e.counted {
		e.high = p.Held + f.ahead
	}
	e.queue = newQueue(most, newRamp(most).conns)
	return e
}

// content is one distinct content of the plan and the files that have it.
type content struct {
	file   hub.File // the first of them
	want   store.Want
	paths  []string // all of them
	claims int64    // bytes that the store seems to hold of it, until it is opened
	digest store.Digest

	// The engine's mu guards these; a Watch looks at them.
	state   FileState // as far as it is known without the queue
	job     *job      // once it is open
	retries int
}

// contents joins files of the same content.
func contents(files []FilePlan) []*content {
	var out []*content
	byWant := make(map[store.Want]*content)
	for _, f := range files {
		w := Wanted(f.File)
		c := byWant[w]
		if c == nil {
			c = &content{file: f.File, want: w, state: FileQueued}
			byWant[w] = c
			out = append(out, c)
		}
		c.paths = append(c.paths, f.File.Path)
	}
	return out
}

func (e *engine) run(ctx context.Context) (store.Snapshot, error) {
	if err := e.checkSpace(e.all); err != nil {
		return store.Snapshot{}, err
	}
	var little, big []*content
	for _, c := range e.all {
		if !e.counted {
			e.stats.Total.Add(c.file.Size)
		}
		var ok bool
		switch c.digest, ok = e.store.Find(c.want); {
		case ok:
			e.reuse(c)
		case small(c.file):
			little = append(little, c)
		default:
			e.claim(c, min(e.store.Held(c.want), c.file.Size))
			big = append(big, c)
		}
	}
	if err := e.fetchAll(ctx, little, big); err != nil {
		return store.Snapshot{}, err
	}
	return e.publish(e.all)
}

// checkSpace fails before the first byte moves when not all will fit.
func (e *engine) checkSpace(all []*content) error {
	var need int64
	for _, c := range all {
		if c.file.Size < 0 {
			return fmt.Errorf("%s: listed with a length of %d: %w", e.op(c.file.Path), c.file.Size, hub.ErrBadListing)
		}
		need += e.store.DiskNeeded(c.want)
	}
	free, err := e.store.Free()
	if err != nil {
		return fmt.Errorf("look for free space: %w", err)
	}
	if need > free {
		return &store.NoSpaceError{Dir: e.store.Dir(), Need: need, Free: free}
	}
	return nil
}

// fetchAll fetches small contents, which are one part or less, in one piece
// each, and the others by parts. The small ones come first: the others begin
// when the last of them has been asked for.
func (e *engine) fetchAll(ctx context.Context, little, big []*content) error {
	g, ctx := errgroup.WithContext(ctx)
	some, someCtx := errgroup.WithContext(ctx)
	some.SetLimit(e.control.most(e.asked))
	for _, c := range little {
		some.Go(func() error { return e.fetchWhole(someCtx, c) })
	}
	g.Go(some.Wait)
	g.Go(func() error { return e.fetchBig(ctx, big) })
	return g.Wait()
}

// steer has as many workers as the ramp says, does what the control says, and
// lets idle connections help slow ones, until all jobs are done.
func (e *engine) steer(ctx context.Context, g *errgroup.Group) error {
	r := newRamp(e.control.most(e.asked))
	start := time.Now()
	tick := time.NewTimer(r.tick())
	defer tick.Stop()
	for {
		e.queue.pause(e.control.Paused())
		for e.queue.hire() {
			e.waiting.Add(1)
			g.Go(func() error { return e.work(ctx) })
		}
		changed := e.control.changes()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.queue.over:
			return nil
		case <-changed:
		case <-e.opened: // there is work: connections come first, and the ramp watches them
			tick.Reset(r.tick())
			continue
		case <-tick.C:
		}
		most := e.control.most(e.asked)
		r = r.capped(most)
		wait := r.tick()
		if conns, idle := e.queue.manned(); conns == 0 || e.control.Paused() {
			wait = slowTick
		} else if idle == 0 {
			r = r.next(sample{
				at: time.Since(start), bytes: e.received.Load(), failures: int(e.failures.Load()),
				conns: conns, waiting: int(e.waiting.Load()),
			})
		} else if !e.limit.limited() { // if it is limited, help would not make anything faster
			e.queue.relieve()
			wait = helpTick
		}
		e.queue.setTarget(most, r.conns)
		tick.Reset(wait)
	}
}

// work is one connection: it fetches runs until there are none.
func (e *engine) work(ctx context.Context) error {
	c := &connection{engine: e, slot: e.dial(nil), fresh: true}
	defer e.hangUp(c.slot)
	defer c.arrived()
	for {
		r := e.queue.take(ctx)
		if r == nil {
			return ctx.Err()
		}
		c.slot.content.Store(r.job.content)
		err := c.fetchRun(ctx, r)
		c.slot.content.Store(nil)
		if err != nil {
			c.leave()
		}
		c.forget()
		e.queue.release(r)
		if err != nil {
			return err
		}
	}
}

// complete waits for the parts of a job and publishes it.
func (e *engine) complete(ctx context.Context, j *job) error {
	err := e.queue.await(ctx, j)
	if err == nil {
		j.digest, err = e.commit(ctx, j)
	}
	if errors.Is(err, store.ErrMismatch) {
		j.digest, err = e.repair(ctx, j, err)
	}
	var known *MismatchError
	if err != nil && !errors.As(err, &known) {
		err = e.fail(j.file.Path, err)
	}
	if err != nil {
		return err
	}
	e.verified(j, j.file.Size)
	e.tellAll(EventFile, j.content)
	e.drop(j)
	e.queue.done()
	return nil
}

// commit publishes a job, when there is space for its list of parts.
func (e *engine) commit(ctx context.Context, j *job) (d store.Digest, err error) {
	err = e.persistSpace(ctx, j.file.Path, func() error {
		d, err = j.in.Commit(ctx)
		return err
	})
	return d, err
}

// publish writes the snapshot, then what the branch stood at.
func (e *engine) publish(all []*content) (store.Snapshot, error) {
	snap := store.Snapshot{
		Repo: e.plan.Repo.String(), Commit: string(e.plan.Commit), Branch: e.plan.Branch,
		Created: time.Now().UTC(),
	}
	for _, c := range all {
		for _, path := range c.paths {
			snap.Files = append(snap.Files, store.SnapshotFile{Path: path, Size: c.file.Size, SHA256: c.digest})
		}
	}
	slices.SortFunc(snap.Files, func(a, b store.SnapshotFile) int { return cmp.Compare(a.Path, b.Path) })
	if e.plan.Some {
		return snap, nil // a snapshot says that the branch is there
	}
	if err := e.store.PutSnapshot(snap); err != nil {
		return snap, err
	}
	if e.plan.Branch != "" {
		if err := e.store.SetBranch(snap.Repo, snap.Branch, snap.Commit); err != nil {
			return snap, err
		}
	}
	return snap, nil
}

// reuse counts a content that was in the store.
func (e *engine) reuse(c *content) {
	e.stats.Kept.Add(c.file.Size)
	e.stats.Verified.Add(c.file.Size)
	e.count(c.file.Size)
	e.tellAll(EventReuse, c)
}

// claim counts what the store seems to hold of a content.
func (e *engine) claim(c *content, held int64) {
	e.mu.Lock()
	c.claims = held
	e.mu.Unlock()
	e.count(held)
}

// drop lets go of the ingestion of a job that is over: it holds on to a buffer.
func (e *engine) drop(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.claims, j.in = j.in.HeldBytes(), nil
}

// count adds n bytes to those held; n is negative when parts are dropped.
func (e *engine) count(n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held += n
	if e.held > e.high {
		e.stats.Done.Add(e.held - e.high)
		e.high = e.held
	}
}

// verified notes how far the SHA-256 of a job has come; after a drop it begins
// again, which Stats.Verified does not show.
func (e *engine) verified(j *job, n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n > j.hashed {
		e.stats.Verified.Add(n - j.hashed)
		j.hashed = n
	}
}

// tellAll tells the outcome of every file that has the content.
func (e *engine) tellAll(kind EventKind, c *content) {
	if kind == EventReuse {
		e.setState(c, FileReused)
	} else {
		e.setState(c, FileVerified)
	}
	for _, path := range c.paths {
		e.tell(Event{Kind: kind, Path: path, Bytes: c.file.Size})
	}
}

func (e *engine) tell(ev Event) {
	e.log.Debug("fetch", "event", string(ev.Kind), "path", ev.Path, "bytes", ev.Bytes, "wait", ev.Wait, "error", ev.Err)
	if e.notify == nil {
		return
	}
	e.telling.Lock()
	defer e.telling.Unlock()
	e.notify(ev)
}
