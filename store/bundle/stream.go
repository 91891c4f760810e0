package bundle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// stream is the tar inside a bundle: the contents of all frames, one after the
// other. Errors are io.EOF at the end, *brokenError where the file is cut off or
// no zstd any more, *codedError where a compressed frame is damaged, and what
// the system says when it cannot be read.
type stream struct {
	src  *source
	dec  *zstd.Decoder
	kind frameKind

	pos, size int64        // in a stored frame
	coded     *frameReader // the compressed frame that dec reads
	skipped   int64        // bytes of skippable frames so far

	// unsound is set when a header inside a stored frame is not what it must be.
	// The content can still be right; other programs will not be able to read it.
	unsound bool
}

// frameKind is how the bytes that come next are written.
type frameKind uint8

const (
	frameNone   frameKind = iota // a frame begins, or the file ends
	frameStored                  // raw blocks
	frameCoded                   // anything else that zstd can do
	framePlain                   // no zstd at all: the file is a tar
)

// codedError says that a compressed frame is damaged.
type codedError struct {
	at  int64 // where the frame begins
	err error
}

func (e *codedError) Error() string {
	return fmt.Sprintf("damaged compression in the frame at byte %d of the file: %v", e.at, e.err)
}

func newStream(r io.Reader) (*stream, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("open the zstd decoder: %w", err)
	}
	s := &stream{src: newSource(r), dec: dec}
	start, err := s.src.br.Peek(blockSize)
	if len(start) == blockSize && string(start[257:262]) == "ustar" {
		s.kind = framePlain
	} else if len(start) == 0 && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return s, nil
}

func (s *stream) close() { s.dec.Close() }

