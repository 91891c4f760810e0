package hub

import "errors"

// RepoID names a repository, "owner/name". It is comparable; build it with
// ParseRepoID. Rules: huggingface_hub utils/_validators.py.
type RepoID struct{ Owner, Name string }

// ParseRepoID parses "owner/name".
func ParseRepoID(s string) (RepoID, error) { return RepoID{}, errors.New("todo") }

// String returns "owner/name".
func (r RepoID) String() string { return r.Owner + "/" + r.Name }

// Ref names a repository at a revision. An empty Revision means the default
// branch, main. It is comparable and prints back as it was understood.
type Ref struct {
	Repo     RepoID
	Revision string // branch, tag, refs/pr/N or 40 hex; "" = main
}

// ParseRef parses owner/name, owner/name:branch, owner/name@revision and
// https URLs with an optional /tree/REVISION.
func ParseRef(s string) (Ref, error) { return Ref{}, errors.New("todo") }

// String returns the canonical form: owner/name, owner/name:branch, or
// owner/name@commit when the revision is 40 hex digits.
func (r Ref) String() string { return "" }

// RevisionOrMain returns the revision, "main" when none was given.
func (r Ref) RevisionOrMain() string { return "" }

// Commit returns the pinned commit when the revision is 40 lower-case hex digits.
func (r Ref) Commit() (Commit, bool) { return "", false }

// Commit is a git commit id, 40 lower-case hex digits: the only thing carried
// after a revision has been resolved.
type Commit string

// ParseCommit accepts exactly 40 lower-case hex digits.
func ParseCommit(s string) (Commit, error) { return "", errors.New("todo") }

// Short returns the first seven digits, for people.
func (c Commit) Short() string { return "" }

// SHA256 is the digest of a file's bytes: the hub's LFS oid.
type SHA256 [32]byte

// GitOID is a git blob id: sha1("blob " + size + NUL + bytes).
type GitOID [20]byte

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
