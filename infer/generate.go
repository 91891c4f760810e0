package infer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qbranch/qbranch/infer/chat"
	"github.com/qbranch/qbranch/infer/chat/jinja"
	"github.com/qbranch/qbranch/infer/model"
	"github.com/qbranch/qbranch/infer/sample"
	"github.com/qbranch/qbranch/infer/tokenizer"
)

const (
	defaultMaxTokens = 256     // what MaxTokens 0 means
	longPrompt       = 1 << 18 // bytes; a shorter one cannot be why a template writes too much
)

// Generate runs a request and calls emit for each token; an error of emit ends
// it and is returned. emit may be nil. ErrContext says that the prompt is too
// long, ErrMemory that the machine is too small for it, ErrRequest that something
// else in r cannot be, ErrCheckpoint that the model computed nonsense or a file
// changed.
func (m *Model) Generate(ctx context.Context, r Request, emit func(Token) error) (*Result, error) {
	c, err := m.NewChat(r)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	prompt, err := m.promptIDs(ctx, r)
	if err != nil {
		return nil, err
	}
	return c.generate(ctx, prompt, emit)
}

// promptIDs turns a request's prompt into token ids.
func (m *Model) promptIDs(ctx context.Context, r Request) ([]int, error) {
	if r.TokenIDs != nil {
		return slices.Clone(r.TokenIDs), nil
	}
	if m.tokErr != nil {
		return nil, m.tokErr
	}
	if r.Raw {
		ids, err := m.tok.Encode(r.Prompt, true)
		return ids, textError(err)
	}
	return m.chatIDs(ctx, conversation(r.System, chat.Message{Role: "user", Content: r.Prompt}))
}

// conversation puts the system message, if there is one, before the others.
func conversation(system string, messages ...chat.Message) []chat.Message {
	if system == "" {
		return messages
	}
	return append([]chat.Message{{Role: "system", Content: system}}, messages...)
}

// chatIDs turns messages into token ids, by the chat template.
func (m *Model) chatIDs(ctx context.Context, messages []chat.Message) ([]int, error) {
	if m.tokErr != nil {
		return nil, m.tokErr
	}
	if m.templateErr != nil {
		return nil, &templateError{m.templateErr}
	}
	segments, err := m.template.Render(ctx, messages)
	// A template that adds a few words to a text cannot outgrow what it may write
	// unless the text does.
	n := 0
	for _, message := range messages {
		n += len(message.Content)
	}
	if errors.Is(err, jinja.ErrTooLarge) && n > longPrompt {
		return nil, &inputError{fmt.Errorf("%w: %d bytes, and the model has %d positions", ErrContext, n, m.model.Config.Context), "shorten the prompt"}
	}
	if err != nil {
		return nil, &templateError{fmt.Errorf("rendering the prompt: %w", err)}
	}
	ids, err := m.tok.EncodeSegments(segments, false)
	if err != nil {
		return nil, textError(err)
	}
	// The token that begins a text comes once, whether the template writes it or
	// leaves it to the tokenizer.
	if prefix := m.tok.Prefix(); len(ids) < len(prefix) || !slices.Equal(ids[:len(prefix)], prefix) {
		ids = append(slices.Clone(prefix), ids...)
	}
	return ids, nil
}

// templateError is a chat template that cannot be used: a fault of the request
// where the template itself refuses the messages, else of the checkpoint.
type templateError struct{ err error }

func (e *templateError) Error() string { return e.err.Error() }
func (e *templateError) Unwrap() error { return e.err }

// Is makes it ErrRequest or ErrCheckpoint, but for an interruption.
func (e *templateError) Is(target error) bool {
	if bad := (*chat.Error)(nil); !errors.As(e.err, &bad) {
		return false
	}
	if errors.Is(e.err, jinja.ErrRaised) {
		return target == ErrRequest
	}
	return target == ErrCheckpoint
}

