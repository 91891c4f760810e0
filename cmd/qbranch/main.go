// Command qbranch lists, fetches, verifies and runs the quants that live in
// the branches of a Hugging Face repository.
package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/cli"
	"github.com/qbranch/qbranch/cmd/qbranch/internal/termguard"
)

// version is set when a release is linked: -ldflags '-X main.version=v1.2.3'.
var version string

func main() {
	termguard.Restore()
	signals := interruptible(context.Background())
	code := cli.Main(signals.ctx, cli.Program{
		Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Version: version,
		CatchInterrupt: signals.catchInterrupt,
	})
	signals.stop()
	os.Exit(code)
}

// interrupts turns signals into the end of a context.
type interrupts struct {
	ctx  context.Context
	stop func()

	mu    sync.Mutex
	catch func() bool // may deal with a SIGINT; nil = nobody does
}

// interruptible makes a context that the first SIGINT, SIGTERM or SIGHUP cancels,
// so that the command ends in good order; the second ends the process at once.
// SIGHUP is what a terminal that is closed sends; under nohup it stays ignored.
func interruptible(parent context.Context) *interrupts {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	done := make(chan struct{})
	in := &interrupts{ctx: ctx}
	var wg sync.WaitGroup
	wg.Go(func() {
		for asked := false; ; {
			select {
			case s := <-signals:
				if s == os.Interrupt && in.caught() {
					continue
				}
				cause := &cli.SignalError{Signal: s}
				if asked {
					os.Exit(cause.ExitCode())
				}
				asked = true
				cancel(cause)
			case <-done:
				return
			}
		}
	})
	in.stop = func() {
		signal.Stop(signals)
		close(done)
		wg.Wait()
		cancel(nil)
	}
	return in
}

// catchInterrupt offers every SIGINT to f first, until it is called with nil.
func (in *interrupts) catchInterrupt(f func() bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.catch = f
}

func (in *interrupts) caught() bool {
	in.mu.Lock()
	f := in.catch
	in.mu.Unlock()
	return f != nil && f()
}
