package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The journal of a partial, little-endian; docs/journal-format.md. A header of
// 80 bytes is followed by records; each ends in a CRC-32C that goes on from the
// one before, so that a record counts only behind exactly the records it was
// written behind.
//
//	PART 1  index u32  blake3 [32]   the bytes were handed to the file
//	MARK 2  covers u64  hashed u32  n u8  state [n]
//	                                 records before offset covers are durable;
//	                                 state is SHA-256 over parts [0,hashed)
//	DROP 3  index u32                the part is forgotten
const (
	journalMagic  = "QBJOURN\n"
	journalHeader = 80

	recPart = 1
	recMark = 2
	recDrop = 3

	partRecord = 1 + 4 + 32 + 4
	dropRecord = 1 + 4 + 4
	markRecord = 1 + 8 + 4 + 1 + 4 // and the state
	maxState   = 255
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// journal appends records to a file.
type journal struct {
	f   File
	off int64  // where the next record goes
	crc uint32 // of everything before
	buf [markRecord + maxState]byte
}

// newJournal writes a header.
func newJournal(f File, w Want) (journal, error) {
	h := encodeHeader(w)
	if _, err := f.WriteAt(h[:], 0); err != nil {
		return journal{}, err
	}
	return journal{f: f, off: journalHeader, crc: headerCRC(h[:])}, nil
}

func encodeHeader(w Want) [journalHeader]byte {
	var h [journalHeader]byte
	copy(h[:], journalMagic)
	binary.LittleEndian.PutUint32(h[8:], formatVersion)
	binary.LittleEndian.PutUint32(h[12:], PartSize)
	binary.LittleEndian.PutUint64(h[16:], uint64(w.Size))
	copy(h[24:], w.SHA256[:])
	copy(h[56:], w.GitOID[:])
	binary.LittleEndian.PutUint32(h[76:], headerCRC(h[:]))
	return h
}

func headerCRC(h []byte) uint32 { return crc32.Checksum(h[:76], castagnoli) }

func (j *journal) part(i int, sum Digest) error {
	b := append(j.buf[:0], recPart)
	b = binary.LittleEndian.AppendUint32(b, uint32(i))
	return j.append(append(b, sum[:]...))
}

func (j *journal) drop(i int) error {
	return j.append(binary.LittleEndian.AppendUint32(append(j.buf[:0], recDrop), uint32(i)))
}

func (j *journal) mark(covers int64, hashed int, state []byte) error {
	if len(state) > maxState {
		hashed, state = 0, nil // a state of another kind than today's: go without
	}
	b := append(j.buf[:0], recMark)
	b = binary.LittleEndian.AppendUint64(b, uint64(covers))
	b = binary.LittleEndian.AppendUint32(b, uint32(hashed))
	b = append(b, byte(len(state)))
	return j.append(append(b, state...))
}

// append writes a record at the known end. A failed write (disk full) leaves
// off where it was, so that the next record overwrites the torn one.
func (j *journal) append(rec []byte) error {
	crc := crc32.Update(j.crc, castagnoli, rec)
	rec = binary.LittleEndian.AppendUint32(rec, crc)
	if _, err := j.f.WriteAt(rec, j.off); err != nil {
		return err
	}
	j.off += int64(len(rec))
	j.crc = crc
	return nil
}

// replay is what a journal says.
type replay struct {
	sums   []Digest // of each part; valid where ends is not 0
	ends   []int64  // where the part's record ends; 0 = not held
	covers int64    // records that end at or before it are durable
	hashed int      // state is SHA-256 over parts [0,hashed)
	state  []byte
	off    int64 // length of the valid prefix
	crc    uint32
	torn   bool // something follows the valid prefix: believe nothing unseen
}

// replayJournal reads the journal of an ingestion of w. It stops at the first
// bad record. An error means that the file is no journal of w.
func replayJournal(b []byte, w Want) (*replay, error) {
	if len(b) < journalHeader {
		return nil, fmt.Errorf("journal: no header: %w", ErrFormat)
	}
	h := b[:journalHeader]
	other := w
	copy(other.GitOID[:], h[56:]) // learned later, perhaps; the key decides
	if encodeHeader(other) != [journalHeader]byte(h) || w.SHA256.IsZero() && other.GitOID != w.GitOID {
		return nil, fmt.Errorf("journal: not one of %s: %w", w, ErrFormat)
	}
	n := numParts(w.Size)
	r := &replay{sums: make([]Digest, n), ends: make([]int64, n), off: journalHeader, crc: headerCRC(h)}
	for r.off < int64(len(b)) {
		if !r.next(b[r.off:]) {
			r.torn = true
			break
		}
	}
	return r, nil
}

// next applies the record at the start of b and reports whether it is good.
func (r *replay) next(b []byte) bool {
	size := recordSize(b)
	if size == 0 || size > len(b) {
		return false
	}
	rec := b[:size-4]
	crc := crc32.Update(r.crc, castagnoli, rec)
	if crc != binary.LittleEndian.Uint32(b[size-4:]) {
		return false
	}
	end := r.off + int64(size)
	switch rec[0] {
	case recPart, recDrop:
		i := binary.LittleEndian.Uint32(rec[1:])
		if uint64(i) >= uint64(len(r.ends)) {
			return false
		}
		if int(i) < r.hashed {
			r.hashed, r.state = 0, nil // the state is about bytes that are gone
		}
		r.ends[i] = 0
		if rec[0] == recPart {
			r.sums[i], r.ends[i] = Digest(rec[5:]), end
		}
	case recMark:
		covers, hashed := binary.LittleEndian.Uint64(rec[1:]), binary.LittleEndian.Uint32(rec[9:])
		if covers > uint64(r.off) || uint64(hashed) > uint64(len(r.ends)) {
			return false
		}
		r.covers, r.hashed, r.state = int64(covers), int(hashed), rec[14:]
	}
	r.off, r.crc = end, crc
	return true
}

// recordSize returns the length of the record at the start of b by its type, 0
// when there is none.
func recordSize(b []byte) int {
	switch b[0] {
	case recPart:
		return partRecord
	case recDrop:
		return dropRecord
	case recMark:
		if len(b) >= 14 {
			return markRecord + int(b[13])
		}
	}
	return 0
}

// heldBytes returns the bytes of all parts the journal claims.
func (r *replay) heldBytes(size int64) int64 {
	var sum int64
	for i, end := range r.ends {
		if end != 0 {
			sum += int64(partLen(size, i))
		}
	}
	return sum
}
