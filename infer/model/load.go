package model

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/qbranch/qbranch/infer/kernel"
	"github.com/qbranch/qbranch/quant"
)

// Model is a decoder whose weights lie in a checkpoint.
type Model struct {
	Config    Config
	Bits      int // of the quantised matrices; 0 when there are none
	GroupSize int // -1 = one group

	// ReadAhead makes sessions ask the system for the bytes of experts as soon as
	// these are chosen: set it where the weights do not fit into memory.
	ReadAhead bool

	embed      kernel.Floats // (vocab, hidden)
	embedScale float32       // embeddings are multiplied by it; 0 = they are not
	layers     decoder
	norm       norm // of the last hidden state
	head       *kernel.Matrix

	wide  int // the widest feed-forward
	fused int // the widest matrix that is several in one

	norms int64 // bytes of the weights of all norms

	matrices []Named
}

// Named is a matrix and the name of its module.
type Named struct {
	Name string
	*kernel.Matrix
}

// Moved are the matrices whose codes are moved before they are used, and lie in
// memory from then on if nobody has stored them.
func (m *Model) Moved() []Named {
	var moved []Named
	for _, n := range m.matrices {
		if n.MovedBytes() > 0 {
			moved = append(moved, n)
		}
	}
	return moved
}

// loader builds a Model from tensors. Its methods do nothing once err is set, so
// that a family reads its weights without a word about errors.
type loader struct {
	Config
	quant quant.Config
	files *Checkpoint
	model *Model
	err   error

	declared func(module string) (bits, groupSize int) // by the quantisation
}

func newLoader(cfg Config, q quant.Config, files *Checkpoint) *loader {
	return &loader{Config: cfg, quant: q, files: files, model: &Model{Config: cfg}, declared: q.ByModule()}
}

// Load builds a model from a checkpoint, which must stay open as long as the
// model is used. q is the quantisation as declared; the tensors' own shapes
// decide where the two differ.
func Load(ctx context.Context, cfg Config, q quant.Config, files *Checkpoint) (*Model, error) {
	l := newLoader(cfg, q, files)
	i := slices.IndexFunc(families, func(f family) bool { return f.architecture == cfg.Architecture })
	if i < 0 {
		return nil, unsupportedConfig("architecture %q is not supported", cfg.Architecture)
	}
	defer files.readSmall().stop()
	err := kernel.Catch(func() error {
		var err error
		l.model.layers, err = families[i].load(ctx, l)
		return err
	})
	if errors.Is(err, kernel.ErrFault) {
		err = shrunk(err)
	}
	if err != nil {
		return nil, err
	}
	return l.model, nil
}

const leaveAlone = "leave the files alone while the model runs; verify them, and fetch again those that differ"

// shrunk is what a fault of a mapped file means.
func shrunk(err error) error {
	return &Error{Kind: ErrCheckpoint, Reason: "a file changed while it was in use", Err: err,
		Help: leaveAlone}
}

// each runs the body of the loop for each layer, with the prefix of its tensors,
// until something fails or ctx ends.
func (l *loader) each(ctx context.Context, prefix string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for i := range l.Layers {
			if l.err == nil {
				l.err = ctx.Err()
			}
			if l.err != nil || !yield(i, fmt.Sprintf("%s%d.", prefix, i)) {
				return
			}
		}
	}
}

// embedding reads the embedding. A tied one may be stored under the name of the
// output matrix, where the writer kept one of the two.
func (l *loader) embedding(name, head string) {
	if l.Tied && !l.files.has(name+".weight") && l.files.has(head+".weight") {
		name = head
	}
	if l.err == nil {
		l.model.embed, l.err = l.files.floats(name+".weight", l.Vocab, l.Hidden)
	}
}

// head reads the output matrix, the first of the names that is there. A tied one
// that has tensors of its own is not tied, as in the reference.
func (l *loader) head(needBias bool, names ...string) {
	for _, name := range names {
		if l.files.hasLinear(name) {
			l.model.head = l.linear(name, l.Hidden, l.Vocab, needBias)
			return
		}
	}
	if !l.Tied {
		l.model.head = l.linear(names[0], l.Hidden, l.Vocab, needBias) // which says what is missing
	} else if l.err == nil {
		l.model.head, l.err = kernel.NewDense(l.Hidden, l.Vocab, l.model.embed, nil)
	}
}

// vector reads the n weights or biases of a norm.
func (l *loader) vector(name string, n int) []float32 {
	if l.err != nil {
		return nil
	}
	v, err := l.files.vector(name, n)
	l.err = err
	l.model.norms += 4 * int64(n)
	return v
}
