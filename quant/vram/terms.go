package vram

import "fmt"

// Term is a part of the need, named.
type Term struct {
	Name    string `json:"name"`
	Range          // on all cards together; negative for what stays in main memory
	Source  Source `json:"source"`
	Formula string `json:"formula"` // with its numbers
}

// Names of terms.
const (
	TermWeights  = "weights"
	TermEmbed    = "embeddings in RAM"
	TermKV       = "KV cache"
	TermOverhead = "engine overhead"
	TermScratch  = "activations and scratch"
	TermTensor   = "tensor parallel buffers"
)

// Estimate is an estimate with its reasons.
type Estimate struct {
	Summary
	Terms  []Term   `json:"terms"`
	Cards  []Share  `json:"cards"`  // those that are used
	Notes  []string `json:"notes"`  // what to know about this estimate
	Advice []Advice `json:"advice"` // what would make it fit, the most useful first
}

// Estimate answers with terms, cards, notes and advice.
func (r Request) Estimate() Estimate {
	p, why := r.plan()
	e := Estimate{Summary: p.summary(why), Terms: []Term{}, Cards: []Share{}, Notes: []string{}, Advice: []Advice{}}
	if e.Need == (Range{}) {
		return e
	}
	e.Terms = p.terms()
	e.Notes = p.notes()
	if e.Verdict != Unknown && e.Verdict != Refused {
		e.Cards = append(e.Cards, p.shares()...)
		e.Advice = append(e.Advice, p.advice(e.Summary)...)
	}
	return e
}

func (p *plan) terms() []Term {
	w := p.Request.Weights
	list := []Term{{TermWeights, exactly(min(w.Bytes, maxBytes)), w.Source, weightsFormula(w.Source)}}
	if p.ram > 0 {
		list = append(list, Term{TermEmbed, exactly(-p.ram), w.Source, p.Engine.Name + " keeps the embedding in main memory"})
	}
	if p.ways > 1 {
		list[0].Range = exactly(add(mul(divUp(p.weight, p.ways), p.ways), p.ram))
		list[0].Formula += fmt.Sprintf(", over %d cards", p.ways)
	}
	if p.cache.known {
		kv := exactly(p.cache.bytes(int64(p.Context)))
		if p.ways > 1 {
			kv = exactly(mul(divUp(kv.High, p.ways), p.ways))
		}
		list = append(list, Term{TermKV, kv, FromConfig, p.cache.formula(p.Context, p.KV)})
	}
	used := p.cardsUsed()
	list = append(list, Term{TermOverhead, p.Engine.Overhead.times(used), p.Engine.Source, overCards(p.Engine.Basis, used)})
	if s := p.scratch(p.Context); s != (Range{}) {
		list = append(list, Term{TermScratch, s.times(used), FromAssumption, overCards(p.scratchFormula(), used)})
	}
	if c := p.communication(); c != (Range{}) {
		list = append(list, Term{TermTensor, c.times(used), FromAssumption, overCards("buffers to exchange parts of a matrix", used)})
	}
	return list
}

func (r Range) times(n int64) Range { return Range{mul(r.Low, n), mul(r.Expected, n), mul(r.High, n)} }

func overCards(one string, n int64) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf("%s, on each of %d cards", one, n)
}

// cardsUsed is how many cards bear an overhead.
func (p *plan) cardsUsed() int64 {
	if p.Split == SplitLayers {
		return p.used()
	}
	return p.ways
}

func weightsFormula(s Source) string {
	switch s {
	case FromTensorHeaders:
		return "the sum of all tensors"
	case FromTreeSizes:
		return "the sum of the weight files"
	}
	return "bits, groups and dimensions of every matrix"
}

// formula is the cache as a product.
func (c *cache) formula(context int, kv KVType) string {
	what := fmt.Sprintf("2 × %d elements", c.width/2)
	if c.latent {
		what = fmt.Sprintf("%d latent elements", c.width)
	}
	tokens := fmt.Sprintf("%d layers × %d tokens", c.layers, context)
	if c.sliding > 0 {
		slid := min(int64(context), c.window)
		tokens = fmt.Sprintf("(%d layers × %d tokens + %d × %d in a window)", c.layers-c.sliding, context, c.sliding, slid)
	}
	if c.batch > 1 {
		tokens += fmt.Sprintf(" × batch %d", c.batch)
	}
	return fmt.Sprintf("%s × %s × %s bytes (%s)", what, tokens, kv.perElement(), kv)
}

func (p *plan) scratchFormula() string {
	if p.Engine.scratch == graphScratch {
		return "peak of activations for a chunk of tokens, with the overhead at least 1.5 GiB"
	}
	return "room for one matrix in 16 bits, and for 2048 rows where the 4-bit kernel is used"
}

// longPrompt is how many tokens attention without a fused kernel is computed for
// within what the overhead has room for: in our measurements 16384 were
// in the range and 32768 were not.
const longPrompt = 16384

// notes says what a reader of the estimate should know.
func (p *plan) notes() []string {
	list := []string{}
	if !p.cache.known {
		list = append(list, "the KV cache is not part of this need")
	}
	if m := p.Model; m != nil && m.MaxPositions > 0 && p.Context > m.MaxPositions {
		list = append(list, fmt.Sprintf("the model was trained for %d tokens of context", m.MaxPositions))
	}
	if p.Context > longPrompt && p.Engine.scratch != graphScratch && !p.Engine.RAM {
		list = append(list, "a prompt this long is computed by a fused attention kernel (FlashAttention and its like): without one it takes more than is counted here")
	}
	if m := p.Model; m != nil && !m.Known() && p.cache.known {
		list = append(list, "the architecture is not known: the cache is computed from the dimensions in config.json alone")
	}
	if p.Engine.Source == FromMeasurement {
		list = append(list, fmt.Sprintf("the overhead of %s was %s, with a card like this", p.Engine.Name, p.Engine.Basis))
	}
	if p.Engine.Fraction > 0 && len(p.Cards) > 0 {
		c := p.Cards[p.best]
		list = append(list, p.fillsNote(c))
		if c.Free >= 0 && c.Free < p.fraction(c) {
			list = append(list, fmt.Sprintf("%s is free: %s starts only if it is told to take a smaller fraction", GiBText(c.Free), p.Engine.Name))
		}
	}
	if p.Engine.Mapped {
		list = append(list, "weights are mapped from the file: with less memory they are read from disk again and again")
	}
	if p.refused != "" {
		list = append(list, fmt.Sprintf("%s has no %s cache: this is for %s", p.Engine.Name, p.refused, p.KV))
	}
	if p.Split == SplitLayers && p.Request.Weights.Head == 0 && p.Request.Weights.Embed > 0 {
		list = append(list, "the output matrix is the embedding: an engine that copies it to the last card needs that much more there")
	}
	return list
}

// fillsNote says what an engine takes whatever the model.
func (p *plan) fillsNote(c Card) string {
	what := GiBText(p.fraction(c)) + " of the card"
	if p.ways > 1 {
		what = fmt.Sprintf("0.%02d of each card", p.Engine.Fraction/10)
	}
	return fmt.Sprintf("%s takes %s whatever the model: what it does not need becomes cache for more sequences", p.Engine.Name, what)
}
