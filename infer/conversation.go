package infer

import (
	"context"
	"fmt"
	"slices"

	"github.com/qbranch/qbranch/infer/chat"
	"github.com/qbranch/qbranch/infer/model"
	"github.com/qbranch/qbranch/infer/sample"
)

// maxStops bounds the stop strings of a request: every token is compared to all.
const maxStops = 64

// Chat is a conversation. It keeps the keys and values of what was said, so that
// a turn computes only what is new: of the whole conversation, rendered by the
// chat template again, the tokens after those that are as before. It is for one
// goroutine at a time.
type Chat struct {
	m       *Model
	request Request // its options
	sampler *sample.Sampler
	session *model.Session
	held    []int // the tokens whose positions the session has
	turns   []chat.Message
}

// NewChat begins a conversation with the options and the system message of r.
// Close it before the model. ErrRequest says which option cannot be.
func (m *Model) NewChat(r Request) (*Chat, error) {
	options := sample.Options{Temperature: r.Temperature, TopP: r.TopP, TopK: r.TopK, MinP: r.MinP, RepetitionPenalty: r.RepetitionPenalty, Seed: r.Seed}
	switch err := options.Check(); {
	case err != nil:
		return nil, refuse("leave the option out for its default", "%w", err)
	case r.MaxTokens < 0:
		return nil, refuse("ask for at least one token", "%d tokens asked for", r.MaxTokens)
	case len(r.Stop) > maxStops:
		return nil, refuse("give fewer", "%d stop strings, and at most %d are looked for", len(r.Stop), maxStops)
	case slices.Contains(r.Stop, ""):
		return nil, refuse("a stop string is a text that the model may write", "an empty stop string")
	case len(r.Stop) > 0 && m.tokErr != nil:
		return nil, m.tokErr
	}
	if r.MaxTokens == 0 {
		r.MaxTokens = defaultMaxTokens
	}
	return &Chat{m: m, request: r, sampler: sample.New(options, m.model.Config.Vocab)}, nil
}

// Close ends the conversation.
func (c *Chat) Close() {
	if c.session != nil {
		c.session.Close()
		c.session = nil
	}
}

// Reset forgets what was said, all but the system message.
func (c *Chat) Reset() { c.turns = nil }

// Positions is how much of the model's context is used.
func (c *Chat) Positions() int { return len(c.held) }

// Say answers what a user says, as Generate does. An answer that ends with an
// error of ctx or of emit stays part of the conversation as far as it got;
// otherwise, and when it has no text at all, an error leaves the conversation as
// it was.
func (c *Chat) Say(ctx context.Context, text string, emit func(Token) error) (*Result, error) {
	said := append(slices.Clone(c.turns), chat.Message{Role: "user", Content: text})
	prompt, err := c.m.chatIDs(ctx, conversation(c.request.System, said...))
	if err != nil {
		return nil, err
	}
	result, err := c.generate(ctx, prompt, emit)
	if result != nil && (err == nil || result.Text != "") {
		c.turns = append(said, chat.Message{Role: "assistant", Content: result.Text})
	}
	return result, err
}

// generate continues a prompt, reusing what the session has of it.
func (c *Chat) generate(ctx context.Context, prompt []int, emit func(Token) error) (*Result, error) {
	if err := c.m.checkPrompt(prompt); err != nil {
		return nil, err
	}
	o := SessionOptions{Capacity: len(prompt) + c.request.MaxTokens, Compute: c.request.Compute}
	if err := c.m.checkMemory(o); err != nil {
		return nil, err
	}
	if c.session == nil {
		o.Capacity = len(prompt) + min(c.request.MaxTokens, defaultMaxTokens)
		c.session = c.m.NewSession(o)
	}
	same := 0
	for same < min(len(c.held), len(prompt)-1) && c.held[same] == prompt[same] { // the last one is computed for its logits
		same++
	}
	c.session.Rewind(same)
	same = c.session.Announce(len(prompt))
	c.sampler.Forget()
	g := &generation{m: c.m, request: c.request, emit: emit, sampler: c.sampler, session: c.session,
		stop: stopper{stops: c.request.Stop}, result: &Result{PromptIDs: prompt, PromptTokens: len(prompt), Reused: same}}
	switch {
	case c.m.tok == nil:
	case c.request.Raw && c.request.TokenIDs == nil:
		g.stream = c.m.tok.Continue(prompt, true)
	default:
		g.stream = c.m.tok.NewStream(true)
	}
	err := g.run(ctx, prompt)
	if err == nil {
		err = c.m.files.Changed()
	}
	if err != nil {
		g.result.FinishReason = "cancelled"
	}
	g.result.Text = g.text.String()
	g.result.Positions = c.session.Position()
	c.held = append(slices.Clone(prompt), g.result.IDs...)[:g.result.Positions]
	return g.result, err
}

// checkMemory refuses what the machine has no room for, before anything is
// computed.
func (m *Model) checkMemory(o SessionOptions) error {
	need := m.model.SessionBytes(o)
	if m.memory <= 0 || need <= m.memory {
		return nil
	}
	return &inputError{fmt.Errorf("%w: keys and values of %d positions take %s, and %s are available", ErrMemory,
		min(o.Capacity, m.model.Config.Context), gib(need), gib(m.memory)), "ask for fewer tokens, or end other programs"}
}

func gib(n int64) string { return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30)) }
