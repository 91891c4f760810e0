package hub

import (
	"context"
	"encoding/json"
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
// are wanted. One request; Offline none, and what the hub said last (AsOf).
func (c *Client) Refs(ctx context.Context, repo RepoID, pulls bool) (RefList, error) {
	q := c.apiRequest("list the branches of "+repo.String(), repo, "refs")
	q.key = c.refsKey(repo, pulls)
	if pulls {
		q.url.RawQuery = "include_prs=1"
	}
	var v *refAnswer
	l := RefList{Repo: repo, AsOf: time.Now()}
	if c.offline {
		if kept, ok := c.LastRefs(repo, pulls); ok {
			return kept, nil
		}
	}
	if _, err := c.getJSON(ctx, q, &v); err != nil {
		return RefList{}, err
	}
	l.Repo = c.Current(repo)
	if err := l.fill(q, v); err != nil {
		c.cache.drop(q.key)
		return RefList{}, err
	}
	return l, nil
}

// LastRefs is what Refs returned last, if that is kept. No request.
func (c *Client) LastRefs(repo RepoID, pulls bool) (RefList, bool) {
	kept, ok := c.cache.get(c.refsKey(repo, pulls))
	if !ok {
		return RefList{}, false
	}
	var v *refAnswer
	if json.Unmarshal(kept.body, &v) != nil {
		return RefList{}, false
	}
	if now, err := ParseRepoID(kept.Repo); err == nil {
		c.names.learn(repo, now)
	}
	l := RefList{Repo: c.Current(repo), AsOf: time.Unix(kept.Time, 0)}
	if l.fill(request{op: "list the branches of " + repo.String()}, v) != nil {
		c.cache.drop(kept.Key)
		return RefList{}, false
	}
	return l, true
}

// KeepsRefs reports whether Refs can be answered Offline. No request.
func (c *Client) KeepsRefs(repo RepoID, pulls bool) bool {
	_, ok := c.cache.get(c.refsKey(repo, pulls))
	return ok
}

// refsKey is what the cache calls the answer of Refs.
func (c *Client) refsKey(repo RepoID, pulls bool) string {
	key := "refs " + c.Endpoint() + " " + repo.String()
	if pulls {
		key += " pulls"
	}
	return key
}

// refAnswer is the answer of /refs.
type refAnswer struct {
	Branches                     *[]refEntry
	Tags, Converts, PullRequests []refEntry
}

type refEntry struct{ Name, Ref, TargetCommit string }

// fill checks an answer and sorts it.
func (l *RefList) fill(q request, v *refAnswer) error {
	switch {
	case v == nil:
		return q.fail(ErrBadListing, "the answer is null")
	case v.Branches == nil:
		return q.fail(ErrNotHub, "the answer has no branches")
	}
	for _, kind := range []struct {
		noun    string
		entries []refEntry
		ref     string // what Ref begins with when it, and not Name, is the revision
		to      *[]Branch
	}{
		{"branch", *v.Branches, "", &l.Branches},
		{"tag", v.Tags, "", &l.Tags},
		{"conversion", v.Converts, "refs/convert/", &l.Converts},
		{"pull request", v.PullRequests, "refs/pr/", &l.PullRequests},
	} {
		if len(kind.entries) > maxEntries {
			return q.fail(ErrTooLarge, fmt.Sprintf("more than %d of the kind %s", maxEntries, kind.noun))
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
				return q.fail(ErrBadListing, fmt.Sprintf("%s %.100q: %s", kind.noun, name, reason))
			}
			*kind.to = append(*kind.to, b)
		}
		if twice := sortRefs(*kind.to); twice != "" {
			return q.fail(ErrBadListing, fmt.Sprintf("%s %.100q occurs twice", kind.noun, twice))
		}
	}
	return nil
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
	q.key = "revision " + c.Endpoint() + " " + repo.String() + " " + rev
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
