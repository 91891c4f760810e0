package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// BegunFile is one file that a fetch wants.
type BegunFile struct {
	Path string
	Want Want
}

// Begun notes which files of which commit a fetch has begun to bring. What is
// left of a fetch that stopped is a number of unfinished blobs; the note says
// whose they are, so that somebody can offer to go on. Nothing is believed of it
// but that.
type Begun struct {
	Repo    string // owner/name
	Commit  string // 40 hex
	Branch  string // the branch asked for, "" when pinned
	Begun   time.Time
	Files   []BegunFile
	Include []string // patterns that chose the files of the commit; none = all of them
	Exclude []string
}

// begunJSON is the JSON of a file in begun/.
type begunJSON struct {
	Format  int             `json:"format"`
	Repo    string          `json:"repo"`
	Commit  string          `json:"commit"`
	Branch  string          `json:"branch"`
	Begun   time.Time       `json:"begun"`
	Files   []begunFileJSON `json:"files"`
	Include []string        `json:"include,omitempty"`
	Exclude []string        `json:"exclude,omitempty"`
}

type begunFileJSON struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	Blob string `json:"blob"` // key of a Want
}

// Bytes returns the length of all files, each content once.
func (b Begun) Bytes() (sum int64) {
	for _, f := range b.contents() {
		sum += f.Want.Size
	}
	return sum
}

// contents are the files without those whose content an earlier one has.
func (b Begun) contents() []BegunFile {
	seen := make(map[Want]bool, len(b.Files))
	var out []BegunFile
	for _, f := range b.Files {
		if !seen[f.Want] {
			seen[f.Want] = true
			out = append(out, f)
		}
	}
	return out
}

// HoldFetch is [Store.Hold] of the blobs that a fetch wants. It also notes the
// fetch, until [Store.EndFetch]: the note outlives the hold, and this process.
func (s *Store) HoldFetch(ctx context.Context, what string, b Begun) (*Hold, error) {
	j := holdJSON{Format: formatVersion, PID: os.Getpid(), What: what, Repo: b.Repo, Commit: b.Commit, Blobs: []string{}}
	for _, f := range b.contents() {
		j.Blobs = append(j.Blobs, f.Want.key())
	}
	h, err := s.hold(ctx, j)
	if errors.Is(err, ErrNotWritable) {
		return new(Hold), nil
	}
	if err != nil {
		return nil, fmt.Errorf("announce what is needed of the store: %w", err)
	}
	if err := s.putBegun(b); err != nil {
		return nil, errors.Join(fmt.Errorf("note the fetch of %s@%s: %w", b.Repo, b.Commit, err), h.Release())
	}
	return h, nil
}

func (s *Store) begunPath(repo, commit string) (string, error) {
	dir, err := repoPath(repo)
	if err == nil {
		err = parseHex(make([]byte, 20), commit)
	}
	return filepath.Join(s.dir, dirBegun, dir, commit+".json"), err
}

func (s *Store) putBegun(b Begun) error {
	path, err := s.begunPath(b.Repo, b.Commit)
	if err != nil {
		return err
	}
	text, err := encodeBegun(b)
	if err != nil {
		return err
	}
	return s.writeFile(path, text, 0o600)
}

func encodeBegun(b Begun) ([]byte, error) {
	j := begunJSON{Format: formatVersion, Repo: b.Repo, Commit: b.Commit, Branch: b.Branch,
		Begun: b.Begun.UTC().Truncate(time.Second), Files: []begunFileJSON{}, Include: b.Include, Exclude: b.Exclude}
	for _, f := range b.Files {
		j.Files = append(j.Files, begunFileJSON{f.Path, f.Want.Size, f.Want.key()})
	}
	text, err := json.Marshal(j)
	return append(text, '\n'), err
}

