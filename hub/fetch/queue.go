package fetch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/qbranch/qbranch/store"
)

const (
	maxRun  = 16              // parts a request asks for at most
	longRun = 4 * time.Second // and not more than come in this time, so that the number of connections can follow
	// What comes in the last round of runs is hashed when all of it is there, by
	// one core at about this many parts a second; that may take this much of the
	// time that everything takes.
	hashPace  = 1400
	hashShare = 0.015
	worthHelp = 500 * time.Millisecond // a run is relieved of parts when they would take longer
	slowParts = 3                      // a part is slow when it takes so many times the usual …
	slowLeast = 2 * time.Second        // … and at least this
)

// errTaken ends a request whose part somebody else brought in first. It is a
// cancellation to those who look (a client that shares answers among requests
// has to).
var errTaken = fmt.Errorf("another connection was faster: %w", context.Canceled)

// errPaused ends a request because the fetch is paused, in the same sense.
var errPaused = fmt.Errorf("paused: %w", context.Canceled)

// job is one large content on its way in.
type job struct {
	*content
	in     *store.Ingest
	hashed int64          // bytes behind the SHA-256 frontier, at best; engine.mu
	begun  map[int][]byte // first bytes of parts, less than all of it; whoever fetches the part takes them

	// The queue's lock guards these.
	claimed []bool   // by part: in the file, or being handed to it
	suspect []bool   // by part: came over a connection that broke, or after a retry
	redo    []bool   // by part: dropped, and not there again; nil = none was
	left    int      // parts not in the file yet
	hosts   []string // that sent any of it, sorted
}

// span is a row of consecutive parts of one job that nobody works on.
type span struct {
	job        *job
	first, end int
}

// run is a row of consecutive parts that one connection works on. While it is
// being read, end may move towards next, never below next+1.
type run struct {
	job       *job
	next, end int // next is the part being read, or the first to ask for
	asked     int // the request is for parts before this one
	reading   bool
	broke     bool      // the last request did, and no other has been made
	kept      bool      // its connection has some of next, of a request that is over
	leaving   bool      // its connection is one too many
	since     time.Time // when next was begun
	stop      context.CancelCauseFunc
}

// queue hands out the missing parts of all jobs. It also counts the
// connections, since an idle one is what makes others give work away.
type queue struct {
	mu     sync.Mutex
	cond   *sync.Cond
	spans  []span
	queued int           // parts in spans
	total  int           // parts that were ever queued
	runs   []*run        // being worked on
	coming int           // jobs that were announced and not added yet
	open   int           // jobs that are not published yet, and may need parts again
	over   chan struct{} // closed when both have fallen to 0
	pace   time.Duration // what reading a part takes, smoothed; 0 = not known yet

	paused  bool
	most    int // connections there can be at most
	target  int // connections there should be
	workers int // connections there are
	idle    int // of those, waiting for work
	leaving int // of those, giving their run back
}

func newQueue(most, target int) *queue {
	q := &queue{most: most, target: target, over: make(chan struct{})}
	q.cond = sync.NewCond(&q.mu)
	return q
}

// expect announces jobs, each of which will be added or spared.
func (q *queue) expect(jobs int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.coming += jobs
}

// awaitLow returns when the connections may soon need more parts.
func (q *queue) awaitLow(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.queued >= q.low() && ctx.Err() == nil {
		q.cond.Wait()
	}
	return ctx.Err()
}

// low is how many queued parts are enough for all connections, and for runs as
// long as they would be if all that is missing were queued.
func (q *queue) low() int { return 4 * q.most * maxRun }

// add opens a job of n parts, of which the missing ones (ascending) are to be
// fetched.
func (q *queue) add(j *job, n int, missing []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open++
	q.coming = max(q.coming-1, 0)
	j.claimed = slices.Repeat([]bool{true}, n)
	j.suspect = make([]bool, n)
	q.push(j, missing)
}

// again queues parts of an open job once more.
func (q *queue) again(j *job, parts []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if j.redo == nil {
		j.redo = make([]bool, len(j.claimed))
	}
	for _, i := range parts {
		j.redo[i] = true
	}
	q.push(j, parts)
}

func (q *queue) push(j *job, parts []int) {
	for _, i := range parts {
		j.claimed[i] = false
		if k := len(q.spans) - 1; k >= 0 && q.spans[k].job == j && q.spans[k].end == i {
			q.spans[k].end++
		} else {
			q.spans = append(q.spans, span{j, i, i + 1})
		}
	}
	j.left += len(parts)
	q.queued += len(parts)
	q.total += len(parts)
	q.cond.Broadcast()
}

// done says that a job is published. When the last one is, take returns nil.
func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open--
	q.look()
}

// spare says that an announced job needs nothing.
func (q *queue) spare() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.coming--
	q.look()
}

