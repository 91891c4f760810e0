package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxSnapshot bounds the JSON of a snapshot.
const maxSnapshot = 64 << 20

// SnapshotFile is one file of a snapshot.
type SnapshotFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 Digest `json:"sha256"`
}

// Snapshot lists the files of repo at commit; it exists if and only if every
// blob was present and verified when it was written.
type Snapshot struct {
	Repo    string         `json:"repo"`   // owner/name
	Commit  string         `json:"commit"` // 40 hex
	Branch  string         `json:"branch"` // the branch asked for, "" when pinned
	Files   []SnapshotFile `json:"files"`  // by path
	Created time.Time      `json:"created"`
}

// snapshotJSON is the JSON of a file in snapshots/.
type snapshotJSON struct {
	Format int `json:"format"`
	Snapshot
}

// Bytes returns the length of all files.
func (snap Snapshot) Bytes() int64 {
	var sum int64
	for _, f := range snap.Files {
		sum += f.Size
	}
	return sum
}

// Check refuses what must not be written, or what was read and must not be
// used: names that are none, paths that a folder cannot have, impossible lengths.
func (snap Snapshot) Check() error {
	if _, err := repoPath(snap.Repo); err != nil {
		return err
	}
	if err := parseHex(make([]byte, 20), snap.Commit); err != nil {
		return fmt.Errorf("commit %q: %w", snap.Commit, err)
	}
	if snap.Branch != "" {
		if err := checkBranch(snap.Branch); err != nil {
			return err
		}
	}
	seen := make(map[string]bool, len(snap.Files))
	for _, f := range snap.Files {
		if err := CheckPath(f.Path); err != nil {
			return err
		}
		if f.Size < 0 || f.Size > maxBlob {
			return fmt.Errorf("file %q has a length of %d", f.Path, f.Size)
		}
		// Twins that differ in case would overwrite each other on some disks.
		fold := strings.ToLower(f.Path)
		if seen[fold] {
			return fmt.Errorf("file %q is listed twice", f.Path)
		}
		seen[fold] = true
	}
	return nil
}

// PutSnapshot publishes a snapshot; it refuses one with a missing blob
// (ErrNotFound) or a corrupt one (*CorruptError). While it looks and writes
// nothing is removed from the store.
//
// One that is there already with the same files stays as it is, so that this
// works on a disk that is read-only.
func (s *Store) PutSnapshot(snap Snapshot) error {
	if same, err := s.sameSnapshot(snap); same {
		return err
	}
	l, err := s.lockStore(context.Background())
	if err == nil {
		err = s.putSnapshot(snap)
		l.Close() // it ends with the descriptor in any case
	}
	if err != nil {
		return fmt.Errorf("put snapshot %s@%s: %w", snap.Repo, snap.Commit, err)
	}
	return nil
}

// sameSnapshot reports whether the store has the snapshot, whole and with the
// same files, and makes its name and those of its blobs durable.
func (s *Store) sameSnapshot(snap Snapshot) (same bool, err error) {
	old, err := s.Snapshot(snap.Repo, snap.Commit)
	if err != nil || old.Branch != snap.Branch || !slices.Equal(old.Files, byPath(snap.Files)) {
		return false, nil
	}
	path, err := s.snapshotPath(snap.Repo, snap.Commit)
	for d := range snap.blobs() {
		if err == nil {
			err = s.settleBlob(d)
		}
	}
	if err == nil {
		err = s.settleFile(path)
	}
	if err != nil {
		return true, fmt.Errorf("put snapshot %s@%s: %w", snap.Repo, snap.Commit, err)
	}
	return true, nil
}

// putSnapshot is PutSnapshot for who has the store's lock.
func (s *Store) putSnapshot(snap Snapshot) error {
	path, err := s.snapshotPath(snap.Repo, snap.Commit)
	if err == nil {
		err = snap.Check()
	}
	if err != nil {
		return err
	}
	for _, f := range snap.Files {
		if err := s.usable(f); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = ErrNotFound
			}
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	for d := range snap.blobs() {
		if err := s.settleBlob(d); err != nil {
			return err
		}
	}
	return s.writeSnapshot(path, snap)
}

