package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/store"
)

// Model is a loaded checkpoint.
type Model struct {
	*infer.Model
	target Target
}

// Generate is infer's, with errors that say what of.
func (m *Model) Generate(ctx context.Context, r Request, emit func(Token) error) (*Generation, error) {
	g, err := m.Model.Generate(ctx, r, emit)
	if err != nil {
		err = fmt.Errorf("generate with %s: %w", m.target, err)
	}
	return g, err
}

// WriteLogits writes what a generation with KeepLogits computed, "logits" F32
// [positions, vocab], as a safetensors file.
func (m *Model) WriteLogits(path string, g *Generation) error {
	return infer.WriteLogits(path, g, m.Info().Vocab)
}

// LoadModel loads a verified snapshot or a folder for generation. It sends no
// request: ErrNotLocal when the reference was never fetched, a
// *store.CorruptError when a verify found it damaged.
func (a *App) LoadModel(ctx context.Context, t Target) (*Model, error) {
	files, err := a.modelFiles(t)
	if err != nil {
		return nil, err
	}
	m, err := infer.Load(ctx, files, infer.LoadOptions{Threads: a.threads})
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", t, err)
	}
	return &Model{m, t}, nil
}

func (a *App) modelFiles(t Target) (infer.Files, error) {
	if t.Bundle != "" {
		return nil, &bundleTargetError{t.Bundle}
	}
	if t.Dir != "" {
		return infer.FilesInDir(t.Dir)
	}
	st, snap, err := a.localSnapshot(t.Ref)
	var corrupt *store.CorruptError
	switch {
	case errors.As(err, &corrupt):
		return nil, &damagedError{err, t.Ref}
	case errors.Is(err, fs.ErrNotExist):
		return nil, &notLocalError{ref: t.Ref, offline: a.offline, reason: "no longer whole in the store"}
	case err != nil:
		return nil, err
	}
	files := make(infer.Files, len(snap.Files))
	for _, f := range snap.Files {
		files[f.Path] = st.Path(f.SHA256)
	}
	return files, nil
}

// damagedError is a snapshot that must not be run.
type damagedError struct {
	err error
	ref Ref
}

func (e *damagedError) Error() string { return e.err.Error() }
func (e *damagedError) Unwrap() error { return e.err }

// Hint says what to do next.
func (e *damagedError) Hint() string {
	return fmt.Sprintf("'qbranch verify %s --repair' fetches only the bad parts", e.ref)
}
