package kernel

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
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
type Pool struct {
	spaces []scratch // per goroutine, the caller's first
	wake   []chan struct{}
	exited sync.WaitGroup

	// The task at hand: parts are taken from next.
	task  func(part int)
	parts int
	next  atomic.Int64
	busy  sync.WaitGroup
	fault atomic.Pointer[error]

	compute Compute
	job     product // arguments of Mul
}

// Output is a matrix and where its product goes.
type Output struct {
	M *Matrix
	Y []float32 // (tokens, M.N)
}

type product struct {
	m      *Matrix
	x, y   []float32
	tokens int
}

// NewPool starts threads−1 goroutines; threads is at least 1. An empty compute is
// the default.
func NewPool(threads int, compute Compute) *Pool {
	threads = max(threads, 1)
	if compute == "" {
		compute = Int16
	}
	p := &Pool{spaces: make([]scratch, threads), compute: compute}
	for i := 1; i < threads; i++ {
		wake := make(chan struct{})
		p.wake = append(p.wake, wake)
		p.exited.Add(1)
		go func() {
			defer p.exited.Done()
			debug.SetPanicOnFault(true)
			for range wake {
				p.help(&p.spaces[i])
			}
		}()
	}
	return p
}

// Close ends the goroutines and waits for them. No task may be running.
func (p *Pool) Close() {
	for _, wake := range p.wake {
		close(wake)
	}
	p.wake = nil
	p.exited.Wait()
}

// Run calls task for every part from 0 on, on all goroutines, and returns when
// all are done, or ErrFault.
func (p *Pool) Run(parts int, task func(part int)) error {
	p.task, p.parts = task, parts
	defer func() { p.task = nil }()
	return p.run()
}

// Mul sets Y[t] = x[t]·W + bias for t < tokens and each of the outputs, which
// share the input x, (tokens, K). The error is ErrFault.
func (p *Pool) Mul(x []float32, tokens int, outs ...Output) error {
	for _, o := range outs {
		p.job = product{o.M, x[:tokens*o.M.K], o.Y[:tokens*o.M.N], tokens}
		p.parts = o.M.blocks()
		if err := p.run(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pool) run() error {
	p.next.Store(0)
	helpers := min(len(p.wake), p.parts-1)
	p.busy.Add(max(helpers, 0))
	for i := range helpers {
		p.wake[i] <- struct{}{}
	}
	p.loop(&p.spaces[0])
	p.busy.Wait()
	if fault := p.fault.Swap(nil); fault != nil {
		return *fault
	}
	return nil
}

// help is a goroutine's share of a task.
func (p *Pool) help(s *scratch) {
	defer p.busy.Done()
	p.loop(s)
}

// loop takes parts until none is left. A fault ends the whole task.
func (p *Pool) loop(s *scratch) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if err := faultOf(recover()); err != nil {
			fault := err // its own variable, so that only a fault allocates
			p.fault.Store(&fault)
			p.next.Store(int64(p.parts))
		}
	}()
	for {
		part := int(p.next.Add(1) - 1)
		if part >= p.parts {
			return
		}
		if p.task != nil {
			p.task(part)
		} else {
			p.job.m.mulBlock(s, p.job.x, p.job.y, p.job.tokens, part)
		}
	}
}
