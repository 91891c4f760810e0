package app

import (
	"errors"
	"fmt"

	"github.com/qbranch/qbranch/hub"
)

// hereError is a failure to reach the hub of a verb that can do without it.
type hereError struct {
	err  error
	here string // what works with what is here
}

func (e *hereError) Error() string { return e.err.Error() }
func (e *hereError) Unwrap() error { return e.err }

// Hint is the error's, and what works without a network.
func (e *hereError) Hint() string {
	if h := HintOf(e.err); h != "" {
		return h + "; " + e.here
	}
	return e.here
}

// orHere adds to a failure of the network that the branch is here, if it is.
func (a *App) orHere(err error, ref Ref) error {
	if !errors.Is(err, hub.ErrNetwork) {
		return err
	}
	if _, _, local := a.localSnapshot(ref); local != nil {
		return err
	}
	return &hereError{err, fmt.Sprintf("the branch is here: 'qbranch get %s --offline' and 'qbranch verify %s' work without a network", ref, ref)}
}

// orKept adds to a failure of the network that the hub's last answer is here, if it is.
func (a *App) orKept(err error, repo RepoID, o ListOptions) error {
	if !errors.Is(err, hub.ErrNetwork) || !a.hub.KeepsRefs(repo, o.AllRefs) {
		return err
	}
	return &hereError{err, fmt.Sprintf("'qbranch ls %s --offline' lists what the hub said last", repo)}
}
