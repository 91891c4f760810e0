package bundle

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/store"
)

// buffers is how many parts are on their way at once.
const buffers = 4

// MaxSize is the most bytes that the bundle of a manifest can take: what is not
// stored is counted as if it did not compress.
func MaxSize(m Manifest) (int64, error) {
	b, err := m.encode()
	if err != nil {
		return 0, err
	}
	const perMember = 2*blockSize + 64 // header, padding, frames
	sum := int64(len(b)) + framed(partsLen(m)) + 4*blockSize
	for _, c := range m.Contents {
		sum += framed(c.Size) + perMember
	}
	return sum + 2*perMember, nil
}

// partsLen is the length of the member with the digests of all parts.
func partsLen(m Manifest) int64 { return int64(m.parts()+2) * sha256.Size }

// Export writes the bundle of a manifest (NewManifest) to w. Every part is read
// again and compared with the digest that was taken when it came: a damaged blob
// is a *store.CorruptError, and remembered as damaged. What was written before
// an error is worth nothing.
func Export(ctx context.Context, st *store.Store, m Manifest, w io.Writer, o Options) (written int64, err error) {
	o.fill()
	buf := bufio.NewWriterSize(w, store.PartSize)
	f, err := newFrameWriter(buf)
	if err != nil {
		return 0, err
	}
	e := &exporter{st: st, m: m, f: f, Options: o}
	if err := e.run(ctx); err != nil {
		return f.n, err
	}
	if err := buf.Flush(); err != nil {
		return f.n, fmt.Errorf("write the bundle: %w", err)
	}
	return f.n, nil
}

// exporter is one Export while it runs.
type exporter struct {
	st *store.Store
	m  Manifest
	f  *frameWriter
	Options
}

func (e *exporter) run(ctx context.Context) error {
	manifest, err := e.m.encode()
	if err != nil {
		return err
	}
	sums, err := e.sums(ctx)
	if err != nil {
		return err
	}
	if err := e.small(manifestName, manifest); err != nil {
		return err
	}
	if err := e.parts(sha256.Sum256(manifest), sums); err != nil {
		return err
	}
	names := e.m.names()
	for i, c := range e.m.Contents {
		if err := e.content(ctx, c, sums[i]); err != nil {
			return fmt.Errorf("export %s: %w", names[c.SHA256][0], err)
		}
		e.Notify(Event{Paths: names[c.SHA256], Size: c.Size, State: StateWritten})
	}
	return e.f.compressed(make([]byte, 2*blockSize)) // the end of a tar
}

// sums returns the part digests of all contents; lost lists are made again.
func (e *exporter) sums(ctx context.Context) ([][]store.Digest, error) {
	out := make([][]store.Digest, len(e.m.Contents))
	for i, c := range e.m.Contents {
		sums, err := e.st.Parts(c.SHA256)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrFormat) {
			if err = e.st.Verify(ctx, c.SHA256, 0, nil); err == nil {
				sums, err = e.st.Parts(c.SHA256)
			}
		}
		if err == nil && len(sums) != c.parts() {
			err = fmt.Errorf("%d digests for %d parts: %w", len(sums), c.parts(), store.ErrFormat)
		}
		if err != nil {
			return nil, fmt.Errorf("export %s: %w", e.m.names()[c.SHA256][0], err)
		}
		out[i] = sums
	}
	return out, nil
}

// small writes a member that is in memory.
func (e *exporter) small(name string, data []byte) error {
	h, err := encodeHeader(name, int64(len(data)))
	if err != nil {
		return err
	}
	member := append(h, data...)
	member = append(member, make([]byte, padding(int64(len(data))))...)
	return e.f.compressed(member)
}

// open begins a member in a stored frame of its own.
func (e *exporter) open(name string, size int64) error {
	h, err := encodeHeader(name, size)
	if err != nil {
		return err
	}
	if err := e.f.compressed(h); err != nil {
		return err
	}
	return e.f.begin(size + padding(size))
}

// parts writes the digests: of the manifest, of all parts, of all before.
func (e *exporter) parts(manifest store.Digest, sums [][]store.Digest) error {
	n := partsLen(e.m)
	if err := e.open(partsName, n); err != nil {
		return err
	}
	h := sha256.New()
	err := e.digest(h, manifest)
	for _, list := range sums {
		for _, d := range list {
			if err == nil {
				err = e.digest(h, d)
			}
		}
	}
	if err == nil {
		err = e.f.raw(h.Sum(nil))
	}
	if err == nil {
		err = e.f.raw(make([]byte, padding(n)))
	}
	return err
}

func (e *exporter) digest(h hash.Hash, d store.Digest) error {
	h.Write(d[:]) // never fails
	return e.f.raw(d[:])
}

// content writes one content. Reading and hashing a part overlaps with writing
// the one before.
func (e *exporter) content(ctx context.Context, c Content, sums []store.Digest) error {
	blob, err := e.st.OpenBlob(c.SHA256)
	if err != nil {
		return err
	}
	defer blob.Close() // only read from
	write := func(p []byte) error { return e.small(c.name(), p) }
	if c.stored() {
		if err := e.open(c.name(), c.Size); err != nil {
			return err
		}
		write = e.f.raw
	}
	g, ctx := errgroup.WithContext(ctx)
	full, free := make(chan []byte, buffers), make(chan []byte, buffers)
	for range min(buffers, len(sums)) {
		free <- make([]byte, min(store.PartSize, c.Size))
	}
	g.Go(func() error {
		defer close(full)
		return e.read(ctx, blob, c, sums, full, free)
	})
	g.Go(func() error {
		for p := range full {
			if err := write(p); err != nil {
				return fmt.Errorf("write the bundle: %w", err)
			}
			e.Progress(int64(len(p)))
			free <- p[:cap(p)] // there is always room
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if c.Size == 0 {
		return e.small(c.name(), nil)
	}
	if c.stored() {
		return e.f.raw(make([]byte, padding(c.Size)))
	}
	return nil
}

// read reads and compares the parts of a blob.
func (e *exporter) read(ctx context.Context, blob io.ReaderAt, c Content, sums []store.Digest, full chan<- []byte, free <-chan []byte) error {
	for i, want := range sums {
		var p []byte
		select {
		case p = <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
		p = p[:c.partLen(i)]
		n, err := blob.ReadAt(p, int64(i)*store.PartSize)
		if n < len(p) && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read part %d: %w", i, err)
		}
		if n < len(p) || store.SumPart(p) != want {
			return e.damaged(ctx, c, i)
		}
		select {
		case full <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// damaged says where a blob is damaged, and has the store remember it.
func (e *exporter) damaged(ctx context.Context, c Content, part int) error {
	if err := e.st.Verify(ctx, c.SHA256, 0, nil); err != nil {
		return err
	}
	return &store.CorruptError{Digest: c.SHA256, Size: c.Size, Parts: []int{part}} // it reads right again: a bad memory or cable
}
