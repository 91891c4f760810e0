package store

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
)

// The file pieces of a partial: docs/journal-format.md describes it. A content
// never changes, so that a piece of it is good for as long as the part is missing;
// what is torn or flipped has another digest and is nothing.
const (
	piecesMagic = "QBPIECE1"
	pieceHead   = 4 + 4 + len(Digest{}) // part, length, BLAKE3 of the bytes
	maxPieces   = 64                    // one for each connection there can be
	piecesLimit = int64(len(piecesMagic)) + maxPieces*(int64(pieceHead)+PartSize)
)

// Keep remembers the first bytes of part i, of which the rest has not come, for
// whoever goes on with the ingestion: Close writes them down. The caller lets go
// of p. What is longer than before replaces what there was; a part that is held
// needs none.
func (in *Ingest) Keep(i int, p []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended || in.published() || i < 0 || i >= in.n || in.state[i] == partHeld ||
		len(p) >= in.PartLen(i) || len(p) <= len(in.pieces[i]) || len(in.pieces) >= maxPieces {
		return
	}
	if in.pieces == nil {
		in.pieces = make(map[int][]byte)
	}
	in.pieces[i] = p
}

// Pieces returns what was kept of parts that are not held, by part: the first
// bytes of each. They are not to be changed. Nothing vouches for them but their
// digests on this disk.
func (in *Ingest) Pieces() map[int][]byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	return maps.Clone(in.pieces)
}

// readPieces takes up what Keep left. What cannot be read is fetched again.
func (in *Ingest) readPieces() {
	data, err := readLimited(in.s.fs, in.p.pieces(), piecesLimit)
	if err != nil {
		return
	}
	for i, p := range parsePieces(data) {
		in.Keep(i, p)
	}
}

// parsePieces returns the pieces at the head of data that are whole.
func parsePieces(data []byte) map[int][]byte {
	out := make(map[int][]byte)
	if len(data) < len(piecesMagic) || string(data[:len(piecesMagic)]) != piecesMagic {
		return out
	}
	for data = data[len(piecesMagic):]; len(data) >= pieceHead && len(out) < maxPieces; {
		part, n := binary.LittleEndian.Uint32(data), int64(binary.LittleEndian.Uint32(data[4:]))
		sum := Digest(data[8:pieceHead])
		data = data[pieceHead:]
		if n > int64(len(data)) || sumPart(data[:n]) != sum {
			break
		}
		out[int(part)] = slices.Clone(data[:n])
		data = data[n:]
	}
	return out
}

// writePieces writes down what is kept, in place of what was. It is worth no
// sync, and no error: what is lost of it is fetched again.
func (in *Ingest) writePieces() {
	if len(in.pieces) == 0 {
		if err := in.s.fs.Remove(in.p.pieces()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return // its bytes are those of the content, whenever they are read
		}
		return
	}
	data := []byte(piecesMagic)
	for _, i := range slices.Sorted(maps.Keys(in.pieces)) {
		p := in.pieces[i]
		data = binary.LittleEndian.AppendUint32(data, uint32(i))
		data = binary.LittleEndian.AppendUint32(data, uint32(len(p)))
		sum := sumPart(p)
		data = append(append(data, sum[:]...), p...)
	}
	f, err := in.s.fs.OpenFile(in.p.pieces(), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	_, err = f.WriteAt(data, 0)
	if err := errors.Join(err, f.Close()); err != nil {
		_ = in.s.fs.Remove(in.p.pieces()) // a disk that is full: make room again
	}
}

// hasPieces reports whether a partial keeps any.
func (s *Store) hasPieces(p partial) bool {
	fi, err := s.fs.Lstat(p.pieces())
	return err == nil && fi.Mode().IsRegular() && fi.Size() > int64(len(piecesMagic))
}
