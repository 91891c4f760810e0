package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// Link is a way of making one content lie in two places: in the store and in a
// folder, whichever of them had it first.
type Link string

// The ways, from the best to the most expensive.
const (
	LinkAuto    Link = "auto"    // the first of the others that works and is safe; "" means the same
	LinkReflink Link = "reflink" // the two share blocks until one of them is written to (btrfs, XFS, bcachefs, APFS)
	LinkHard    Link = "hard"    // two names of one file, which is read-only from then on
	LinkCopy    Link = "copy"
)

// ParseLink reads the name of a way; "" is LinkAuto.
//
// A symbolic link is not among them: whoever deletes or edits what a link leads
// to would do it to the store, and there is no way to forbid that.
func ParseLink(s string) (Link, error) {
	switch l := Link(s); l {
	case "":
		return LinkAuto, nil
	case LinkAuto, LinkReflink, LinkHard, LinkCopy:
		return l, nil
	}
	return "", fmt.Errorf("%q is none of auto, reflink, hard and copy", s)
}

// LinkError says that the one way that was asked for does not work here.
type LinkError struct {
	Link Link
	Path string // of the file that was to be made, or to be taken
	Err  error
}

// Error names the way and the file.
func (e *LinkError) Error() string {
	return fmt.Sprintf("%s %s: %v", map[Link]string{LinkReflink: "reflink", LinkHard: "hard link"}[e.Link], e.Path, e.Err)
}

// Unwrap returns what the system said.
func (e *LinkError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *LinkError) Hint() string {
	if e.Link == LinkReflink {
		return "both must be on one file system that can share blocks (btrfs, XFS, APFS); --link auto takes the best way that works"
	}
	return "both must be on one file system; --link auto takes the best way that works"
}

// Linked says how many bytes took which way.
type Linked struct {
	Kept      int64 // were in their place already
	Reflinked int64
	Hard      int64
	Copied    int64
}

// Add counts n bytes that took a way; "" means that they were in their place.
func (l *Linked) Add(way Link, n int64) {
	switch way {
	case LinkReflink:
		l.Reflinked += n
	case LinkHard:
		l.Hard += n
	case LinkCopy:
		l.Copied += n
	default:
		l.Kept += n
	}
}

// MakeFile makes name, which must not exist, in the folder root hold a
// published blob, and returns which way was taken. The file is on the disk when
// MakeFile returns; its name is not (sync the directory). A copy is compared
// with the digests of the blob's parts on the way (*CorruptError). A hard link
// is made only of a blob that nobody may write to, so that no program can
// change the store through it without making the file writable first.
func (s *Store) MakeFile(ctx context.Context, d Digest, size int64, root *os.Root, name string, link Link) (Link, error) {
	parts, err := s.partsOrVerify(ctx, d)
	if err != nil {
		return "", err
	}
	f := ManifestFile{SnapshotFile: SnapshotFile{Path: name, Size: size, SHA256: d}, Parts: parts}
	return s.makeFile(ctx, f, root, name, link)
}

// SameFile reports whether name, a file in the folder root that may be reached
// through symlinks inside it, holds a published blob: it is the blob, or every
// part of it has the digest of the blob's part. fs.ErrNotExist when it is not
// there.
func (s *Store) SameFile(ctx context.Context, d Digest, size int64, root *os.Root, name string) (bool, error) {
	if _, err := root.Stat(name); err != nil {
		return false, err
	}
	parts, err := s.partsOrVerify(ctx, d)
	if err != nil {
		return false, err
	}
	return s.sameFile(ctx, root, ManifestFile{SnapshotFile: SnapshotFile{Path: name, Size: size, SHA256: d}, Parts: parts})
}

func (s *Store) sameFile(ctx context.Context, root *os.Root, f ManifestFile) (bool, error) {
	fi, err := root.Stat(f.Path)
	if err != nil {
		return false, err
	}
	if blob, err := s.fs.Lstat(s.Path(f.SHA256)); err == nil && s.fs.SameFile(fi, blob) {
		return true, nil
	}
	d, err := verifyFile(ctx, root, f, 0, nil)
	return err == nil && d == nil, err
}

// partsOrVerify returns the digests of a blob's parts; Verify makes a list that
// was lost again.
func (s *Store) partsOrVerify(ctx context.Context, d Digest) ([]Digest, error) {
	parts, err := s.readParts(d)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrFormat) {
		if err = s.Verify(ctx, d, 0, nil); err == nil {
			parts, err = s.readParts(d)
		}
	}
	return parts.sums, err
}

func (s *Store) makeFile(ctx context.Context, f ManifestFile, root *os.Root, name string, link Link) (Link, error) {
	blob, err := s.OpenBlob(f.SHA256)
	if err != nil {
		return "", err
	}
	defer blob.Close()
	dir, err := root.Open(path.Dir(name))
	if err != nil {
		return "", err
	}
	defer dir.Close() // only a place to start from
	if link != LinkHard && link != LinkCopy {
		err := cloneOut(blob, dir, path.Base(name))
		if err == nil {
			return LinkReflink, root.Chmod(name, 0o644)
		}
		if link == LinkReflink {
			return "", &LinkError{link, name, err}
		}
	}
	if link != LinkCopy {
		err := linkOut(blob, dir, path.Base(name))
		if err == nil {
			return LinkHard, nil
		}
		if link == LinkHard {
			return "", &LinkError{link, name, err}
		}
	}
	return LinkCopy, writeNew(root, name, func(out *os.File) error { return copyChecked(ctx, out, blob, f) })
}

// cloneOut makes a file of the folder dir share a blob's blocks.
func cloneOut(blob File, dir *os.File, name string) error {
	f, ok := blob.(osFile)
	if !ok {
		return errors.ErrUnsupported
	}
	return cloneInto(f.File, dir, name)
}

// linkOut makes a file of the folder dir another name of a blob, unless
// somebody may write to that.
func linkOut(blob File, dir *os.File, name string) error {
	f, ok := blob.(osFile)
	if !ok {
		return errors.ErrUnsupported
	}
	fi, err := f.Stat()
	if err == nil && fi.Mode()&0o222 != 0 {
		err = fmt.Errorf("the blob is writable: %w", fs.ErrPermission)
	}
	if err != nil {
		return err
	}
	return linkInto(f.Name(), dir, name)
}

// writeNew makes a durable new file in the folder.
func writeNew(root *os.Root, name string, fill func(out *os.File) error) error {
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err = fill(out); err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
