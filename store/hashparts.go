package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"
)

// hashParts reads parts of a content of size bytes from r, in ascending order,
// and calls each with their BLAKE3 digests, from one goroutine at a time (so not
// in order). idx names the parts, nil means all. err says that the part could
// not be read; it is io.ErrUnexpectedEOF where the content ends early. An error
// from each ends the work. Memory is one part per worker; workers <= 0 means
// all cores.
func hashParts(ctx context.Context, r io.ReaderAt, size int64, idx []int, workers int,
	each func(i int, sum Digest, err error) error,
) error {
	n := len(idx)
	if idx == nil {
		n = numParts(size)
	}
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for range min(workers, n) {
		g.Go(func() error {
			buf := make([]byte, min(PartSize, size))
			for {
				k := int(next.Add(1)) - 1
				if k >= n {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				i := k
				if idx != nil {
					i = idx[k]
				}
				p := buf[:partLen(size, i)]
				err := readPart(r, i, p)
				sum := sumPart(p)
				mu.Lock()
				err = each(i, sum, err)
				mu.Unlock()
				if err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// readPart fills p with part i of r; io.ErrUnexpectedEOF when r ends early.
func readPart(r io.ReaderAt, i int, p []byte) error {
	n, err := r.ReadAt(p, int64(i)*PartSize)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read part %d: %w", i, err)
}

// badParts returns the parts whose digest is not the one in want, ascending. A
// part that is cut off is bad, one that cannot be read is an error. progress,
// when not nil, is told the bytes read since its last call.
func badParts(ctx context.Context, r io.ReaderAt, size int64, want []Digest, workers int,
	progress func(n int64),
) ([]int, error) {
	var bad []int
	err := hashParts(ctx, r, size, nil, workers, func(i int, sum Digest, err error) error {
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if err != nil || sum != want[i] {
			bad = append(bad, i)
		}
		if progress != nil {
			progress(int64(partLen(size, i)))
		}
		return nil
	})
	slices.Sort(bad)
	return bad, err
}

// damagedParts is badParts for a file that is about to be written: a part (of
// idx, nil means all) that cannot be read is bad too, because writing it anew is
// what makes a disk replace a bad sector.
func damagedParts(ctx context.Context, r io.ReaderAt, size int64, want []Digest, idx []int) ([]int, error) {
	var bad []int
	err := hashParts(ctx, r, size, idx, 0, func(i int, sum Digest, err error) error {
		if err != nil || sum != want[i] {
			bad = append(bad, i)
		}
		return nil
	})
	slices.Sort(bad)
	return bad, err
}

// sumPart returns the BLAKE3-256 digest of a part.
func sumPart(p []byte) Digest { return blake3.Sum256(p) }
