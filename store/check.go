package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Severity says how grave a Problem is.
type Severity string

// The severities, the gravest first.
const (
	SeverityFatal Severity = "fatal" // something that was fetched is not there, or not what it was
	SeverityWarn  Severity = "warn"  // not as the format has it, and nothing is lost
	SeverityInfo  Severity = "info"  // as it should be, and worth knowing
)

// Problem is something that Check found. Its codes are in docs/store-format.md.
type Problem struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Path     string   `json:"path"` // below the store's directory; "" when it is of many files
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
	Fixed    bool     `json:"fixed"`
}

// CheckOptions may be zero.
type CheckOptions struct {
	// Fix repairs what can be repaired without losing anything: it removes what
	// means nothing, makes lost lists of parts again, sets modes right, and moves
	// snapshots that cannot be read to quarantine/. It never removes content.
	Fix      bool
	Workers  int               // for making lists again; 0 = all cores
	Progress func(bytes int64) // of making lists again; may be nil
}

// CheckReport is what Check looked at and found.
type CheckReport struct {
	Snapshots int
	Blobs     int
	Bytes     int64     // of blobs
	Problems  []Problem // the gravest first
}

// Damaged counts the problems of SeverityFatal that have not been fixed.
func (r CheckReport) Damaged() (n int) {
	for _, p := range r.Problems {
		if p.Severity == SeverityFatal && !p.Fixed {
			n++
		}
	}
	return n
}

// Check holds the store against everything that its format promises, but for
// the bytes of the blobs, which are Verify's. It reads names, sizes and small
// files only, and takes no lock and writes nothing unless it is to fix
// something; then it refuses with ErrLocked while another process needs the
// store as it is. An error means that the store could not be looked at.
func (s *Store) Check(ctx context.Context, o CheckOptions) (CheckReport, error) {
	c := &checker{s: s, o: o}
	err := c.run(ctx)
	slices.SortStableFunc(c.rep.Problems, func(a, b Problem) int {
		order := []Severity{SeverityFatal, SeverityWarn, SeverityInfo}
		return cmp.Or(slices.Index(order, a.Severity)-slices.Index(order, b.Severity), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Path, b.Path))
	})
	if err != nil {
		return c.rep, fmt.Errorf("check the store: %w", err)
	}
	return c.rep, nil
}

// checker is one Check while it runs.
type checker struct {
	s      *Store
	o      CheckOptions
	inv    *inventory
	held   holds
	sizes  map[Digest]int64 // of blobs, as snapshots have them
	rehash []Digest         // blobs whose list of parts is to be made again
	rep    CheckReport
}

