package hfcache

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/qbranch/qbranch/store"
)

// ExportOptions may be zero.
type ExportOptions struct {
	Link       store.Link
	Complete   bool // the snapshot has every file of the commit: its listing is written too
	NoSymlinks bool // put files into snapshots/, as where symlinks do not work
}

// Exported says what Export wrote.
type Exported struct {
	Dir      string // the snapshot's folder
	Linked   store.Linked
	Symlinks bool // false: the files are in the snapshot's folder, and there are no blobs
}

// Export lays a snapshot out in the cache, which is made if need be, so that the
// official client finds it without a network.
//
// What is there already and holds the right content stays, whoever wrote it. A
// blob that holds something else is replaced: its name says what it has to hold.
// A regular file with other content in the place of a snapshot's link is refused
// (*store.ExistsError), and so is whatever leads out of the cache
// (*store.FolderError). Export waits for the official client where that is at
// work on the same file, until ctx ends.
func (c *Cache) Export(ctx context.Context, st *store.Store, snap store.Snapshot, o ExportOptions) (Exported, error) {
	e := &exporter{st: st, snap: snap, o: o, repo: RepoFolder(snap.Repo)}
	err := e.export(ctx, c.dir)
	if err != nil {
		err = fmt.Errorf("export %s@%s to the cache %s: %w", snap.Repo, snap.Commit, c.dir, store.FolderFailure(c.dir, err))
	}
	return e.did, err
}

// exporter is one Export.
type exporter struct {
	st   *store.Store
	snap store.Snapshot
	o    ExportOptions
	root *os.Root // of the cache
	repo string   // the repository's folder in it
	did  Exported
}

// item is one file of the snapshot.
type item struct {
	store.SnapshotFile
	git  [20]byte // of a file that is not kept by LFS
	etag string
}

func (e *exporter) export(ctx context.Context, dir string) error {
	if err := e.st.CheckSnapshot(e.snap); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var err error
	if e.root, err = os.OpenRoot(dir); err != nil {
		return err
	}
	defer e.root.Close()
	if err := e.makeFolders(); err != nil {
		return err
	}
	e.did.Symlinks = !e.o.NoSymlinks && e.canLink()
	e.did.Dir = filepath.Join(dir, e.repo, "snapshots", e.snap.Commit)
	items := make([]item, len(e.snap.Files))
	for i, f := range e.snap.Files {
		if items[i], err = e.item(ctx, f); err == nil {
			err = e.file(ctx, items[i])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	if e.o.Complete {
		if err := e.writeTree(items); err != nil {
			return fmt.Errorf("listing: %w", err)
		}
	}
	return e.writeRef()
}

// makeFolders makes what every repository of a cache has, and removes what an
// export that was killed a day ago or more has left.
func (e *exporter) makeFolders() error {
	if left, err := fs.ReadDir(e.root.FS(), e.repo); err == nil {
		for _, d := range left {
			fi, err := d.Info()
			if err == nil && strings.HasPrefix(d.Name(), tempPrefix) && time.Since(fi.ModTime()) > tempAge {
				_ = e.root.Remove(e.repo + "/" + d.Name()) // harmless where it stays
			}
		}
	}
	if _, err := e.root.Lstat("CACHEDIR.TAG"); errors.Is(err, fs.ErrNotExist) {
		if err := e.replace("CACHEDIR.TAG", []byte(cacheTag)); err != nil {
			return err
		}
	}
	for _, dir := range []string{".locks/" + e.repo, e.repo + "/refs", e.repo + "/snapshots/" + e.snap.Commit} {
		if err := e.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// cacheTag keeps backups away: https://bford.info/cachedir/
const cacheTag = `Signature: 8a477f597d28d172789f06886806bc55
# This directory holds the cache of a Hugging Face client.
# For information about cache directory tags, see https://bford.info/cachedir/
`

// item finds out how the hub lists a file.
func (e *exporter) item(ctx context.Context, f store.SnapshotFile) (item, error) {
	it := item{SnapshotFile: f, etag: f.SHA256.String()}
	oid, isGit, err := e.st.GitOID(ctx, f.SHA256, f.Size)
	if isGit {
		it.git, it.etag = oid, hex.EncodeToString(oid[:])
	}
	return it, err
}

// file puts one file into the cache.
func (e *exporter) file(ctx context.Context, it item) error {
	unlock, err := e.lock(ctx, it.etag)
	if err != nil {
		return err
	}
	defer unlock()
	pointer := path.Join(e.repo, "snapshots", e.snap.Commit, it.Path)
	if err := e.root.MkdirAll(path.Dir(pointer), 0o755); err != nil {
		return err
	}
	if !e.did.Symlinks {
		return e.content(ctx, it, pointer, false)
	}
	if err := e.root.MkdirAll(e.repo+"/blobs", 0o755); err != nil {
		return err
	}
	if err := e.content(ctx, it, e.repo+"/blobs/"+it.etag, true); err != nil {
		return err
	}
	return e.pointer(ctx, it, pointer)
}

// lock takes the lock that the official client takes for a blob.
func (e *exporter) lock(ctx context.Context, etag string) (unlock func(), err error) {
	name := ".locks/" + e.repo + "/" + etag + ".lock"
	// Made through the root, so that no symlink makes it somewhere else.
	f, err := e.root.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o664)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, err
	}
	l := flock.New(filepath.Join(e.root.Name(), filepath.FromSlash(name)), flock.SetPermissions(0o664))
	if _, err := l.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return nil, fmt.Errorf("wait for the lock %s: %w", name, err)
	}
	return func() { _ = l.Close() }, nil // it ends with the process at the latest
}

// content makes a file of the cache hold the item. replace says that a regular
// file with other content may be replaced.
func (e *exporter) content(ctx context.Context, it item, name string, replace bool) error {
	same, err := e.st.SameFile(ctx, it.SHA256, it.Size, e.root, name)
	switch {
	case same:
		e.did.Linked.Add("", it.Size)
		return nil
	case err == nil && !replace:
		return &store.ExistsError{Path: filepath.Join(e.root.Name(), filepath.FromSlash(name)), Why: "has other content"}
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, store.ErrNotRegular):
		return err
	}
	// The name is one that the official client would give it, and would sweep.
	tmp := e.repo + "/blobs/" + it.etag + "." + randomHex() + ".incomplete"
	if !replace {
		tmp = e.temporary()
	}
	way, err := e.st.MakeFile(ctx, it.SHA256, it.Size, e.root, tmp, e.o.Link)
	if err == nil {
		err = e.move(tmp, name)
	}
	if err != nil {
		return errors.Join(err, e.discard(tmp))
	}
	e.did.Linked.Add(way, it.Size)
	return nil
}

