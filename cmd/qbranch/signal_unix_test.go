//go:build unix

package main

import (
	"context"
	"errors"
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
		ctx, stop := interruptible(context.Background())
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
		stop()
	}
}
