package fetch

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qbranch/qbranch/hub"
)

func TestRunLength(t *testing.T) {
	tests := []struct {
		queued, total, conns int
		pace                 time.Duration
		want                 int
	}{
		{0, 0, 8, 0, 1},
		{1, 1, 8, 0, 1},
		{31, 31, 8, 0, 1}, // the tail: a part each
		{32, 32, 8, 0, 2}, // a bit before
		{64, 64, 8, 0, 4}, // 64 MiB
		{1000, 1000, 8, 100 * time.Millisecond, 16}, // never more than 16 MiB
		{1000, 1000, 8, time.Second, 4},             // or a few seconds' worth
		{1000, 1000, 8, time.Minute, 1},
		{10, 10, 1, 0, 5}, // one connection has nobody to leave parts to, but requests stay bounded
		{1000, 1000, 1, 0, 16},
		// On a slow line the hash is soon done: nobody waits for it.
		{64, 256, 16, 210 * time.Millisecond, 4},
		{64, 256, 16, 52 * time.Millisecond, 2},
		{20, 256, 16, 52 * time.Millisecond, 1},
	}
	for _, tt := range tests {
		if got := runLength(tt.queued, tt.total, tt.conns, tt.pace); got != tt.want {
			t.Errorf("runLength(%d, %d, %d, %v) = %d, want %d", tt.queued, tt.total, tt.conns, tt.pace, got, tt.want)
		}
	}
}

// asked is one request that a test connection made.
type asked struct {
	job      *job
	first, n int
}

// simulation runs connections over a queue without a network.
type simulation struct {
	q       *queue
	perPart []time.Duration // by connection
	broken  func(worker int) bool

	mu      sync.Mutex
	asked   []asked
	written map[*job][]int // times each part was written
	wasted  int            // parts read for nothing
}

// run returns how long it took.
func (s *simulation) run(t *testing.T, jobs map[*job][]int, parts int) time.Duration {
	s.written = make(map[*job][]int)
	start := time.Now()
	for j, missing := range jobs {
		s.written[j] = make([]int, parts)
		s.q.add(j, parts, missing)
	}
	var wg sync.WaitGroup
	for w := 0; s.q.hire(); w++ {
		wg.Go(func() { s.work(t.Context(), w) })
	}
	for j := range jobs {
		wg.Go(func() {
			if err := s.q.await(t.Context(), j); err != nil {
				t.Error(err)
			}
			s.q.done()
		})
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-s.q.over:
			over = true
		case <-tick.C:
			s.q.relieve()
		}
	}
	took := time.Since(start)
	wg.Wait()
	if s.q.workers != 0 || s.q.idle != 0 || len(s.q.runs) != 0 {
		t.Errorf("left behind: %d workers, %d idle, %d runs", s.q.workers, s.q.idle, len(s.q.runs))
	}
	return took
}

func (s *simulation) work(ctx context.Context, w int) {
	for r := s.q.take(ctx); r != nil; r = s.q.take(ctx) {
		for !s.q.empty(r) {
			s.request(ctx, w, r)
		}
		s.q.release(r)
	}
}

func (s *simulation) request(ctx context.Context, w int, r *run) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	first, n := s.q.begin(r, stop)
	s.mu.Lock()
	s.asked = append(s.asked, asked{r.job, first, n})
	s.mu.Unlock()
	broke := false
	defer func() { s.q.finish(r, first, broke, false) }()
	for range n {
		i, ok := s.q.step(r)
		if !ok {
			return
		}
		if sleep(ctx, s.perPart[w]) != nil {
			s.mu.Lock()
			s.wasted++
			s.mu.Unlock()
			if !errors.Is(context.Cause(ctx), errTaken) {
				panic("stopped for no reason")
			}
			return
		}
		if s.broken != nil && s.broken(w) {
			broke = true
			return
		}
		if s.q.claim(r) {
			s.mu.Lock()
			s.written[r.job][i]++
			s.mu.Unlock()
			s.q.wrote(r.job, i, false)
		} else {
			s.mu.Lock()
			s.wasted++
			s.mu.Unlock()
		}
	}
}

func newJob() *job { return &job{content: &content{file: hub.File{LFS: true}}} }

func all(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func each(n int, d time.Duration) []time.Duration {
	return slices.Repeat([]time.Duration{d}, n)
}

// Whatever the speeds and the breaks: every missing part is written once, and
// no other part is asked for.
func TestQueueWritesEachPartOnce(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			conns, parts := 1+rnd.IntN(8), 1+rnd.IntN(60)
			var breaks sync.Mutex
			s := &simulation{q: newQueue(conns, conns)}
			s.broken = func(int) bool {
				breaks.Lock()
				defer breaks.Unlock()
				return rnd.IntN(10) == 0
			}
			for range conns {
				s.perPart = append(s.perPart, time.Duration(1+rnd.IntN(10_000))*time.Millisecond)
			}
			jobs := make(map[*job][]int)
			for range 1 + rnd.IntN(4) {
				var missing []int
				for i := range parts {
					if rnd.IntN(3) > 0 {
						missing = append(missing, i)
					}
				}
				jobs[newJob()] = missing
			}
			s.run(t, jobs, parts)
			for j, missing := range jobs {
				for i, n := range s.written[j] {
					want := 0
					if slices.Contains(missing, i) {
						want = 1
					}
					if n != want {
						t.Errorf("seed %d: part %d was written %d times, want %d", seed, i, n, want)
					}
				}
			}
			for _, a := range s.asked {
				for i := a.first; i < a.first+a.n; i++ {
					if !slices.Contains(jobs[a.job], i) {
						t.Errorf("seed %d: part %d was asked for, though held", seed, i)
					}
				}
			}
		})
	}
}

