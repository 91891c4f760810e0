package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// formatVersion is the version of the directory layout that this code writes.
const formatVersion = 1

// versionMagic begins the VERSION file; a number and a newline follow.
const versionMagic = "qbranch store "

// tmpAge is how old a temporary file must be before Open takes it for the
// leftover of a process that died.
const tmpAge = 24 * time.Hour

// Store is a directory of blobs. It is safe for concurrent use, also by
// several processes.
type Store struct {
	dir string // absolute
	fs  FS
	now func() time.Time // the clock that paces the marks

	mu      sync.Mutex
	settled map[string]bool // paths known to be durable names; see settle
}

// Open opens the store in dir and creates it when it is absent. It refuses a
// store of a newer format and a directory that holds something else. A store on
// a read-only disk can be opened and read.
func Open(dir string) (*Store, error) { return OpenWith(dir, Options{}) }

// OpenWith is Open with another file system or clock.
func OpenWith(dir string, o Options) (*Store, error) {
	if dir == "" {
		return nil, errors.New("open store: no directory given")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s := &Store{dir: abs, fs: o.FS, now: o.Now, settled: map[string]bool{}}
	if s.fs == nil {
		s.fs = OS()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", abs, err)
	}
	return s, nil
}

func (s *Store) open() error {
	path := filepath.Join(s.dir, fileVersion)
	text, err := readLimited(s.fs, path, 256)
	switch {
	case err == nil:
		if err := checkVersion(path, string(text)); err != nil {
			return err
		}
		s.sweepTemp()
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := s.checkFresh(); err != nil {
		return err
	}
	if err := s.ensureDir(s.dir); err != nil {
		return err
	}
	// Somebody may have been killed having made these directories and not yet
	// synced their names. Those further up may not be ours to open.
	for dir := filepath.Dir(s.dir); s.fs.SyncDir(dir) == nil && dir != filepath.Dir(dir); {
		dir = filepath.Dir(dir)
	}
	return s.writeFile(path, fmt.Appendf(nil, "%s%d\n", versionMagic, formatVersion), 0o600)
}

// checkFresh refuses to make a store among somebody's other files. Our own
// names are allowed: another process may be making the same store right now.
func (s *Store) checkFresh() error {
	entries, err := s.fs.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == fileVersion, name == dirTmp, name == "lost+found", strings.HasPrefix(name, "."):
		default:
			return &FormatError{Path: s.dir, Reason: fmt.Sprintf("not a qbranch store, and not empty (it holds %q)", name),
				Advice: "name an empty or absent directory for the store"}
		}
	}
	return nil
}

func checkVersion(path, text string) error {
	digits, ok := strings.CutPrefix(strings.TrimSuffix(text, "\n"), versionMagic)
	v, err := strconv.Atoi(digits)
	switch {
	case !ok || err != nil || v < 1:
		return &FormatError{Path: path, Reason: fmt.Sprintf("not the version of a qbranch store: %.40q", text),
			Advice: "name another directory for the store, or restore this file"}
	case v > formatVersion:
		return &FormatError{Path: path, Reason: fmt.Sprintf("store format %d is newer than this program knows (%d)", v, formatVersion),
			Advice: "use a newer qbranch, or another store directory"}
	}
	return nil
}

// sweepTemp removes temporary files of processes that died. They are harmless,
// so a failure (a read-only disk) is no reason not to open. While a process has
// announced that it is at work they stay: the clock may have been set forward.
func (s *Store) sweepTemp() {
	dir := filepath.Join(s.dir, dirTmp)
	entries, err := s.fs.ReadDir(dir)
	if err != nil {
		return
	}
	var old []string
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && s.now().Sub(tmpBegan(fi)) > tmpAge {
			old = append(old, filepath.Join(dir, e.Name()))
		}
	}
	if len(old) == 0 {
		return
	}
	if held, err := s.readHolds(); err != nil || held.running {
		return
	}
	for _, path := range old {
		_ = s.fs.Remove(path)
	}
}

// Dir returns the store's directory.
func (s *Store) Dir() string { return s.dir }