// textError is a text that the tokenizer cannot encode.
func textError(err error) error {
	if err == nil {
		return nil
	}
	return &model.Error{Kind: ErrCheckpoint, File: "tokenizer.json", Err: err, Help: "give token ids instead of text"}
}

func (m *Model) checkPrompt(ids []int) error {
	c := m.model.Config
	if len(ids) == 0 {
		return refuse("give a prompt, or at least one token id", "the prompt has no tokens")
	}
	if len(ids) > c.Context {
		return &inputError{fmt.Errorf("%w: %d tokens, and the model has %d positions", ErrContext, len(ids), c.Context), "shorten the prompt"}
	}
	for i, id := range ids {
		if id < 0 || id >= c.Vocab {
			return refuse(fmt.Sprintf("token ids of this model run from 0 to %d", c.Vocab-1),
				"token %d of the prompt is %d, outside the vocabulary of %d", i+1, id, c.Vocab)
		}
	}
	return nil
}

// generation is one answer.
type generation struct {
	m       *Model
	request Request
	emit    func(Token) error
	sampler *sample.Sampler
	session *model.Session
	stream  *tokenizer.Stream // nil without a tokenizer
	stop    stopper
	text    strings.Builder
	result  *Result
}

func (g *generation) run(ctx context.Context, prompt []int) error {
	start := time.Now()
	g.sampler.Observe(prompt...)
	var logits []float32
	for batch := range slices.Chunk(prompt[g.session.Position():], model.MaxBatch) {
		last := g.session.Position()+len(batch) == len(prompt)
		var err error
		if logits, err = g.forward(ctx, batch, last); err != nil {
			return err
		}
	}
	g.result.Prefill = time.Since(start)
	start = time.Now()
	defer func() { g.result.Decode = time.Since(start) }()
	for {
		id, err := g.sampler.Next(logits)
		if err != nil {
			return damaged(g.session.Position(), err)
		}
		if err := g.take(id); err != nil || g.result.FinishReason != "" {
			return err
		}
		if logits, err = g.forward(ctx, []int{id}, true); err != nil {
			return err
		}
	}
}

// damaged is what logits that are no numbers mean.
func damaged(position int, err error) error {
	return &model.Error{Kind: ErrCheckpoint, Reason: fmt.Sprintf("computing position %d", position), Err: err,
		Help: "the weights are damaged or misread: verify the files against the hub"}
}

// forward computes a batch. The logits of its last position are wanted for the
// last batch, those of all when they are kept.
func (g *generation) forward(ctx context.Context, batch []int, last bool) ([]float32, error) {
	want := 0
	switch {
	case g.request.KeepLogits:
		want = len(batch)
	case last:
		want = 1
	}
	logits, err := g.session.Forward(ctx, batch, want, nil)
	if err != nil {
		return nil, err
	}
	if g.request.KeepLogits {
		g.result.Logits = append(g.result.Logits, logits...)
	}
	return logits[max(0, want-1)*g.m.model.Config.Vocab:], nil
}

// take adds a token to the result, decides whether it is the last, and emits it.
func (g *generation) take(id int) error {
	r := g.result
	r.IDs = append(r.IDs, id)
	text, found := "", false
	if g.stream != nil {
		text, found = g.stop.push(g.stream.Push(id))
	}
	switch {
	case g.m.eos[id] && !g.request.IgnoreEOS:
		r.FinishReason = "stop"
	case found:
		r.FinishReason = "stop_string"
	case len(r.IDs) == g.request.MaxTokens:
		r.FinishReason = "length"
	case g.session.Position() == g.m.model.Config.Context:
		r.FinishReason = "context"
	}
	if r.FinishReason != "" && !found {
		text += g.rest()
	}
	g.text.WriteString(text)
	if g.emit == nil {
		return nil
	}
	return g.emit(Token{ID: id, Text: text})
}

// rest is the text that was held back when the last token has come.
func (g *generation) rest() string {
	if g.stream == nil {
		return ""
	}
	text, found := g.stop.push(g.stream.Flush())
	if found {
		return text
	}
	return text + g.stop.flush()
}