// look ends everything after the last job.
func (q *queue) look() {
	if q.open+q.coming == 0 {
		close(q.over)
	}
	q.cond.Broadcast()
}

// await returns when all parts asked for of j are in the file.
func (q *queue) await(ctx context.Context, j *job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for j.left > 0 && ctx.Err() == nil {
		q.cond.Wait()
	}
	return ctx.Err()
}

// wake makes everybody who waits look at their context again.
func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cond.Broadcast()
}

// setTarget says how many connections there should be, and how many there can
// be at most.
func (q *queue) setTarget(most, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.most == most && q.target == n {
		return
	}
	q.most, q.target = most, n
	q.cond.Broadcast()
}

// manned returns how many connections there are, and how many of them have
// nothing to do.
func (q *queue) manned() (conns, idle int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.workers, q.idle
}

// pause stops all requests, to go on where they were, or lets them.
func (q *queue) pause(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.paused == on {
		return
	}
	q.paused = on
	for _, r := range q.runs {
		if on && r.reading {
			r.stop(errPaused)
		}
	}
	q.cond.Broadcast()
}

// awaitUnpaused returns when requests may be made.
func (q *queue) awaitUnpaused(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.paused && ctx.Err() == nil {
		q.cond.Wait()
	}
	return ctx.Err()
}

// hire counts one more connection if one more is wanted and there is anything
// for it to do.
func (q *queue) hire() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.paused || q.workers >= q.target || q.idle > 0 || q.queued == 0 {
		return false
	}
	q.workers++
	return true
}

// take waits for work. It returns nil when there will be none (all jobs done,
// ctx ended, or one connection too many), and the caller is no longer counted.
func (q *queue) take(ctx context.Context) *run {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ctx.Err() == nil && q.open+q.coming > 0 && q.workers <= q.target {
		if !q.paused {
			if r := q.pop(); r != nil {
				q.runs = append(q.runs, r)
				return r
			}
		}
		q.idle++
		q.cond.Wait()
		q.idle--
	}
	q.workers--
	return nil
}

// pop cuts a run off the first span. Runs shrink towards the end, so that the
// last parts lie with many connections and SHA-256 is not far behind them; not
// those of files that the hub serves itself, since it counts requests, and
// storage does not.
func (q *queue) pop() *run {
	if len(q.spans) == 0 {
		return nil
	}
	s := &q.spans[0]
	n := maxRun
	if s.job.file.LFS {
		n = runLength(q.queued, q.total, q.most, q.pace)
	}
	n = min(n, s.end-s.first)
	r := &run{job: s.job, next: s.first, end: s.first + n}
	s.first += n
	if q.queued -= n; q.coming > 0 && q.queued < q.low() {
		q.cond.Broadcast()
	}
	if s.first == s.end {
		q.spans = q.spans[1:]
	}
	return r
}

// runLength is how many of the queued parts one request asks for. pace is how
// long a part takes on each of the connections, 0 = not known. A request costs a
// round trip, so that short ones are no good; but long ones at the end leave
// SHA-256 behind.
func runLength(queued, total, conns int, pace time.Duration) int {
	n := queued / (2 * conns)
	if pace > 0 {
		seconds := float64(total) / float64(conns) * pace.Seconds() // for everything
		short := int(hashShare * seconds * hashPace / float64(conns))
		fair := (queued + conns - 1) / conns
		n = min(max(n, min(short, fair)), int(longRun/pace))
	}
	return max(min(n, maxRun), 1)
}

// release gives a run back. It is empty unless its connection gave up.
func (q *queue) release(r *run) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.runs = slices.DeleteFunc(q.runs, func(x *run) bool { return x == r })
	if r.leaving {
		q.leaving--
	}
}

// empty reports whether nothing is left to fetch of r.
func (q *queue) empty(r *run) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.skip(r)
}

// skip leaves out the parts at the front of r that others have brought in, and
// reports whether none remain.
func (q *queue) skip(r *run) bool {
	for r.next < r.end && r.job.claimed[r.next] {
		r.next++
	}
	return r.next >= r.end
}

// begin says which parts the next request of r is to ask for: n parts from
// first. n is 0 when nothing is left. stop must end the request.
func (q *queue) begin(r *run, stop context.CancelCauseFunc) (first, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.skip(r)
	for r.next+n < r.end && !r.job.claimed[r.next+n] {
		n++
	}
	if q.paused {
		n = 0
	}
	r.stop, r.reading, r.since = stop, n > 0, time.Now()
	r.asked, r.broke = r.next+n, r.broke && n == 0
	return r.next, n
}