// pointer makes the snapshot's symlink to the blob.
func (e *exporter) pointer(ctx context.Context, it item, name string) error {
	target := strings.Repeat("../", strings.Count(it.Path, "/")+2) + "blobs/" + it.etag
	fi, err := e.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case fi.Mode()&fs.ModeSymlink != 0:
		if is, err := e.root.Readlink(name); err == nil && is == target {
			return nil
		}
	default: // a client without symlinks was here
		same, err := e.st.SameFile(ctx, it.SHA256, it.Size, e.root, name)
		if same || err != nil {
			return err
		}
		return &store.ExistsError{Path: filepath.Join(e.root.Name(), filepath.FromSlash(name)), Why: "has other content"}
	}
	tmp := e.temporary()
	if err = e.root.Symlink(target, tmp); err == nil {
		err = e.move(tmp, name)
	}
	if err != nil {
		return errors.Join(err, e.discard(tmp))
	}
	return nil
}

// canLink reports whether symlinks work here; on Windows that takes a privilege.
func (e *exporter) canLink() bool {
	tmp := e.temporary()
	return e.root.Symlink("snapshots", tmp) == nil && e.root.Remove(tmp) == nil
}

// writeRef says which commit the branch stands at. The official client reads the
// file as it is, so there is no newline.
func (e *exporter) writeRef() error {
	if e.snap.Branch == "" {
		return nil
	}
	if err := store.CheckPath(e.snap.Branch); err != nil {
		return fmt.Errorf("branch: %w", err)
	}
	name := e.repo + "/refs/" + e.snap.Branch
	if err := e.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return e.replace(name, []byte(e.snap.Commit))
}

// replace makes name hold data, whole or not at all.
func (e *exporter) replace(name string, data []byte) error {
	tmp := e.temporary()
	f, err := e.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		if err = e.root.MkdirAll(e.repo, 0o755); err == nil {
			f, err = e.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = e.move(tmp, name)
	}
	if err != nil {
		return errors.Join(err, e.discard(tmp))
	}
	return nil
}

// The names of temporary files, and when they are leftovers. (One of a blob has a
// name that the official client would give it, and sweep.)
const (
	tempPrefix = ".qbranch-"
	tempAge    = 24 * time.Hour
)

// temporary is a name in the repository's folder, where the official client does
// not look.
func (e *exporter) temporary() string { return e.repo + "/" + tempPrefix + randomHex() }

func randomHex() string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// move renames a durable file into its place and makes the name durable.
func (e *exporter) move(from, to string) error {
	if err := e.root.Rename(from, to); err != nil {
		return err
	}
	return store.OS().SyncDir(filepath.Join(e.root.Name(), filepath.FromSlash(path.Dir(to))))
}

func (e *exporter) discard(tmp string) error {
	if err := e.root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