func (c *checker) run(ctx context.Context) error {
	if err := c.look(ctx); err != nil {
		return err
	}
	// Without the lock, because it takes as long as reading the blobs.
	for _, d := range c.rehash {
		if err := c.relist(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// look checks everything, and fixes what is done in a moment.
func (c *checker) look(ctx context.Context) (err error) {
	if c.o.Fix {
		l, err := c.s.lockStore(ctx)
		if err != nil {
			return err
		}
		defer l.Close() // it ends with the descriptor in any case
		if c.held, err = c.s.readHolds(); err != nil {
			return err
		}
	}
	if c.inv, err = c.s.takeInventory(); err != nil {
		return err
	}
	c.rep.Snapshots, c.rep.Blobs = len(c.inv.snaps), len(c.inv.blobs)
	for _, step := range []func() error{c.top, c.unreadable, c.snapshots, c.branches, c.pins, c.begun, c.blobs, c.lists, c.aliases, c.marks, c.partials, c.leftovers} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// found enters a problem. With fix it is fixed when that is wanted.
func (c *checker) found(p Problem, fix func() error) error {
	if p.Path != "" {
		p.Path = c.s.rel(p.Path)
	}
	if fix != nil && c.o.Fix {
		if err := fix(); err != nil {
			return fmt.Errorf("fix %s of %s: %w", p.Code, p.Path, err)
		}
		p.Fixed = true
	} else if fix != nil && p.Hint == "" {
		p.Hint = "'qbranch store fsck --fix' repairs it"
	}
	c.rep.Problems = append(c.rep.Problems, p)
	return nil
}

func (c *checker) remove(path string) func() error {
	return func() error { return c.s.removeFile(path) }
}

// idle wraps a fix that must not be done while a fetch is running: a list and an
// alias come before their blob.
func (c *checker) idle(fix func() error) func() error {
	if c.held.running {
		return nil
	}
	return fix
}

// top looks at the store's directory itself.
func (c *checker) top() error {
	fi, err := c.s.fs.Lstat(c.s.dir)
	if err != nil {
		return err
	}
	if perm := fi.Mode().Perm(); fi.IsDir() && perm&0o077 != 0 && runtime.GOOS != "windows" {
		p := Problem{Code: "MODE", Severity: SeverityWarn, Message: fmt.Sprintf("the store's directory has mode %04o: other users can look into it or change it", perm)}
		if err := c.found(p, func() error { return c.s.fs.Chmod(c.s.dir, 0o700) }); err != nil {
			return err
		}
	}
	entries, err := c.s.fs.ReadDir(c.s.dir)
	if err != nil {
		return err
	}
	known := []string{dirBlobs, dirParts, dirGit, dirPartial, dirSnapshots, dirBranches, dirCorrupt, dirTmp, dirPins, dirHolds, dirBegun, dirAside, fileVersion, fileLock, "lost+found"}
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) && !strings.HasPrefix(e.Name(), ".") {
			c.inv.foreign = append(c.inv.foreign, filepath.Join(c.s.dir, e.Name()))
		}
	}
	for _, path := range c.inv.foreign {
		err = errors.Join(err, c.found(Problem{Code: "FOREIGN", Severity: SeverityWarn, Path: path,
			Message: "this is none of the store's files", Hint: "move it elsewhere; nothing here touches it"}, nil))
	}
	return err
}

// unreadable looks at what could not be understood.
func (c *checker) unreadable() error {
	for _, u := range c.inv.unread {
		name, again := c.s.snapshotName(u.path), "the branch"
		if name != "" {
			again, name = name, " of "+name
		}
		p := Problem{Code: "SNAPSHOT_BAD", Severity: SeverityFatal, Path: u.path, Message: fmt.Sprintf("a snapshot%s that cannot be read: %s", name, u.why()),
			Hint: fmt.Sprintf("first 'qbranch store fsck --fix' sets it aside, then 'qbranch get' of %s, before any gc, makes it new from the files that are kept", again)}
		fix := func() error { return c.s.setAside(u.path) }
		if !errors.Is(u.err, ErrFormat) {
			fix, p.Hint = nil, "look at the disk: the system cannot read the file"
		}
		if err := c.found(p, fix); err != nil {
			return err
		}
	}
	for _, u := range c.inv.unhinted {
		fix := c.remove(u.path)
		if !errors.Is(u.err, ErrFormat) {
			fix = nil
		}
		p := Problem{Code: "BRANCH_BAD", Severity: SeverityWarn, Path: u.path, Message: fmt.Sprintf("where a branch stood cannot be read: %s", u.why())}
		if err := c.found(p, fix); err != nil {
			return err
		}
	}
	return nil
}

// setAside moves a file that cannot be understood to quarantine/.
func (s *Store) setAside(path string) error {
	dir := filepath.Join(s.dir, dirAside)
	if err := s.ensureDir(dir); err != nil {
		return err
	}
	for n := 1; ; n++ {
		to := filepath.Join(dir, fmt.Sprintf("%s.%d", filepath.Base(path), n))
		if _, err := s.fs.Lstat(to); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err := s.fs.Rename(path, to)
		if err == nil {
			err = errors.Join(s.fs.SyncDir(dir), s.fs.SyncDir(filepath.Dir(path)))
		}
		return s.ioError(to, err)
	}
}

// snapshots looks whether every snapshot is whole.
func (c *checker) snapshots() error {
	c.sizes = map[Digest]int64{}
	for _, snap := range c.inv.snaps {
		ref := Selector{Repo: snap.Repo, Branch: snap.Branch}
		if snap.Branch == "" {
			ref.Commit = snap.Commit
		}
		for _, f := range snap.Files {
			c.sizes[f.SHA256] = f.Size
			code, what := c.fileState(f)
			if code == "" {
				continue
			}
			if _, err := c.s.fs.Lstat(snap.path); errors.Is(err, fs.ErrNotExist) {
				break // it was removed while we looked
			}
			hint := fmt.Sprintf("'qbranch verify %s --repair' fetches what is bad", ref)
			if code == "BLOB_MISSING" {
				hint = fmt.Sprintf("'qbranch get %s' fetches it again", ref)
			}
			if err := c.found(Problem{Code: code, Severity: SeverityFatal, Path: c.s.Path(f.SHA256),
				Message: fmt.Sprintf("%s of %s %s", f.Path, ref, what), Hint: hint}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// fileState says what is wrong with the blob of a file, "" when nothing is.
func (c *checker) fileState(f SnapshotFile) (code, what string) {
	b, there := c.inv.blobs[f.SHA256]
	_, marked := c.inv.marks[f.SHA256]
	switch {
	case !there && marked:
		return "BLOB_MISSING", "is damaged, and its repair has not been finished"
	case !there:
		return "BLOB_MISSING", "is not there"
	case !b.Mode().IsRegular():
		return "BLOB_TYPE", "is no regular file"
	case b.Size() != f.Size:
		return "BLOB_SIZE", fmt.Sprintf("has %d bytes instead of %d", b.Size(), f.Size)
	case marked:
		return "BLOB_CORRUPT", "is known to be damaged"
	}
	return "", ""
}

// branches looks whether what branches were last seen at is here.
func (c *checker) branches() error {
	for _, b := range c.inv.branches {
		if slices.ContainsFunc(c.inv.snaps, func(s storedSnapshot) bool { return s.Repo == b.Repo && s.Commit == b.Commit }) ||
			slices.ContainsFunc(c.inv.unread, func(u pathError) bool { return strings.Contains(u.path, b.Commit) }) {
			continue
		}
		p := Problem{Code: "BRANCH_ORPHAN", Severity: SeverityInfo, Path: b.path,
			Message: fmt.Sprintf("%s:%s was last seen at %.7s, which is not here", b.Repo, b.Branch, b.Commit)}
		if err := c.found(p, c.remove(b.path)); err != nil {
			return err
		}
	}
	return nil
}

// pins looks whether pins can be read and keep something.
func (c *checker) pins() error {
	var failed error
	err := c.s.eachFile(dirPins, func(f lyingFile) {
		pin, err := c.s.readPin(f.path)
		if at, e := c.s.pinPath(pin); err == nil && (e != nil || at != f.path) {
			err = fmt.Errorf("in the place of another pin: %w", ErrFormat)
		}
		switch {
		case err != nil:
			failed = errors.Join(failed, c.found(Problem{Code: "PIN_BAD", Severity: SeverityWarn, Path: f.path,
				Message: fmt.Sprintf("a pin that cannot be read, so that nothing can be removed: %v", err)}, func() error { return c.s.setAside(f.path) }))
		case !slices.ContainsFunc(c.inv.snaps, func(s storedSnapshot) bool { return pin.Covers(s.Snapshot) }):
			failed = errors.Join(failed, c.found(Problem{Code: "PIN_ORPHAN", Severity: SeverityInfo, Path: f.path,
				Message: fmt.Sprintf("%s is pinned and not here", pin)}, nil))
		}
	})
	return errors.Join(failed, err)
}
