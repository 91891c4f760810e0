package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
)

// FolderError says that a folder cannot take an export. It is ErrFolder.
type FolderError struct {
	Dir    string
	Reason string
	Err    error // what the system said; may be nil

	hint string
}

// Error names the folder.
func (e *FolderError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("folder %s: %s: %v", e.Dir, e.Reason, e.Err)
	}
	return fmt.Sprintf("folder %s: %s", e.Dir, e.Reason)
}

// Is makes errors.Is(err, ErrFolder) hold.
func (e *FolderError) Is(target error) bool { return target == ErrFolder }

// Unwrap returns what the system said.
func (e *FolderError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *FolderError) Hint() string { return e.hint }

func unusable(dir, reason string, err error) error {
	return &FolderError{Dir: dir, Reason: reason, Err: err, hint: "choose another folder, one that can be written to"}
}

// Target is what is going to be exported, before it is in the store.
type Target struct {
	Repo   string
	Commit string
	Branch string          // "" when pinned to a commit
	Files  map[string]Want // by path
}

// CheckFolder says whether Export will find dir usable: a folder, or nothing
// yet, that can be written to, that holds no other branch (*FolderError) and no
// other file in the place of one of t's (*ExistsError). Of large files only the
// length is compared, so Export may still refuse. It writes nothing that stays.
func CheckFolder(dir string, t Target) error {
	if err := checkFolder(dir, t); err != nil {
		return fmt.Errorf("export %s@%s to %s: %w", t.Repo, t.Commit, dir, err)
	}
	return nil
}

func checkFolder(dir string, t Target) error {
	there, err := checkWritable(dir)
	if err != nil || !there {
		return err
	}
	old, err := checkOwner(dir, t.Repo, t.Commit, t.Branch)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return unusable(dir, "cannot be opened", err)
	}
	defer root.Close()
	for _, p := range slices.Sorted(maps.Keys(t.Files)) {
		if err := checkPlace(root, p, t.Files[p], old); err != nil {
			return err
		}
	}
	return nil
}

// CheckOutside refuses a folder that lies in the store (*FolderError): the store
// is no place for files of its users.
func (s *Store) CheckOutside(dir string) error {
	own, err := os.Stat(s.dir)
	if err != nil {
		return nil // not on this disk
	}
	at, err := filepath.Abs(dir)
	if err != nil {
		return unusable(dir, "cannot be found", err)
	}
	for {
		// Of what is not there yet, what it would be made in decides.
		if real, err := filepath.EvalSymlinks(at); err == nil {
			at = real
		}
		if fi, err := os.Stat(at); err == nil && os.SameFile(fi, own) {
			return unusable(dir, "lies in the store", nil)
		}
		if filepath.Dir(at) == at {
			return nil
		}
		at = filepath.Dir(at)
	}
}

// CheckWritable refuses a folder that cannot be made or written to
// (*FolderError). It writes nothing that stays.
func CheckWritable(dir string) error {
	_, err := checkWritable(dir)
	return err
}

// CheckWritable says that nothing can be put into the store
// (*NotWritableError), before anything is tried. It writes nothing that stays.
func (s *Store) CheckWritable() error {
	_, err := checkWritable(s.dir)
	var folder *FolderError
	if errors.As(err, &folder) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		return &NotWritableError{Path: s.dir, Err: folder.Err, whole: true}
	}
	return nil // another error comes again, with what was being done
}

// checkWritable makes and removes a file in dir, or where dir would be made,
// and reports whether dir is there.
func checkWritable(dir string) (there bool, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return false, unusable(dir, "cannot be found", err)
	}
	at := abs
	fi, err := os.Stat(at)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(at) != at {
		at = filepath.Dir(at)
		fi, err = os.Stat(at)
	}
	switch {
	case err != nil:
		return false, unusable(dir, "cannot be looked at", err)
	case !fi.IsDir() && at == abs:
		return false, unusable(dir, "is a file", nil)
	case !fi.IsDir():
		return false, unusable(dir, "cannot be made", fmt.Errorf("%s is a file", at))
	}
	f, err := os.CreateTemp(at, ".qbranch-*")
	if err != nil {
		return false, unusable(dir, "cannot be written to", withoutPath(err))
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return false, unusable(dir, "cannot be written to", err)
	}
	return at == abs, nil
}

// withoutPath takes the name of a temporary file, which tells nobody anything,
// out of an error.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// checkOwner reads the manifest of a folder and refuses one of another
// repository or branch. A zero manifest is that of a folder without one.
func checkOwner(dir, repo, commit, branch string) (Manifest, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return Manifest{}, nil // none, or none to go by: then nothing of it is replaced
	}
	if m.Repo == repo && (m.Commit == commit || branch != "" && m.Branch == branch) {
		return m, nil
	}
	holds := m.Repo + ":" + m.Branch
	if m.Branch == "" {
		holds = m.Repo + "@" + m.Commit
	}
	return Manifest{}, &FolderError{Dir: dir, Reason: "holds " + holds, hint: "choose another folder, or remove this one"}
}

// checkPlace looks at what is in the place of one file.
func checkPlace(root *os.Root, p string, w Want, old Manifest) error {
	fi, err := root.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return unusable(root.Name(), "cannot be looked at", err)
	case !fi.Mode().IsRegular():
		return &ExistsError{Path: path.Join(root.Name(), p), Why: "is not a regular file"}
	}
	if f, ok := old.file(p); ok && f.Size == fi.Size() {
		return nil // ours, as it seems: Export looks at its content
	}
	same := fi.Size() == w.Size
	if same && w.Size <= PartSize {
		if same, err = sameContent(root, p, w); err != nil {
			return unusable(root.Name(), "cannot be read", err)
		}
	}
	if !same {
		return &ExistsError{Path: path.Join(root.Name(), p), Why: "has other content"}
	}
	return nil
}

// sameContent compares a file of the right length with what is wanted.
func sameContent(root *os.Root, p string, w Want) (bool, error) {
	f, err := root.Open(p)
	if err != nil {
		return false, err
	}
	defer f.Close() // only read from
	h := sha256.New()
	if w.SHA256.IsZero() {
		h = newGitHash(w.Size)
	}
	if _, err := io.Copy(h, io.LimitReader(f, w.Size+1)); err != nil {
		return false, err
	}
	if w.SHA256.IsZero() {
		return [20]byte(h.Sum(nil)) == w.GitOID, nil
	}
	return Digest(h.Sum(nil)) == w.SHA256, nil
}
