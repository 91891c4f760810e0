package model

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/qbranch/qbranch/infer/kernel"
)

// MaxBatch is how many tokens one Forward takes: enough to unpack weights once
// for many tokens, few enough that buffers stay small.
const MaxBatch = 64

// Session is the state of one generation: the keys and values of the positions
// so far, and buffers. Close it.
type Session struct {
	m     *Model
	pool  *kernel.Pool
	pos   int   // positions computed
	room  int   // positions for which the caches have room
	text  int   // length of the text that is known, computed or announced
	mixed bool  // positions have been turned by different frequencies, as the text grew
	held  []int // the tokens so far, for "longrope" alone

	keys, values []*kernel.KV // per layer

	// Buffers, the first dimension being MaxBatch where it is tokens.
	h         []float32 // (tokens, hidden) residual stream
	norm      []float32 // (tokens, hidden)
	q         []float32 // (tokens, heads·headDim)
	k, v      []float32 // (tokens, kvHeads·headDim)
	fused     []float32 // (tokens, the widest of several matrices in one)
	att       []float32 // (tokens, heads·headDim)
	out       []float32 // (tokens, hidden)
	gate, up  []float32 // (tokens, the widest feed-forward)
	logits    []float32 // (positions asked for, vocab)
	rope      rotation
	routing   routing
	outs      []kernel.Output // of a multiplication by many matrices
	touched   Touched         // all but the matrices
	ahead     *readAhead      // nil = what is needed is in memory
	wantAhead func([]byte)    // ahead's, made once

	tokens    int // of the batch
	attending kernel.Attention
}

// Trace is shown the hidden states (tokens, hidden) of a batch: level 0 is the
// embedding, level i the output of layer i, the last one after the final norm.
// It must not keep the slice.
type Trace func(level int, hidden []float32)

// SessionOptions may be zero.
type SessionOptions struct {
	Threads  int // goroutines that compute; 0 = 1
	Capacity int // positions expected; there may be more
	Compute  kernel.Compute
}

// NewSession starts a generation.
func (m *Model) NewSession(o SessionOptions) *Session {
	c := &m.Config
	s := &Session{m: m, pool: kernel.NewPool(o.Threads, o.Compute)}
	for range c.Layers {
		s.keys = append(s.keys, kernel.NewKeys(o.Compute, c.KVHeads, c.HeadDim))
		s.values = append(s.values, kernel.NewValues(o.Compute, c.KVHeads, c.HeadDim))
	}
	s.grow(min(max(o.Capacity, 1), c.Context))

	batch := min(MaxBatch, c.Context)
	rows := func(width int) []float32 { return make([]float32, batch*width) }
	s.h, s.norm, s.out = rows(c.Hidden), rows(c.Hidden), rows(c.Hidden)
	s.q, s.att = rows(c.Heads*c.HeadDim), rows(c.Heads*c.HeadDim)
	s.k, s.v = rows(c.KVHeads*c.HeadDim), rows(c.KVHeads*c.HeadDim)
	s.fused = rows(m.fused)
	s.gate, s.up = rows(m.wide), rows(m.wide)
	s.rope = newRotation(&c.Rope, batch)
	if c.Experts > 0 {
		s.routing = newRouting(c, batch)
		if n := c.ExpertsPerToken * c.ExpertWidth; n > len(s.gate) { // a token's experts side by side
			s.gate, s.up = make([]float32, n), make([]float32, n)
		}
		if m.ReadAhead {
			s.ahead = newReadAhead(readAheadQueue)
			s.wantAhead = s.ahead.want
		}
		s.outs = make([]kernel.Output, 0, 2*c.ExpertsPerToken)
	}
	return s
}

// Close ends the session's goroutines.
func (s *Session) Close() {
	s.pool.Close()
	if s.ahead != nil {
		s.ahead.stop()
	}
}

// Position is the number of positions computed so far.
func (s *Session) Position() int { return s.pos }

// Rewind forgets the positions from n on.
func (s *Session) Rewind(n int) {
	s.pos = min(max(n, 0), s.pos)
	s.text = s.pos
	s.mixed = s.mixed && s.pos > 0
}

// Announce says how long the text will be, which may come in several batches, and
// returns the position to go on from. Rotary embeddings whose frequencies depend
// on the length of the text ("dynamic" and "longrope") are then those of the whole
// text from the start, as in the reference, which computes a prompt at once; what
// was computed with others is forgotten.
func (s *Session) Announce(length int) int {
	if s.pos > 0 && (s.mixed || s.rope.rope.span(length) != s.rope.span) {
		s.Rewind(0)
	}
	s.text = max(s.text, length)
	return s.pos
}