// broken makes the end of the file, or an error of reading it, what it means
// in the middle.
func (s *stream) broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &brokenError{s.src.off, "it is cut off"}
	}
	return err
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := 0, error(nil)
		switch s.kind {
		case framePlain:
			return s.src.read(p)
		case frameStored:
			n, err = s.readStored(p)
		case frameCoded:
			n, err = s.readCoded(p)
		case frameNone:
			err = s.next()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// full fills p. The end of the tar is a brokenError unless it comes first.
func (s *stream) full(p []byte) error {
	n, err := io.ReadFull(s, p)
	if n > 0 || !errors.Is(err, io.EOF) {
		return s.broken(err)
	}
	return err
}

func (s *stream) readStored(p []byte) (int, error) {
	if s.pos == s.size {
		s.kind = frameNone
		return 0, nil
	}
	if s.pos%rawBlock == 0 {
		var h [blockHeader]byte
		if err := s.src.full(h[:]); err != nil {
			return 0, s.broken(err)
		}
		s.unsound = s.unsound || h != rawHeader(s.pos, s.size)
	}
	n := int(min(int64(len(p)), rawBlock-s.pos%rawBlock, s.size-s.pos))
	err := s.src.full(p[:n])
	s.pos += int64(n)
	return n, s.broken(err)
}

func (s *stream) readCoded(p []byte) (int, error) {
	n, err := s.dec.Read(p)
	if n > 0 || err == nil {
		return n, nil
	}
	if !errors.Is(err, io.EOF) {
		if s.coded.err != nil {
			return 0, s.coded.err
		}
		return 0, &codedError{s.coded.at, err}
	}
	s.kind = frameNone
	return 0, nil
}

// skip passes over n bytes of the tar.
func (s *stream) skip(n int64) error {
	var buf []byte
	for n > 0 {
		var k int64
		var err error
		switch s.kind {
		case framePlain:
			k, err = n, s.src.skip(n)
		case frameStored:
			k = min(n, s.size-s.pos)
			err = s.src.skip(framed(s.pos+k) - framed(s.pos))
			if s.pos += k; s.pos == s.size {
				s.kind = frameNone
			}
		default:
			if buf == nil {
				buf = make([]byte, 64<<10)
			}
			var m int
			m, err = s.Read(buf[:min(n, int64(len(buf)))])
			k = int64(m)
		}
		if err != nil {
			return s.broken(err)
		}
		n -= k
	}
	return nil
}

// resync leaves a damaged compressed frame for the one behind it.
func (s *stream) resync() error {
	if s.kind != frameCoded {
		return &brokenError{s.src.off, "nothing can be read any more"}
	}
	buf := make([]byte, 32<<10)
	for {
		if _, err := s.coded.Read(buf); errors.Is(err, io.EOF) {
			s.kind = frameNone
			return nil
		} else if err != nil {
			return err
		}
	}
}

// next begins the next frame: io.EOF when there is none.
func (s *stream) next() error {
	at := s.src.off
	head := make([]byte, storedHeader)
	if err := s.src.full(head[:4]); err != nil {
		if errors.Is(err, io.EOF) {
			return err
		}
		return s.broken(err)
	}
	switch magic := binary.LittleEndian.Uint32(head); {
	case magic&^0xF == skipMagic:
		return s.skippable()
	case magic != frameMagic:
		return &brokenError{at, "no zstd frame"}
	}
	if err := s.src.full(head[4:6]); err != nil {
		return s.broken(err)
	}
	if head[4] == storedFlags && head[5] == storedWindow {
		if err := s.src.full(head[6:]); err != nil {
			return s.broken(err)
		}
		size := binary.LittleEndian.Uint64(head[6:])
		if size == 0 || size > maxBytes {
			return &brokenError{at, fmt.Sprintf("a stored frame of %d bytes", size)}
		}
		s.kind, s.pos, s.size = frameStored, 0, int64(size)
		return nil
	}
	s.coded = &frameReader{s: s, at: at, head: head[:6]}
	if err := s.coded.begin(); err != nil {
		return err
	}
	if err := s.dec.Reset(s.coded); err != nil {
		return &codedError{at, err}
	}
	s.kind = frameCoded
	return nil
}

func (s *stream) skippable() error {
	var b [4]byte
	if err := s.src.full(b[:]); err != nil {
		return s.broken(err)
	}
	n := int64(binary.LittleEndian.Uint32(b[:]))
	if s.skipped += n + 8; s.skipped > maxSkippable {
		return &brokenError{s.src.off, "too much in skippable frames"}
	}
	return s.broken(s.src.skip(n))
}

// frameReader passes exactly one compressed frame on, so that the decoder's
// reading ahead cannot leave it, and so that a frame that cannot be decoded can
// be left behind.
type frameReader struct {
	s    *stream
	at   int64
	head []byte // of the frame or a block, to be passed on
	left int64  // of the block's content
	sum  bool   // a checksum follows the last block
	last bool   // this is the last block
	done bool
	err  error // of reading the file, which the decoder would hide
}

// begin reads the rest of the frame's header; head has its first 6 bytes.
// https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.1
func (f *frameReader) begin() error {
	flags := f.head[4]
	single := flags>>5&1 == 1
	f.sum = flags>>2&1 == 1
	n := 5 + []int{0, 1, 2, 4}[flags&3] + []int{0, 2, 4, 8}[flags>>6]
	if !single || flags>>6 == 0 {
		n++ // a window descriptor, or a length of one byte
	}
	if flags>>3&1 == 1 {
		return &brokenError{f.at, "a zstd frame of an unknown kind"}
	}
	more := make([]byte, n-len(f.head)) // n is at least 6
	if err := f.s.src.full(more); err != nil {
		return f.s.broken(err)
	}
	f.head = append(f.head, more...)
	return nil
}

// Read implements io.Reader.
func (f *frameReader) Read(p []byte) (int, error) {
	for len(p) > 0 {
		switch {
		case len(f.head) > 0:
			n := copy(p, f.head)
			f.head = f.head[n:]
			return n, nil
		case f.left > 0:
			n, err := f.s.src.read(p[:min(int64(len(p)), f.left)])
			f.left -= int64(n)
			if n > 0 {
				return n, nil
			}
			return 0, f.fail(err)
		case f.done:
			return 0, io.EOF
		}
		if err := f.advance(); err != nil {
			return 0, f.fail(err)
		}
	}
	return 0, nil
}

// advance goes on to the next block, the checksum, or the end.
func (f *frameReader) advance() error {
	if f.last {
		f.done = true
		if !f.sum {
			return nil
		}
		f.head = make([]byte, 4)
		return f.s.src.full(f.head)
	}
	h := make([]byte, blockHeader)
	if err := f.s.src.full(h); err != nil {
		return err
	}
	v := uint32(h[0]) | uint32(h[1])<<8 | uint32(h[2])<<16
	f.head, f.last, f.left = h, v&1 == 1, int64(v>>3)
	if v>>1&3 == 1 { // one byte that is repeated
		f.left = 1
	}
	return nil
}

func (f *frameReader) fail(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the frame is not at its end
	}
	f.err = f.s.broken(err)
	return f.err
}
