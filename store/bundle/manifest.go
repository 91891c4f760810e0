package bundle

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/qbranch/qbranch/store"
)

// formatVersion is the version of the format that is written and read.
const formatVersion = 1

// kind tells a manifest of a bundle from other JSON.
const kind = "qbranch bundle"

// What a manifest may demand of a reader. The digests of a bundle's parts are
// held in memory, 32 bytes for each MiB.
const (
	maxManifest = 32 << 20 // bytes of JSON
	maxCommas   = 1 << 20  // in the JSON: bounds what decoding allocates for "{},{},…"
	maxBytes    = 1 << 42  // of all contents
)

// Manifest says what a bundle holds.
type Manifest struct {
	Kind      string           `json:"kind"` // "qbranch bundle"
	Format    int              `json:"format"`
	PartSize  int              `json:"part_size"` // store.PartSize
	Snapshots []store.Snapshot `json:"snapshots"` // by repo, branch, commit
	Contents  []Content        `json:"contents"`  // the longest first, then by SHA-256
}

// Content is one distinct content of the files of all snapshots.
type Content struct {
	SHA256 store.Digest `json:"sha256"`
	Size   int64        `json:"size"`
	GitOID GitOID       `json:"git_oid,omitzero"` // its git blob id, when the hub listed it by that
}

// GitOID is a git blob id; in JSON 40 lower-case hex digits.
type GitOID [20]byte

// MarshalText implements encoding.TextMarshaler.
func (o GitOID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, o[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *GitOID) UnmarshalText(text []byte) error {
	var v GitOID
	if len(text) != 2*len(v) || !bytes.Equal(bytes.ToLower(text), text) {
		return fmt.Errorf("parse git blob id: %d characters that are not 40 lower-case hex digits", len(text))
	}
	if _, err := hex.Decode(v[:], text); err != nil {
		return fmt.Errorf("parse git blob id: %w", err)
	}
	*o = v
	return nil
}

// want is what the store is asked for.
func (c Content) want() store.Want {
	return store.Want{Size: c.Size, SHA256: c.SHA256, GitOID: c.GitOID}
}

// parts is how many parts the content has.
func (c Content) parts() int { return int((c.Size + store.PartSize - 1) / store.PartSize) }

// partLen is the length of part i.
func (c Content) partLen(i int) int {
	return int(min(store.PartSize, c.Size-int64(i)*store.PartSize))
}

// stored reports whether Export stores the content in raw blocks.
func (c Content) stored() bool { return c.Size > store.PartSize }

// name is the name of the content's member.
func (c Content) name() string { return "blobs/" + c.SHA256.String() }

// Bytes is the length of all contents.
func (m Manifest) Bytes() (sum int64) {
	for _, c := range m.Contents {
		sum += c.Size
	}
	return sum
}

// Files is how many files the snapshots list.
func (m Manifest) Files() (n int) {
	for _, snap := range m.Snapshots {
		n += len(snap.Files)
	}
	return n
}

// parts is how many parts all contents have.
func (m Manifest) parts() (n int) {
	for _, c := range m.Contents {
		n += c.parts()
	}
	return n
}

// names says which files have a content: their paths, and where a bundle has
// several branches, "branch:path".
func (m Manifest) names() map[store.Digest][]string {
	out := make(map[store.Digest][]string, len(m.Contents))
	for _, snap := range m.Snapshots {
		prefix := cmp.Or(snap.Branch, snap.Commit) + ":"
		if snap.Repo != m.Snapshots[0].Repo {
			prefix = snap.Repo + ":" + prefix
		}
		if len(m.Snapshots) == 1 {
			prefix = ""
		}
		for _, f := range snap.Files {
			out[f.SHA256] = append(out[f.SHA256], prefix+f.Path)
		}
	}
	return out
}

// NewManifest describes the bundle of these snapshots. It refuses a snapshot
// with a blob that has gone (fs.ErrNotExist) or is known to be damaged
// (*store.CorruptError), and reads the contents of up to 64 MiB that may have
// a git blob id.
func NewManifest(ctx context.Context, st *store.Store, snaps []store.Snapshot) (Manifest, error) {
	m := Manifest{Kind: kind, Format: formatVersion, PartSize: store.PartSize}
	for _, snap := range snaps {
		if err := st.CheckSnapshot(snap); err != nil {
			return Manifest{}, fmt.Errorf("export %s@%s: %w", snap.Repo, snap.Commit, err)
		}
		snap.Files = slices.Clone(snap.Files)
		slices.SortFunc(snap.Files, func(a, b store.SnapshotFile) int { return cmp.Compare(a.Path, b.Path) })
		snap.Created = snap.Created.UTC().Truncate(time.Second)
		m.Snapshots = append(m.Snapshots, snap)
	}
	slices.SortFunc(m.Snapshots, compareSnapshots)
	m.Snapshots = slices.CompactFunc(m.Snapshots, func(a, b store.Snapshot) bool { return compareSnapshots(a, b) == 0 })
	m.Contents = m.distinct()
	for i, c := range m.Contents {
		oid, ok, err := st.GitOID(ctx, c.SHA256, c.Size)
		if err != nil {
			return Manifest{}, fmt.Errorf("export: %w", err)
		}
		if ok {
			m.Contents[i].GitOID = oid
		}
	}
	if b, err := m.encode(); err != nil || len(b) > maxManifest || bytes.Count(b, []byte(",")) > maxCommas || m.Bytes() > maxBytes {
		return Manifest{}, fmt.Errorf("export: %d files with %d bytes are more than a bundle may have", m.Files(), m.Bytes())
	}
	return m, m.check()
}

func compareSnapshots(a, b store.Snapshot) int {
	return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Branch, b.Branch), cmp.Compare(a.Commit, b.Commit))
}

