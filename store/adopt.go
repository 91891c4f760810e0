package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrChanged says that a file was written to while it was being read.
var ErrChanged = errors.New("the file changed while it was read")

// Source is a file of this machine that may hold a content that is wanted.
type Source struct {
	Path string
	// Stable says that the file is named by its content, so that whoever owns it
	// replaces it by a new file and never writes into it: a blob of the Hugging
	// Face cache, an object of git-lfs. Only such a file is hard-linked unasked.
	Stable bool
}

// AdoptOptions may be zero.
type AdoptOptions struct {
	Link     Link
	Progress func(n int64) // told the bytes read since its last call, a negative number when they are read again; may be nil
}

// Adopted says what came of an adoption.
type Adopted struct {
	Digest Digest
	Link   Link // the way that was taken; "" when the store had the content already
}

// Adopt takes a file into the store if it holds what is wanted. Its name,
// length and times prove nothing: what the store is going to hold is hashed,
// in one pass, with a part's memory. ErrMismatch when the content is another
// one, ErrNotRegular when it is no regular file (a symlink neither), ErrChanged
// when somebody wrote to it meanwhile, *LinkError when the only way that was
// allowed does not work. After an error the source is as it was, and the store
// too.
//
// LinkAuto copies what is smaller than 1 MiB, and takes the first of these that
// works for anything else:
//
//   - reflink: source and blob share blocks until one of them is written to;
//   - hard link: source and blob are one file, which becomes read-only. Without
//     being asked for, that is done only to a Stable source or one that nobody
//     may write to, because a program that writes into the source would damage
//     the blob (Verify would tell);
//   - copy.
//
// LinkHard hard-links any source of 1 MiB or more and copies smaller ones, which
// people edit.
//
// An unfinished ingestion of the same content is removed, unless somebody is
// working on it. A blob that was known to be damaged is replaced.
func (s *Store) Adopt(ctx context.Context, w Want, src Source, o AdoptOptions) (Adopted, error) {
	out, err := s.adopt(ctx, w, src, o)
	if err != nil {
		return Adopted{}, fmt.Errorf("adopt %s: %w", src.Path, err)
	}
	return out, nil
}

func (s *Store) adopt(ctx context.Context, w Want, src Source, o AdoptOptions) (Adopted, error) {
	w, err := s.resolve(w)
	if err != nil {
		return Adopted{}, err
	}
	if !w.SHA256.IsZero() && s.has(w.SHA256, w.Size) {
		return Adopted{Digest: w.SHA256}, nil
	}
	file, was, err := s.openSource(src.Path)
	if err != nil {
		return Adopted{}, err
	}
	defer file.Close() // only read from
	if was.Size() != w.Size {
		return Adopted{}, &MismatchError{What: "length", Got: strconv.FormatInt(was.Size(), 10), Want: strconv.FormatInt(w.Size, 10)}
	}
	for _, way := range s.ways(o.Link, src, was) {
		a := &adoption{s: s, want: w, path: src.Path, file: file, was: was, way: way, progress: o.Progress}
		d, err := a.run(ctx)
		if err == nil {
			return Adopted{d, way}, s.dropPartial(w)
		}
		var cannot *LinkError
		if !errors.As(err, &cannot) || way == o.Link {
			return Adopted{}, err
		}
	}
	return Adopted{}, &LinkError{o.Link, src.Path, errors.ErrUnsupported}
}

