package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// ErrPinned is what removing a pinned branch gives.
var ErrPinned = errors.New("it is pinned")

// Pin keeps a branch, or what was fetched by commit, from being removed.
type Pin struct {
	Repo   string    `json:"repo"`             // owner/name
	Branch string    `json:"branch,omitempty"` // either this
	Commit string    `json:"commit,omitempty"` // or this, 40 hex digits
	Since  time.Time `json:"since"`
}

// String is the reference of what is pinned.
func (p Pin) String() string {
	if p.Branch == "" {
		return p.Repo + "@" + p.Commit
	}
	return p.Repo + ":" + p.Branch
}

// Covers reports whether the pin keeps a snapshot: that commit, or every commit
// of that branch.
func (p Pin) Covers(snap Snapshot) bool {
	return p.Repo == snap.Repo && (p.Branch != "" && p.Branch == snap.Branch || p.Commit != "" && p.Commit == snap.Commit)
}

// PinnedError says that a pin keeps a snapshot. It is ErrPinned.
type PinnedError struct{ Pin Pin }

// Error names what is pinned.
func (e *PinnedError) Error() string { return e.Pin.String() + " is pinned" }

// Is makes errors.Is(err, ErrPinned) hold.
func (e *PinnedError) Is(target error) bool { return target == ErrPinned }

// Hint says what to do next.
func (e *PinnedError) Hint() string {
	return fmt.Sprintf("'qbranch store unpin %s' lets it go", e.Pin)
}

// pinJSON is the JSON of a file in pins/.
type pinJSON struct {
	Format int `json:"format"`
	Pin
}

// pinPath is where a pin lies. A commit's name begins with "~", which no escaped
// name of 41 bytes does, so that no branch can have it.
func (s *Store) pinPath(p Pin) (string, error) {
	dir, err := repoPath(p.Repo)
	if err != nil {
		return "", err
	}
	name := "~" + p.Commit
	if p.Branch != "" {
		name, err = escapeName(p.Branch), checkBranch(p.Branch)
	} else {
		err = parseHex(make([]byte, 20), p.Commit)
	}
	if err == nil && p.Branch != "" && p.Commit != "" {
		err = errors.New("a pin names a branch or a commit, not both")
	}
	return filepath.Join(s.dir, dirPins, dir, name), err
}

// Pin keeps a branch or a commit from being removed until Unpin. Pinning twice
// changes nothing. Whether it is in the store is not looked at.
func (s *Store) Pin(p Pin) error {
	path, err := s.pinPath(p)
	if err == nil {
		if _, err := s.readPin(path); err == nil {
			return nil
		}
		p.Since = s.now().UTC().Truncate(time.Second)
		var b []byte
		if b, err = json.Marshal(pinJSON{formatVersion, p}); err == nil {
			err = s.writeFile(path, append(b, '\n'), 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("pin %s: %w", p, err)
	}
	return nil
}

// Unpin is the inverse of Pin; it reports whether there was such a pin.
func (s *Store) Unpin(p Pin) (bool, error) {
	path, err := s.pinPath(p)
	if err == nil {
		if _, e := s.fs.Lstat(path); errors.Is(e, fs.ErrNotExist) {
			return false, nil
		}
		err = s.removeFile(path)
	}
	if err != nil {
		return false, fmt.Errorf("unpin %s: %w", p, err)
	}
	return true, nil
}

// Pins lists the pins, by reference. One that cannot be read does not hide the
// others: the list comes with the error.
func (s *Store) Pins() ([]Pin, error) {
	var out []Pin
	var errs []error
	err := s.eachFile(dirPins, func(f lyingFile) {
		path := f.path
		p, err := s.readPin(path)
		if err == nil {
			if at, e := s.pinPath(p); e != nil || at != path {
				err = fmt.Errorf("%s: in the place of another pin: %w", path, ErrFormat)
			}
		}
		if err != nil {
			errs = append(errs, err)
			return
		}
		out = append(out, p)
	})
	slices.SortFunc(out, func(a, b Pin) int { return cmp.Compare(a.String(), b.String()) })
	return out, errors.Join(append(errs, err)...)
}

func (s *Store) readPin(path string) (Pin, error) {
	b, err := readLimited(s.fs, path, 1<<16)
	if err != nil {
		return Pin{}, err
	}
	p, err := decodePin(b)
	if err != nil {
		return Pin{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func decodePin(b []byte) (Pin, error) {
	var j pinJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return Pin{}, fmt.Errorf("%w: %w", ErrFormat, notJSON(b, err))
	}
	if j.Format != formatVersion {
		return Pin{}, fmt.Errorf("pin format %d: %w", j.Format, ErrFormat)
	}
	if _, err := (&Store{}).pinPath(j.Pin); err != nil {
		return Pin{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return j.Pin, nil
}
