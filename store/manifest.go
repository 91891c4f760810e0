package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// The manifest of an exported folder; docs/store-format.md.
const (
	manifestDir  = ".qbranch"
	manifestName = manifestDir + "/manifest.json"
	maxManifest  = 1 << 30
)

// Manifest says what an exported folder holds, so that the folder can be
// verified without the store.
type Manifest struct {
	Format   int            `json:"format"`
	Repo     string         `json:"repo"`
	Commit   string         `json:"commit"`
	Branch   string         `json:"branch"`
	PartSize int            `json:"part_size"`
	Files    []ManifestFile `json:"files"` // by path
}

// ManifestFile is one file of a manifest.
type ManifestFile struct {
	SnapshotFile
	Parts []Digest `json:"blake3"` // BLAKE3-256 of each part of PartSize bytes
}

// ReadManifest reads the manifest of an exported folder; ErrNotFound when it
// has none, ErrFormat when it is damaged.
func ReadManifest(dir string) (Manifest, error) {
	p := filepath.Join(dir, filepath.FromSlash(manifestName))
	b, err := readLimited(OS(), p, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, fmt.Errorf("manifest of %s: %w", dir, ErrNotFound)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	m, err := decodeManifest(b)
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", p, err)
	}
	return m, nil
}

func decodeManifest(b []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if m.Format != formatVersion || m.PartSize != PartSize {
		return Manifest{}, fmt.Errorf("manifest format %d with parts of %d bytes: %w", m.Format, m.PartSize, ErrFormat)
	}
	if err := m.snapshot().Check(); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	for _, f := range m.Files {
		if len(f.Parts) != numParts(f.Size) {
			return Manifest{}, fmt.Errorf("file %q of %d bytes with %d part digests: %w", f.Path, f.Size, len(f.Parts), ErrFormat)
		}
	}
	return m, nil
}

// snapshot returns the manifest without the digests of parts.
func (m Manifest) snapshot() Snapshot {
	snap := Snapshot{Repo: m.Repo, Commit: m.Commit, Branch: m.Branch}
	for _, f := range m.Files {
		snap.Files = append(snap.Files, f.SnapshotFile)
	}
	return snap
}

// Damage is what VerifyFolder found wrong with one file of a folder.
type Damage struct {
	Path    string  `json:"path"`
	Missing bool    `json:"missing,omitempty"`
	Ranges  []Range `json:"ranges,omitempty"` // bad byte ranges; whole file when its length is wrong
}

// VerifyFolder re-hashes an exported folder against its manifest on workers
// cores (0 = all) and calls progress, from one goroutine at a time, with the
// bytes done since the last call (in the end those of all files that are there
// with the right length); ErrNotFound when the folder has no manifest.
// Files that the manifest does not name are not looked at. A file that cannot
// be read is an error, not a damage.
func VerifyFolder(ctx context.Context, dir string, workers int, progress func(n int64)) ([]Damage, error) {
	return checkFiles(dir, func(root *os.Root, f ManifestFile) (*Damage, error) {
		return verifyFile(ctx, root, f, workers, progress)
	})
}

// VerifyFolderQuick compares only lengths with the manifest.
func VerifyFolderQuick(dir string) ([]Damage, error) {
	return checkFiles(dir, func(root *os.Root, f ManifestFile) (*Damage, error) {
		file, d, err := openRecorded(root, f)
		if file != nil {
			err = errors.Join(err, file.Close())
		}
		return d, err
	})
}

// VerifyFolderDeep is VerifyFolder that computes the SHA-256 of each file, too,
// on three cores.
func VerifyFolderDeep(ctx context.Context, dir string, progress func(n int64)) ([]Damage, error) {
	return checkFiles(dir, func(root *os.Root, f ManifestFile) (*Damage, error) {
		file, d, err := openRecorded(root, f)
		if file == nil {
			return d, err
		}
		defer file.Close()
		got, err := hashWhole(ctx, file, f.Size, false, progress)
		if err != nil || got.sha256 == f.SHA256 {
			return nil, err
		}
		bad := got.damage(f.SHA256, partList{size: f.Size, sums: f.Parts})
		return &Damage{Path: f.Path, Ranges: bad.Ranges()}, nil
	})
}

// checkFiles lets check judge each file of an exported folder.
func checkFiles(dir string, check func(root *os.Root, f ManifestFile) (*Damage, error)) ([]Damage, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, fmt.Errorf("verify folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("verify folder: %w", err)
	}
	defer root.Close()
	var out []Damage
	for _, f := range m.Files {
		d, err := check(root, f)
		if err != nil {
			return out, fmt.Errorf("verify %s: %w", path.Join(dir, f.Path), err)
		}
		if d != nil {
			out = append(out, *d)
		}
	}
	return out, nil
}

// openRecorded opens a file that is there and has the length that it should
// have; else it says what is wrong.
func openRecorded(root *os.Root, f ManifestFile) (*os.File, *Damage, error) {
	file, err := root.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Damage{Path: f.Path, Missing: true}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	fi, err := file.Stat()
	switch {
	case err != nil:
	case !fi.Mode().IsRegular():
		err = ErrNotRegular
	case fi.Size() != f.Size:
		return nil, &Damage{Path: f.Path, Ranges: []Range{{0, f.Size}}}, file.Close()
	default:
		return file, nil, nil
	}
	return nil, nil, errors.Join(err, file.Close())
}

// verifyFile compares one file with the manifest; nil when it is as it was.
func verifyFile(ctx context.Context, root *os.Root, f ManifestFile, workers int, progress func(int64)) (*Damage, error) {
	file, d, err := openRecorded(root, f)
	if file == nil {
		return d, err
	}
	defer file.Close()
	bad, err := badParts(ctx, file, f.Size, f.Parts, workers, progress)
	if err != nil || len(bad) == 0 {
		return nil, err
	}
	return &Damage{Path: f.Path, Ranges: joinParts(f.Size, bad)}, nil
}

// encode returns the JSON of the manifest.
func (m Manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	return append(b, '\n'), nil
}

// file returns the entry of a path.
func (m Manifest) file(p string) (ManifestFile, bool) {
	for _, f := range m.Files {
		if f.Path == p {
			return f, true
		}
	}
	return ManifestFile{}, false
}
