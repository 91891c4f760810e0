package app

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/store"
)

// A reference with the beginning of a commit means the one commit of the store
// that begins so, unless a branch is called by it.
func TestShortCommit(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	one, two := "09ee7d7"+strings.Repeat("a", 33), "1234567"+strings.Repeat("b", 33)
	twin := "1234567" + strings.Repeat("c", 33)
	for _, s := range []Snapshot{{Repo: "a/b", Commit: one, Branch: "main"}, {Repo: "a/b", Commit: two}, {Repo: "a/b", Commit: twin},
		{Repo: "a/b", Commit: strings.Repeat("d", 40), Branch: "ddddddd"}, {Repo: "a/other", Commit: "fffffff" + strings.Repeat("0", 33)}} {
		if err := st.PutSnapshot(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ in, want, bad string }{
		{in: "a/b@09ee7d7", want: "a/b@" + one},
		{in: "a/b@09ee7d7a", want: "a/b@" + one},
		{in: "a/b@09ee7d", want: "a/b:09ee7d"},
		{in: "a/b@09ee7d70", want: "a/b@09ee7d70"},
		{in: "a/b@1234567", bad: "2 commits"},
		{in: "a/b@1234567b", want: "a/b@" + two},
		{in: "a/b@ddddddd", want: "a/b@ddddddd"},
		{in: "a/b@fffffff", want: "a/b@fffffff"},
		{in: "a/b:main", want: "a/b:main"},
	} {
		ref, err := ParseRef(c.in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wholeCommit(st, ref)
		if c.bad != "" {
			if !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), c.bad) || !strings.Contains(HintOf(err), two) {
				t.Errorf("%s: got %v, want %q", c.in, err, c.bad)
			}
		} else if err != nil || got.String() != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.in, got, err, c.want)
		}
	}
	a := &App{dir: dir}
	ref, _ := ParseRef("a/b@09ee7d7")
	if _, snap, err := a.localSnapshot(ref); err != nil || snap.Commit != one {
		t.Errorf("local: got %s, %v", snap.Commit, err)
	}
	if changed, err := a.StorePin(context.Background(), ref, false); err != nil || !changed {
		t.Errorf("pin: got %v, %v", changed, err)
	}
	if u, err := a.StoreUse(context.Background(), []Ref{ref}); err != nil || len(u.Branches) != 1 {
		t.Errorf("du: got %+v, %v", u, err)
	}
	if rep, err := a.StoreRemove(context.Background(), RemoveRequest{Refs: []Ref{ref}, DryRun: true}); !errors.Is(err, store.ErrPinned) {
		t.Errorf("rm: got %+v, %v", rep, err)
	}
	ref, _ = ParseRef("a/b@7654321")
	if _, _, err := a.localSnapshot(ref); err == nil || !strings.Contains(err.Error(), "a/b@7654321 ") || !strings.Contains(HintOf(err), "40 digits") {
		t.Errorf("unknown: got %v, hint %q", err, HintOf(err))
	}
}
