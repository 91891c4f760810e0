package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/store"
)

func TestExitCode(t *testing.T) {
	alive := context.Background()
	cancelled, cancel := context.WithCancel(alive)
	cancel()
	signalled := func(s os.Signal) context.Context {
		ctx, cancel := context.WithCancelCause(alive)
		cancel(&SignalError{s})
		return ctx
	}
	for _, tc := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"done", alive, nil, 0},
		{"anything else", alive, errors.New("surprise"), 1},
		{"usage", alive, &usageError{msg: "x"}, 2},
		{"not a reference", alive, fmt.Errorf("card: %w", &hub.RefError{}), 2},
		{"endpoint that is no URL", alive, hub.ErrBadEndpoint, 2},
		{"prompt too long", alive, fmt.Errorf("generate: %w", infer.ErrContext), 2},
		{"not enough memory", alive, fmt.Errorf("generate: %w", infer.ErrMemory), 10},
		{"no such repository", alive, hub.ErrRepoNotFound, 3},
		{"no such branch", alive, hub.ErrRevisionNotFound, 3},
		{"no such file", alive, hub.ErrEntryNotFound, 3},
		{"not fetched yet", alive, store.ErrNotFound, 3},
		{"no such folder", alive, badArgument(&fs.PathError{Op: "stat", Path: "x", Err: fs.ErrNotExist}), 3},
		{"missing or private", alive, hub.ErrUnauthorized, 4},
		{"gated", alive, hub.ErrGated, 4},
		{"forbidden", alive, hub.ErrForbidden, 4},
		{"network", alive, hub.ErrNetwork, 5},
		{"rate limit", alive, hub.ErrRateLimited, 5},
		{"a login page in place of the hub", alive, hub.ErrNotHub, 5},
		{"a proxy that spoils ranges", alive, hub.ErrRange, 5},
		{"a timeout", alive, context.DeadlineExceeded, 5},
		{"digest", alive, store.ErrMismatch, 6},
		{"corrupt blob", alive, &store.CorruptError{}, 6},
		{"corrupt branch", alive, &app.CorruptionError{Report: &app.VerifyReport{}}, 6},
		{"fatal finding", alive, &app.FindingsError{}, 6},
		{"bad checkpoint", alive, infer.ErrCheckpoint, 6},
		{"listing that lies", alive, hub.ErrBadListing, 6},
		{"damage that could not be repaired for lack of a network", alive, errors.Join(&app.CorruptionError{Report: &app.VerifyReport{}}, hub.ErrNetwork), 6},
		{"disk full", alive, store.ErrNoSpace, 7},
		{"disk full, found out late", alive, &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, 7},
		{"store not writable", alive, &fs.PathError{Op: "mkdir", Path: "x", Err: fs.ErrPermission}, 7},
		{"a file where a folder should be", alive, &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOTDIR}, 7},
		{"a result that cannot be written", alive, &storageError{fs.ErrNotExist}, 7},
		{"locked", alive, store.ErrLocked, 8},
		{"offline", alive, hub.ErrOffline, 9},
		{"some failed", alive, &partialError{failed: 1, total: 3}, 11},
		{"unknown architecture", alive, infer.ErrUnsupported, 12},
		{"cancelled by the caller", cancelled, errors.New("whatever came of it"), 130},
		{"Ctrl-C", signalled(os.Interrupt), context.Canceled, 130},
		{"Ctrl-C hides what it broke", signalled(os.Interrupt), hub.ErrNetwork, 130},
		{"SIGTERM", signalled(syscall.SIGTERM), context.Canceled, 143},
		{"a signal after everything was done", signalled(os.Interrupt), nil, 0},
	} {
		if got := exitCode(tc.ctx, tc.err); got != tc.want {
			t.Errorf("%s: got %d, want %d", tc.name, got, tc.want)
		}
	}
}

type hinted struct{ error }

func (hinted) Hint() string { return "do this" }

func TestHint(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"the error's own, from inside", fmt.Errorf("get: %w", hinted{hub.ErrNetwork}), exitNetwork, "do this"},
		{"the code's", infer.ErrUnsupported, exitUnsupported, "fetching and verifying work all the same; another runner has to run it"},
		{"a code with many causes", hub.ErrNetwork, exitNetwork, ""},
		{"some failed, and nothing of them was kept", &partialError{failed: 1, total: 2}, exitPartial, ""},
		{"some failed half way", &partialError{failed: 1, total: 2, resumable: true}, exitPartial, "run the same command again: what was fetched is kept"},
		{"a usage error passes on the hint of its cause", &usageError{msg: "x", err: hinted{errors.New("y")}}, exitUsage, "do this"},
		{"none", errors.New("x"), exitOther, ""},
	} {
		if got := hint(tc.err, tc.code); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
