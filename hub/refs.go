package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RefList is every name that a repository gives to commits. What is in Name can
// be asked for as a revision: "main", a tag's name, "refs/convert/parquet",
// "refs/pr/1".
type RefList struct {
	Repo         RepoID    // as the hub calls it now, which may not be what was asked for
	Branches     []Branch  // main first, then by name
	Tags         []Branch  // by name
	Converts     []Branch  // conversions that the hub made, by name
	PullRequests []Branch  // only when asked for, by name
	AsOf         time.Time // when the hub said so: in the past only when it is Offline
}

// Refs lists the branches, tags and conversions, and the pull requests if they
// are wanted. One request.
func (c *Client) Refs(ctx context.Context, repo RepoID, pulls bool) (RefList, error) {
	q := c.apiRequest("list the branches of "+repo.String(), repo, "refs")
	if pulls {
		q.url.RawQuery = "include_prs=1"
	}
	type entry struct{ Name, Ref, TargetCommit string }
	var v *struct {
		Branches                     *[]entry
		Tags, Converts, PullRequests []entry
	}
	if _, err := c.getJSON(ctx, q, &v); err != nil {
		return RefList{}, err
	}
	switch {
	case v == nil:
		return RefList{}, q.fail(ErrBadListing, "the answer is null")
	case v.Branches == nil:
		return RefList{}, q.fail(ErrNotHub, "the answer has no branches")
	}
	l := RefList{Repo: c.Current(repo), AsOf: time.Now()}
	for _, kind := range []struct {
		noun    string
		entries []entry
		ref     string // what Ref begins with when it, and not Name, is the revision
		to      *[]Branch
	}{
		{"branch", *v.Branches, "", &l.Branches},
		{"tag", v.Tags, "", &l.Tags},
		{"conversion", v.Converts, "refs/convert/", &l.Converts},
		{"pull request", v.PullRequests, "refs/pr/", &l.PullRequests},
	} {
		if len(kind.entries) > maxEntries {
			return RefList{}, q.fail(ErrTooLarge, fmt.Sprintf("more than %d of the kind %s", maxEntries, kind.noun))
		}
		for _, e := range kind.entries {
			name := e.Name
			if kind.ref != "" {
				name = e.Ref
			}
			b, reason := checkRef(name, e.TargetCommit)
			if reason == "" && !strings.HasPrefix(name, kind.ref) {
				reason = "want " + kind.ref + "…"
			}
			if reason != "" {
				return RefList{}, q.fail(ErrBadListing, fmt.Sprintf("%s %.100q: %s", kind.noun, name, reason))
			}
			*kind.to = append(*kind.to, b)
		}
		if twice := sortRefs(*kind.to); twice != "" {
			return RefList{}, q.fail(ErrBadListing, fmt.Sprintf("%s %.100q occurs twice", kind.noun, twice))
		}
	}
	return l, nil
}

func checkRef(name, target string) (b Branch, reason string) {
	commit, err := ParseCommit(target)
	if err != nil {
		return b, err.Error()
	}
	return Branch{name, commit}, badRevision(name)
}

// sortRefs puts main first and returns a name that occurs twice, "" if none does.
func sortRefs(list []Branch) string {
	slices.SortFunc(list, func(a, b Branch) int {
		if (a.Name == "main") != (b.Name == "main") {
			if a.Name == "main" {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	for i := 1; i < len(list); i++ {
		if list[i].Name == list[i-1].Name {
			return list[i].Name
		}
	}
	return ""
}

// Revision resolves a branch, tag or pull-request ref to its commit. One
// request. Current tells afterwards whether the repository goes by another name.
func (c *Client) Revision(ctx context.Context, repo RepoID, rev string) (Commit, error) {
	if reason := badRevision(rev); reason != "" {
		return "", &RefError{rev, reason}
	}
	q := c.apiRequest("find revision "+rev+" of "+repo.String(), repo, "revision", rev)
	var v struct{ ID, SHA string }
	if _, err := c.getJSON(ctx, q, &v); err != nil {
		return "", err
	}
	commit, err := ParseCommit(v.SHA)
	if err != nil {
		return "", q.fail(ErrNotHub, "the answer has no commit id")
	}
	if pinned, err := ParseCommit(rev); err == nil && commit != pinned {
		return "", q.fail(ErrBadListing, "asked for a commit, got "+v.SHA)
	}
	if id, err := ParseRepoID(v.ID); err == nil && strings.EqualFold(v.ID, repo.String()) {
		c.names.learn(repo, id) // spelled with other capitals
	}
	return commit, nil
}
