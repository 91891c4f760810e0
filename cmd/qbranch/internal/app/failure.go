package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/quant/vram"
	"github.com/qbranch/qbranch/quant/vram/gpu"
	"github.com/qbranch/qbranch/store"
	"github.com/qbranch/qbranch/store/bundle"
)

// Failure is the kind of an error: what front ends tell apart, and what an
// exit code says.
type Failure int

// The kinds of failure.
const (
	FailureOther       Failure = iota
	FailureUsage               // what was asked for cannot be: no reference, no endpoint, a prompt or option the model cannot take, removing what is pinned
	FailureNotFound            // repository, branch, file, folder
	FailureAccess              // gated, forbidden, token rejected
	FailureNetwork             // gave up after retries, or the other side does not speak the protocol
	FailureIntegrity           // content, listing or checkpoint that is not what it claims to be
	FailureStorage             // disk full, store not writable
	FailureLocked              // another process is writing it
	FailureOffline             // offline, and the store does not have it
	FailureUnsupported         // the runner cannot run it
	FailureNothingFits         // no branch fits, or main memory does not hold what the runner needs
)

// FailureOf is the one place where errors become kinds. The first match wins:
// damage is graver than the failure to reach the hub that would repair it.
func FailureOf(err error) Failure {
	switch {
	case isA[*NothingFitsError](err), errors.Is(err, infer.ErrMemory):
		return FailureNothingFits
	case isA[*unprovenError](err):
		return FailureUnsupported
	case isA[*optionError](err), isA[*noMemoryError](err), isA[*hub.RefError](err), isA[*vram.SizeError](err), isA[*gpu.SelectError](err),
		isAny(err, hub.ErrBadEndpoint, hub.ErrBadCertificates, infer.ErrContext, infer.ErrRequest, store.ErrPinned):
		return FailureUsage
	case isA[*CorruptionError](err), isA[*ProofError](err), isA[*DamagedStoreError](err), isA[*FindingsError](err), isA[*store.CorruptError](err),
		isAny(err, bundle.ErrDamaged, bundle.ErrFormat, bundle.ErrConflict, store.ErrMismatch, hub.ErrMismatch, infer.ErrCheckpoint, hub.ErrBadListing, hub.ErrTooLarge):
		return FailureIntegrity
	case errors.Is(err, infer.ErrUnsupported):
		return FailureUnsupported
	case errors.Is(err, store.ErrLocked):
		return FailureLocked
	case isA[*storeError](err):
		return FailureStorage
	case isAny(err, store.ErrNoSpace, store.ErrNotWritable, store.ErrFolder, store.ErrFormat, store.ErrNotRegular, syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, fs.ErrPermission):
		return FailureStorage
	case isAny(err, hub.ErrRepoNotFound, hub.ErrRevisionNotFound, hub.ErrEntryNotFound, infer.ErrNoCheckpoint):
		return FailureNotFound
	case isAny(err, hub.ErrUnauthorized, hub.ErrGated, hub.ErrDisabled, hub.ErrForbidden, hub.ErrBadToken):
		return FailureAccess
	case errors.Is(err, hub.ErrOffline):
		return FailureOffline
	case isAny(err, hub.ErrNetwork, hub.ErrRateLimited, hub.ErrNotHub, hub.ErrProxy, hub.ErrRange, hub.ErrRedirect, context.DeadlineExceeded):
		return FailureNetwork
	case isAny(err, store.ErrNotFound, fs.ErrNotExist):
		return FailureNotFound
	case isA[*fs.PathError](err), isA[*os.LinkError](err), isA[*os.SyscallError](err):
		return FailureStorage // whatever else the disk has to say
	}
	return FailureOther
}

// Resumable reports whether a Get that failed with err may succeed later though
// nothing else is changed than the line, the disk or who is at it: not when the
// branch is refused, is not there, or is not for us.
func Resumable(err error) bool {
	switch FailureOf(err) {
	case FailureNotFound, FailureAccess, FailureUnsupported, FailureUsage:
		return false
	}
	return !isA[*FindingsError](err)
}

// HintOf returns what an error advises to do next, "" when it has no advice.
func HintOf(err error) string {
	var h hub.Hinter
	if errors.As(err, &h) {
		return h.Hint()
	}
	if errors.Is(err, store.ErrFormat) {
		return "'qbranch store fsck' says what is damaged, and with --fix sets it aside"
	}
	if FailureOf(err) == FailureStorage {
		return store.Hint(err)
	}
	return ""
}

func isA[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}
