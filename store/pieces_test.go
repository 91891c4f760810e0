package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What had come of parts is there for whoever goes on, until the part is; damage
// costs the piece, and nothing else.
func TestPieces(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(21, 4*PartSize+3)
	w := wantOf(data)
	in := openIngest(t, s, w)
	in.Keep(1, part(data, 1)[:1000])
	in.Keep(1, part(data, 1)[:10]) // less than there is
	in.Keep(3, part(data, 3)[:2000])
	in.Keep(4, part(data, 4)) // all of it is no piece
	in.Keep(9, []byte("?"))
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.Held(w); got != 0 {
		t.Errorf("%d bytes count as held", got)
	}

	in = openIngest(t, s, w)
	got := in.Pieces()
	if len(got) != 2 || !bytes.Equal(got[1], part(data, 1)[:1000]) || !bytes.Equal(got[3], part(data, 3)[:2000]) {
		t.Fatalf("%d pieces came back", len(got))
	}
	if err := in.WritePart(t.Context(), 1, part(data, 1)); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	path := in.p.pieces()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file[len(file)-1] ^= 1
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	in = openIngest(t, s, w)
	if got := in.Pieces(); len(got) != 0 {
		t.Errorf("a damaged piece came back")
	}
	for i := range in.NumParts() {
		if err := in.WritePart(t.Context(), i, part(data, i)); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, in)
	checkBlob(t, s, data)
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Error("the partial is still there")
	}
}

func FuzzParsePieces(f *testing.F) {
	f.Add([]byte(piecesMagic))
	sum := sumPart([]byte("ab"))
	f.Add(append(append([]byte(piecesMagic+"\x01\x00\x00\x00\x02\x00\x00\x00"), sum[:]...), "ab"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		total := 0
		for _, p := range parsePieces(data) {
			total += len(p)
		}
		if total > len(data) {
			t.Errorf("%d bytes of %d", total, len(data))
		}
	})
}
