package hfcache

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/qbranch/qbranch/store"
)

// treeFormat is the version of the listings that the official client writes.
const treeFormat = 1

// maxTree bounds the JSON of a listing.
const maxTree = 64 << 20

// treeJSON is the JSON of a file in trees/: the listing of a commit.
type treeJSON struct {
	Format int                 `json:"format_version"`
	Files  map[string]treeFile `json:"files"` // by path
}

// treeFile is one file of a listing. The git blob id of an LFS file is that of
// its pointer.
type treeFile struct {
	Size      int64  `json:"size"`
	BlobID    string `json:"blob_id"`
	LFSSHA256 string `json:"lfs_sha256,omitempty"`
	LFSSize   int64  `json:"lfs_size,omitempty"`
}

// pointerOID is the git blob id of the pointer that stands for an LFS file.
func pointerOID(f store.SnapshotFile) string {
	pointer := fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", f.SHA256, f.Size)
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00%s", len(pointer), pointer)
	return hex.EncodeToString(h.Sum(nil))
}

// writeTree writes the listing of a complete commit.
func (e *exporter) writeTree(items []item) error {
	t := treeJSON{Format: treeFormat, Files: make(map[string]treeFile, len(items))}
	for _, it := range items {
		f := treeFile{Size: it.Size, BlobID: it.etag}
		if it.etag == it.SHA256.String() {
			f = treeFile{Size: it.Size, BlobID: pointerOID(it.SnapshotFile), LFSSHA256: it.SHA256.String(), LFSSize: it.Size}
		}
		t.Files[it.Path] = f
	}
	b, err := json.MarshalIndent(t, "", " ")
	if err != nil {
		return err
	}
	if err := e.root.MkdirAll(e.repo+"/trees", 0o755); err != nil {
		return err
	}
	return e.replace(e.repo+"/trees/"+e.snap.Commit+".json", b)
}

// readTree reads a listing; nil when there is none.
func readTree(file string) (map[string]treeFile, error) {
	b, err := readLimited(file, maxTree)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	files, err := decodeTree(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return files, nil
}

// decodeTree reads the JSON of a listing and checks what becomes a path, a
// length or a digest.
func decodeTree(b []byte) (map[string]treeFile, error) {
	var t treeJSON
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrFormat, err)
	}
	if t.Format != treeFormat || t.Files == nil {
		return nil, fmt.Errorf("listing format %d: %w", t.Format, store.ErrFormat)
	}
	for p, f := range t.Files {
		if err := store.CheckPath(p); err != nil {
			return nil, fmt.Errorf("%w: %w", store.ErrFormat, err)
		}
		if _, err := f.want(); err != nil {
			return nil, fmt.Errorf("file %q: %w: %w", p, store.ErrFormat, err)
		}
	}
	return t.Files, nil
}

// want is the content that a listing names.
func (f treeFile) want() (store.Want, error) {
	w := store.Want{Size: f.Size}
	if f.Size < 0 {
		return w, fmt.Errorf("a length of %d", f.Size)
	}
	etag, digits := f.BlobID, 40
	if f.LFSSHA256 != "" {
		etag, digits = f.LFSSHA256, 64
	}
	if !isHex(etag, digits) {
		return w, fmt.Errorf("%.80q is no digest of %d digits", etag, digits)
	}
	return named(etag, f.Size)
}

// named is the content that the name of a blob promises.
func named(etag string, size int64) (store.Want, error) {
	w := store.Want{Size: size}
	var err error
	switch {
	case isHex(etag, 64):
		w.SHA256, err = store.ParseDigest(etag)
	case isHex(etag, 40):
		_, err = hex.Decode(w.GitOID[:], []byte(etag))
	}
	if err == nil && w == (store.Want{Size: size}) { // zeros stand for "unknown"
		err = fmt.Errorf("%.80q is no digest", etag)
	}
	return w, err
}

// readLimited reads a small file of the cache.
func readLimited(file string, limit int64) ([]byte, error) {
	fi, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", filepath.Base(file), store.ErrNotRegular)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: longer than %d bytes: %w", file, limit, store.ErrFormat)
	}
	return b, err
}
