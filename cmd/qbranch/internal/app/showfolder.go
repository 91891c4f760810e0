package app

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/quant/safetensors"
	"github.com/qbranch/qbranch/store"
)

// lookFolder reads a folder: its configurations, its card and the headers of its
// weights, through an os.Root, so that no link leads out of it.
func (a *App) lookFolder(dir string, s *Shown) (*Listing, *Inspection, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open folder: %w", err)
	}
	defer root.Close()
	files, _, err := listFolder(root)
	if err != nil {
		return nil, nil, fmt.Errorf("list folder: %w", err)
	}
	l := &Listing{Endpoint: a.Endpoint(), AsOf: time.Now().UTC().Truncate(time.Second)}
	f := branchFacts{kind: KindFolder}
	digests := make(map[string]store.Digest)
	switch m, err := store.ReadManifest(dir); {
	case err == nil:
		l.Repo, f.Branch = m.Repo, hub.Branch{Name: m.Branch, Commit: hub.Commit(m.Commit)}
		for _, file := range m.Files {
			if files[file.Path] == file.Size {
				digests[file.Path] = file.SHA256
			}
		}
	case !errors.Is(err, store.ErrNotFound):
		f.evidence.unread = append(f.evidence.unread, err.Error())
	}
	left := int64(maxHashed)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f.files = append(f.files, hub.File{Path: path, Size: files[path]})
		s.Files = append(s.Files, folderFile(root, path, files[path], digests, &left))
	}
	f.readFolder(root)
	f.prove()
	md, cardErr := readRoot(root, readme, cardLimit)
	if errors.Is(cardErr, fs.ErrNotExist) {
		cardErr = hub.ErrEntryNotFound
	}
	return l, l.one(&f, md, cardErr), nil
}

// maxHashed is how much of a folder's small files is hashed, in bytes: a checkpoint
// has a few megabytes of them.
const maxHashed = 64 << 20

// folderFile describes a file of a folder: with its recorded digest, and what
// can be computed of a small one, as far as there are bytes left.
func folderFile(root *os.Root, path string, size int64, digests map[string]store.Digest, left *int64) ShownFile {
	file := ShownFile{Path: path, Size: size}
	if d, ok := digests[path]; ok {
		file.SHA256 = d.String()
	}
	if size <= min(smallFile, *left) && !isPickle(path) {
		*left -= size
		if data, err := readRoot(root, path, smallFile); err == nil { // else nothing is known of it
			file.SHA256, file.GitOID = fmt.Sprintf("%x", sha256.Sum256(data)), hub.GitBlobOID(data).String()
		}
	}
	return file
}

// readFolder reads configurations, indexes and headers.
func (f *branchFacts) readFolder(root *os.Root) {
	e := &f.evidence
	e.json = make(map[string][]byte)
	f.listConfigs()
	for _, file := range f.files {
		if limit := jsonLimit(file.Path); limit > 0 {
			data, err := readRoot(root, file.Path, limit)
			if err != nil {
				e.unread = append(e.unread, err.Error())
				continue
			}
			e.json[file.Path] = data
		}
		if isWeights(file.Path) {
			h := shardHeader{file: file}
			if err := h.parseFile(root); err != nil {
				e.unread = append(e.unread, err.Error())
				continue
			}
			e.headers = append(e.headers, h)
		}
	}
	for i := range f.configs {
		c := &f.configs[i]
		c.read = true
		if c.data = e.json[c.name]; c.data == nil {
			c.err = fmt.Errorf("read %s: %w", c.name, hub.ErrEntryNotFound)
		}
	}
}

// parseFile reads the header of weights in a folder.
func (h *shardHeader) parseFile(root *os.Root) error {
	file, err := root.Open(h.file.Path)
	if err != nil {
		return err
	}
	defer file.Close() // only read from: nothing is lost
	h.held = true
	h.header, err = safetensors.Parse(file, h.file.Size)
	return asBad(err, &h.bad)
}

// readRoot reads a small file of a folder.
func readRoot(root *os.Root, path string, limit int64) ([]byte, error) {
	file, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read from: nothing is lost
	return readAtMost(file, limit)
}
