package demo

import (
	"archive/tar"
	"bytes"
	"cmp"
	_ "embed" // the archive below
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

//go:generate go run ./pack repository.tar.zst

// RepoID names the embedded repository.
const RepoID = "qbranch/llama-tales-moe-2m-GPTQ"

// The embedded repository: a tar of BRANCH/FILE entries under zstd. Entries
// are ordered by file, then branch, and the window spans the whole tar, so
// that what the branches share is stored once.
//
//go:embed repository.tar.zst
var archive []byte

// windowSize covers the whole tar (18.6 MB); both the packer and the reader
// use it.
const windowSize = 32 << 20

// Branches unpacks the embedded repository: branch → file name → content. The
// result is shared and must not be written to.
var Branches = sync.OnceValues(func() (map[string]map[string][]byte, error) {
	return ReadArchive(bytes.NewReader(archive))
})

// ReadArchive reads an archive written by WriteArchive.
func ReadArchive(r io.Reader) (map[string]map[string][]byte, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(windowSize), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("open demo archive: %w", err)
	}
	defer z.Close()
	branches := map[string]map[string][]byte{}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return branches, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read demo archive: %w", err)
		}
		branch, file, ok := strings.Cut(h.Name, "/")
		if !ok {
			return nil, fmt.Errorf("read demo archive: entry %q is not BRANCH/FILE", h.Name)
		}
		data := make([]byte, h.Size)
		if _, err := io.ReadFull(t, data); err != nil {
			return nil, fmt.Errorf("read demo archive: %s: %w", h.Name, err)
		}
		if branches[branch] == nil {
			branches[branch] = map[string][]byte{}
		}
		branches[branch][file] = data
	}
}

// WriteArchive writes branches so that equal contents give equal bytes on
// every machine.
func WriteArchive(w io.Writer, branches map[string]map[string][]byte) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithWindowSize(windowSize), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("open encoder: %w", err)
	}
	t := tar.NewWriter(z)
	for _, name := range entryNames(branches) {
		branch, file, _ := strings.Cut(name, "/")
		data := branches[branch][file]
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if _, err := t.Write(data); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("finish tar: %w", err)
	}
	return z.Close()
}

// entryNames lists BRANCH/FILE by file, then branch: files that the branches
// share lie side by side, where the compressor finds them cheapest.
func entryNames(branches map[string]map[string][]byte) []string {
	var names []string
	for branch, files := range branches {
		for file := range maps.Keys(files) {
			names = append(names, branch+"/"+file)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		branchA, fileA, _ := strings.Cut(a, "/")
		branchB, fileB, _ := strings.Cut(b, "/")
		return cmp.Or(strings.Compare(fileA, fileB), strings.Compare(branchA, branchB))
	})
	return names
}
