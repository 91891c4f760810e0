package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/quant/card"
)

// Card reads a model card from a file, a folder's README.md, or the README.md
// of a repository, of its main branch unless the reference names another one.
func (a *App) Card(ctx context.Context, fileOrRepo string) (*Card, error) {
	md, repo, err := a.readCard(ctx, fileOrRepo)
	if err != nil {
		return nil, err
	}
	c := card.Parse(md)
	if repo != "" {
		c.ReadFrom(repo)
	}
	return c, nil
}

// readCard gives the card's text, and the repository where it comes from one.
func (a *App) readCard(ctx context.Context, arg string) (md []byte, repo string, err error) {
	path, err := expandHome(arg)
	if err != nil {
		return nil, "", err
	}
	fi, statErr := os.Stat(path)
	switch {
	case statErr == nil && fi.Mode().IsRegular():
		md, err = readFileAtMost(path, cardLimit)
		return md, "", err
	case statErr == nil && fi.IsDir() && isPath(arg):
		md, err = readFileAtMost(filepath.Join(path, readme), cardLimit)
		return md, "", err
	case isPath(arg) && statErr == nil:
		return nil, "", fmt.Errorf("read the card: %w", &fs.PathError{Op: "open", Path: path, Err: errors.New("no regular file")})
	case isPath(arg):
		return nil, "", fmt.Errorf("read the card: %w", statErr)
	}
	ref, err := ParseRef(arg)
	if err != nil {
		if errors.Is(statErr, fs.ErrNotExist) {
			return nil, "", fmt.Errorf("there is no such file, and %w", err)
		}
		return nil, "", err
	}
	commit, err := a.revision(ctx, ref)
	if err != nil {
		return nil, "", err
	}
	files, err := a.hub.Tree(ctx, ref.Repo, commit)
	if err != nil {
		return nil, "", err
	}
	f, ok := find(files, readme)
	if !ok {
		return nil, "", fmt.Errorf("read the card of %s: %w", ref, hub.ErrEntryNotFound)
	}
	md, err = a.hub.ReadListed(ctx, ref.Repo, commit, f, cardLimit)
	return md, ref.Repo.String(), err
}

func readFileAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, limit)
}
