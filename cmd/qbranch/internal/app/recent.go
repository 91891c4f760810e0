package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Where the repositories that were looked at are remembered, and how many.
const (
	recentFile   = "recent.json"
	recentSchema = "qbranch/recent/v1"
	mostRecent   = 20
	recentLimit  = 64 << 10 // bytes of the file
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
	if dir == "" {
		return nil, nil
	}
	f, err := os.Open(filepath.Join(dir, recentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which repositories were looked at: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, recentLimit))
	var kept recentRepos
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil {
		return nil, fmt.Errorf("read which repositories were looked at, %s: %w", f.Name(), err)
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

// replaceFile replaces a file of the state directory as a whole, or leaves it as
// it was.
func replaceFile(dir, name string, data []byte) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name()) // of no use to anybody
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}
