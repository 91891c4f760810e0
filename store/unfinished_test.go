package store

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
)

func TestUnfinished(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	if got, err := s.Unfinished(); err != nil || len(got) != 0 {
		t.Fatalf("an empty store: got %v, %v", got, err)
	}
	b := content(80, 2*PartSize+5)
	w := Want{Size: int64(len(b)), SHA256: sha256.Sum256(b)}
	in, err := s.Ingest(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.WritePart(t.Context(), 1, b[PartSize:2*PartSize]); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	// What is no ingestion is not listed.
	junk := filepath.Join(s.Dir(), dirPartial, "junk")
	if err := os.MkdirAll(junk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(junk, "journal"), make([]byte, journalHeader), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := s.Unfinished()
	if err != nil || len(got) != 1 || got[0] != (Unfinished{w, PartSize}) {
		t.Errorf("got %v, %v, want %v with %d held", got, err, w, PartSize)
	}
}
