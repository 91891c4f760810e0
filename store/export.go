package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// ExistsError says that Export would have to overwrite a file that it did not
// write.
type ExistsError struct {
	Path string
	Why  string
}

// Error names the file.
func (e *ExistsError) Error() string { return fmt.Sprintf("%s exists and %s", e.Path, e.Why) }

// Is makes errors.Is(err, fs.ErrExist) and errors.Is(err, ErrFolder) hold.
func (e *ExistsError) Is(target error) bool { return target == fs.ErrExist || target == ErrFolder }

// Hint says what to do next.
func (e *ExistsError) Hint() string { return "move it away, or choose another folder" }

// exporter fills one folder.
type exporter struct {
	s    *Store
	root *os.Root
	old  Manifest // of an earlier export; zero when there is none
	link Link
	did  Linked
}

// Export materialises a snapshot as a plain folder, by the way that link names
// (MakeFile), with a manifest that lets the folder be verified on its own.
//
// Every file appears whole or not at all, the manifest last. A file that is
// there already stays when it has the right content, is replaced when it is
// exactly what an earlier export wrote, and is refused otherwise (*ExistsError).
// A folder that holds another repository or branch is refused (*FolderError);
// another commit of the same branch is an update.
// Files the snapshot does not name are left alone. All writing goes through an
// os.Root, so that no symlink in the folder leads out of it.
func (s *Store) Export(ctx context.Context, snap Snapshot, dir string, link Link) (Linked, error) {
	e := &exporter{s: s, link: link}
	if err := e.export(ctx, snap, dir); err != nil {
		return e.did, fmt.Errorf("export %s@%s to %s: %w", snap.Repo, snap.Commit, dir, err)
	}
	return e.did, nil
}

func (e *exporter) export(ctx context.Context, snap Snapshot, dir string) error {
	if err := e.s.CheckSnapshot(snap); err != nil {
		return err
	}
	if err := e.s.CheckOutside(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return FolderFailure(dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return unusable(dir, "cannot be opened", err)
	}
	defer root.Close()
	e.root = root
	if e.old, err = checkOwner(dir, snap.Repo, snap.Commit, snap.Branch); err != nil {
		return err
	}
	if err := root.MkdirAll(manifestDir, 0o755); err != nil {
		return FolderFailure(dir, err)
	}
	m := Manifest{Format: formatVersion, Repo: snap.Repo, Commit: snap.Commit, Branch: snap.Branch, PartSize: PartSize, Files: []ManifestFile{}}
	for _, f := range byPath(snap.Files) {
		mf, err := e.file(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, FolderFailure(dir, err))
		}
		m.Files = append(m.Files, mf)
	}
	b, err := m.encode()
	if err != nil {
		return err
	}
	return FolderFailure(dir, e.place("tmp-manifest", manifestName, func(tmp string) error {
		return writeNew(e.root, tmp, func(out *os.File) error { _, err := out.Write(b); return err })
	}))
}

// CheckSnapshot says why a snapshot cannot be exported: a file that must not be
// written, a blob that has gone (fs.ErrNotExist) or is damaged (*CorruptError).
func (s *Store) CheckSnapshot(snap Snapshot) error {
	if err := snap.Check(); err != nil {
		return err
	}
	for _, f := range snap.Files {
		if err := s.usable(f); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return nil
}

// FolderFailure types an error of writing to a folder that takes an export,
// which is not the store: ErrFolder or ErrNoSpace. Other errors stay as they are.
func FolderFailure(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		return unusable(dir, "cannot be written to", err)
	case !isNoSpace(err):
		return err
	}
	disk, _ := OS().Disk(dir) // only for the message
	return &NoSpaceError{Dir: dir, Free: disk.Free, Err: err, folder: true}
}

// file materialises one file and returns its entry in the manifest.
func (e *exporter) file(ctx context.Context, f SnapshotFile) (ManifestFile, error) {
	parts, err := e.s.partsOrVerify(ctx, f.SHA256)
	mf := ManifestFile{SnapshotFile: f, Parts: parts}
	if err != nil {
		return mf, err
	}
	there, err := e.there(ctx, mf)
	if there {
		e.did.Add("", f.Size)
	}
	if there || err != nil {
		return mf, err
	}
	if err := e.root.MkdirAll(path.Dir(f.Path), 0o755); err != nil {
		return mf, err
	}
	return mf, e.place("tmp-"+f.SHA256.String(), f.Path, func(tmp string) error {
		way, err := e.s.makeFile(ctx, mf, e.root, tmp, e.link)
		if err == nil {
			e.did.Add(way, f.Size)
		}
		return err
	})
}

// there reports whether the file is in its place with the right content; an
// error when something is in its place that must not be overwritten.
func (e *exporter) there(ctx context.Context, f ManifestFile) (bool, error) {
	fi, err := e.root.Lstat(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !fi.Mode().IsRegular() {
		return false, &ExistsError{Path: f.Path, Why: "is not a regular file"}
	}
	if same, err := e.s.sameFile(ctx, e.root, f); same || err != nil {
		return same, err
	}
	var d *Damage
	if old, ok := e.old.file(f.Path); ok {
		if d, err = verifyFile(ctx, e.root, old, 0, nil); d == nil || err != nil {
			return false, err // what we wrote ourselves may be replaced
		}
	}
	return false, &ExistsError{Path: f.Path, Why: "has other content"}
}

// place lets make write a temporary file in the manifest's directory and
// renames it into its place. The name is always the same, so that what a killed
// export left is removed by the next one.
func (e *exporter) place(tmp, to string, make func(tmp string) error) error {
	tmp = manifestDir + "/" + tmp
	if err := e.root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := make(tmp)
	if err == nil {
		if !removesOpenFiles {
			_ = e.root.Remove(to) // a read-only file cannot be renamed over here
		}
		err = e.root.Rename(tmp, to)
	}
	if err != nil {
		_ = e.root.Remove(tmp) // the first error matters
		return err
	}
	return syncDir(filepath.Join(e.root.Name(), filepath.FromSlash(path.Dir(to))))
}

// copyChecked copies a blob and compares every part with its digest on the way.
func copyChecked(ctx context.Context, out io.Writer, blob io.ReaderAt, f ManifestFile) error {
	buf := make([]byte, min(PartSize, f.Size))
	for i, want := range f.Parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:partLen(f.Size, i)]
		if err := readPart(blob, i, p); err != nil {
			return err
		}
		if sumPart(p) != want {
			return &CorruptError{Digest: f.SHA256, Parts: []int{i}, Size: f.Size}
		}
		if _, err := out.Write(p); err != nil {
			return err
		}
	}
	return nil
}
