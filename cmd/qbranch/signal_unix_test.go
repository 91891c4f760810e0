//go:build unix

package main

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/cli"
)

// The first signal cancels the context and says which it was; a command that
// ends by itself finds the context as it was.
func TestInterruptible(t *testing.T) {
	for _, tc := range []struct {
		signal syscall.Signal
		want   int
	}{
		{syscall.SIGINT, 130},
		{syscall.SIGTERM, 143},
		{syscall.SIGHUP, 129},
	} {
		if tc.signal == syscall.SIGHUP && signal.Ignored(tc.signal) {
			continue // under nohup it is nobody's business
		}
		in := interruptible(context.Background())
		ctx := in.ctx
		if ctx.Err() != nil {
			t.Fatalf("cancelled before any signal: %v", ctx.Err())
		}
		if err := syscall.Kill(syscall.Getpid(), tc.signal); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		var cause *cli.SignalError
		if !errors.As(context.Cause(ctx), &cause) || cause.ExitCode() != tc.want {
			t.Errorf("%v: cause %v, want exit code %d", tc.signal, context.Cause(ctx), tc.want)
		}
		in.stop()
	}
}

// An interrupt that a command deals with itself does not end it, and one that it
// leaves alone does. Other signals are not offered.
func TestCatchInterrupt(t *testing.T) {
	in := interruptible(context.Background())
	defer in.stop()
	caught := make(chan bool)
	first := true
	in.catchInterrupt(func() bool {
		mine := first
		first = false
		caught <- mine
		return mine
	})
	for _, want := range []bool{true, false} {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if got := <-caught; got != want {
			t.Fatalf("dealt with: got %v, want %v", got, want)
		}
		if want && in.ctx.Err() != nil {
			t.Fatal("cancelled by an interrupt that was dealt with")
		}
	}
	<-in.ctx.Done()
}