// openSource opens a regular file that is not reached through a symlink.
func (s *Store) openSource(path string) (File, fs.FileInfo, error) {
	was, err := s.fs.Lstat(path)
	if err == nil && !was.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := s.fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	now, err := f.Stat()
	if err == nil && !s.fs.SameFile(was, now) {
		err = ErrChanged
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, now, nil
}

// ways returns what to try, in that order; the last one of LinkAuto always works.
func (s *Store) ways(link Link, src Source, fi fs.FileInfo) []Link {
	big := fi.Size() >= PartSize
	switch {
	case link == LinkReflink, link == LinkCopy, link == LinkHard && big:
		return []Link{link}
	case !big:
		return []Link{LinkCopy} // people edit small files, and they take no space
	case src.Stable || fi.Mode()&0o222 == 0:
		return []Link{LinkReflink, LinkHard, LinkCopy}
	}
	return []Link{LinkReflink, LinkCopy}
}

// adoption is one way of taking one file in.
type adoption struct {
	s        *Store
	want     Want
	path     string
	file     File        // the source
	was      fs.FileInfo // when it was opened
	way      Link
	progress func(int64)

	tmp  string // what becomes the blob
	sums []Digest
	told int64
}

func (a *adoption) run(ctx context.Context) (d Digest, err error) {
	dir := filepath.Join(a.s.dir, dirTmp)
	if err := a.s.ensureDir(dir); err != nil {
		return d, err
	}
	a.tmp = filepath.Join(dir, adoptionName(a.s.now()))
	defer func() {
		if err == nil {
			return
		}
		a.tell(-a.told)
		if rm := a.s.fs.Remove(a.tmp); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}()
	switch a.way {
	case LinkReflink:
		err = a.s.fs.Clone(a.path, a.tmp)
	case LinkHard:
		err = a.s.fs.Link(a.path, a.tmp)
	case LinkCopy:
		err = a.s.checkCopy(a.want.Size)
	}
	if err != nil && a.way != LinkCopy {
		return d, &LinkError{a.way, a.path, err}
	}
	if err == nil {
		d, err = a.take(ctx)
	}
	if err == nil {
		err = a.publish(d)
	}
	return d, err
}

// adoptionName is the name of a temporary file that begins now. A link is as
// old as what it is a link to, so the name has to say when it was made.
func adoptionName(now time.Time) string {
	return fmt.Sprintf("a%d-%s", now.Unix(), rand.Text())
}

// tmpBegan returns when a file in tmp/ was made.
func tmpBegan(fi fs.FileInfo) time.Time {
	digits, _, ok := strings.Cut(fi.Name(), "-")
	if ok && strings.HasPrefix(digits, "a") {
		if sec, err := strconv.ParseInt(digits[1:], 10, 64); err == nil {
			return time.Unix(sec, 0)
		}
	}
	return fi.ModTime()
}

// checkCopy gives ErrNoSpace when a copy of so many bytes cannot fit.
func (s *Store) checkCopy(size int64) error {
	free, err := s.Free()
	if err != nil {
		return fmt.Errorf("look for free space: %w", err)
	}
	if size > free {
		return &NoSpaceError{Dir: s.dir, Need: size, Free: free}
	}
	return nil
}

// take hashes what the store is going to hold, compares it with what is wanted
// and makes it durable.
func (a *adoption) take(ctx context.Context) (Digest, error) {
	from, err := a.file, error(nil)
	var out File
	if a.way == LinkCopy {
		out, err = a.s.fs.OpenFile(a.tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	} else {
		// The link was made by name: it is the file that is open, or it is not.
		from, err = a.s.fs.OpenFile(a.tmp, os.O_RDONLY, 0)
	}
	if err != nil {
		return Digest{}, a.s.ioError(a.tmp, err)
	}
	d, err := a.hash(ctx, from, out)
	if err == nil {
		err = a.unchanged(from)
	}
	if out != nil {
		if err == nil {
			err = out.Sync()
		}
		return d, errors.Join(a.s.ioError(a.tmp, err), out.Close())
	}
	if err == nil {
		err = from.Sync()
	}
	return d, errors.Join(a.s.ioError(a.tmp, err), from.Close())
}

// hash reads from once, writes it to out unless that is nil, and compares its
// digests with what is wanted.
func (a *adoption) hash(ctx context.Context, from, out File) (Digest, error) {
	sha := sha256.New()
	var git hash.Hash
	if a.want.hasGit() {
		git = newGitHash(a.want.Size)
	}
	buf := make([]byte, min(PartSize, a.want.Size))
	part := make(chan Digest, 1)
	for i := range numParts(a.want.Size) {
		if err := ctx.Err(); err != nil {
			return Digest{}, err
		}
		p := buf[:partLen(a.want.Size, i)]
		if err := readPart(from, i, p); err != nil {
			return Digest{}, err
		}
		go func() { part <- sumPart(p) }()
		sha.Write(p) // never fails
		if git != nil {
			git.Write(p)
		}
		var err error
		if out != nil {
			_, err = out.WriteAt(p, int64(i)*PartSize)
		}
		a.sums = append(a.sums, <-part)
		if err != nil {
			return Digest{}, a.s.ioError(a.tmp, err)
		}
		a.tell(int64(len(p)))
	}
	d := Digest(sha.Sum(nil))
	return d, a.want.compare(d, git)
}

// tell reports progress.
func (a *adoption) tell(n int64) {
	a.told += n
	if a.progress != nil && n != 0 {
		a.progress(n)
	}
}

// unchanged refuses a source that somebody has written to since it was opened,
// and a name that was given to another file before it was linked. A reflink is
// a file of its own, whatever happens to the source.
func (a *adoption) unchanged(from File) error {
	now, err := from.Stat()
	if err != nil {
		return err
	}
	if now.Size() != a.want.Size {
		return ErrChanged
	}
	if a.way != LinkReflink && (!a.s.fs.SameFile(now, a.was) || !now.ModTime().Equal(a.was.ModTime())) {
		return ErrChanged
	}
	return nil
}

// publish makes the verified content a blob, in the order of Ingest.publish.
func (a *adoption) publish(d Digest) error {
	s := a.s
	if err := s.writeParts(partList{blob: d, size: a.want.Size, sums: a.sums}); err != nil {
		return err
	}
	if err := s.fs.Chmod(a.tmp, 0o444); err != nil {
		if a.way == LinkHard {
			return &LinkError{a.way, a.path, err} // somebody else's file: not to be shared
		}
		return s.ioError(a.tmp, err)
	}
	err := s.setAlias(a.want, d)
	if err == nil {
		err = s.publish(a.tmp, d, a.want.Size)
	}
	if err == nil {
		// A rename between two names of one file does nothing: it was published
		// earlier and marked since.
		err = s.removeFile(a.tmp)
	}
	if err == nil {
		err = s.removeFile(s.corruptPath(d))
	}
	if err != nil && a.way == LinkHard {
		err = errors.Join(err, s.fs.Chmod(a.path, a.was.Mode().Perm()))
	}
	return err
}

// dropPartial removes what an unfinished ingestion of a published blob has
// left, unless somebody is at work on it.
func (s *Store) dropPartial(w Want) error {
	if _, err := s.fs.Lstat(s.partialOf(w).dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	p, err := s.lockPartial(w)
	if errors.Is(err, ErrLocked) {
		return nil
	}
	if err == nil {
		err = p.remove()
	}
	return s.ioError(p.dir, err)
}

// AdoptWay says which way Adopt would take for a file, without reading it: it
// makes the link and removes it again. The link may still be refused, and the
// content be another one.
func (s *Store) AdoptWay(src Source, link Link) (Link, error) {
	fi, err := s.fs.Lstat(src.Path)
	if err != nil {
		return "", err
	}
	if !fi.Mode().IsRegular() {
		return "", ErrNotRegular
	}
	dir := filepath.Join(s.dir, dirTmp)
	if err := s.ensureDir(dir); err != nil {
		return "", err
	}
	ways := s.ways(link, src, fi)
	for i, way := range ways {
		tmp := filepath.Join(dir, adoptionName(s.now()))
		switch way {
		case LinkReflink:
			err = s.fs.Clone(src.Path, tmp)
		case LinkHard:
			err = s.fs.Link(src.Path, tmp)
		case LinkCopy:
			return way, nil
		}
		if err == nil {
			return way, s.fs.Remove(tmp)
		}
		if i == len(ways)-1 {
			return "", &LinkError{way, src.Path, err}
		}
	}
	return LinkCopy, nil
}
