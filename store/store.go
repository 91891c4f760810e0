package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// PartSize is the length of a part; only the last part of a blob is shorter.
const PartSize = 1 << 20

// Digest is a SHA-256 digest, or (in part lists) a BLAKE3-256 digest.
type Digest [32]byte

// String returns 64 lower-case hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest accepts exactly 64 lower-case hex digits.
func ParseDigest(s string) (Digest, error) { return Digest{}, errors.New("todo") }

// Want says which bytes are wanted: their length and at least one digest of
// them. A zero digest is unknown.
type Want struct {
	Size   int64
	SHA256 Digest   // of the bytes
	GitOID [20]byte // git blob id: sha1("blob "+size+NUL+bytes)
}

// Errors callers branch on.
var (
	ErrNotFound = errors.New("not in the store")
	ErrLocked   = errors.New("another process is writing this blob")
	ErrMismatch = errors.New("content does not match its digest")
	ErrNoSpace  = errors.New("not enough disk space")
)

// Range is a byte range of a blob.
type Range struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// CorruptError says which parts of a blob no longer hold what was verified.
type CorruptError struct {
	Digest Digest
	Parts  []int // indexes of bad parts, ascending
	Size   int64 // length of the blob
}

func (e *CorruptError) Error() string { return fmt.Sprintf("blob %s is corrupt", e.Digest) }

// Ranges returns the bad byte ranges, adjacent parts joined.
func (e *CorruptError) Ranges() []Range { return nil }

// Store is a directory of blobs. It is safe for concurrent use, also by
// several processes.
type Store struct{}

// Open opens the store in dir and creates it when it is absent.
func Open(dir string) (*Store, error) { return nil, errors.New("todo") }

// Dir returns the store's directory.
func (s *Store) Dir() string { return "" }

// Free returns the free bytes of the store's file system.
func (s *Store) Free() (int64, error) { return 0, nil }

// Find returns the published, not known-corrupt blob that satisfies w.
func (s *Store) Find(w Want) (Digest, bool) { return Digest{}, false }

// Path returns where a published blob lies. Read-only; never write to it.
func (s *Store) Path(d Digest) string { return "" }

// OpenBlob opens a published blob for reading. ErrNotFound.
func (s *Store) OpenBlob(d Digest) (*os.File, error) { return nil, nil }

// Parts returns the BLAKE3 digests of a published blob's parts.
func (s *Store) Parts(d Digest) ([]Digest, error) { return nil, nil }

// Put ingests a small content (config, tokenizer, card) in one go, checks it
// against w and publishes it. ErrMismatch.
func (s *Store) Put(ctx context.Context, w Want, data []byte) (Digest, error) { return Digest{}, nil }

// Held returns how many bytes of an unfinished ingestion of w are journaled
// (cheap, takes no lock, re-hashes nothing). A known-corrupt blob counts its
// good parts.
func (s *Store) Held(w Want) int64 { return 0 }

// Ingest opens the ingestion of w, a new one or one that was left: what the
// journal claims after its last durable mark is re-hashed (in parallel) before
// it counts as held. A known-corrupt blob is taken back into ingestion with its
// good parts held. ErrLocked when another process has it.
func (s *Store) Ingest(ctx context.Context, w Want) (*Ingest, error) { return nil, nil }

// Ingest is one blob being written. Its methods are safe for concurrent use,
// each part being written by one caller.
type Ingest struct{}

// NumParts returns ceil(size/PartSize).
func (in *Ingest) NumParts() int { return 0 }

// PartLen returns the length of part i.
func (in *Ingest) PartLen(i int) int { return 0 }

// Held reports whether part i is there already.
func (in *Ingest) Held(i int) bool { return false }

// HeldBytes returns the bytes of all parts held.
func (in *Ingest) HeldBytes() int64 { return 0 }

// WritePart writes part i, len(p) == PartLen(i): hands the bytes to the file,
// then journals the part with its BLAKE3. SHA-256 follows behind the
// contiguous frontier in the background.
func (in *Ingest) WritePart(ctx context.Context, i int, p []byte) error { return nil }

// Drop forgets part i so that it can be fetched again.
func (in *Ingest) Drop(i int) error { return nil }

// Recheck compares the disk with the part digests taken at receipt and returns
// the parts that differ (a bad disk is told from a bad line).
func (in *Ingest) Recheck(ctx context.Context) ([]int, error) { return nil, nil }

// Commit waits for the frontier, checks length and digests, then fsync, rename,
// fsync of the directory. ErrMismatch leaves the ingestion open.
func (in *Ingest) Commit(ctx context.Context) (Digest, error) { return Digest{}, nil }

// Close leaves the ingestion resumable: a durable mark is journaled. A no-op
// after Commit or Abort.
func (in *Ingest) Close() error { return nil }

// Abort removes the ingestion.
func (in *Ingest) Abort() error { return nil }

// SnapshotFile is one file of a snapshot.
type SnapshotFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 Digest `json:"sha256"`
}

// Snapshot lists the files of repo at commit; it exists if and only if every
// blob was present and verified when it was written.
type Snapshot struct {
	Repo    string         `json:"repo"`   // owner/name
	Commit  string         `json:"commit"` // 40 hex
	Branch  string         `json:"branch"` // the branch asked for, "" when pinned
	Files   []SnapshotFile `json:"files"`  // by path
	Created time.Time      `json:"created"`
}

// PutSnapshot publishes a snapshot; it refuses one with a missing blob.
func (s *Store) PutSnapshot(snap Snapshot) error { return nil }

// Snapshot returns the snapshot of repo at commit, ErrNotFound when there is
// none, a *CorruptError when one of its blobs is known to be corrupt, and
// fs.ErrNotExist wrapped when a blob has gone.
func (s *Store) Snapshot(repo, commit string) (Snapshot, error) { return Snapshot{}, fs.ErrNotExist }

// Snapshots lists all snapshots, by repo, then branch.
func (s *Store) Snapshots() ([]Snapshot, error) { return nil, nil }

// SetBranch remembers the commit a branch pointed at when it was last fetched.
func (s *Store) SetBranch(repo, branch, commit string) error { return nil }

// BranchCommit returns what SetBranch remembered.
func (s *Store) BranchCommit(repo, branch string) (commit string, ok bool) { return "", false }

// Verify re-hashes a blob's parts on workers cores (0 = all) and calls
// progress with bytes done since the last call. Bad parts are remembered (Find
// no longer returns the blob, Ingest repairs it) and returned as a
// *CorruptError; a clean pass clears the mark.
func (s *Store) Verify(ctx context.Context, d Digest, workers int, progress func(n int64)) error {
	return nil
}

// Export materialises a snapshot as a plain folder (reflink, else hard link,
// else copy) with a manifest that lets the folder be verified on its own.
func (s *Store) Export(ctx context.Context, snap Snapshot, dir string) error { return nil }

// Damage is what VerifyFolder found wrong with one file of a folder.
type Damage struct {
	Path    string  `json:"path"`
	Missing bool    `json:"missing,omitempty"`
	Ranges  []Range `json:"ranges,omitempty"` // bad byte ranges; whole file when its length is wrong
}

// VerifyFolder re-hashes an exported folder against its manifest;
// ErrNotFound when the folder has none.
func VerifyFolder(ctx context.Context, dir string, workers int, progress func(n int64)) ([]Damage, error) {
	return nil, nil
}
