package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/quant/card"
	"github.com/qbranch/qbranch/quant/vram/gpu"
	"github.com/qbranch/qbranch/store"
)

// Model is a loaded checkpoint.
type Model struct {
	*infer.Model
	target Target
	memory gpu.Memory
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

// Chat is a conversation that keeps what it computed (infer.Chat).
type Chat struct {
	*infer.Chat
	target Target
}

// NewChat begins a conversation with the options and the system message of r.
func (m *Model) NewChat(r Request) (*Chat, error) {
	c, err := m.Model.NewChat(r)
	if err != nil {
		return nil, fmt.Errorf("generate with %s: %w", m.target, err)
	}
	return &Chat{c, m.target}, nil
}

// Say is infer's, with errors that say what of.
func (c *Chat) Say(ctx context.Context, text string, emit func(Token) error) (*Generation, error) {
	g, err := c.Chat.Say(ctx, text, emit)
	if err != nil {
		err = fmt.Errorf("generate with %s: %w", c.target, err)
	}
	return g, err
}

// LoadModel loads a verified snapshot or a folder for generation. It sends no
// request: ErrNotLocal when the reference was never fetched, a
// *store.CorruptError when a verify found it damaged.
func (a *App) LoadModel(ctx context.Context, t Target) (*Model, error) {
	files, err := a.modelFiles(t)
	if err != nil {
		return nil, err
	}
	memory := gpu.MainMemory(ctx, gpu.Machine{})
	o := a.loadOptions(t)
	o.PromptTemplate = promptTemplate(files)
	if memory.Available != nil {
		o.Memory = *memory.Available
	}
	m, err := infer.Load(ctx, files, o)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", t, err)
	}
	return &Model{Model: m, target: t, memory: memory}, nil
}

// Notes are what a user should know before a generation begins.
func (m *Model) Notes() []string { return memoryNotes(m.Info(), m.memory) }

func memoryNotes(info infer.Info, memory gpu.Memory) []string {
	if memory.Available == nil || info.WeightBytes <= *memory.Available {
		return nil
	}
	what := "every token reads them again from the disk, at the disk's speed"
	if info.Experts > 0 {
		what = "experts are read from the disk as tokens need them"
	}
	return []string{fmt.Sprintf("the weights are %s and %s of memory are available: %s", MemoryText(info.WeightBytes), MemoryText(*memory.Available), what)}
}

// promptTemplate is what a checkpoint's own card shows; "" when there is none, or
// it cannot be read.
func promptTemplate(files infer.Files) string {
	path, ok := files[readme]
	if !ok {
		return ""
	}
	md, err := readCardFile(path)
	if err != nil {
		return "" // nothing else of the run depends on it
	}
	return card.Parse(md).PromptTemplate
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
