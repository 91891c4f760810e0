package proof

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/infer/chat"
	"github.com/qbranch/qbranch/infer/model"
	"github.com/qbranch/qbranch/infer/tokenizer"
)

// DefaultBudget is how long Run goes on after the first text, which it always
// reads whole. With what comes before a run it makes about a minute for a model
// of 7 billion parameters.
const DefaultBudget = 40 * time.Second

// Options may be zero.
type Options struct {
	Budget  time.Duration // 0 = DefaultBudget; below 0 nothing follows the first text
	Text    string        // one that the model must know; "" for none but the fixed ones
	Against *infer.Model  // a model that should say the same; nil for none
}

// warmup is how many tokens of a text are read before the cost of the next ones
// counts: which text it is cannot be known from its first words.
const warmup = 8

// Text is what a model makes of a fixed text.
type Text struct {
	Kind    string  `json:"kind"`
	Chat    bool    `json:"chat"`    // read as the answer of a chat, in the repository's format
	Tokens  int     `json:"tokens"`  // whose cost counts
	Nats    float64 `json:"nats"`    // per token
	Entropy float64 `json:"entropy"` // nats, mean; of a model that knows the text about as much
}

// Continuation is where the known next word of a beginning ranks.
type Continuation struct {
	Begin string `json:"begin"`
	Next  string `json:"next"`
	Rank  int    `json:"rank"` // 1 = the likeliest
}

// Written is a text that the model wrote, the likeliest token each time.
type Written struct {
	Prompt   string  `json:"prompt"`
	Chat     bool    `json:"chat"`
	IDs      []int   `json:"ids"`
	Text     string  `json:"text"`
	Ended    bool    `json:"ended"`    // by a token that ends a text
	Entropy  float64 `json:"entropy"`  // nats, mean
	Loop     float64 `json:"loop"`     // share of it that repeats a block of up to four tokens
	Variety  float64 `json:"variety"`  // different blocks of three tokens among all of them
	Stray    float64 `json:"stray"`    // share of characters that are U+FFFD or control characters
	Specials int     `json:"specials"` // special tokens inside it

	prompt []int // its tokens
}

// Facts is what was measured, as far as time went.
type Facts struct {
	Vocab         int            `json:"vocab_size"`
	Positions     int            `json:"positions"`  // whose logits were looked at
	NotFinite     int            `json:"not_finite"` // among them
	Runs          int            `json:"runs"`       // of the first text
	Unstable      int            `json:"unstable"`   // positions at which two runs differ
	Texts         []Text         `json:"texts"`
	AllTexts      bool           `json:"all_texts"` // that were to be read were; false when time ran out
	EndRank       int            `json:"end_rank"`  // of a token that ends a turn, after a finished answer; 0 = not asked
	Start         *float64       `json:"start"`     // nats a token, of the first words of an answer in a chat
	Continuations []Continuation `json:"continuations"`
	Written       []Written      `json:"written"`
	Format        Format         `json:"format"`
	Paths         *Paths         `json:"paths"`   // null when not measured
	Against       *Agreement     `json:"against"` // null when not asked for
	NoText        string         `json:"no_text"` // why it was run from token ids alone; "" = it was not
	Cut           bool           `json:"cut"`     // time ran out

	firstIDs  []int // of the first text
	firstTops []int // the likeliest token at each of its positions
}

// run is one run.
type run struct {
	m     *infer.Model
	tok   *tokenizer.Tokenizer // nil when it runs from token ids
	tmpl  *chat.Template       // nil likewise, or without a format of its own
	o     Options
	facts *Facts
	ends  []int
}

