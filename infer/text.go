package infer

import (
	"context"
	"maps"
	"slices"

	"github.com/qbranch/qbranch/infer/chat"
	"github.com/qbranch/qbranch/infer/tokenizer"
)

// Tokenizer returns the checkpoint's tokenizer, or why there is none:
// ErrUnsupported or ErrCheckpoint.
func (m *Model) Tokenizer() (*tokenizer.Tokenizer, error) { return m.tok, m.tokErr }

// Template returns the checkpoint's chat template, a stated default where it has
// none, or why the one that it has cannot be used.
func (m *Model) Template() (*chat.Template, error) { return m.template, m.templateErr }

// Encode returns the token ids of a request's prompt, as Generate would begin
// with them. The errors are Generate's.
func (m *Model) Encode(ctx context.Context, r Request) ([]int, error) { return m.promptIDs(ctx, r) }

// EndTokens returns the ids of the tokens that end a text, in order.
func (m *Model) EndTokens() []int { return slices.Sorted(maps.Keys(m.eos)) }
