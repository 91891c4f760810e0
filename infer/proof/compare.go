package proof

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/infer/model"
)

// Paths is how far the int16 path is from the float path, over one text.
type Paths struct {
	Positions  int     `json:"positions"`
	Difference float64 `json:"difference"` // the largest of any logit, relative to the largest logit
	Same       int     `json:"same"`       // positions whose likeliest token is the same
}

// Agreement is how two models agree, over all texts.
type Agreement struct {
	Positions int             `json:"positions"`
	Same      int             `json:"same"`    // positions whose likeliest token is the same
	Tokens    int             `json:"tokens"`  // texts and prompts that the other's tokenizer or template makes other tokens of
	KLMean    float64         `json:"kl_mean"` // nats, of this model from the other
	KLMax     float64         `json:"kl_max"`  // at one position
	Entropy   float64         `json:"entropy"` // nats, mean, of the other
	Bits      [2]int          `json:"bits"`    // of this model and of the other; 0 = not quantised
	Texts     []TextAgreement `json:"texts"`

	// The bounds, by the bits of both.
	SameBound  float64 `json:"same_bound"` // a share
	KLBound    float64 `json:"kl_mean_bound"`
	KLMaxBound float64 `json:"kl_max_bound"`
}

// TextAgreement is the same over one text, position by position.
type TextAgreement struct {
	Kind   string    `json:"kind"`
	Same   int       `json:"same"`
	KL     []float64 `json:"kl"`
	KLMean float64   `json:"kl_mean"`
	KLMax  float64   `json:"kl_max"`
}

// ErrDifferent says that two models cannot be compared: they have other
// vocabularies or shapes.
var ErrDifferent = errors.New("not of the same model")

// Comparable says why two models cannot be compared; nil when they can be. The
// error is ErrDifferent.
func Comparable(a, b *infer.Model) error {
	x, y := a.Info(), b.Info()
	for _, d := range []struct {
		what string
		x, y any
	}{
		{"architecture", x.Architecture, y.Architecture},
		{"vocabulary", x.Vocab, y.Vocab},
		{"number of layers", x.Layers, y.Layers},
		{"hidden size", x.Hidden, y.Hidden},
	} {
		if d.x != d.y {
			return fmt.Errorf("%w: the %s is %v here and %v there", ErrDifferent, d.what, d.x, d.y)
		}
	}
	return nil
}

// together computes the logits of ids with two sessions and shows them side by
// side.
func together(ctx context.Context, a, b *model.Session, ids []int, vocab int, visit func(x, y []float32)) error {
	for batch := range slices.Chunk(ids, leastCompared) { // so that those done count when time runs out
		x, err := a.Forward(ctx, batch, len(batch), nil)
		if err != nil {
			return fmt.Errorf("comparing over a text of %d tokens: %w", len(ids), err)
		}
		y, err := b.Forward(ctx, batch, len(batch), nil)
		if err != nil {
			return fmt.Errorf("comparing over a text of %d tokens: %w", len(ids), err)
		}
		for i := range batch {
			visit(x[i*vocab:(i+1)*vocab], y[i*vocab:(i+1)*vocab])
		}
	}
	return nil
}

// leastCompared is how many positions of the two paths are worth judging.
const leastCompared = 16

// paths compares the arithmetic of the float path with that of the int16 path.
func (r *run) paths(ctx context.Context) error {
	ids := r.facts.firstIDs[:min(len(r.facts.firstIDs), model.MaxBatch)]
	exact := r.m.NewSession(infer.SessionOptions{Capacity: len(ids), Compute: infer.Float32})
	defer exact.Close()
	quick := r.m.NewSession(infer.SessionOptions{Capacity: len(ids), Compute: infer.Int16})
	defer quick.Close()
	var p Paths
	most, off := 0.0, 0.0
	err := together(ctx, exact, quick, ids, r.facts.Vocab, func(x, y []float32) {
		p.Positions++
		a, b := look(x, -1), look(y, -1)
		if !a.finite || !b.finite {
			off = math.Inf(1)
			return
		}
		// Two tokens as likely as each other may change places.
		if a.top == b.top || float64(x[a.top])-float64(x[b.top]) <= 2*PathsMost*float64(largest(x)) {
			p.Same++
		}
		for i := range x {
			most = max(most, math.Abs(float64(x[i])))
			off = max(off, math.Abs(float64(x[i])-float64(y[i])))
		}
	})
	if err != nil && (ctx.Err() == nil || p.Positions < leastCompared) {
		return err
	}
	p.Difference = min(off/max(most, 1e-30), 1e6) // JSON has no infinity
	r.facts.Paths = &p
	return err
}