// Run measures a model. Facts come also with an error, as far as it got: of ctx,
// or of the model (infer.ErrCheckpoint, infer.ErrContext).
func Run(ctx context.Context, m *infer.Model, o Options) (*Facts, error) {
	r := &run{m: m, o: o, ends: m.EndTokens(), facts: &Facts{Vocab: m.Info().Vocab,
		Texts: []Text{}, Continuations: []Continuation{}, Written: []Written{}}}
	if err := r.open(ctx); err != nil {
		return r.facts, err
	}
	budget := o.Budget
	if budget == 0 {
		budget = DefaultBudget
	}
	err := r.first(ctx)
	if err != nil || r.facts.NotFinite > 0 {
		return r.facts, err
	}
	within, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	for _, step := range []struct {
		do    func(context.Context) error
		share float64 // of the budget: the first steps leave time to the later ones
	}{{r.know, 0.35}, {r.write, 0.35}, {r.compare, 1}, {r.paths, 1}, {r.again, 1}, {r.knowOthers, 1}} {
		if err = r.within(within, time.Duration(step.share*float64(budget)), step.do); err != nil || r.facts.NotFinite > 0 {
			break
		}
	}
	if within.Err() != nil && ctx.Err() == nil {
		err = nil // what was measured counts
	}
	return r.facts, err
}

// within does a step for at most so long. That its time is over is no error.
func (r *run) within(ctx context.Context, most time.Duration, step func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err := step(limited)
	if limited.Err() != nil {
		r.facts.Cut = true
		if ctx.Err() == nil {
			return nil
		}
	}
	return err
}

// open finds what texts are made into tokens with, and judges the format.
func (r *run) open(ctx context.Context) error {
	tok, err := r.m.Tokenizer()
	if err == nil {
		var ids []int
		if ids, err = tok.Encode(tale, true); err == nil && len(ids) < 2*warmup {
			err = fmt.Errorf("the tokenizer makes %d tokens of a text of %d words", len(ids), len(strings.Fields(tale)))
		}
		if err == nil && slices.Max(ids) >= r.facts.Vocab {
			err = fmt.Errorf("the tokenizer has token %d, and the model %d", slices.Max(ids), r.facts.Vocab)
		}
	}
	if err != nil {
		r.facts.NoText = err.Error()
		return nil
	}
	r.tok = tok
	r.facts.Format, r.tmpl = r.format(ctx)
	return nil
}

// read computes the logits of ids and shows each position's; visit must not keep
// the row. It stops at logits that are no numbers.
func (r *run) read(ctx context.Context, ids []int, visit func(i int, row []float32)) error {
	s := r.m.NewSession(infer.SessionOptions{Capacity: len(ids)})
	defer s.Close()
	return r.feed(ctx, s, ids, visit)
}

func (r *run) feed(ctx context.Context, s *model.Session, ids []int, visit func(i int, row []float32)) error {
	i := 0
	for batch := range slices.Chunk(ids, model.MaxBatch) {
		logits, err := s.Forward(ctx, batch, len(batch), nil)
		if err != nil {
			return fmt.Errorf("reading a text of %d tokens: %w", len(ids), err)
		}
		for row := range slices.Chunk(logits, r.facts.Vocab) {
			visit(i, row)
			i++
		}
	}
	return nil
}

// look counts what it reads.
func (r *run) look(row []float32, next int) position {
	p := look(row, next)
	r.facts.Positions++
	if !p.finite {
		r.facts.NotFinite++
	}
	return p
}

// mostTokens is how much of a text is read: tokenizers for other languages make
// several times as many tokens of it, and those at its end say nothing new.
const mostTokens = 192

// fit cuts ids to that, and to the model's context.
func (r *run) fit(ids []int) []int { return ids[:min(len(ids), mostTokens, r.m.Info().Context)] }

// leastWritten is how much of a text that time cut off is worth judging.
const leastWritten = 16

// first reads the tale, or token ids where there is no text.
func (r *run) first(ctx context.Context) error {
	if r.tok == nil {
		r.facts.firstIDs = r.fit(spread(r.facts.Vocab))
	} else {
		ids, err := r.tok.Encode(tale, true)
		if err != nil {
			return err
		}
		r.facts.firstIDs = r.fit(ids)
	}
	t, err := r.text(ctx, r.facts.firstIDs, 0, func(_ int, _ []float32, p position) {
		r.facts.firstTops = append(r.facts.firstTops, p.top)
	})
	if err != nil {
		return err
	}
	r.facts.Runs = 1
	if r.tok != nil {
		t.Kind = english[0].kind
		r.facts.Texts = append(r.facts.Texts, t)
	}
	return nil
}

