package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Unfinished is an ingestion that was left, or that somebody is at.
type Unfinished struct {
	Want Want
	Held int64 // bytes journaled
}

// Unfinished lists the ingestions that are not published yet and of which
// something is kept, by key. It takes no lock and re-hashes nothing. One that
// cannot be read is left out, as Ingest would begin it again.
func (s *Store) Unfinished() ([]Unfinished, error) {
	entries, err := s.fs.ReadDir(filepath.Join(s.dir, dirPartial))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the unfinished files: %w", err)
	}
	var out []Unfinished
	for _, e := range entries {
		p := partial{dir: filepath.Join(s.dir, dirPartial, e.Name())}
		w, ok := s.readJournalWant(p.journal())
		if !ok || w.check() != nil || s.partialOf(w).dir != p.dir {
			continue
		}
		if held := s.Held(w); held > 0 {
			out = append(out, Unfinished{w, held})
		}
	}
	return out, nil
}

// readJournalWant reads what a journal is of from its header.
func (s *Store) readJournalWant(path string) (w Want, ok bool) {
	f, err := s.fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return w, false
	}
	defer f.Close() // only read from
	var h [journalHeader]byte
	if _, err := io.ReadFull(f, h[:]); err != nil {
		return w, false
	}
	w.Size = int64(binary.LittleEndian.Uint64(h[16:]))
	copy(w.SHA256[:], h[24:])
	copy(w.GitOID[:], h[56:])
	return w, encodeHeader(w) == h
}