// distinct lists the contents of all files in their order.
func (m Manifest) distinct() []Content {
	seen := map[store.Digest]bool{}
	out := []Content{}
	for _, snap := range m.Snapshots {
		for _, f := range snap.Files {
			if !seen[f.SHA256] {
				out = append(out, Content{SHA256: f.SHA256, Size: f.Size})
			}
			seen[f.SHA256] = true
		}
	}
	slices.SortFunc(out, func(a, b Content) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), bytes.Compare(a.SHA256[:], b.SHA256[:]))
	})
	return out
}

func (m Manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(b, '\n'), nil
}

// decodeManifest reads and checks a manifest; anything wrong is a *FormatError.
func decodeManifest(b []byte) (Manifest, error) {
	if len(b) > maxManifest || bytes.Count(b, []byte(",")) > maxCommas {
		return Manifest{}, badFormat("its manifest lists more than a bundle may have")
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return Manifest{}, badFormat("its manifest is damaged: %v", err)
	}
	if m.Kind != kind {
		return Manifest{}, badFormat("its manifest is not one of a bundle")
	}
	if m.Format != formatVersion {
		return Manifest{}, &FormatError{Reason: fmt.Sprintf("it has format %d, this program knows %d", m.Format, formatVersion), Advice: "use a newer qbranch"}
	}
	return m, m.check()
}

// check holds the manifest against every rule of the format.
func (m Manifest) check() error {
	if m.PartSize != store.PartSize {
		return badFormat("its parts have %d bytes", m.PartSize)
	}
	if len(m.Snapshots) == 0 {
		return badFormat("it holds no branch")
	}
	for i, snap := range m.Snapshots {
		if err := snap.Check(); err != nil {
			return badFormat("%s@%s: %v", snap.Repo, snap.Commit, err)
		}
		if i > 0 && compareSnapshots(m.Snapshots[i-1], snap) >= 0 {
			return badFormat("its branches are not in order")
		}
		if !slices.IsSortedFunc(snap.Files, func(a, b store.SnapshotFile) int { return cmp.Compare(a.Path, b.Path) }) {
			return badFormat("the files of %s@%s are not in order", snap.Repo, snap.Commit)
		}
	}
	return m.checkContents()
}

// checkContents demands that the contents are exactly those of the files.
func (m Manifest) checkContents() error {
	want := m.distinct()
	sizes := make(map[store.Digest]int64, len(want))
	var sum int64
	for i, c := range want {
		if i >= len(m.Contents) || m.Contents[i].SHA256 != c.SHA256 || m.Contents[i].Size != c.Size {
			return badFormat("its contents are not those of its files, in order")
		}
		sizes[c.SHA256] = c.Size
		if sum += c.Size; sum > maxBytes { // each is at most 2^44, so this cannot overflow
			return badFormat("it claims to hold more than %d bytes", int64(maxBytes))
		}
	}
	if len(m.Contents) != len(want) {
		return badFormat("it holds a content that no file has")
	}
	for _, snap := range m.Snapshots {
		for _, f := range snap.Files {
			if sizes[f.SHA256] != f.Size {
				return badFormat("file %q has %d bytes, its content %d", f.Path, f.Size, sizes[f.SHA256])
			}
		}
	}
	return nil
}
