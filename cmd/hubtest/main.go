package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes: 0 when asked to stop, 1 when it cannot serve, 2 for wrong usage.
const (
	exitFailed = 1
	exitUsage  = 2
)

const usage = `hubtest serves a folder, or files made from a seed, as a Hugging Face Hub on
this machine, and misbehaves on command.

usage: hubtest serve [DIR] [flags]    until Ctrl-C
       hubtest serve --help
`

// run is main without the process: ctx ends when somebody asks to stop.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] != "serve" {
		if len(args) > 0 && (args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
			fmt.Fprint(stdout, usage)
			return 0
		}
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	o, err := parse(args[1:], stdout)
	if err == nil {
		err = serve(ctx, o, stdout, stderr)
	}
	var wrong *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "hubtest: %v\nsee: hubtest serve --help\n", err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "hubtest: %v\n", err)
	return exitFailed
}

// usageError is a command line that cannot be meant.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }
