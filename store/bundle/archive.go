package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/qbranch/qbranch/store"
)

// Archive is a bundle that is being read, from its beginning to its end.
type Archive struct {
	Manifest Manifest

	s     *stream
	sums  []store.Digest // of all parts, in order
	first []int          // index in sums of each content's first part
}

// Open reads and checks the manifest and the digests of all parts. What r holds
// is not believed: *FormatError when it is not a bundle, *DamagedError when it
// was one. If r is an io.Seeker, what is not wanted is passed over. Close does
// not close r.
func Open(r io.Reader) (*Archive, error) {
	s, err := newStream(r)
	if err != nil {
		return nil, err
	}
	a := &Archive{s: s}
	if err := a.open(); err != nil {
		s.close()
		return nil, err
	}
	return a, nil
}

// Close releases what Open took.
func (a *Archive) Close() { a.s.close() }

func (a *Archive) open() error {
	b, err := a.openManifest()
	if err == nil {
		a.Manifest, err = decodeManifest(b)
	}
	if err == nil {
		err = a.readSums(sha256.Sum256(b))
	}
	var broken *brokenError
	var coded *codedError
	if errors.As(err, &broken) || errors.As(err, &coded) {
		err = &DamagedError{Reason: "its table of contents cannot be read: " + err.Error()}
	}
	return err
}

// openManifest reads the first member.
func (a *Archive) openManifest() ([]byte, error) {
	head := make([]byte, blockSize)
	err := a.s.full(head)
	var broken *brokenError
	switch {
	case errors.Is(err, io.EOF):
		return nil, badFormat("it is empty")
	case errors.As(err, &broken) && (a.s.kind == frameNone || a.s.kind == framePlain):
		return nil, badFormat("%s", broken.why)
	case err != nil:
		return nil, err
	}
	name, size, err := decodeHeader(head)
	if err != nil {
		return nil, err
	}
	if name != manifestName || size > maxManifest {
		return nil, badFormat("it does not begin with a manifest")
	}
	return a.member(size)
}

// member reads the rest of a member whose length has been checked. Memory is
// taken as the bytes come, not as they are announced.
func (a *Archive) member(size int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(a.s, size))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) < size {
		return nil, &brokenError{a.s.src.off, "it is cut off"}
	}
	return b, a.pad(size)
}

// pad reads the zeros behind a member.
func (a *Archive) pad(size int64) error {
	zeros := make([]byte, padding(size))
	if err := a.s.full(zeros); err != nil {
		return a.s.broken(err)
	}
	if !bytes.Equal(zeros, make([]byte, len(zeros))) {
		return &brokenError{a.s.src.off, "something is hidden behind a member"}
	}
	return nil
}

// header reads the header of the member that must come next.
func (a *Archive) header(name string, size int64) error {
	head := make([]byte, blockSize)
	if err := a.s.full(head); err != nil {
		return a.s.broken(err)
	}
	at := a.s.src.off
	gotName, gotSize, err := decodeHeader(head)
	if err != nil {
		return &brokenError{at, err.(*FormatError).Reason}
	}
	if gotName != name || gotSize != size {
		return &brokenError{at, fmt.Sprintf("member %q of %d bytes in the place of %s of %d", gotName, gotSize, name, size)}
	}
	return nil
}

// readSums reads the digests of all parts. Their sum covers the manifest too.
func (a *Archive) readSums(manifest store.Digest) error {
	n := partsLen(a.Manifest)
	if err := a.header(partsName, n); err != nil {
		return err
	}
	b, err := a.member(n)
	if err != nil {
		return err
	}
	body := b[:n-sha256.Size]
	if sha256.Sum256(body) != [sha256.Size]byte(b[len(body):]) || store.Digest(body[:sha256.Size]) != manifest {
		return &DamagedError{Reason: "its table of contents does not match its own digest"}
	}
	for _, c := range a.Manifest.Contents {
		a.first = append(a.first, len(a.sums))
		for range c.parts() {
			k := sha256.Size * (len(a.sums) + 1)
			a.sums = append(a.sums, store.Digest(body[k:]))
		}
	}
	return nil
}

// sumsOf returns the digests of the parts of content k.
func (a *Archive) sumsOf(k int) []store.Digest {
	return a.sums[a.first[k]:][:a.Manifest.Contents[k].parts()]
}

// maxEnd bounds the zeros behind the end of a tar; tar pads to records of 10 KiB
// at least.
const maxEnd = 1 << 20

// end reads what must follow the last member: zeros, and nothing else.
func (a *Archive) end() error {
	buf := make([]byte, blockSize)
	for n := 0; ; n += blockSize {
		err := a.s.full(buf)
		switch {
		case errors.Is(err, io.EOF) && n >= 2*blockSize:
			return nil
		case err != nil:
			return a.s.broken(err)
		case [blockSize]byte(buf) != [blockSize]byte{} || n > maxEnd:
			return &brokenError{a.s.src.off, "more than the manifest lists"}
		}
	}
}
