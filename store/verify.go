package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// corruptMark is the JSON of a file in corrupt/.
type corruptMark struct {
	Format int    `json:"format"`
	SHA256 Digest `json:"sha256"`
	Size   int64  `json:"size"`
	Parts  []int  `json:"parts"`
}

// readMark reads what Verify remembered of a blob. A mark that cannot be read
// is not ok; the blob counts as corrupt all the same.
func (s *Store) readMark(d Digest) (corruptMark, bool) {
	b, err := readLimited(s.fs, s.corruptPath(d), 1<<28)
	if err != nil {
		return corruptMark{}, false
	}
	var m corruptMark
	if json.Unmarshal(b, &m) != nil || m.SHA256 != d || m.Size < 0 || m.Size > maxBlob {
		return corruptMark{}, false
	}
	for k, p := range m.Parts {
		if p < 0 || p >= max(1, numParts(m.Size)) || k > 0 && p <= m.Parts[k-1] {
			return corruptMark{}, false
		}
	}
	return m, true
}

// corruption returns what is known of a marked blob; when the mark itself is
// damaged that is every part.
func (s *Store) corruption(d Digest) *CorruptError {
	if m, ok := s.readMark(d); ok {
		return &CorruptError{Digest: d, Parts: m.Parts, Size: m.Size}
	}
	e := &CorruptError{Digest: d}
	if fi, err := s.fs.Lstat(s.Path(d)); err == nil {
		e.Size = fi.Size()
	}
	e.Parts = allParts(e.Size)
	return e
}

func allParts(size int64) []int {
	all := make([]int, numParts(size))
	for i := range all {
		all[i] = i
	}
	return all
}

// Verify re-hashes a blob's parts on workers cores (0 = all) and calls
// progress, from one goroutine at a time, with the bytes done since the last
// call. Bad parts are remembered (Find no longer returns the blob, Ingest
// repairs it) and returned as a *CorruptError; a clean pass clears the mark. A
// blob that is not there is ErrNotFound; one that cannot be read is neither,
// and nothing is remembered of it.
//
// When the list of parts is itself lost or damaged the whole SHA-256 is
// computed instead, and the list made again if that is right.
func (s *Store) Verify(ctx context.Context, d Digest, workers int, progress func(n int64)) error {
	return s.verifyWith(d, func(f File) (*CorruptError, error) { return s.verify(ctx, d, f, workers, progress) })
}

// verifyWith lets look judge a blob, and remembers what it says.
func (s *Store) verifyWith(d Digest, look func(f File) (*CorruptError, error)) error {
	f, err := s.fs.OpenFile(s.Path(d), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("verify blob %s: %w", d, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("verify blob: %w", err)
	}
	defer f.Close()
	bad, err := look(f)
	if err != nil {
		return fmt.Errorf("verify blob %s: %w", d, err)
	}
	if bad == nil {
		return s.removeFile(s.corruptPath(d))
	}
	// While it was read the blob may have been repaired; then this verdict is
	// about a file that is gone.
	read, err := f.Stat()
	var now fs.FileInfo
	if err == nil {
		now, err = s.fs.Lstat(s.Path(d))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !s.fs.SameFile(read, now):
		return bad
	case err != nil:
		return errors.Join(bad, fmt.Errorf("remember that blob %s is corrupt: %w", d, err))
	}
	return errors.Join(bad, s.markCorrupt(bad))
}

// markCorrupt remembers bad parts.
func (s *Store) markCorrupt(e *CorruptError) error {
	b, err := json.Marshal(corruptMark{Format: formatVersion, SHA256: e.Digest, Size: e.Size, Parts: e.Parts})
	if err == nil {
		err = s.writeFile(s.corruptPath(e.Digest), append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember that blob %s is corrupt: %w", e.Digest, err)
	}
	return nil
}

func (s *Store) verify(ctx context.Context, d Digest, f File, workers int, progress func(int64)) (*CorruptError, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, ErrNotRegular
	}
	parts, err := s.readParts(d)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrFormat) {
		return s.verifyWhole(ctx, d, f, fi.Size(), nil, progress)
	}
	if err != nil {
		return nil, err
	}
	bad, err := badParts(ctx, f, parts.size, parts.sums, workers, progress)
	if err != nil {
		return nil, err
	}
	if fi.Size() > parts.size && len(bad) == 0 {
		bad = []int{max(0, len(parts.sums)-1)} // something was appended
	}
	if len(bad) == 0 {
		return nil, nil
	}
	return &CorruptError{Digest: d, Parts: bad, Size: parts.size}, nil
}