// Free returns the free bytes of the store's file system.
func (s *Store) Free() (int64, error) {
	d, err := s.FileSystem()
	return d.Free, err
}

// FileSystem describes the file system that the store is on.
func (s *Store) FileSystem() (Disk, error) { return s.fs.Disk(s.dir) }

// Find returns the published, not known-corrupt blob that satisfies w. With a
// SHA-256 that alone decides; else the git blob id does.
func (s *Store) Find(w Want) (Digest, bool) {
	w, err := s.resolve(w)
	if err != nil || w.SHA256.IsZero() || !s.has(w.SHA256, w.Size) {
		return Digest{}, false
	}
	return w.SHA256, true
}

// has reports whether a blob of that length is published and not known to be
// corrupt. A length that differs is damage too.
func (s *Store) has(d Digest, size int64) bool {
	ok, err := s.look(d, size)
	return ok && err == nil
}

// look is has for who has to tell "no" from "cannot be said", which is the error:
// out of file descriptors, a good blob would be taken for absent and fetched.
func (s *Store) look(d Digest, size int64) (ok bool, err error) {
	fi, err := s.fs.Lstat(s.Path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !fi.Mode().IsRegular() || fi.Size() != size {
		return false, err
	}
	bad, err := s.marked(d)
	return !bad, err
}

// marked reports whether the blob is known to be corrupt.
func (s *Store) marked(d Digest) (bool, error) {
	_, err := s.fs.Lstat(s.corruptPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// resolve checks w and fills in the SHA-256 of a git blob id when a blob of
// that id has been published.
func (s *Store) resolve(w Want) (Want, error) {
	if err := w.check(); err != nil || !w.SHA256.IsZero() {
		return w, err
	}
	text, err := readLimited(s.fs, s.gitPath(w.GitOID), 128)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrFormat) || errors.Is(err, ErrNotRegular) {
		return w, nil // no alias: the git id has to do
	}
	if err != nil {
		return w, err
	}
	d, err := ParseDigest(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return w, nil
	}
	_, err = s.fs.Lstat(s.Path(d))
	known := err == nil
	if errors.Is(err, fs.ErrNotExist) {
		known, err = s.marked(d)
	}
	if known {
		w.SHA256 = d
	}
	return w, err
}

// setAlias remembers which blob has a git blob id.
func (s *Store) setAlias(w Want, d Digest) error {
	if !w.hasGit() {
		return nil
	}
	return s.writeFile(s.gitPath(w.GitOID), []byte(d.String()+"\n"), 0o600)
}

// maxGit is the largest content that GitOID looks at. Hubs want larger files to
// be kept by LFS.
const maxGit = 64 << 20

// GitOID returns the git blob id of a published blob if that is how it was
// listed when it was fetched: false for an LFS file, or one of more than 64 MiB.
func (s *Store) GitOID(ctx context.Context, d Digest, size int64) (oid [20]byte, ok bool, err error) {
	if size > maxGit {
		return oid, false, nil
	}
	blob, err := s.OpenBlob(d)
	if err != nil {
		return oid, false, err
	}
	defer blob.Close() // only read from
	h := newGitHash(size)
	buf := make([]byte, min(PartSize, size))
	for i := range numParts(size) {
		p := buf[:partLen(size, i)]
		if err := ctx.Err(); err != nil {
			return oid, false, err
		}
		if err := readPart(blob, i, p); err != nil {
			return oid, false, fmt.Errorf("read blob %s: %w", d, err)
		}
		h.Write(p) // never fails
	}
	oid = [20]byte(h.Sum(nil))
	text, err := readLimited(s.fs, s.gitPath(oid), 128)
	if errors.Is(err, fs.ErrNotExist) {
		return oid, false, nil
	}
	return oid, err == nil && strings.TrimSuffix(string(text), "\n") == d.String(), err
}

// OpenBlob opens a published blob for reading. ErrNotFound, or a *CorruptError
// for a blob known to be corrupt.
func (s *Store) OpenBlob(d Digest) (File, error) {
	bad, err := s.marked(d)
	if bad {
		return nil, s.corruption(d)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	f, err := s.fs.OpenFile(s.Path(d), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open blob %s: %w", d, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return f, nil
}
