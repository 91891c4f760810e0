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
	ctx, stop := interruptible(context.Background())
	code := cli.Main(ctx, cli.Program{
		Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Version: version,
	})
	stop()
	os.Exit(code)
}

// interruptible makes a context that the first SIGINT, SIGTERM or SIGHUP cancels,
// so that the command ends in good order; the second ends the process at once.
// SIGHUP is what a terminal that is closed sends; under nohup it stays ignored.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for asked := false; ; asked = true {
			select {
			case s := <-signals:
				cause := &cli.SignalError{Signal: s}
				if asked {
					os.Exit(cause.ExitCode())
				}
				cancel(cause)
			case <-done:
				return
			}
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		wg.Wait()
		cancel(nil)
	}
}
