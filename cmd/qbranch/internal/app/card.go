package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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

// cardError is a card that cannot be read, and what to do instead.
type cardError struct {
	err  error
	hint string
}

func (e *cardError) Error() string { return "read the card: " + e.err.Error() }
func (e *cardError) Unwrap() error { return e.err }

// Hint says what to do next.
func (e *cardError) Hint() string { return e.hint }

// readCard gives the card's text, and the repository where it comes from one.
func (a *App) readCard(ctx context.Context, arg string) (md []byte, repo string, err error) {
	path, err := expandHome(arg)
	if err != nil {
		return nil, "", err
	}
	// Without a slash it is no repository.
	fi, statErr := os.Stat(path)
	if isPath(arg) || !strings.Contains(arg, "/") || statErr == nil && fi.Mode().IsRegular() {
		md, err = readCardFile(path)
		return md, "", err
	}
	ref, err := ParseRef(arg)
	if err != nil {
		if errors.Is(statErr, fs.ErrNotExist) {
			return nil, "", fmt.Errorf("there is no such file, and %w", err)
		}
		return nil, "", err
	}
	return a.readRepoCard(ctx, ref)
}

// readRepoCard reads a repository's card as ls does: what the cache or the store
// holds costs no request, and is there without a network.
func (a *App) readRepoCard(ctx context.Context, ref Ref) (md []byte, repo string, err error) {
	ref.Revision = ref.RevisionOrMain()
	st, _ := a.existingStore() // one that cannot be read only costs requests
	all, facts, err := a.namedFacts(ctx, ref, ListOptions{}, st)
	if err != nil {
		return nil, "", err
	}
	f := &facts[0]
	f.files, f.treeErr = a.tree(ctx, all.Repo, f.Commit, st)
	r := contentReader{app: a, st: st, repo: all.Repo}
	md, err = r.read(ctx, f, readme, cardLimit)
	if errors.Is(err, hub.ErrEntryNotFound) {
		err = &cardError{fmt.Errorf("%s has no %s: %w", ref, readme, hub.ErrEntryNotFound), fmt.Sprintf("'qbranch ls %s' lists its branches without one", ref.Repo)}
	}
	return md, all.Repo.String(), err
}

// readCardFile reads a file of text, or the one in a folder.
func readCardFile(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err == nil && fi.IsDir() {
		path = filepath.Join(path, readme)
		fi, err = os.Stat(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &cardError{fmt.Errorf("open %s: %w", path, fs.ErrNotExist),
			"name a card's file, a folder that has a " + readme + ", or a repository as owner/name"}
	case err != nil:
		return nil, &cardError{err, ""}
	case !fi.Mode().IsRegular():
		return nil, &cardError{fmt.Errorf("%s is no regular file", path), "write the card to a file first"}
	case fi.Size() > cardLimit:
		return nil, &cardError{fmt.Errorf("%s has %s, at most %s are read", path, BytesText(fi.Size()), BytesText(cardLimit)), notCard}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &cardError{err, ""}
	}
	defer f.Close()
	md, err := readAtMost(f, cardLimit)
	if err == nil && bytes.IndexByte(md, 0) >= 0 {
		return nil, &cardError{fmt.Errorf("%s is no text", path), notCard}
	}
	return md, err
}

const notCard = "a card is a text in Markdown, usually README.md, of some kilobytes"
