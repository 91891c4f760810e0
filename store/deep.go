package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
)

// VerifyQuick looks whether a file's blob is there, is a regular file of the
// right length and is not known to be damaged. It reads none of its bytes. nil,
// ErrNotFound or a *CorruptError; anything else could not be looked at.
func (s *Store) VerifyQuick(f SnapshotFile) error {
	err := s.usable(f)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("verify blob %s: %w", f.SHA256, ErrNotFound)
	}
	return err
}

// VerifyDeep is Verify that believes no list: it computes the SHA-256 of the
// whole blob, which is its name, beside the BLAKE3 of its parts, and the git blob
// ids that are known of it ([Store.GitIDs]). A list of parts that is wrong is made
// again. A git blob id that is not the blob's is forgotten, and is ErrMismatch.
//
// One pass on three cores, bounded by SHA-256, with two parts in memory.
func (s *Store) VerifyDeep(ctx context.Context, d Digest, git [][20]byte, progress func(n int64)) error {
	return s.verifyWith(d, func(f File) (*CorruptError, error) {
		fi, err := f.Stat()
		if err != nil {
			return nil, err
		}
		return s.verifyWhole(ctx, d, f, fi.Size(), git, progress)
	})
}

// GitIDs returns the git blob ids that are known of each blob.
func (s *Store) GitIDs() (map[Digest][][20]byte, error) {
	inv := &inventory{aliases: map[[20]byte]aliasOf{}}
	if err := s.eachFile(dirGit, inv.addAlias(s)); err != nil {
		return nil, fmt.Errorf("list the git blob ids: %w", err)
	}
	ids := map[Digest][][20]byte{}
	for oid, a := range inv.aliases {
		ids[a.blob] = append(ids[a.blob], oid)
	}
	return ids, nil
}

// verifyWhole computes the SHA-256 of a blob, and the digests of its parts. A
// list of parts that is lost or wrong is made again if the SHA-256 is right; the
// bad parts of a blob are told from those of a list that can be read.
func (s *Store) verifyWhole(ctx context.Context, d Digest, f io.ReaderAt, size int64, git [][20]byte, progress func(int64)) (*CorruptError, error) {
	got, err := hashWhole(ctx, f, size, len(git) > 0, progress)
	if err != nil {
		return nil, err
	}
	list, err := s.readParts(d)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrFormat):
		list = partList{size: -1}
	case err != nil:
		return nil, err
	}
	if got.sha256 != d {
		return got.damage(d, list), nil
	}
	if !got.has(list) {
		if err := s.writeParts(partList{blob: d, size: size, sums: got.parts}); err != nil {
			return nil, err
		}
	}
	for _, oid := range git {
		if oid == got.git {
			continue
		}
		wrong := &MismatchError{What: "git blob id", Got: hex.EncodeToString(got.git[:]), Want: hex.EncodeToString(oid[:])}
		return nil, errors.Join(wrong, s.removeFile(s.gitPath(oid)))
	}
	return nil, nil
}

// wholeDigests are all digests of a content.
type wholeDigests struct {
	size   int64
	sha256 Digest
	git    [20]byte // zero unless it was asked for
	parts  []Digest
}

// has reports whether a list of parts is of this content.
func (w wholeDigests) has(list partList) bool {
	return list.size == w.size && len(w.differ(list)) == 0
}

// differ returns the parts of a list that the content does not have.
func (w wholeDigests) differ(list partList) []int {
	var bad []int
	for i, sum := range list.sums {
		if i >= len(w.parts) || w.parts[i] != sum {
			bad = append(bad, i)
		}
	}
	return bad
}

// damage says which parts of a blob are bad, by a list that may be of no use.
func (w wholeDigests) damage(d Digest, list partList) *CorruptError {
	if list.size < 0 {
		return &CorruptError{Digest: d, Parts: allParts(w.size), Size: w.size}
	}
	bad := w.differ(list)
	switch {
	case len(bad) == 0 && w.size > list.size:
		bad = []int{max(0, len(list.sums)-1)} // something was appended
	case len(bad) == 0:
		bad = allParts(list.size) // the list is of other bytes than the name
	}
	return &CorruptError{Digest: d, Parts: bad, Size: list.size}
}

// hashWhole computes the digests of a content of size bytes in one pass: while
// its digests are computed on cores of their own, the next part is read.
func hashWhole(ctx context.Context, r io.ReaderAt, size int64, git bool, progress func(int64)) (wholeDigests, error) {
	w := wholeDigests{size: size, parts: make([]Digest, numParts(size))}
	sha, id := sha256.New(), hash.Hash(nil)
	if git {
		id = newGitHash(size)
	}
	var bufs [2][]byte
	read := func(i int) error {
		if i >= len(w.parts) {
			return nil
		}
		if bufs[i&1] == nil {
			bufs[i&1] = make([]byte, min(PartSize, size))
		}
		return readPart(r, i, bufs[i&1][:partLen(size, i)])
	}
	err := read(0)
	for i := 0; i < len(w.parts) && err == nil; i++ {
		p := bufs[i&1][:partLen(size, i)]
		var hashing sync.WaitGroup
		hashing.Go(func() { sha.Write(p) }) // never fails, nor does the next
		if git {
			hashing.Go(func() { id.Write(p) })
		}
		hashing.Go(func() { w.parts[i] = sumPart(p) })
		if err = ctx.Err(); err == nil {
			err = read(i + 1)
		}
		hashing.Wait()
		if progress != nil {
			progress(int64(len(p)))
		}
	}
	if err != nil {
		return w, err
	}
	w.sha256 = Digest(sha.Sum(nil))
	if git {
		w.git = [20]byte(id.Sum(nil))
	}
	return w, nil
}
