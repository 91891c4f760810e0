package hub

import (
	"net/url"
	"strings"
	"sync"
)

// names remembers which repositories the hub knows by another name: it answers
// for the old one with a redirect.
type names struct {
	mu sync.Mutex
	m  map[RepoID]RepoID
}

func (n *names) learn(old, now RepoID) {
	if old == now {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.m == nil {
		n.m = make(map[RepoID]RepoID)
	}
	delete(n.m, now) // renamed back
	n.m[old] = now
}

func (n *names) current(repo RepoID) RepoID {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range maxHops {
		now, ok := n.m[repo]
		if !ok {
			break
		}
		repo = now
	}
	return repo
}

// Current returns the name that a repository goes by, as far as requests so far
// have shown: repo itself, or what the hub redirected it to. It sends nothing.
// What is kept of a repository belongs under this name.
func (c *Client) Current(repo RepoID) RepoID { return c.names.current(repo) }

// apiRepo returns the repository that a URL of the API is about.
func (c *Client) apiRepo(u *url.URL) (RepoID, bool) {
	rest, ok := strings.CutPrefix(u.EscapedPath(), c.endpoint.EscapedPath()+"/api/models/")
	if !ok || !c.isEndpoint(u) {
		return RepoID{}, false
	}
	seg := strings.SplitN(rest, "/", 3)
	if len(seg) < 2 {
		return RepoID{}, false
	}
	repo, err := ParseRepoID(seg[0] + "/" + seg[1])
	return repo, err == nil
}
