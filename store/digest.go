package store

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
)

// PartSize is the length of a part; only the last part of a blob is shorter.
const PartSize = 1 << 20

// maxBlob bounds the length of a blob (16 TiB), so that a listing that lies
// about a size cannot make us allocate for it.
const maxBlob = 1 << 44

// Digest is a SHA-256 digest, or (in part lists) a BLAKE3-256 digest. Its text
// form, also in JSON, is 64 lower-case hex digits.
type Digest [32]byte

// String returns 64 lower-case hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the zero digest, which stands for "unknown".
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler; it is as strict as ParseDigest.
func (d *Digest) UnmarshalText(text []byte) error {
	v, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// ParseDigest accepts exactly 64 lower-case hex digits. Digests become file
// names only from this type: a check on strings was forgotten once too often
// elsewhere (CVE-2024-37032).
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if err := parseHex(d[:], s); err != nil {
		return Digest{}, fmt.Errorf("parse digest: %w", err)
	}
	return d, nil
}

// parseHex fills dst from exactly 2*len(dst) lower-case hex digits.
func parseHex(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("%d characters instead of %d", len(s), 2*len(dst))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("%q at %d is not a lower-case hex digit", c, i)
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}

// Want says which bytes are wanted: their length and at least one digest of
// them. A zero digest is unknown.
type Want struct {
	Size   int64
	SHA256 Digest   // of the bytes
	GitOID [20]byte // git blob id: sha1("blob "+size+NUL+bytes)
}

// hasGit reports whether the git blob id is known.
func (w Want) hasGit() bool { return w.GitOID != [20]byte{} }

// key names the partial of w: the hex SHA-256 when it is known, else "git-"
// and the hex git blob id.
func (w Want) key() string {
	if !w.SHA256.IsZero() {
		return w.SHA256.String()
	}
	return "git-" + hex.EncodeToString(w.GitOID[:])
}

// String names w in messages.
func (w Want) String() string { return fmt.Sprintf("%s (%d bytes)", w.key(), w.Size) }

// check refuses a Want that cannot be served.
func (w Want) check() error {
	switch {
	case w.SHA256.IsZero() && !w.hasGit():
		return fmt.Errorf("want of %d bytes names no digest", w.Size)
	case w.Size < 0:
		return fmt.Errorf("want %s: a negative length", w)
	case w.Size > maxBlob:
		return fmt.Errorf("want %s: a store takes files of up to %s, which is %d bytes", w, BytesText(maxBlob), int64(maxBlob))
	}
	return nil
}

// numParts returns ceil(size/PartSize).
func numParts(size int64) int { return int((size + PartSize - 1) / PartSize) }

// partLen returns the length of part i of a blob of size bytes.
func partLen(size int64, i int) int {
	return int(min(PartSize, size-int64(i)*PartSize))
}

// newGitHash returns the hash of a git blob of size bytes, ready for the bytes.
func newGitHash(size int64) hash.Hash {
	h := sha1.New()
	h.Write([]byte("blob " + strconv.FormatInt(size, 10) + "\x00"))
	return h
}
