package bundle

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// A stored frame is a zstd frame of raw blocks; docs/bundle-format.md. Its
// header is
//
//	0  4  magic 0xFD2FB528
//	4  1  descriptor 0xC0: an 8-byte length, no checksum, no dictionary
//	5  1  window descriptor 0x38: 128 KiB
//	6  8  length of the content
//
// and blocks of rawBlock bytes follow, each behind 3 bytes, the last one shorter
// unless the length is a multiple. So the place of every byte is known.
const (
	frameMagic     = 0xFD2FB528
	storedFlags    = 0xC0
	storedWindow   = 0x38
	storedHeader   = 14
	rawBlock       = 128 << 10
	blockHeader    = 3
	skipMagic      = 0x184D2A50 // to 0x184D2A5F
	maxSkippable   = 1 << 20    // bytes of skippable frames that are put up with
	maxWindow      = 32 << 20   // of compressed frames that others wrote
	encodingWindow = 1 << 20    // of those that are written here
)

// framed is how many bytes of a stored frame's blocks the first n bytes of its
// content take.
func framed(n int64) int64 { return n + blockHeader*((n+rawBlock-1)/rawBlock) }

// rawHeader is what precedes the block at pos of a stored frame of size bytes.
func rawHeader(pos, size int64) [blockHeader]byte {
	n := min(rawBlock, size-pos)
	v := uint32(n) << 3 // type 0: raw
	if pos+n == size {
		v |= 1 // the last
	}
	return [blockHeader]byte{byte(v), byte(v >> 8), byte(v >> 16)}
}

// frameWriter writes zstd frames.
type frameWriter struct {
	w   io.Writer
	enc *zstd.Encoder
	n   int64 // bytes written

	pos, size int64 // of the stored frame that is being written
}

func newFrameWriter(w io.Writer) (*frameWriter, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(encodingWindow), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("open the zstd encoder: %w", err)
	}
	return &frameWriter{w: w, enc: enc}, nil
}

func (f *frameWriter) write(p []byte) error {
	n, err := f.w.Write(p)
	f.n += int64(n)
	return err
}

// compressed writes p, which is not empty, as one frame.
func (f *frameWriter) compressed(p []byte) error {
	return f.write(f.enc.EncodeAll(p, nil))
}

// begin begins a stored frame of size bytes, more than none.
func (f *frameWriter) begin(size int64) error {
	f.pos, f.size = 0, size
	b := binary.LittleEndian.AppendUint32(nil, frameMagic)
	b = append(b, storedFlags, storedWindow)
	return f.write(binary.LittleEndian.AppendUint64(b, uint64(size)))
}

// raw adds to the stored frame.
func (f *frameWriter) raw(p []byte) error {
	for len(p) > 0 {
		if f.pos%rawBlock == 0 {
			h := rawHeader(f.pos, f.size)
			if err := f.write(h[:]); err != nil {
				return err
			}
		}
		n := min(int64(len(p)), rawBlock-f.pos%rawBlock)
		if err := f.write(p[:n]); err != nil {
			return err
		}
		f.pos += n
		p = p[n:]
	}
	return nil
}