// writeSnapshot writes the file without looking at the blobs.
func (s *Store) writeSnapshot(path string, snap Snapshot) error {
	snap.Files = byPath(snap.Files)
	if snap.Created.IsZero() {
		snap.Created = s.now()
	}
	snap.Created = snap.Created.UTC().Truncate(time.Second)
	b, err := json.MarshalIndent(snapshotJSON{formatVersion, snap}, "", "  ")
	if err == nil {
		err = s.writeFile(path, append(b, '\n'), 0o600)
	}
	return err
}

// byPath returns the files sorted, and never nil: JSON would say null.
func byPath(files []SnapshotFile) []SnapshotFile {
	sorted := append([]SnapshotFile{}, files...)
	slices.SortFunc(sorted, func(a, b SnapshotFile) int { return cmp.Compare(a.Path, b.Path) })
	return sorted
}

// usable says why a file's blob cannot be used: fs.ErrNotExist or a *CorruptError.
func (s *Store) usable(f SnapshotFile) error {
	bad, err := s.marked(f.SHA256)
	var fi fs.FileInfo
	if err == nil {
		fi, err = s.fs.Lstat(s.Path(f.SHA256))
	}
	switch {
	case bad:
		return s.corruption(f.SHA256)
	case err != nil:
		return err
	case !fi.Mode().IsRegular():
		return fmt.Errorf("blob %s: %w", f.SHA256, ErrNotRegular)
	case fi.Size() != f.Size:
		// Cut off or grown; Verify says where.
		return &CorruptError{Digest: f.SHA256, Size: f.Size, Parts: changedParts(f.Size, fi.Size())}
	}
	return nil
}

// changedParts returns the parts that a file of another length cannot hold.
func changedParts(want, got int64) []int {
	if got > want || want == 0 {
		return []int{max(0, numParts(want)-1)}
	}
	return allParts(want)[got/PartSize:]
}

// Snapshot returns the snapshot of repo at commit, ErrNotFound when there is
// none, a *CorruptError when one of its blobs is known to be corrupt, and
// fs.ErrNotExist wrapped when a blob has gone. With the last two the snapshot
// is returned as well.
func (s *Store) Snapshot(repo, commit string) (Snapshot, error) {
	path, err := s.snapshotPath(repo, commit)
	if err != nil {
		return Snapshot{}, fmt.Errorf("read snapshot: %w", err)
	}
	snap, err := s.readSnapshot(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (snap.Repo != repo || snap.Commit != commit) {
		return Snapshot{}, fmt.Errorf("snapshot %s@%s: %w", repo, commit, ErrNotFound)
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("snapshot %s@%s: %w", repo, commit, err)
	}
	for _, f := range snap.Files {
		if err := s.usable(f); err != nil {
			return snap, fmt.Errorf("snapshot %s@%s: %s: %w", repo, commit, f.Path, err)
		}
	}
	return snap, nil
}

// readSnapshot reads and checks one file.
func (s *Store) readSnapshot(path string) (Snapshot, error) {
	b, err := readLimited(s.fs, path, maxSnapshot)
	if err != nil {
		return Snapshot{}, err
	}
	snap, err := decodeSnapshot(b)
	if err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", path, err)
	}
	return snap, nil
}

func decodeSnapshot(b []byte) (Snapshot, error) {
	var j snapshotJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return Snapshot{}, fmt.Errorf("%w: %w", ErrFormat, notJSON(b, err))
	}
	if j.Format != formatVersion {
		return Snapshot{}, fmt.Errorf("snapshot format %d: %w", j.Format, ErrFormat)
	}
	if err := j.Snapshot.Check(); err != nil {
		return Snapshot{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return j.Snapshot, nil
}

// Snapshots lists all snapshots, by repo, then branch, then commit. One that
// cannot be read does not hide the others: the list comes with the error.
func (s *Store) Snapshots() ([]Snapshot, error) {
	var out []Snapshot
	var errs []error
	s.walk(filepath.Join(s.dir, dirSnapshots), 2, func(path string, err error) {
		if err == nil && filepath.Ext(path) != ".json" {
			return
		}
		var snap Snapshot
		if err == nil {
			snap, err = s.readSnapshot(path)
		}
		if err != nil {
			if name := s.snapshotName(path); name != "" {
				err = fmt.Errorf("%s cannot be read: %w", name, err)
			}
			errs = append(errs, err)
			return
		}
		out = append(out, snap)
	})
	slices.SortFunc(out, func(a, b Snapshot) int {
		return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Branch, b.Branch), cmp.Compare(a.Commit, b.Commit))
	})
	return out, errors.Join(errs...)
}

