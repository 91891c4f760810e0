package app

import (
	"fmt"
	"strings"

	"github.com/qbranch/qbranch/store"
)

// ambiguousError is the beginning of several commits.
type ambiguousError struct {
	ref     Ref
	commits []string
}

func (e *ambiguousError) Error() string {
	return fmt.Sprintf("%s is the beginning of %d commits in the store", e.ref, len(e.commits))
}

// Is makes it store.ErrNotFound.
func (e *ambiguousError) Is(target error) bool { return target == store.ErrNotFound }

// Hint says what to do next.
func (e *ambiguousError) Hint() string { return "give more digits: " + list(e.commits, ", ", 4) }

// wholeCommit completes the beginning of a commit to the one commit of the store
// that begins so; any other reference stays as it is, and so does one that a
// branch of the store is called by. Two such commits are an error.
func wholeCommit(st *store.Store, ref Ref) (Ref, error) {
	if !ref.ShortCommit() {
		return ref, nil
	}
	repo := ref.Repo.String()
	if _, ok := st.BranchCommit(repo, ref.Revision); ok {
		return ref, nil
	}
	snaps, _ := st.Snapshots() // one that cannot be read does not hide the others
	var commits []string
	for _, s := range snaps {
		switch {
		case s.Repo != repo:
		case s.Branch == ref.Revision:
			return ref, nil
		case strings.HasPrefix(s.Commit, ref.Revision):
			commits = append(commits, s.Commit)
		}
	}
	switch len(commits) {
	case 0:
		return ref, nil
	case 1:
		return Ref{Repo: ref.Repo, Revision: commits[0]}, nil
	}
	return ref, &ambiguousError{ref, commits}
}

// wholeCommits is wholeCommit of each.
func wholeCommits(st *store.Store, refs []Ref) ([]Ref, error) {
	out := make([]Ref, len(refs))
	for i, ref := range refs {
		var err error
		if out[i], err = wholeCommit(st, ref); err != nil {
			return nil, err
		}
	}
	return out, nil
}
