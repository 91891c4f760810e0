package infer

import (
	"context"
	"errors"
	"time"
)

// Files maps the names of a checkpoint's files (config.json,
// model.safetensors, tokenizer.json, …) to paths on the local disk.
type Files map[string]string

// FilesInDir lists a folder's regular files.
func FilesInDir(dir string) (Files, error) { return nil, nil }

// Errors callers branch on.
var (
	ErrUnsupported = errors.New("not supported by the runner")
	ErrContext     = errors.New("prompt longer than the context")
	ErrCheckpoint  = errors.New("bad checkpoint")
)

// LoadOptions may be zero.
type LoadOptions struct {
	Threads int // 0 = all cores
}

// Model is a loaded checkpoint: weights memory-mapped, tokenizer, template.
// It is safe for concurrent use; each generation has its own KV cache.
type Model struct{}

// Info describes a loaded model.
type Info struct {
	Architecture string `json:"architecture"`
	Layers       int    `json:"layers"`
	Hidden       int    `json:"hidden_size"`
	Vocab        int    `json:"vocab_size"`
	Context      int    `json:"context"`
	Bits         int    `json:"bits"`
	GroupSize    int    `json:"group_size"`
	WeightBytes  int64  `json:"weight_bytes"`
	Threads      int    `json:"threads"`
}

// Load maps and checks a checkpoint. ErrUnsupported names what is not
// supported; ErrCheckpoint says which file or tensor is bad.
func Load(ctx context.Context, files Files, o LoadOptions) (*Model, error) { return nil, nil }

// Close unmaps the weights; no generation may be running.
func (m *Model) Close() error { return nil }

// Info returns what was loaded.
func (m *Model) Info() Info { return Info{} }

// Request is one generation. Zero Temperature is greedy.
type Request struct {
	Prompt            string // used when TokenIDs is nil
	System            string
	Raw               bool  // no chat template: Prompt is tokenized as it is
	TokenIDs          []int // instead of Prompt
	MaxTokens         int   // 0 = 256
	Temperature       float64
	TopP              float64 // 0 = 1
	TopK              int     // 0 = all
	RepetitionPenalty float64 // 0 = 1
	Seed              uint64
	KeepLogits        bool // Result.Logits holds every position computed
}

// Token is one generated token and the text that became certain with it.
type Token struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

// Result is a finished generation. It is returned, as far as it got, also
// together with an error such as ctx.Err().
type Result struct {
	IDs          []int
	Text         string
	FinishReason string // "stop", "length", "context", "cancelled"
	PromptTokens int
	Prefill      time.Duration
	Decode       time.Duration
	Logits       []float32 // [positions, vocab] when KeepLogits
	Positions    int
}

// Generate runs a request and calls emit for each token; an error of emit ends it.
func (m *Model) Generate(ctx context.Context, r Request, emit func(Token) error) (*Result, error) {
	return nil, nil
}

// WriteLogits writes Result.Logits as a safetensors file: "logits" F32 [positions, vocab].
func WriteLogits(path string, r *Result, vocab int) error { return nil }