// compare compares the model with another one, over the texts that were read and
// those that it wrote. A model that was not trained on a text is guessing there,
// and what it guesses changes with every bit: so of the fixed texts those count
// that it knows, if there are any.
func (r *run) compare(ctx context.Context) error {
	if r.o.Against == nil {
		return nil
	}
	a := Agreement{Bits: [2]int{r.m.Info().Bits, r.o.Against.Info().Bits}, Texts: []TextAgreement{}}
	r.facts.Against = &a
	texts, err := r.toCompare()
	if err != nil {
		return err
	}
	for _, t := range texts {
		if err = r.compareText(ctx, &a, t); err != nil {
			break
		}
	}
	mine, mineMax := againstBounds(a.Bits[0])
	others, othersMax := againstBounds(a.Bits[1])
	a.KLBound, a.KLMaxBound = (mine+others)*a.Entropy, mineMax+othersMax
	a.SameBound = 1 - min(0.5, 2*(mine+others))
	if err == nil && r.tok != nil {
		a.Tokens, err = r.otherTokens(ctx)
	}
	return err
}

// otherTokens counts the texts and prompts that are other tokens to the other
// model, and whether other tokens end a text.
func (r *run) otherTokens(ctx context.Context) (n int, err error) {
	if !slices.Equal(r.ends, r.o.Against.EndTokens()) {
		n++
	}
	for _, x := range slices.Concat(english, others) {
		for _, raw := range []bool{true, false} {
			if !raw && r.tmpl == nil {
				continue
			}
			q := infer.Request{Prompt: x.body, Raw: raw}
			mine, err := r.m.Encode(ctx, q)
			if err != nil {
				return n, err
			}
			if other, err := r.o.Against.Encode(ctx, q); err != nil || !slices.Equal(mine, other) {
				n++ // one that cannot read it differs, too
			}
		}
	}
	return n, ctx.Err()
}

type tokens struct {
	kind string
	ids  []int
	from int // the first position that counts
}

// toCompare lists the texts of compare.
func (r *run) toCompare() ([]tokens, error) {
	var out []tokens
	if r.tok == nil {
		out = append(out, tokens{"token ids", r.facts.firstIDs, 0})
	} else {
		best, _ := r.facts.Best()
		for _, x := range slices.Concat([]text{{given, r.o.Text}}, english) {
			i := slices.IndexFunc(r.facts.Texts, func(t Text) bool { return t.Kind == x.kind && !t.Chat })
			if i < 0 || r.facts.knows(best) && !r.facts.knows(r.facts.Texts[i]) {
				continue
			}
			ids, err := r.tok.Encode(x.body, true)
			if err != nil {
				return nil, err
			}
			out = append(out, tokens{x.kind, ids[:min(len(ids), readMost(x.kind))], 0})
		}
	}
	for _, w := range r.facts.Written {
		out = append(out, tokens{"its own text", slices.Concat(w.prompt, w.IDs), len(w.prompt) - 1})
	}
	return out, nil
}

func (r *run) compareText(ctx context.Context, a *Agreement, text tokens) error {
	ids, at := r.fit(text.ids), 0
	s := r.m.NewSession(infer.SessionOptions{Capacity: len(ids)})
	defer s.Close()
	other := r.o.Against.NewSession(infer.SessionOptions{Capacity: len(ids)})
	defer other.Close()
	t := TextAgreement{Kind: text.kind, KL: []float64{}}
	sum, entropy := 0.0, 0.0
	err := together(ctx, s, other, ids, r.facts.Vocab, func(x, y []float32) {
		if at++; at <= text.from {
			return
		}
		p, q := look(x, -1), look(y, -1)
		kl := 1e6 // JSON has no infinity
		if p.finite && q.finite {
			kl = min(divergence(x, y), kl)
			entropy += q.entropy
		}
		if p.finite && q.finite && p.top == q.top {
			t.Same++
		}
		t.KL = append(t.KL, kl)
		t.KLMax = max(t.KLMax, kl)
		sum += kl
	})
	if err != nil {
		return err
	}
	t.KLMean = sum / float64(max(1, len(t.KL)))
	a.Texts = append(a.Texts, t)
	all := float64(a.Positions + len(t.KL))
	a.KLMean = (a.KLMean*float64(a.Positions) + sum) / all
	a.Entropy = (a.Entropy*float64(a.Positions) + entropy) / all
	a.Positions += len(t.KL)
	a.Same += t.Same
	a.KLMax = max(a.KLMax, t.KLMax)
	return nil
}
