package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// takeBack makes the partial out of a blob that is corrupt or of the wrong
// length, with only the parts held that are good. It reports false when there
// is no such blob, or nothing is known of its parts.
//
// No step leaves a wrong blob that looks good: the corrupt mark (or the wrong
// length) keeps it from being found until Commit has renamed a verified one
// over it, and only then is the mark removed.
//
// A blob with one name is renamed into the partial. Its journal is written
// before, without a mark: after a crash behind the rename every claim is
// re-hashed, and before it there is a journal without data, which is nothing. A
// blob with more names was hard-linked into an exported folder, which must not
// see half a repair: it is cloned or copied, and stays until it is replaced.
func (in *Ingest) takeBack(ctx context.Context) (bool, error) {
	d := in.want.SHA256
	if d.IsZero() {
		return false, nil
	}
	path := in.s.Path(d)
	fi, err := in.s.fs.Lstat(path)
	if err == nil && !fi.Mode().IsRegular() {
		return false, nil // Commit replaces it
	}
	var links int
	if err == nil {
		links, _, err = in.s.fs.Usage(path)
	}
	var parts partList
	if err == nil {
		parts, err = in.s.readParts(d)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNotFound), errors.Is(err, ErrFormat):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("take back blob %s: %w", d, err)
	case parts.size != in.want.Size:
		return false, nil // the list is of verified bytes: what is wanted cannot be right
	}
	if links == 1 {
		err = in.moveBack(ctx, path, parts)
	} else {
		err = in.copyBack(ctx, path, parts)
	}
	if err == nil {
		err = in.openTaken()
	}
	if err != nil {
		return false, fmt.Errorf("take back blob %s: %w", d, in.s.ioError(path, err))
	}
	return true, nil
}

// moveBack renames the blob into the partial, its journal being there first.
func (in *Ingest) moveBack(ctx context.Context, path string, parts partList) error {
	if err := in.claimGood(ctx, path, parts); err != nil {
		return err
	}
	if err := in.jrn.f.Sync(); err != nil {
		return err
	}
	if err := in.s.fs.Chmod(path, 0o600); err != nil {
		return err
	}
	if err := in.s.fs.Rename(path, in.p.data()); err != nil {
		return err
	}
	return errors.Join(in.s.fs.SyncDir(in.p.dir), in.s.fs.SyncDir(filepath.Dir(path)))
}

// copyBack copies the blob into the partial; what the copy holds is journaled.
func (in *Ingest) copyBack(ctx context.Context, path string, parts partList) error {
	if in.s.fs.Clone(path, in.p.data()) != nil {
		if err := in.copyReadable(ctx, path); err != nil {
			return err
		}
	}
	return in.claimGood(ctx, in.p.data(), parts)
}

// copyReadable copies what can be read of the blob; a part that cannot be stays
// a hole, which its digest will tell.
func (in *Ingest) copyReadable(ctx context.Context, path string) error {
	blob, err := in.s.fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer blob.Close() // only read from
	out, err := in.s.fs.OpenFile(in.p.data(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	buf := make([]byte, min(PartSize, in.want.Size))
	for i := 0; i < in.n && err == nil; i++ {
		p := buf[:in.PartLen(i)]
		if err = ctx.Err(); err == nil && readPart(blob, i, p) == nil {
			_, err = out.WriteAt(p, int64(i)*PartSize)
		}
	}
	if err == nil {
		err = out.Sync() // before the journal's name: a crash must not cost good parts
	}
	return errors.Join(err, out.Close())
}

// claimGood journals and holds the parts of the file that have the digests of
// the blob's list. Nobody else has the ingestion yet.
func (in *Ingest) claimGood(ctx context.Context, path string, parts partList) error {
	f, err := in.s.fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	bad, err := damagedParts(ctx, f, parts.size, parts.sums, nil)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := in.createJournal(); err != nil {
		return err
	}
	for i, sum := range parts.sums {
		if _, isBad := slices.BinarySearch(bad, i); isBad {
			continue
		}
		if err := in.jrn.part(i, sum); err != nil {
			return err
		}
		in.hold(i, sum, in.jrn.off)
	}
	return nil
}

// openTaken opens the data file, gives it its length and marks it durable.
func (in *Ingest) openTaken() error {
	path := in.p.data()
	err := in.s.fs.Chmod(path, 0o600)
	if err == nil {
		in.data, err = in.s.fs.OpenFile(path, os.O_RDWR, 0)
	}
	if err == nil {
		err = in.data.Truncate(in.want.Size)
	}
	if err != nil {
		return err
	}
	return in.mark()
}
