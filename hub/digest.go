package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Commit is a git commit id, 40 lower-case hex digits: the only thing carried
// after a revision has been resolved.
type Commit string

// ParseCommit accepts exactly 40 lower-case hex digits.
func ParseCommit(s string) (Commit, error) {
	if !isHex(s, 40) {
		return "", fmt.Errorf("read commit id %.60q: want 40 lower-case hex digits", s)
	}
	return Commit(s), nil
}

// Short returns the first seven digits, for people.
func (c Commit) Short() string { return string(c[:min(7, len(c))]) }

// SHA256 is the digest of a file's bytes: the hub's LFS oid.
type SHA256 [32]byte

// ParseSHA256 accepts exactly 64 lower-case hex digits. Paths are only ever
// built from the result, so it takes no prefix, no upper case, no other length.
func ParseSHA256(s string) (SHA256, error) {
	var d SHA256
	if !isHex(s, 64) {
		return d, fmt.Errorf("read SHA-256 %.80q: want 64 lower-case hex digits", s)
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err
}

// String returns 64 hex digits.
func (d SHA256) String() string { return hex.EncodeToString(d[:]) }

// GitOID is a git blob id: sha1("blob " + size + NUL + bytes).
type GitOID [20]byte

// ParseGitOID accepts exactly 40 lower-case hex digits.
func ParseGitOID(s string) (GitOID, error) {
	var d GitOID
	if !isHex(s, 40) {
		return d, fmt.Errorf("read git object id %.60q: want 40 lower-case hex digits", s)
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err
}

// String returns 40 hex digits.
func (d GitOID) String() string { return hex.EncodeToString(d[:]) }

// GitBlobOID computes the id that git gives to a file of this content.
func GitBlobOID(data []byte) GitOID {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return GitOID(h.Sum(nil))
}

// PointerOID computes the git id of the LFS pointer text for a content: what a
// listing must show as the oid of an LFS file.
func PointerOID(sha SHA256, size int64) GitOID { return GitBlobOID(pointerText(sha, size)) }

// pointerText is the canonical pointer of git-lfs.
func pointerText(sha SHA256, size int64) []byte {
	return fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", sha, size)
}

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Branch is a branch of a repository and the commit it points at.
type Branch struct {
	Name   string
	Commit Commit
}

// File is one file of a commit's tree. Path has passed the path rules
// (ValidPath). For an LFS file OID is the id of the pointer text and SHA256 is
// the digest of the content; otherwise OID is the id of the content itself and
// SHA256 is zero. Size is the real content size in bytes in both cases.
type File struct {
	Path   string
	Size   int64
	OID    GitOID
	LFS    bool
	SHA256 SHA256
}

// check compares a content with the listing.
func (f File) check(data []byte) (got, want string, ok bool) {
	switch {
	case int64(len(data)) != f.Size:
		got, want = fmt.Sprintf("%d bytes", len(data)), fmt.Sprintf("%d bytes", f.Size)
	case f.LFS:
		got, want = "SHA-256 "+SHA256(sha256.Sum256(data)).String(), "SHA-256 "+f.SHA256.String()
	default:
		got, want = "git blob id "+GitBlobOID(data).String(), "git blob id "+f.OID.String()
	}
	return got, want, got == want
}

// cacheKey names the content.
func (f File) cacheKey() string {
	if f.LFS {
		return "sha256 " + f.SHA256.String()
	}
	return "git " + f.OID.String()
}