// SessionBytes is the memory that a session of o.Capacity positions takes beside
// the mapped weights: keys and values, and buffers.
func (m *Model) SessionBytes(o SessionOptions) int64 {
	c := m.Config
	positions := min(max(o.Capacity, 1), c.Context)
	batch := int64(min(MaxBatch, c.Context))
	kv, heads := int64(c.KVHeads*c.HeadDim), int64(c.Heads*c.HeadDim)
	perToken := 3*int64(c.Hidden) + 2*kv + 2*heads + int64(m.fused) + 2*int64(m.wide) + int64(c.HeadDim)
	return 2*int64(c.Layers)*kernel.KVBytes(o.Compute == kernel.Float32, positions, c.KVHeads, c.HeadDim) + 4*(batch*perToken+int64(c.Vocab))
}

// grow makes room for at least n positions.
func (s *Session) grow(n int) {
	if n <= s.room {
		return
	}
	c := &s.m.Config
	n = min(max(n, 2*s.room), c.Context)
	for i := range s.keys {
		s.keys[i].Grow(n)
		s.values[i].Grow(n)
	}
	s.room = n
}

// Forward computes the next len(tokens) positions, at most MaxBatch, and returns
// the logits of the last want of them, (want, vocab), valid until the next call.
// trace may be nil. Errors: of ctx, of a token outside the vocabulary, of a
// position beyond the context, and ErrCheckpoint when a file changed under it.
func (s *Session) Forward(ctx context.Context, tokens []int, want int, trace Trace) ([]float32, error) {
	c := &s.m.Config
	switch {
	case len(tokens) == 0 || len(tokens) > MaxBatch || want < 0 || want > len(tokens):
		return nil, fmt.Errorf("a batch of %d tokens and %d logits", len(tokens), want)
	case s.pos+len(tokens) > c.Context:
		return nil, fmt.Errorf("position %d is beyond the context of %d", s.pos+len(tokens), c.Context)
	}
	for i, id := range tokens {
		if id < 0 || id >= c.Vocab {
			return nil, fmt.Errorf("token %d, number %d, is outside the vocabulary of %d", id, s.pos+i, c.Vocab)
		}
	}
	s.grow(s.pos + len(tokens))
	if len(s.logits) < want*c.Vocab {
		s.logits = make([]float32, want*c.Vocab)
	}
	err := kernel.Catch(func() error {
		if err := s.recompute(ctx, len(tokens)); err != nil {
			return err
		}
		return s.forward(ctx, tokens, want, trace)
	})
	if errors.Is(err, kernel.ErrFault) {
		err = shrunk(err)
	}
	if err != nil {
		return nil, err
	}
	s.touched.Embedding += int64(len(tokens)) * s.m.embed.Bytes() / int64(c.Vocab)
	s.touched.Norms += s.m.norms
	s.pos += len(tokens)
	return s.logits[:want*c.Vocab], nil
}

// recompute starts again when n more tokens make the text one that "longrope"
// turns by its other set of frequencies: the reference does so too.
func (s *Session) recompute(ctx context.Context, n int) error {
	r := s.rope.rope
	if r.Type != "longrope" || s.pos == 0 || r.span(max(s.text, s.pos+n)) == s.rope.span {
		return nil
	}
	held := s.held[:s.pos]
	s.text, s.pos, s.mixed = s.pos+n, 0, false
	for part := range slices.Chunk(held, MaxBatch) {
		if err := s.forward(ctx, part, 0, nil); err != nil {
			return err
		}
		s.pos += len(part)
	}
	return nil
}

func (s *Session) forward(ctx context.Context, tokens []int, want int, trace Trace) error {
	c := &s.m.Config
	n := len(tokens)
	s.tokens = n
	h := s.h[:n*c.Hidden]
	for t, id := range tokens {
		s.m.embed.Read(h[t*c.Hidden:][:c.Hidden], id*c.Hidden)
	}
	if scale := s.m.embedScale; scale != 0 {
		for i := range h {
			h[i] *= scale
		}
	}
	if c.Rope.Type == "longrope" {
		s.held = append(s.held[:s.pos], tokens...)
	}
	s.text = max(s.text, s.pos+n)
	if s.rope.turn(s.pos, n, s.text) && s.pos > 0 {
		s.mixed = true
	}
	for i := range c.Layers {
		if trace != nil {
			trace(i, h)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.m.layers.layer(s, i, h); err != nil {
			return err
		}
	}
	norm := s.norm[:n*c.Hidden]
	s.m.norm.apply(norm, h)
	if trace != nil {
		trace(c.Layers, norm)
	}
	if want == 0 {
		return nil
	}
	logits := s.logits[:want*c.Vocab]
	if err := s.pool.Mul(norm[(n-want)*c.Hidden:], want, kernel.Output{M: s.m.head, Y: logits}); err != nil {
		return err
	}
	if c.LogitCap > 0 {
		kernel.SoftCap(logits, float32(c.LogitCap))
	}
	return nil
}