// step returns the part to read next; false when there is none, perhaps
// because others have taken what was left.
func (q *queue) step(r *run) (part int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.next >= r.end || r.job.claimed[r.next] {
		return 0, false
	}
	// What is on its way of a run that is given back is lost, so it has to be
	// worth it.
	if rest := time.Duration(r.end-r.next) * q.pace; q.workers-q.leaving > q.target && rest > worthHelp {
		q.giveBack(r)
		return 0, false
	}
	r.since = time.Now()
	return r.next, true
}

// giveBack makes others fetch what is left of a run.
func (q *queue) giveBack(r *run) {
	r.leaving = true
	q.leaving++
	q.spans = slices.Insert(q.spans, 0, span{r.job, r.next, r.end})
	q.queued += r.end - r.next
	r.end = r.next
	q.cond.Broadcast()
}

// sentBy notes who sends bytes of a job.
func (q *queue) sentBy(j *job, host string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i, known := slices.BinarySearch(j.hosts, host); host != "" && !known {
		j.hosts = slices.Insert(j.hosts, i, host)
	}
}

// hosts returns who has sent any of a job.
func (q *queue) hosts(j *job) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(j.hosts)
}

// takeBegun returns the first bytes of a part that have come already, once.
func (q *queue) takeBegun(j *job, part int) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	begun := j.begun[part]
	delete(j.begun, part)
	return begun
}

// claim makes r the one that may write the part it has read. Whoever reads the
// same part is stopped.
func (q *queue) claim(r *run) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	j, i := r.job, r.next
	r.next++
	if j.claimed[i] {
		return false
	}
	j.claimed[i] = true
	for _, other := range q.runs {
		if other != r && other.job == j && other.next == i && other.reading {
			other.stop(errTaken)
		}
	}
	const weight = 8 // of the parts that went before
	took := time.Since(r.since)
	if q.pace == 0 {
		q.pace = took
	}
	q.pace += (took - q.pace) / weight
	return true
}

// wrote says that part i is in the file.
func (q *queue) wrote(j *job, i int, suspect bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	j.suspect[i] = suspect
	if j.redo != nil {
		j.redo[i] = false
	}
	if j.left--; j.left == 0 {
		q.cond.Broadcast()
	}
}

// finish says that a request of r is over. If it broke, the parts it brought,
// from first on, are the first to be doubted.
func (q *queue) finish(r *run, first int, broke, kept bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r.reading, r.stop, r.broke, r.kept = false, nil, broke, kept
	for i := first; broke && i < r.next; i++ {
		r.job.suspect[i] = true
	}
}

// relieve lets idle connections help busy ones, so that a slow one does not
// hold up the end. It is called now and then rather than when a connection runs
// out of work: taking over what is nearly here moves bytes twice for nothing.
func (q *queue) relieve() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.queued < q.idle {
		s, ok := q.share()
		if !ok {
			s, ok = q.hedge()
		}
		if !ok {
			return
		}
		q.spans = append(q.spans, s)
		q.queued += s.end - s.first
		q.cond.Broadcast()
	}
}

// share cuts off the far half of what the most burdened run has not begun. A
// run that waits before a retry keeps its parts: where it waits, others would
// too.
func (q *queue) share() (span, bool) {
	var from *run
	most := worthHelp
	for _, r := range q.runs {
		rest := r.end - r.next - 1
		if burden := time.Duration(rest) * max(q.pace, time.Since(r.since)); r.reading && burden > most {
			from, most = r, burden
		}
	}
	if from == nil {
		return span{}, false
	}
	s := span{from.job, from.end - (from.end-from.next)/2, from.end}
	from.end = s.first
	return s, true
}

// hedge finds a part that takes far longer than parts do, and that nobody else
// reads, to be read by a second connection. Whoever is first wins.
func (q *queue) hedge() (span, bool) {
	for _, r := range q.runs {
		slow := q.pace > 0 && time.Since(r.since) > max(slowParts*q.pace, slowLeast)
		if r.reading && slow && q.readers(r.job, r.next) == 1 {
			return span{r.job, r.next, r.next + 1}, true
		}
	}
	return span{}, false
}

// readers counts the connections that read a part, or soon will.
func (q *queue) readers(j *job, part int) int {
	n := 0
	for _, r := range q.runs {
		if r.job == j && r.next == part && r.next < r.end {
			n++
		}
	}
	for _, s := range q.spans {
		if s.job == j && s.first <= part && part < s.end {
			n++
		}
	}
	return n
}

// doubt makes the first n parts of a job the first to be suspected.
func (q *queue) doubt(j *job, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range min(n, len(j.suspect)) {
		j.suspect[i] = true
	}
}

// suspects returns the parts that came over broken connections or after a
// retry, and all the others.
func (q *queue) suspects(j *job) (first, rest []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, s := range j.suspect {
		if s {
			first = append(first, i)
		} else {
			rest = append(rest, i)
		}
	}
	return first, rest
}