// Alike connections share the work evenly, with few requests and no waste.
func TestQueueEvenSpeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{q: newQueue(8, 8), perPart: each(8, 100*time.Millisecond)}
		took := s.run(t, map[*job][]int{newJob(): all(800)}, 800)
		// 100 parts each; a part or two of imbalance at the end.
		if took > 10300*time.Millisecond {
			t.Errorf("took %v, want about 10 s", took)
		}
		if s.wasted > 0 {
			t.Errorf("%d parts were read for nothing", s.wasted)
		}
		if len(s.asked) > 110 {
			t.Errorf("%d requests for 800 parts", len(s.asked))
		}
	})
}

// A file that the hub serves itself is asked for in one request: the hub
// counts them.
func TestQueueSparesTheHub(t *testing.T) {
	q, j := newQueue(8, 8), newJob()
	j.file.LFS = false
	q.add(j, 20, all(20))
	q.workers = 2
	for _, want := range []int{16, 4} {
		if r := q.take(t.Context()); r.end-r.next != want {
			t.Errorf("got a run of %d parts, want %d", r.end-r.next, want)
		}
	}
}

// A slow connection does not hold up the end: others take what it has not
// begun, then even the part it is reading.
func TestQueueSlowConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{q: newQueue(8, 8), perPart: append(each(7, 100*time.Millisecond), 10*time.Minute)}
		took := s.run(t, map[*job][]int{newJob(): all(700)}, 700)
		// 10 s of work for seven, and at most slowLeast, a tick and a part more.
		if took > 14*time.Second {
			t.Errorf("took %v", took)
		}
		if s.wasted != 1 {
			t.Errorf("%d parts were read for nothing, want the slow one", s.wasted)
		}
	})
}

// A part goes to a second connection at most, and not at all when connections
// are slow but alike.
func TestQueueHedgesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{q: newQueue(8, 8), perPart: each(8, time.Minute)}
		s.run(t, map[*job][]int{newJob(): all(9)}, 9)
		if s.wasted != 0 {
			t.Errorf("alike connections: %d parts were read for nothing", s.wasted)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		// Two fast ones, then everybody slow: the last parts are given to one more each.
		s := &simulation{q: newQueue(4, 4), perPart: []time.Duration{time.Second, time.Second, time.Hour, time.Hour}}
		s.run(t, map[*job][]int{newJob(): all(4)}, 4)
		if s.wasted != 2 {
			t.Errorf("%d parts were read for nothing, want the two slow ones", s.wasted)
		}
	})
}

// Connections that are too many leave after the part they are in, and the last
// one stays.
func TestQueueShedsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{q: newQueue(8, 8), perPart: each(8, time.Second)}
		time.AfterFunc(time.Second/2, func() { s.q.setTarget(8, 1) })
		took := s.run(t, map[*job][]int{newJob(): all(64)}, 64)
		// Eight bring a part each, then one is left with the other 56.
		if want := 57 * time.Second; took != want {
			t.Errorf("took %v, want %v", took, want)
		}
	})
}

func TestQueueSuspects(t *testing.T) {
	q, j := newQueue(1, 1), newJob()
	q.add(j, 6, all(6))
	q.workers = 1
	stop := func(error) {}
	bring := func(r *run, n int, broke, retried bool) {
		first, _ := q.begin(r, stop)
		for range n {
			i, _ := q.step(r)
			q.claim(r)
			q.wrote(j, i, retried)
		}
		q.finish(r, first, broke, false)
	}
	r := q.take(t.Context()) // three parts
	bring(r, 2, true, false) // two came, then the connection broke
	bring(r, 1, false, true) // the third after a retry
	q.release(r)
	r = q.take(t.Context())
	bring(r, 1, false, false) // one came as it should
	first, rest := q.suspects(j)
	if !slices.Equal(first, []int{0, 1, 2}) || !slices.Equal(rest, []int{3, 4, 5}) {
		t.Errorf("got suspects %v, others %v", first, rest)
	}
}

func TestQueueEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		q, j := newQueue(2, 2), newJob()
		context.AfterFunc(ctx, q.wake)
		q.add(j, 1, all(1))
		q.workers = 2
		q.take(ctx) // the only part
		taken, awaited := make(chan *run), make(chan error)
		go func() { taken <- q.take(ctx) }()
		go func() { awaited <- q.await(ctx, j) }()
		synctest.Wait()
		cancel()
		if r := <-taken; r != nil {
			t.Error("there was work after the end")
		}
		if err := <-awaited; !errors.Is(err, context.Canceled) {
			t.Errorf("await: got %v", err)
		}
	})
}
