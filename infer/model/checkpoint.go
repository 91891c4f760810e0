package model

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/qbranch/qbranch/infer/kernel"
	"github.com/qbranch/qbranch/infer/mapfile"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// Tensor is a tensor in a mapped file.
type Tensor struct {
	safetensors.Tensor
	File string // the checkpoint's name for the file
	Data []byte // its bytes, read-only
}

// Checkpoint is a set of mapped safetensors files.
type Checkpoint struct {
	tensors map[string]Tensor
	maps    []*mapfile.File
	opened  []opened
	bytes   int64
	ahead   *readAhead // nil = nobody asked for it
}

// opened is a file as it was when it was mapped.
type opened struct {
	WeightFile
	info os.FileInfo
}

// WeightFile names one file of a checkpoint and where it lies.
type WeightFile struct{ Name, Path string }

// OpenCheckpoint maps the files and checks their headers against their lengths.
// The caller closes it.
func OpenCheckpoint(files []WeightFile) (*Checkpoint, error) {
	c := &Checkpoint{tensors: make(map[string]Tensor)}
	for _, f := range files {
		if err := c.add(f); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

func (c *Checkpoint) add(w WeightFile) error {
	f, err := os.Open(w.Path)
	if err != nil {
		return &Error{Kind: ErrCheckpoint, File: w.Name, Reason: "opening", Err: err, Help: "fetch the file again"}
	}
	defer f.Close() // a mapping outlives its file descriptor
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading %s: %w", w.Name, err)
	}
	if info.Size() > math.MaxInt {
		return &Error{Kind: ErrCheckpoint, File: w.Name, Reason: fmt.Sprintf("%d bytes cannot be mapped on this machine", info.Size())}
	}
	header, err := safetensors.Parse(f, info.Size())
	if err != nil {
		return &Error{Kind: ErrCheckpoint, File: w.Name, Err: err}
	}
	m, err := mapfile.Map(f, int(info.Size()))
	if err != nil {
		return fmt.Errorf("mapping %s: %w", w.Name, err)
	}
	c.maps, c.opened = append(c.maps, m), append(c.opened, opened{w, info})
	for _, t := range header.Tensors {
		if other, ok := c.tensors[t.Name]; ok {
			return &Error{Kind: ErrCheckpoint, File: w.Name, Tensor: t.Name, Reason: "also in " + other.File}
		}
		c.tensors[t.Name] = Tensor{t, w.Name, m.Data[t.Offset : t.Offset+t.Size : t.Offset+t.Size]}
		c.bytes += t.Size
	}
	return nil
}

// ReadAhead asks the system to read all files, in order, and returns at once.
func (c *Checkpoint) ReadAhead() {
	if c.ahead != nil {
		return
	}
	pieces := 0
	for _, m := range c.maps {
		pieces += len(m.Data)/readAheadPiece + 1
	}
	c.ahead = newReadAhead(pieces)
	for _, m := range c.maps {
		c.ahead.want(m.Data)
	}
}

// readSmall asks the system for the tensors that loading reads whole: scales, zero
// points, norms. They lie apart from one another, so that page by page they would
// take longer than the rest. The caller stops it.
func (c *Checkpoint) readSmall() *readAhead {
	r := newReadAhead(len(c.tensors))
	for _, t := range c.tensors {
		if t.Size <= readAheadPiece/4 {
			r.want(t.Data)
		}
	}
	return r
}

// Changed is an error when a file was written to since it was opened: what was
// computed from it then cannot be trusted. A file that was replaced or removed is
// still mapped as it was.
func (c *Checkpoint) Changed() error {
	for _, f := range c.opened {
		now, err := os.Stat(f.Path)
		if err == nil && os.SameFile(now, f.info) && (now.Size() != f.info.Size() || !now.ModTime().Equal(f.info.ModTime())) {
			return &Error{Kind: ErrCheckpoint, File: f.Name, Reason: "changed while it was in use", Help: leaveAlone}
		}
	}
	return nil
}

// Close unmaps the files; nothing may use their tensors any more.
func (c *Checkpoint) Close() error {
	if c.ahead != nil {
		c.ahead.stop()
	}
	var errs []error
	for _, m := range c.maps {
		errs = append(errs, m.Close())
	}
	c.maps, c.tensors = nil, nil
	return errors.Join(errs...)
}

// Bytes is the size of all tensors.
func (c *Checkpoint) Bytes() int64 { return c.bytes }

func (c *Checkpoint) has(name string) bool {
	_, ok := c.tensors[name]
	return ok
}

// hasLinear says that a Linear of this name is there, quantised or not.
func (c *Checkpoint) hasLinear(name string) bool {
	return c.has(name+".qweight") || c.has(name+".weight")
}

func (c *Checkpoint) get(name string) (Tensor, error) {
	t, ok := c.tensors[name]
	if !ok {
		return Tensor{}, &Error{Kind: ErrCheckpoint, Tensor: name, Reason: "not in any of the files",
			Help: "a shard may be missing: compare the files with the hub's listing"}
	}
	return t, nil
}

// floats wraps a tensor of the given shape.
func (c *Checkpoint) floats(name string, shape ...int) (kernel.Floats, error) {
	t, err := c.get(name)
	if err != nil {
		return kernel.Floats{}, err
	}
	ok := len(t.Shape) == len(shape)
	for i := 0; ok && i < len(shape); i++ {
		ok = t.Shape[i] == int64(shape[i])
	}
	if !ok {
		return kernel.Floats{}, badTensor(t, "shape %v, want %v", t.Shape, shape)
	}
	f, err := kernel.NewFloats(t.DType, t.Data)
	if err != nil {
		return kernel.Floats{}, badTensor(t, "%v", err)
	}
	return f, nil
}

// vector reads a small tensor of n values into memory.
func (c *Checkpoint) vector(name string, n int) ([]float32, error) {
	f, err := c.floats(name, n)
	if err != nil {
		return nil, err
	}
	if i := f.FirstNotFinite(); i >= 0 {
		return nil, badTensor(c.tensors[name], "value %d is not a finite number", i)
	}
	v := make([]float32, n)
	f.Read(v, 0)
	return v, nil
}