// decodeBegun refuses what could not be written, since what it names is shown and
// asked for.
func decodeBegun(text []byte) (Begun, error) {
	var j begunJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return Begun{}, fmt.Errorf("%w: %w", ErrFormat, notJSON(text, err))
	}
	if j.Format != formatVersion {
		return Begun{}, fmt.Errorf("format %d of a begun fetch: %w", j.Format, ErrFormat)
	}
	b := Begun{Repo: j.Repo, Commit: j.Commit, Branch: j.Branch, Begun: j.Begun, Include: j.Include, Exclude: j.Exclude}
	_, err := (&Store{}).begunPath(j.Repo, j.Commit)
	if err == nil && j.Branch != "" {
		err = checkBranch(j.Branch)
	}
	for _, f := range j.Files {
		if err == nil {
			err = CheckPath(f.Path)
		}
		w := Want{Size: f.Size}
		if err == nil {
			err = w.setKey(f.Blob)
		}
		if err == nil {
			err = w.check()
		}
		b.Files = append(b.Files, BegunFile{f.Path, w})
	}
	if err != nil {
		return Begun{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return b, nil
}

// setKey is the inverse of key.
func (w *Want) setKey(key string) (err error) {
	if id, ok := strings.CutPrefix(key, "git-"); ok {
		return parseHex(w.GitOID[:], id)
	}
	w.SHA256, err = ParseDigest(key)
	return err
}

// EndFetch takes a note away; without one it does nothing.
func (s *Store) EndFetch(repo, commit string) error {
	path, err := s.begunPath(repo, commit)
	if err == nil {
		if _, e := s.fs.Lstat(path); errors.Is(e, fs.ErrNotExist) {
			return nil
		}
		err = s.removeFile(path)
	}
	if err != nil {
		return fmt.Errorf("end the fetch of %s@%s: %w", repo, commit, err)
	}
	return nil
}

// BegunFetches lists the fetches that were begun and have not ended, the latest
// first. One that cannot be read does not hide the others: the list comes with
// the error.
func (s *Store) BegunFetches() ([]Begun, error) {
	var out []Begun
	var errs []error
	err := s.eachFile(dirBegun, func(f lyingFile) {
		b, err := s.readBegun(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			return // it has just ended
		}
		if err != nil {
			errs = append(errs, err)
			return
		}
		out = append(out, b)
	})
	slices.SortStableFunc(out, func(a, b Begun) int {
		return cmp.Or(b.Begun.Compare(a.Begun), cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Branch, b.Branch))
	})
	return out, errors.Join(append(errs, err)...)
}

func (s *Store) readBegun(path string) (Begun, error) {
	text, err := readLimited(s.fs, path, maxSnapshot)
	if err != nil {
		return Begun{}, err
	}
	b, err := decodeBegun(text)
	if err == nil {
		if at, e := s.begunPath(b.Repo, b.Commit); e != nil || at != path {
			err = fmt.Errorf("in the place of another fetch: %w", ErrFormat)
		}
	}
	if err != nil {
		return Begun{}, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Worker is a process that is at work in the store.
type Worker struct {
	PID    int    // 0 when unknown
	What   string // it does; "" when unknown
	Repo   string // of the commit that it fetches; "" = it does something else
	Commit string
}

// Workers lists the processes that are at work in the store, this one included,
// once for each [Hold]. It takes no lock of the store's, so that what begins or
// ends just now may be there or not.
func (s *Store) Workers() ([]Worker, error) {
	dir := filepath.Join(s.dir, dirHolds)
	entries, err := s.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list what running processes do: %w", err)
	}
	var out []Worker
	for _, e := range entries {
		id, isLock := strings.CutSuffix(e.Name(), holdLock)
		if !isLock {
			continue
		}
		j, err := s.readHold(filepath.Join(dir, id))
		if err != nil {
			continue // it has just ended, or says nothing that can be told
		}
		// Only now: who begins has the lock before there is anything to read.
		if alive, err := s.lockedByOther(filepath.Join(dir, e.Name())); err == nil && alive {
			out = append(out, Worker{PID: j.PID, What: j.What, Repo: j.Repo, Commit: j.Commit})
		}
	}
	return out, nil
}

// Left says how much of each file of a begun fetch the store has, and whether any
// of it was brought for that fetch: small files are often those of another branch.
func (s *Store) Left(b Begun) (held []int64, worth bool) {
	held = make([]int64, len(b.Files))
	for i, f := range b.Files {
		if _, ok := s.Find(f.Want); ok {
			held[i] = f.Want.Size
			worth = worth || f.Want.Size > PartSize
			continue
		}
		held[i] = min(s.Held(f.Want), f.Want.Size)
		worth = worth || held[i] > 0 || s.hasPieces(s.partialOf(f.Want))
	}
	return held, worth
}

// begun looks whether the notes of fetches can be read.
func (c *checker) begun() error {
	var failed error
	err := c.s.eachFile(dirBegun, func(f lyingFile) {
		if _, err := c.s.readBegun(f.path); errors.Is(err, ErrFormat) {
			failed = errors.Join(failed, c.found(Problem{Code: "BEGUN_BAD", Severity: SeverityWarn, Path: f.path,
				Message: fmt.Sprintf("which branch is unfinished cannot be read: %s", pathError{f.path, err}.why())}, c.remove(f.path)))
		}
	})
	return errors.Join(failed, err)
}

// begun lets go the notes of fetches that have ended, or of which nothing is left.
func (c *collector) begun() error {
	return c.s.eachFile(dirBegun, func(f lyingFile) {
		it := c.s.small(ItemBegun, f.path)
		b, err := c.s.readBegun(f.path)
		done := slices.ContainsFunc(c.inv.snaps, func(snap storedSnapshot) bool { return snap.Repo == b.Repo && snap.Commit == b.Commit })
		_, worth := c.s.Left(b)
		switch {
		case errors.Is(err, ErrFormat):
			c.add(it, "") // nothing depends on it
		case err != nil: // the disk: let it be
		case slices.ContainsFunc(b.Files, func(f BegunFile) bool { return c.held.needs(f.Want.key()) }):
			c.add(it, WhyBusy)
		case done || !worth:
			c.add(it, "")
		}
	})
}