// spread is 48 token ids from all over the vocabulary.
func spread(vocab int) []int {
	ids := make([]int, 48)
	for i := range ids {
		ids[i] = (i*2654435761 + 7) % vocab
	}
	return ids
}

// text measures what ids cost from the warmup-th after from on. also, which may
// be nil, is shown every position.
func (r *run) text(ctx context.Context, ids []int, from int, also func(i int, row []float32, p position)) (Text, error) {
	var t Text
	err := r.read(ctx, ids, func(i int, row []float32) {
		next := -1
		if i+1 < len(ids) {
			next = ids[i+1]
		}
		p := r.look(row, next)
		if next >= 0 && i+1 >= from+warmup {
			t.Tokens++
			t.Nats += p.loss
			t.Entropy += p.entropy
		}
		if also != nil {
			also(i, row, p)
		}
	})
	if n := float64(t.Tokens); n > 0 {
		t.Nats, t.Entropy = t.Nats/n, t.Entropy/n
	}
	return t, err
}

// again reads the first text a second time: the same must come out.
func (r *run) again(ctx context.Context) error {
	differ := 0
	err := r.read(ctx, r.facts.firstIDs, func(i int, row []float32) {
		if look(row, -1).top != r.facts.firstTops[i] {
			differ++
		}
	})
	if err == nil {
		r.facts.Runs, r.facts.Unstable = 2, differ
	}
	return err
}

// write has the model write its own texts.
func (r *run) write(ctx context.Context) error {
	for _, p := range prompts {
		var ids []int
		chatting := !p.raw && r.tmpl != nil
		var err error
		switch {
		case r.tok == nil:
			ids = r.facts.firstIDs
		case chatting:
			ids, err = r.m.Encode(ctx, infer.Request{Prompt: p.text})
		default:
			ids, err = r.tok.Encode(p.text, true)
		}
		if err != nil {
			return err
		}
		if len(ids)+p.tokens > r.m.Info().Context {
			continue
		}
		w := Written{Prompt: p.text, Chat: chatting, IDs: []int{}, prompt: ids}
		err = r.greedy(ctx, &w, p.tokens)
		if err == nil || ctx.Err() != nil && len(w.IDs) >= leastWritten {
			r.facts.Written = append(r.facts.Written, w)
		}
		if err != nil {
			return err
		}
		if r.facts.NotFinite > 0 || r.tok == nil {
			return nil
		}
	}
	return nil
}

// greedy writes up to n tokens.
func (r *run) greedy(ctx context.Context, w *Written, n int) error {
	s := r.m.NewSession(infer.SessionOptions{Capacity: len(w.prompt) + n})
	defer s.Close()
	var err error
	for batch := w.prompt; len(w.IDs) < n && !w.Ended; {
		var p position
		err = r.feed(ctx, s, batch, func(i int, row []float32) {
			if i == len(batch)-1 {
				p = r.look(row, -1)
			}
		})
		if err != nil || !p.finite {
			break
		}
		w.Entropy += p.entropy
		w.IDs = append(w.IDs, p.top)
		w.Ended = slices.Contains(r.ends, p.top)
		batch = []int{p.top}
	}
	if len(w.IDs) > 0 {
		w.Entropy /= float64(len(w.IDs))
	}
	r.describe(w)
	return err
}

// describe measures what was written.
func (r *run) describe(w *Written) {
	own := w.IDs
	if w.Ended {
		own = own[:len(own)-1]
	}
	length, _ := loop(own)
	w.Loop = float64(length) / float64(max(1, len(own)))
	w.Variety = distinct(own, 3)
	if r.tok == nil {
		return
	}
	for _, id := range own {
		if r.tok.IsSpecial(id) {
			w.Specials++
		}
	}
	w.Text = r.tok.Decode(own, false)
	w.Stray = stray(w.Text)
}

// stray is the share of characters that no text has. A character at the end of
// which the last bytes were not written does not count.
func stray(text string) float64 {
	text = strings.TrimRight(text, "\ufffd")
	n := 0
	for _, c := range text {
		if c == utf8.RuneError || unicode.IsControl(c) && !strings.ContainsRune("\n\r\t", c) {
			n++
		}
	}
	return float64(n) / float64(max(1, utf8.RuneCountInString(text)))
}
