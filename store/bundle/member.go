package bundle

import (
	"archive/tar"
	"bytes"
	"fmt"
	"time"
)

// The members before the contents.
const (
	manifestName = "manifest.json"
	partsName    = "parts"
)

// blockSize is what everything in a tar is a multiple of.
const blockSize = 512

// padding is how many zeros follow a member of size bytes.
func padding(size int64) int64 { return -size & (blockSize - 1) }

// encodeHeader returns the one block that begins a member. Lengths from 8 GiB
// on are written in base 256, as GNU tar does, so that one block always does.
func encodeHeader(name string, size int64) ([]byte, error) {
	var b bytes.Buffer
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o444, ModTime: time.Unix(0, 0), Format: tar.FormatGNU}
	if err := tar.NewWriter(&b).WriteHeader(h); err != nil {
		return nil, fmt.Errorf("write the header of %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// decodeHeader reads the block that begins a member. Only regular files are
// taken: no links, no devices, no extended headers, which could give a member
// another name or length.
func decodeHeader(block []byte) (name string, size int64, err error) {
	if t := block[156]; t != tar.TypeReg && t != 0 {
		return "", 0, badFormat("a member of type %q, not a plain file", t)
	}
	h, err := tar.NewReader(bytes.NewReader(block)).Next()
	if err != nil {
		return "", 0, badFormat("a damaged tar header")
	}
	if h.Typeflag != tar.TypeReg || h.Linkname != "" || h.Size < 0 {
		return "", 0, badFormat("member %q is not a plain file", h.Name)
	}
	return h.Name, h.Size, nil
}
