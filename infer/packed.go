package infer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/infer/kernel"
	"github.com/qbranch/qbranch/infer/model"
	"github.com/qbranch/qbranch/infer/packfile"
)

const (
	// packedLimit is what a folder of packed matrices may hold, in bytes.
	packedLimit = 32 << 30
	// packedLeast is how many bytes are worth a file: moving them takes a tenth of a
	// second.
	packedLeast = 64 << 20
)

// ClearPacked removes what Load keeps in a LoadOptions.CacheDir, and says how
// many files and bytes that were.
func ClearPacked(dir string) (files int, size int64, err error) { return packfile.Clear(dir) }

// usePacked lets the matrices whose codes have to be moved, at least least bytes
// of them, be read from a file in o.CacheDir, which is written if it is not
// there. Where that cannot be, codes
// are moved in memory when they are first needed, so the only error is ctx's, or
// a fault of the checkpoint's own files.
func (m *Model) usePacked(ctx context.Context, weights []model.WeightFile, o LoadOptions, least int) error {
	if o.CacheDir == "" || o.Compute == Float32 {
		return nil
	}
	moved := m.model.Moved()
	total := 0
	for _, n := range moved {
		total += n.MovedBytes()
	}
	if total < max(least, 1) {
		return nil
	}
	key, err := packedKey(weights, o.Digests)
	if err != nil {
		return nil // the files are there, since they are mapped; who they are cannot be told
	}
	file, err := packfile.Open(o.CacheDir, key)
	if err != nil {
		err = writePacked(ctx, o.CacheDir, key, moved, m.threads)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, kernel.ErrFault):
			return &model.Error{Kind: ErrCheckpoint, Reason: "a file changed while it was read", Err: err, Help: "leave the files alone while the model is loaded"}
		}
		if file, err = packfile.Open(o.CacheDir, key); err != nil {
			return nil
		}
	}
	m.packed = file
	for _, n := range moved {
		n.Stored(func() []byte {
			words, ok := file.Section(n.Name)
			if !ok {
				return nil
			}
			return words
		})
	}
	return nil
}

// packedKey names what moved codes follow from: the checkpoint's files, by digest
// where it is known, and where the kernels want codes.
func packedKey(weights []model.WeightFile, digests map[string]string) (packfile.Key, error) {
	parts := []string{"qbranch packed matrices", strconv.Itoa(kernel.MoveVersion)}
	for _, w := range weights {
		id := digests[w.Name]
		if id == "" {
			info, err := os.Stat(w.Path)
			if err != nil {
				return packfile.Key{}, err
			}
			id = fmt.Sprintf("%d bytes, %d, %s", info.Size(), info.ModTime().UnixNano(), inode(info))
		}
		parts = append(parts, w.Name, id)
	}
	return packfile.KeyOf(parts...), nil
}

// writePacked moves the codes of all matrices into a file, several at a time.
func writePacked(ctx context.Context, dir string, key packfile.Key, moved []model.Named, threads int) error {
	sections := make([]packfile.Section, len(moved))
	for i, n := range moved {
		sections[i] = packfile.Section{Name: n.Name, Size: int64(n.MovedBytes())}
	}
	w, err := packfile.Create(dir, key, sections, packedLimit)
	if err != nil {
		return err
	}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range threads {
		g.Go(func() error {
			var buf []byte
			for {
				i := int(next.Add(1) - 1)
				if i >= len(moved) {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if n := int(sections[i].Size); len(buf) < n {
					buf = make([]byte, n)
				}
				data := buf[:sections[i].Size]
				if err := kernel.Catch(func() error { moved[i].Move(data); return nil }); err != nil {
					return err
				}
				if err := w.Put(moved[i].Name, data); err != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		w.Abort()
		return err
	}
	return w.Commit()
}
