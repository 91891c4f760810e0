package kernel

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFault is a memory fault while a mapped file was read: the file shrank, or
// its disk failed, after it was mapped.
var ErrFault = errors.New("memory fault reading a mapped file")

// Catch runs f with memory faults turned into ErrFault. Other panics pass.
func Catch(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := faultOf(recover()); fault != nil {
			err = fault
		}
	}()
	return f()
}

// faultOf tells a fault from other panics, which it passes on.
func faultOf(r any) error {
	if r == nil {
		return nil
	}
	// The runtime's error for a fault, and it alone, has the address.
	if e, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	}); ok {
		return fmt.Errorf("%w at address %#x", ErrFault, e.Addr())
	}
	panic(r)
}

// Pool runs tasks on a fixed number of goroutines, the caller's being one of
// them. It is for one caller at a time. Close ends the goroutines.
//
// A task is a number of parts that goroutines take one by one. The caller takes
// parts like the others, and at the end waits only for parts that somebody has
// begun, never for a goroutine that the system has not scheduled: where other
// programs use the processor, the caller does most of the work itself. Whoever
// waits spins for a moment, since the next task mostly follows within
// microseconds, and then sleeps, which also gives the processor to a goroutine
// that has a part and is not running.
type Pool struct {
	compute Compute
	isa     *instructions

	spaces  []scratch // per goroutine, the caller's first
	workers []sleeper // the others
	caller  sleeper
	closed  atomic.Bool
	exited  sync.WaitGroup

	// The task at hand. Whoever has taken a part may read it, because the task
	// then lasts until that part is done.
	task  func(part int)
	state atomic.Uint64 // how often a task was begun, its parts, parts taken
	done  atomic.Int64  // parts finished
	fault atomic.Pointer[error]

	finished func() bool // whether the task is done; made once

	job     product // arguments of Mul
	touched int64   // bytes of the matrices multiplied

	attention *Attention // argument of Attend
}

// The fields of Pool.state.
const (
	countBits = 20
	countMask = 1<<countBits - 1
)

// How often something is looked at before sleeping. It takes a nanosecond or two
// each time; a goroutine that took interrupted longer was not running all the while.
const (
	leastSpins  = 1 << 10
	mostSpins   = 1 << 18
	moreSpins   = 1 << 6
	interrupted = time.Millisecond
)

// NewPool starts threads−1 goroutines; threads is at least 1. An empty compute is
// the default.
func NewPool(threads int, compute Compute) *Pool {
	return newPool(threads, compute, fastest)
}

func newPool(threads int, compute Compute, isa *instructions) *Pool {
	threads = max(threads, 1)
	if compute == "" {
		compute = Int16
	}
	p := &Pool{compute: compute, isa: isa, spaces: make([]scratch, threads), workers: make([]sleeper, threads-1)}
	p.caller.wake, p.caller.spins = make(chan struct{}, 1), mostSpins
	p.finished = func() bool { return p.done.Load() == int64(p.state.Load()>>countBits&countMask) }
	for i := range p.workers {
		p.workers[i].wake, p.workers[i].spins = make(chan struct{}, 1), mostSpins
		p.exited.Add(1)
		go p.worker(&p.workers[i], &p.spaces[i+1])
	}
	return p
}

// Close ends the goroutines and waits for them. No task may be running.
func (p *Pool) Close() {
	p.closed.Store(true)
	for i := range p.workers {
		p.workers[i].rouse()
	}
	p.exited.Wait()
}

func (p *Pool) worker(me *sleeper, s *scratch) {
	defer p.exited.Done()
	debug.SetPanicOnFault(true)
	ready := func() bool {
		v := p.state.Load()
		return v&countMask < v>>countBits&countMask || p.closed.Load()
	}
	for !p.closed.Load() {
		me.await(ready)
		p.loop(s)
	}
}

// Run calls task for every part from 0 on, at most a million, on all goroutines,
// and returns when all are done, or ErrFault.
func (p *Pool) Run(parts int, task func(part int)) error {
	p.task = task
	defer func() { p.task = nil }()
	return p.run(parts)
}

func (p *Pool) run(parts int) error {
	if parts == 0 {
		return nil
	}
	p.done.Store(0)
	epoch := p.state.Load()>>(2*countBits) + 1
	p.state.Store(epoch<<(2*countBits) | uint64(parts)<<countBits)
	for i := range min(len(p.workers), parts-1) {
		p.workers[i].rouse()
	}
	old := debug.SetPanicOnFault(true)
	p.loop(&p.spaces[0])
	debug.SetPanicOnFault(old)
	if p.done.Load() != int64(parts) {
		p.caller.await(p.finished)
	}
	if p.fault.Load() == nil {
		return nil
	}
	return *p.fault.Swap(nil)
}

// loop takes parts until none is left.
func (p *Pool) loop(s *scratch) {
	for {
		v := p.state.Load()
		part, parts := v&countMask, v>>countBits&countMask
		if part >= parts {
			return
		}
		if p.state.CompareAndSwap(v, v+1) {
			p.part(s, int(part), int64(parts))
		}
	}
}

// part does one part. A fault ends the whole task.
func (p *Pool) part(s *scratch, part int, parts int64) {
	defer func() {
		finished := int64(1)
		if err := faultOf(recover()); err != nil {
			fault := err // its own variable, so that only a fault allocates
			p.fault.Store(&fault)
			finished += p.dropRest()
		}
		if p.done.Add(finished) == parts {
			p.caller.rouse()
		}
	}()
	switch {
	case p.task != nil:
		p.task(part)
	case p.attention != nil:
		p.attention.part(p.isa, s, part)
	default:
		p.job.part(s, part)
	}
}

// dropRest takes all parts that are left, and says how many they were.
func (p *Pool) dropRest() int64 {
	for {
		v := p.state.Load()
		part, parts := v&countMask, v>>countBits&countMask
		if part >= parts {
			return 0
		}
		if p.state.CompareAndSwap(v, v+parts-part) {
			return int64(parts - part)
		}
	}
}

// sleeper is a goroutine that waits for something, spinning at first. Where other
// programs use the processor, who spins takes it from the goroutine that is waited
// for: once a spin was interrupted it spins only briefly, and then longer and
// longer.
type sleeper struct {
	asleep atomic.Bool
	wake   chan struct{} // holds one
	spins  int           // of the goroutine's own
}

// await returns when ready does hold. Who makes it hold calls rouse after that.
func (s *sleeper) await(ready func() bool) {
	for !ready() {
		if s.spin(ready) {
			return
		}
		s.asleep.Store(true)
		if ready() && s.asleep.CompareAndSwap(true, false) {
			return
		}
		<-s.wake // rouse has been called, or will be
	}
}

// spin reports whether ready did hold within some time.
func (s *sleeper) spin(ready func() bool) bool {
	start := time.Now()
	done := false
	for n := max(s.spins, leastSpins); n > 0 && !done; n-- {
		done = ready()
	}
	if time.Since(start) > interrupted {
		s.spins = leastSpins
	} else {
		s.spins = min(s.spins+moreSpins, mostSpins)
	}
	return done
}

func (s *sleeper) rouse() {
	if s.asleep.Load() && s.asleep.CompareAndSwap(true, false) {
		s.wake <- struct{}{}
	}
}