// walk calls each for every file in dir and down to depth directories below it,
// and for every directory that cannot be read; one that is not there is empty.
func (s *Store) walk(dir string, depth int, each func(path string, err error)) {
	entries, err := s.fs.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		each(dir, err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir() && depth > 0:
			s.walk(path, depth-1, each)
		case !e.IsDir():
			each(path, nil)
		}
	}
}

// SnapshotState looks at every blob of a snapshot and returns the paths of the
// files whose blob has gone and of those whose blob is known to be corrupt.
func (s *Store) SnapshotState(snap Snapshot) (missing, corrupt []string) {
	for _, f := range snap.Files {
		var bad *CorruptError
		switch err := s.usable(f); {
		case errors.As(err, &bad):
			corrupt = append(corrupt, f.Path)
		case err != nil:
			missing = append(missing, f.Path)
		}
	}
	return missing, corrupt
}

// SharedBytes returns, for each snapshot of the list, how many of its bytes are
// in blobs that another one of the list has too.
func SharedBytes(snaps []Snapshot) []int64 {
	users := map[Digest]int{}
	for _, snap := range snaps {
		for d := range snap.blobs() {
			users[d]++
		}
	}
	out := make([]int64, len(snaps))
	for i, snap := range snaps {
		for d, size := range snap.blobs() {
			if users[d] > 1 {
				out[i] += size
			}
		}
	}
	return out
}

// blobs returns the distinct blobs of a snapshot with their lengths.
func (snap Snapshot) blobs() map[Digest]int64 {
	m := make(map[Digest]int64, len(snap.Files))
	for _, f := range snap.Files {
		m[f.SHA256] = f.Size
	}
	return m
}

// branchJSON is the JSON of a file in branches/. Repo and branch are in it
// because the escaped names of long ones cannot be turned back.
type branchJSON struct {
	Format int    `json:"format"`
	Repo   string `json:"repo"`
	Branch string `json:"branch"`
	Commit string `json:"commit"`
}

// SetBranch remembers the commit a branch pointed at when it was last fetched.
func (s *Store) SetBranch(repo, branch, commit string) error {
	path, err := s.branchPath(repo, branch)
	if err == nil {
		err = parseHex(make([]byte, 20), commit)
	}
	if err == nil {
		if old, ok := s.BranchCommit(repo, branch); ok && old == commit {
			err = s.settleFile(path)
		} else {
			err = s.writeBranch(path, branchJSON{formatVersion, repo, branch, commit})
		}
	}
	if err != nil {
		return fmt.Errorf("remember branch %s of %s: %w", branch, repo, err)
	}
	return nil
}

func (s *Store) writeBranch(path string, j branchJSON) error {
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return s.writeFile(path, append(b, '\n'), 0o600)
}

// BranchCommit returns what SetBranch remembered.
func (s *Store) BranchCommit(repo, branch string) (commit string, ok bool) {
	path, err := s.branchPath(repo, branch)
	if err != nil {
		return "", false
	}
	b, err := readLimited(s.fs, path, 1<<16)
	if err != nil {
		return "", false
	}
	j, err := decodeBranch(b)
	if err != nil || j.Repo != repo || j.Branch != branch {
		return "", false
	}
	return j.Commit, true
}

func decodeBranch(b []byte) (branchJSON, error) {
	var j branchJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return j, fmt.Errorf("%w: %w", ErrFormat, notJSON(b, err))
	}
	if j.Format != formatVersion {
		return j, fmt.Errorf("branch format %d: %w", j.Format, ErrFormat)
	}
	if err := parseHex(make([]byte, 20), j.Commit); err != nil {
		return j, fmt.Errorf("commit %q: %w: %w", j.Commit, ErrFormat, err)
	}
	return j, nil
}
