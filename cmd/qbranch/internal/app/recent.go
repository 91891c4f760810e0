package app

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Where the repositories that were looked at are remembered, and how many.
const (
	recentFile   = "recent.json"
	recentSchema = "qbranch/recent/v1"
	mostRecent   = 20
)

// recentRepos is the file: docs/cache-format.md describes it.
type recentRepos struct {
	Schema string   `json:"schema"`
	Repos  []string `json:"repos"` // newest first
}

// Recent returns the repositories that were looked at last, the newest first, from
// the state directory dir (StateDir); none when nothing is kept there. What is no
// name of a repository is left out.
func Recent(dir string) ([]RepoID, error) {
	var kept recentRepos
	if err := readState(dir, recentFile, "which repositories were looked at", &kept); err != nil {
		return nil, err
	}
	var repos []RepoID
	for _, name := range kept.Repos {
		if ref, err := ParseRef(name); err == nil && ref.Revision == "" && len(repos) < mostRecent {
			repos = append(repos, ref.Repo)
		}
	}
	return repos, nil
}

// Remember puts a repository at the head of Recent's list. A list that cannot be
// read is begun anew.
func Remember(dir string, repo RepoID) error {
	if dir == "" {
		return nil
	}
	repos, err := Recent(dir)
	if err != nil {
		repos = nil
	}
	if len(repos) > 0 && repos[0] == repo {
		return nil
	}
	repos = slices.Insert(slices.DeleteFunc(repos, func(r RepoID) bool { return r == repo }), 0, repo)
	kept := recentRepos{Schema: recentSchema}
	for _, r := range repos[:min(len(repos), mostRecent)] {
		kept.Repos = append(kept.Repos, r.String())
	}
	data, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return fmt.Errorf("remember %s: %w", repo, err)
	}
	if err := replaceFile(dir, recentFile, append(data, '\n')); err != nil {
		return fmt.Errorf("remember %s: %w", repo, err)
	}
	return nil
}
