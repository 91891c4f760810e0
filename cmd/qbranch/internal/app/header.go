package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/quant/safetensors"
	"github.com/qbranch/qbranch/store"
)

// shardHeader is the header of one safetensors file, or why it is bad.
type shardHeader struct {
	file   hub.File
	header *safetensors.Header
	bad    *safetensors.FormatError
	first  []byte // the file's first bytes, when they were fetched and are not in the store
	held   bool   // it was read from the store, not from the hub
}

// headerReader reads the headers of weights: from the store, from the hub's
// cache, and only then from the hub.
type headerReader struct {
	ranged
	st     *store.Store // nil when there is none
	budget *budget      // nil = as many as there are
}

// readAll reads the header of every safetensors file among files.
func (g *headerReader) readAll(ctx context.Context, files []hub.File) ([]shardHeader, error) {
	var out []shardHeader
	for _, f := range files {
		if isWeights(f.Path) {
			out = append(out, shardHeader{file: f})
		}
	}
	eg, ctx := errgroup.WithContext(ctx)
	eg.SetLimit(judgeConns)
	for i := range out {
		eg.Go(func() error {
			if err := g.readHeaderAgain(ctx, &out[i]); err != nil {
				return fmt.Errorf("read the header of %s: %w", out[i].file.Path, err)
			}
			return nil
		})
	}
	if err := eg.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// readHeaderAgain reads a header; one that came over the line and is bad comes a
// second time, since no digest tells yet whether that is how the file is.
func (g *headerReader) readHeaderAgain(ctx context.Context, h *shardHeader) error {
	const attempts = 2
	for attempt := 1; ; attempt++ {
		err := g.readHeader(ctx, h)
		if err != nil || h.bad == nil || h.held || attempt == attempts {
			return err
		}
		*h = shardHeader{file: h.file}
	}
}

// headerRead is how much of a file is read at first: nearly always all of its
// header, and on a slow line soon there.
const headerRead = 128 << 10

// readHeader reads one header. What was read need not be fetched again, unless
// the file is here in part: then only the header is read.
func (g *headerReader) readHeader(ctx context.Context, h *shardHeader) (err error) {
	if err := g.budget.file(); err != nil {
		return err
	}
	w := fetch.Wanted(h.file)
	if g.st != nil {
		if d, ok := g.st.Find(w); ok {
			return h.parseBlob(g.st, d)
		}
	}
	if head, ok := g.app.hub.KeptHead(h.file); ok && g.budget.bytes(int64(len(head))) == nil {
		if h.header, err = safetensors.Parse(bytes.NewReader(head), h.file.Size); err == nil {
			return nil
		}
	}
	n := min(headerRead, h.file.Size)
	fresh := g.st == nil || g.st.Held(w) == 0
	var buf []byte
	if !fresh {
		n = min(8, h.file.Size)
		first := make([]byte, min(store.PartSize, h.file.Size))
		if g.st.ReadPart(w, 0, first) == nil { // a run before this one has fetched it
			buf, n = first, int64(len(first))
		}
	}
	buf, err = g.readRange(ctx, h.file, buf, n)
	if err != nil {
		return err
	}
	length, err := safetensors.HeaderLen(buf[:min(8, n)], h.file.Size)
	if err != nil {
		return asBad(err, &h.bad)
	}
	if err := g.budget.bytes(length); err != nil {
		return err
	}
	if buf, err = g.readRange(ctx, h.file, buf, length); err != nil {
		return err
	}
	if fresh {
		h.first = buf
	}
	if h.header, err = safetensors.Parse(bytes.NewReader(buf), h.file.Size); err == nil {
		g.app.hub.KeepHead(h.file, buf[:length])
	}
	return asBad(err, &h.bad)
}

// parseBlob reads the header of weights that the store holds.
func (h *shardHeader) parseBlob(st *store.Store, d store.Digest) error {
	blob, err := st.OpenBlob(d)
	if err != nil {
		return err
	}
	defer blob.Close() // only read from: nothing is lost
	h.held = true
	h.header, err = safetensors.Parse(blob, h.file.Size)
	return asBad(err, &h.bad)
}

// asBad tells a header that cannot be parsed, which is a finding, from one
// that cannot be read, which is an error.
func asBad(err error, bad **safetensors.FormatError) error {
	if errors.As(err, bad) {
		return nil
	}
	return err
}
