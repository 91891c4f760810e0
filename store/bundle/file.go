package bundle

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/qbranch/qbranch/store"
)

// ExistsError says that the file that a bundle was to be written to is there.
// It is store.ErrFolder: the place cannot take it.
type ExistsError struct{ Path string }

// Error names the file.
func (e *ExistsError) Error() string { return e.Path + " exists" }

// Is makes errors.Is(err, fs.ErrExist) and errors.Is(err, store.ErrFolder) hold.
func (e *ExistsError) Is(target error) bool {
	return target == fs.ErrExist || target == store.ErrFolder
}

// Hint says what to do next.
func (e *ExistsError) Hint() string { return "name another file, or replace it with --force" }

// PlaceError says that a bundle cannot be written where it was to go. It is
// store.ErrFolder.
type PlaceError struct {
	Dir string
	Err error
}

// Error names the folder.
func (e *PlaceError) Error() string { return fmt.Sprintf("write to folder %s: %v", e.Dir, e.Err) }

// Unwrap returns what the system said.
func (e *PlaceError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, store.ErrFolder) hold.
func (e *PlaceError) Is(target error) bool { return target == store.ErrFolder }

// Hint says what to do next.
func (e *PlaceError) Hint() string { return "choose a file in a folder that exists" }

// CheckFile says why WriteFile cannot make a file of most bytes at path: it is
// there and must not be replaced (*ExistsError), it is no regular file, its folder is
// not there (*PlaceError), the disk is too small (store.ErrNoSpace).
func CheckFile(path string, most int64, replace bool) error {
	fi, err := os.Stat(path)
	switch {
	case err == nil && !fi.Mode().IsRegular():
		return store.FolderFailure(path, fmt.Errorf("write %s: %w", path, store.ErrNotRegular))
	case err == nil && !replace:
		return &ExistsError{path}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return store.FolderFailure(path, err)
	}
	dir := filepath.Dir(path)
	disk, err := store.OS().Disk(dir)
	if err != nil {
		return &PlaceError{dir, err}
	}
	if disk.Free < most {
		return &store.NoSpaceError{Dir: dir, Need: most, Free: disk.Free}
	}
	return nil
}

// WriteFile has fill write a new file at path: under another name, then synced,
// renamed and the directory synced, so that the name is there only if all of it
// is, on the disk. After an error nothing is left. (A process that is killed
// leaves path.tmp-….) Whether path may be replaced is CheckFile's to say.
func WriteFile(path string, fill func(w io.Writer) error) error {
	err := writeFile(store.OS(), path, fill)
	return store.FolderFailure(filepath.Dir(path), err)
}

func writeFile(fsys store.FS, path string, fill func(w io.Writer) error) error {
	tmp := path + ".tmp-" + rand.Text()[:8]
	f, err := fsys.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = fill(io.NewOffsetWriter(f, 0))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, fsys.Remove(tmp))
	}
	return fsys.SyncDir(filepath.Dir(path))
}
