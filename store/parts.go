package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/zeebo/blake3"
)

// A parts file, little-endian; docs/store-format.md:
//
//	 0  8  magic
//	 8  4  version (1)
//	12  4  part size
//	16  8  blob length
//	24 32  SHA-256 of the blob
//	56 32n BLAKE3-256 of each part
//	   32  BLAKE3-256 of everything before
const (
	partsMagic  = "QBPARTS\n"
	partsHeader = 56
)

// partList is what a parts file says.
type partList struct {
	blob Digest
	size int64
	sums []Digest
}

// encode returns the bytes of the parts file.
func (p partList) encode() []byte {
	b := make([]byte, 0, partsHeader+32*len(p.sums)+32)
	b = append(b, partsMagic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, PartSize)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.size))
	b = append(b, p.blob[:]...)
	for _, s := range p.sums {
		b = append(b, s[:]...)
	}
	sum := blake3.Sum256(b)
	return append(b, sum[:]...)
}

// decodeParts is the inverse of encode; anything that encode would not have
// written is an error.
func decodeParts(b []byte) (partList, error) {
	bad := func(why string) (partList, error) {
		return partList{}, fmt.Errorf("parts file: %s: %w", why, ErrFormat)
	}
	if len(b) < partsHeader+32 || string(b[:8]) != partsMagic {
		return bad("no header")
	}
	body := b[:len(b)-32]
	if blake3.Sum256(body) != [32]byte(b[len(body):]) {
		return bad("its checksum does not match")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return bad(fmt.Sprintf("version %d", v))
	}
	if n := binary.LittleEndian.Uint32(b[12:]); n != PartSize {
		return bad(fmt.Sprintf("part size %d", n))
	}
	size := binary.LittleEndian.Uint64(b[16:])
	if size > maxBlob {
		return bad(fmt.Sprintf("blob length %d", size))
	}
	p := partList{size: int64(size), blob: Digest(b[24:56])}
	if n := numParts(p.size); len(body) != partsHeader+32*n {
		return bad(fmt.Sprintf("%d bytes do not hold %d digests", len(b), n))
	}
	p.sums = make([]Digest, numParts(p.size))
	for i := range p.sums {
		p.sums[i] = Digest(body[partsHeader+32*i:])
	}
	return p, nil
}

// readParts reads the parts file of a blob.
func (s *Store) readParts(d Digest) (partList, error) {
	b, err := readLimited(s.fs, s.partsPath(d), partsHeader+32*int64(numParts(maxBlob)+1))
	if errors.Is(err, fs.ErrNotExist) {
		return partList{}, fmt.Errorf("parts of blob %s: %w", d, ErrNotFound)
	}
	if errors.Is(err, ErrNotRegular) {
		err = fmt.Errorf("parts of blob %s: %w: %w", d, ErrFormat, err)
	}
	if err != nil {
		return partList{}, err
	}
	p, err := decodeParts(b)
	if err == nil && p.blob != d {
		err = fmt.Errorf("parts file of blob %s is in the place of %s: %w", p.blob, d, ErrFormat)
	}
	return p, err
}

func (s *Store) writeParts(p partList) error {
	return s.writeFile(s.partsPath(p.blob), p.encode(), 0o600)
}

// Parts returns the BLAKE3 digests of a published blob's parts.
func (s *Store) Parts(d Digest) ([]Digest, error) {
	p, err := s.readParts(d)
	if err != nil {
		return nil, err
	}
	return p.sums, nil
}

// SumPart returns the BLAKE3-256 digest of a part, as Parts lists them.
func SumPart(p []byte) Digest { return sumPart(p) }
