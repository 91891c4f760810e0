package infer

import (
	"errors"
	"fmt"
	"time"

	"github.com/qbranch/qbranch/infer/kernel"
	"github.com/qbranch/qbranch/infer/model"
)

// Files maps the names of a checkpoint's files (config.json,
// model.safetensors, tokenizer.json, …) to paths on the local disk.
type Files map[string]string

// Errors callers branch on.
var (
	ErrUnsupported  = model.ErrUnsupported
	ErrContext      = errors.New("prompt too long")
	ErrRequest      = errors.New("not a request that can be answered") // a bad option, no tokens, a token id outside the vocabulary
	ErrCheckpoint   = model.ErrCheckpoint
	ErrNoCheckpoint = errors.New("no checkpoint here")
	ErrMemory       = errors.New("more memory than there is")
)

// LoadOptions may be zero.
type LoadOptions struct {
	Threads  int     // 0 = all cores
	Compute  Compute // of generations that do not choose; "" = Int16
	CacheDir string  // where matrices that had to be re-packed are kept, up to 32 GiB; "" = nowhere
	// Digests are of weight files, by name, where they are known: what is kept in
	// CacheDir then belongs to the contents, not to a file by its inode and time.
	Digests map[string]string
	// PromptTemplate is what the model card shows, for a repository without a chat
	// template; "" = nothing.
	PromptTemplate string
	Memory         int64 // bytes that sessions may take, and weights fill; 0 = unknown, they are not checked
}

// Compute chooses the arithmetic of quantised matrices.
type Compute = kernel.Compute

// The choices.
const (
	Float32 = kernel.Float32
	Int16   = kernel.Int16
	Int8    = kernel.Int8
)

// ParseCompute reads a user's choice; "" is the default, Int16.
func ParseCompute(s string) (Compute, error) { return kernel.ParseCompute(s) }

// Instructions returns the name of the processor's instructions that models are
// run with, and a warning where QBRANCH_CPU asks for others in vain; "" = none.
func Instructions() (name, warning string) { return kernel.Instructions() }

// SessionOptions are of Model.NewSession.
type SessionOptions = model.SessionOptions

// Info describes a loaded model.
type Info struct {
	Architecture string `json:"architecture"`
	Layers       int    `json:"layers"`
	Hidden       int    `json:"hidden_size"`
	Vocab        int    `json:"vocab_size"`
	Context      int    `json:"context"`
	Bits         int    `json:"bits"`       // 0 = not quantised
	GroupSize    int    `json:"group_size"` // -1 = one group
	WeightBytes  int64  `json:"weight_bytes"`
	Threads      int    `json:"threads"`
	Experts      int    `json:"experts"`       // of each mixture; 0 = a dense model
	Template     string `json:"chat_template"` // where it was found
	Formatted    bool   `json:"-"`             // Template is a format of the repository's own
}

// Request is one generation. Zero Temperature is greedy.
type Request struct {
	Prompt            string // used when TokenIDs is nil
	System            string
	Raw               bool  // no chat template: Prompt is tokenized as it is and continued
	TokenIDs          []int // instead of Prompt
	MaxTokens         int   // 0 = 256
	IgnoreEOS         bool  // go on past tokens that end a text, to MaxTokens
	Temperature       float64
	TopP              float64 // 0 = 1
	TopK              int     // 0 = all
	MinP              float64 // 0 = all
	RepetitionPenalty float64 // 0 = 1
	Seed              uint64
	Stop              []string // texts that end the answer, and are not part of it
	Compute           Compute  // "" = as the model was loaded
	KeepLogits        bool     // Result.Logits holds every position computed
}

// Token is one generated token and the text that became certain with it. Texts
// never end inside a character, nor inside what may become a stop string; special
// tokens have none.
type Token struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

// Result is a finished generation. It is returned, as far as it got, also
// together with an error such as ctx.Err().
type Result struct {
	IDs          []int // generated, the one that stopped it included
	Text         string
	FinishReason string // "stop", "stop_string", "length", "context", "cancelled"
	PromptIDs    []int
	PromptTokens int
	Reused       int // of them, those computed by an earlier turn of a conversation
	Prefill      time.Duration
	Decode       time.Duration
	Logits       []float32 // [positions, vocab] when KeepLogits
	Positions    int
}

// inputError is a request or a folder that cannot be used, and what to do.
type inputError struct {
	err  error
	hint string
}

// badRequest is ErrRequest with a text of its own.
type badRequest struct{ inputError }

// Is makes errors.Is(err, ErrRequest) hold.
func (e *badRequest) Is(target error) bool { return target == ErrRequest }

func refuse(hint, format string, args ...any) error {
	return &badRequest{inputError{fmt.Errorf(format, args...), hint}}
}

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

// Hint says what to do next.
func (e *inputError) Hint() string { return e.hint }
