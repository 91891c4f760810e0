package bundle

import (
	"bufio"
	"errors"
	"io"
)

// source is the file or pipe that a bundle is read from, and how far.
type source struct {
	br   *bufio.Reader
	r    io.Reader
	seek io.Seeker // nil when what lies between has to be read
	off  int64     // bytes consumed
}

// readAhead is how much is read at once.
const readAhead = 256 << 10

func newSource(r io.Reader) *source {
	s := &source{br: bufio.NewReaderSize(r, readAhead), r: r}
	if seeker, ok := r.(io.Seeker); ok {
		// A pipe that is an *os.File says no here.
		if _, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			s.seek = seeker
		}
	}
	return s
}

// full fills p: io.EOF when nothing is left, io.ErrUnexpectedEOF when too little.
func (s *source) full(p []byte) error {
	n, err := io.ReadFull(s.br, p)
	s.off += int64(n)
	return err
}

// read reads up to len(p) bytes.
func (s *source) read(p []byte) (int, error) {
	n, err := s.br.Read(p)
	s.off += int64(n)
	return n, err
}

// skip passes over n bytes; io.ErrUnexpectedEOF when there are fewer and that
// can be known: behind the end of a file the next read says so.
func (s *source) skip(n int64) error {
	if ahead := int64(s.br.Buffered()); s.seek != nil && n > ahead {
		if _, err := s.seek.Seek(n-ahead, io.SeekCurrent); err != nil {
			return err
		}
		s.br.Reset(s.r)
		s.off += n
		return nil
	}
	for n > 0 {
		k, err := s.br.Discard(int(min(n, 1<<30)))
		s.off += int64(k)
		n -= int64(k)
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}
