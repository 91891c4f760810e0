package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// Exit codes. docs/output.md promises them.
const (
	exitOther       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitAccess      = 4
	exitNetwork     = 5
	exitIntegrity   = 6
	exitStorage     = 7
	exitLocked      = 8
	exitOffline     = 9
	exitNothing     = 10
	exitPartial     = 11
	exitUnsupported = 12
	exitInterrupted = 130
)

// SignalError is the cause of a context that a signal cancelled.
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string { return "received " + e.Signal.String() }

// ExitCode is 128 and the signal's number, as shells have it.
func (e *SignalError) ExitCode() int {
	if n, ok := e.Signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitInterrupted
}

// usageError is a command line that cannot work.
type usageError struct {
	msg, hint string
	err       error // may be nil
}

func (e *usageError) Error() string { return e.msg }
func (e *usageError) Unwrap() error { return e.err }
func (e *usageError) Hint() string {
	if e.hint == "" && e.err != nil {
		return app.HintOf(e.err)
	}
	return e.hint
}

// badArgument makes err, which says what is wrong with an argument, a usage
// error. A path that is not there is not found, as a repository would be.
func badArgument(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return &usageError{msg: err.Error(), err: err}
}

// partialError says that some of several references failed, or of what noun
// names; each was reported.
type partialError struct {
	failed, total int
	noun          string
	resumable     bool // a failed one left something that the next run goes on from
}

func (e *partialError) Error() string {
	if e.noun != "" {
		return fmt.Sprintf("%d of %s failed", e.failed, plural(e.total, e.noun))
	}
	return fmt.Sprintf("%d of %d failed", e.failed, e.total)
}

func (e *partialError) Hint() string {
	if !e.resumable {
		return ""
	}
	return "run the same command again: what was fetched is kept"
}

// storageError is a file that cannot be written where it was asked for.
type storageError struct{ err error }

func (e *storageError) Error() string { return e.err.Error() }
func (e *storageError) Unwrap() error { return e.err }
func (e *storageError) Hint() string {
	return "choose a file in a folder that exists and can be written to"
}

// interruptedError is a fetch or an import that was stopped and can go on.
type interruptedError struct {
	what        string // "get owner/name:main"
	kept, total int64
	err         error
}

func (e *interruptedError) Error() string {
	return fmt.Sprintf("%s: interrupted; %s of %s kept: run the same command to resume", clean(e.what), app.BytesText(e.kept), app.BytesText(e.total))
}
func (e *interruptedError) Unwrap() error { return e.err }

// failureCodes are the exit codes of the kinds of failure.
var failureCodes = map[app.Failure]int{
	app.FailureUsage:       exitUsage,
	app.FailureNotFound:    exitNotFound,
	app.FailureAccess:      exitAccess,
	app.FailureNetwork:     exitNetwork,
	app.FailureIntegrity:   exitIntegrity,
	app.FailureStorage:     exitStorage,
	app.FailureLocked:      exitLocked,
	app.FailureOffline:     exitOffline,
	app.FailureNothingFits: exitNothing,
	app.FailureUnsupported: exitUnsupported,
	app.FailureOther:       exitOther,
}

// exitCode is the one place where errors become codes. An interruption explains
// every error after it.
func exitCode(ctx context.Context, err error) int {
	var signal *SignalError
	switch {
	case err == nil:
		return 0
	case errors.As(context.Cause(ctx), &signal):
		return signal.ExitCode()
	case ctx.Err() != nil, errors.Is(err, context.Canceled):
		return exitInterrupted
	case isA[*usageError](err):
		return exitUsage
	case isA[*partialError](err):
		return exitPartial
	case isA[*storageError](err):
		return exitStorage
	}
	return failureCodes[app.FailureOf(err)]
}

func isA[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// hint is what to do next: the error's own advice, else what fits every error
// of its code. Most codes have many causes, and no advice is better than wrong
// advice.
func hint(err error, code int) string {
	if h := app.HintOf(err); h != "" {
		return h
	}
	if isA[*interruptedError](err) {
		return "" // its text says it
	}
	switch code {
	case exitLocked:
		return "another qbranch is writing it: wait for it to end"
	case exitOffline:
		return "leave out --offline, or unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE, to use the network"
	case exitUnsupported:
		return "fetching and verifying work all the same; another runner has to run it"
	}
	return ""
}

// errorLine is the JSON form of an error.
type errorLine struct {
	Type    string `json:"type"` // "error"
	Ref     string `json:"ref,omitempty"`
	Code    int    `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// report tells the user of an error and returns its code. ref is set when the
// error is of one of several references.
func (r *run) report(ctx context.Context, ref string, err error) int {
	code := exitCode(ctx, err)
	line := errorLine{Type: "error", Ref: ref, Code: code, Message: clean(err.Error()), Hint: clean(hint(err, code))}
	if code >= 128 && !isA[*interruptedError](err) {
		line.Message, line.Hint = "interrupted", ""
	}
	what := line.Message
	if ref != "" {
		what = ref + ": " + what
	}
	fmt.Fprintf(r.Err, "%s %s\n", r.errColor.red("qbranch:"), what)
	if line.Hint != "" {
		fmt.Fprintf(r.Err, "  hint: %s\n", line.Hint)
	}
	if r.json {
		r.emit(line) // a failure of the output has no better place to go
	}
	return code
}

// finish turns the outcome of a command line into its exit code.
func (r *run) finish(ctx context.Context, err error) int {
	if err == nil {
		err = r.out.failure()
	}
	if err == nil {
		return 0
	}
	// A flag that could not be parsed may have come before --json.
	r.json = r.json || slices.Contains(r.Args, "--json")
	return r.report(ctx, "", err)
}
