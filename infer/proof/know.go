package proof

import (
	"context"
	"math"

	"github.com/qbranch/qbranch/infer/chat"
	"github.com/qbranch/qbranch/infer/tokenizer"
)

// Guessing is what a token costs a model that knows nothing, in nats.
func (f *Facts) Guessing() float64 { return math.Log(float64(max(2, f.Vocab))) }

// Best is the text that costs least; false when none was read.
func (f *Facts) Best() (Text, bool) {
	var best Text
	for i, t := range f.Texts {
		if i == 0 || t.Nats < best.Nats {
			best = t
		}
	}
	return best, len(f.Texts) > 0 && best.Tokens > 0
}

func (f *Facts) knows(t Text) bool { return t.Nats <= KnownMost*f.Guessing() }

// know reads the other texts, and asks for known continuations of a model that
// knows English prose.
func (r *run) know(ctx context.Context) error {
	if r.tok == nil {
		return nil
	}
	if err := r.chatText(ctx); err != nil {
		return err
	}
	if r.o.Text != "" {
		if err := r.texts(ctx, []text{{given, r.o.Text}}); err != nil {
			return err
		}
	}
	if err := r.texts(ctx, english[1:]); err != nil || !r.facts.English() {
		return err
	}
	return r.continuations(ctx)
}

// knowOthers reads the texts in other languages if no other is known.
func (r *run) knowOthers(ctx context.Context) error {
	if best, ok := r.facts.Best(); r.tok != nil && (!ok || !r.facts.knows(best)) {
		if err := r.texts(ctx, others); err != nil {
			return err
		}
	}
	r.facts.AllTexts = true
	return nil
}

// knowsTale reports whether the model knows the tale, read as it is.
func (f *Facts) knowsTale() bool {
	for _, t := range f.Texts {
		if t.Kind == english[0].kind && !t.Chat {
			return f.knows(t)
		}
	}
	return false
}

// English reports whether the model knows English beyond tales.
func (f *Facts) English() bool {
	for _, t := range f.Texts {
		if t.Kind != english[0].kind && f.knows(t) && isEnglish(t.Kind) && t.Kind != "code" {
			return true
		}
	}
	return false
}

const given = "the given text" // of Options

// readMost is how many tokens of a text are read at most. Some vocabularies make
// very many of a text in another alphabet.
func readMost(kind string) int {
	if kind == given || isEnglish(kind) {
		return mostTokens
	}
	return 64
}

func isEnglish(kind string) bool {
	for _, t := range english {
		if t.kind == kind {
			return true
		}
	}
	return false
}

func (r *run) texts(ctx context.Context, list []text) error {
	for _, x := range list {
		ids, err := r.tok.Encode(x.body, true)
		if err != nil {
			return err
		}
		ids = ids[:min(len(ids), readMost(x.kind))]
		t, err := r.text(ctx, r.fit(ids), 0, nil)
		if err != nil {
			return err
		}
		if t.Tokens > 0 {
			t.Kind = x.kind
			r.facts.Texts = append(r.facts.Texts, t)
		}
	}
	return nil
}

// chatText reads the tale as an answer in the repository's own format, and looks
// what its first words cost, and whether a token that ends a turn is likely after
// its last.
func (r *run) chatText(ctx context.Context) error {
	if r.tmpl == nil {
		return nil
	}
	prompt, answered, err := r.answer(ctx, ask, tale)
	if err != nil || len(answered) > r.m.Info().Context {
		return err
	}
	start, first, end := 0.0, len(prompt)-1, 0
	t, err := r.text(ctx, answered, len(prompt), func(i int, row []float32, p position) {
		switch {
		case i >= first && i < first+warmup:
			start += p.loss / warmup
		case i == len(answered)-1:
			end = r.endRank(row)
		}
	})
	if err != nil {
		return err
	}
	t.Kind, t.Chat = english[0].kind, true
	r.facts.Texts = append(r.facts.Texts, t)
	r.facts.Start, r.facts.EndRank = &start, end
	return nil
}

// endRank is the best rank of a token that ends a text; 0 without one.
func (r *run) endRank(row []float32) int {
	best := 0
	for _, id := range r.ends {
		if id < 0 || id >= len(row) {
			continue
		}
		if n := rank(row, id); best == 0 || n < best {
			best = n
		}
	}
	return best
}

// answer is the tokens of a question, and those of the question and its answer.
func (r *run) answer(ctx context.Context, question, answer string) (prompt, all []int, err error) {
	segments, err := r.tmpl.Render(ctx, []chat.Message{{Role: "user", Content: question}})
	if err != nil {
		return nil, nil, err
	}
	if prompt, err = r.tok.EncodeSegments(segments, true); err != nil {
		return nil, nil, err
	}
	all, err = r.tok.EncodeSegments(append(segments, tokenizer.Segment{Text: answer, Literal: true}), true)
	return prompt, all, err
}

// continuations asks where known next words rank.
func (r *run) continuations(ctx context.Context) error {
	for _, c := range continuations {
		begin, err := r.tok.Encode(c.begin, true)
		if err != nil {
			return err
		}
		whole, err := r.tok.Encode(c.begin+c.next, true)
		if err != nil {
			return err
		}
		same := 0
		for same < len(begin) && same < len(whole) && begin[same] == whole[same] {
			same++
		}
		if same == 0 || same == len(whole) || same < len(begin) {
			continue // the word melts into what comes before it
		}
		at := 0
		err = r.read(ctx, begin, func(i int, row []float32) {
			if i == same-1 {
				at = rank(row, whole[same])
			}
		})
		if err != nil {
			return err
		}
		r.facts.Continuations = append(r.facts.Continuations, Continuation{c.begin, c.next, at})
	}
	return nil
}
