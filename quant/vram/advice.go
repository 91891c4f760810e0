package vram

import (
	"cmp"
	"fmt"
	"slices"
)

// Advice is one thing that would make a checkpoint fit, or at least tight.
type Advice struct {
	Kind    string  `json:"kind"`
	Text    string  `json:"text"`    // goes on from "it would fit with"
	Verdict Verdict `json:"verdict"` // what the verdict would be: fits or tight
	Context int     `json:"context,omitempty"`
	Batch   int     `json:"batch,omitempty"`
	KV      KVType  `json:"kv,omitempty"`
	Engine  string  `json:"engine,omitempty"`
	Split   Split   `json:"split,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"` // to free, to lose, or to have

	effort int // the lower, the easier
}

// Kinds of advice.
const (
	AdviseContext  = "context"  // ask for less
	AdviseBatch    = "batch"    // fewer sequences at a time
	AdviseKV       = "kv"       // store the cache in fewer bits
	AdviseFree     = "free"     // end other programs
	AdviseFraction = "fraction" // let the engine take more of the card
	AdviseSplit    = "split"    // use the other cards too
	AdviseEngine   = "engine"   // one that keeps the embedding in RAM
	AdviseSmaller  = "smaller"  // a smaller branch
	AdviseMore     = "memory"   // a larger card
	AdviseCards    = "cards"    // a second card
)

// usefulContext is what a conversation needs: advice that leaves less comes late.
const usefulContext = 2048

// advice lists what would change a verdict that is not "fits": first what makes
// it fit, then what makes it tight; among them the easier first.
func (p *plan) advice(s Summary) []Advice {
	if s.Verdict == Fits {
		return nil
	}
	list := p.settings(s)
	list = append(list, p.machine()...)
	list = append(list, p.others()...)
	list = append(list, p.hardware(s)...)
	list = slices.DeleteFunc(list, func(a Advice) bool { return a.Verdict != Fits && (s.Verdict == Tight || a.Verdict != Tight) })
	slices.SortStableFunc(list, func(a, b Advice) int {
		if a.Verdict != b.Verdict {
			if a.Verdict == Fits {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.effort, b.effort)
	})
	return list
}

// settings is what changes without another file or card.
func (p *plan) settings(s Summary) []Advice {
	var list []Advice
	less := func(context int, v Verdict) {
		if context < 1 || context >= p.Context {
			return
		}
		a := Advice{Kind: AdviseContext, Verdict: v, Context: context, effort: 1}
		if context < usefulContext {
			a.effort = 15
		}
		a.Text = fmt.Sprintf("a context of at most %d tokens", context)
		list = append(list, a)
	}
	less(s.MaxContext, Fits)
	if s.Verdict == TooBig && s.MaxContextTight > s.MaxContext {
		less(s.MaxContextTight, Tight)
	}
	fit := 0
	for _, v := range []Verdict{Fits, Tight} {
		if n := p.fewer(v); n > fit {
			fit = n
			list = append(list, Advice{Kind: AdviseBatch, Verdict: v, Batch: n, effort: 1, Text: fmt.Sprintf("a batch of at most %d", n)})
		}
	}
	for _, kv := range p.Engine.KV {
		if kv.sixteenths() >= p.KV.sixteenths() {
			continue
		}
		r := p.Request
		r.KV = kv
		list = append(list, Advice{Kind: AdviseKV, Verdict: r.Summary().Verdict, KV: kv, effort: 2,
			Text: fmt.Sprintf("a KV cache in %s", kv)})
	}
	return firstOfKV(list)
}

// fewer is the largest batch that leads to a verdict, 0 when none does.
func (p *plan) fewer(v Verdict) int {
	r := p.Request
	enough := func(batch int) bool {
		r.Batch = batch
		q, why := r.plan()
		return why == "" && q.holds(q.Context, levelOf(v))
	}
	low, high := 0, p.Batch // high is too many
	if enough(high) {
		return 0
	}
	for high-low > 1 {
		if mid := low + (high-low)/2; enough(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// levelOf is the need that a verdict is about.
func levelOf(v Verdict) level {
	if v == Tight {
		return expected
	}
	return highest
}

// firstOfKV keeps, of the caches that lead to a verdict, the one with the most bits.
func firstOfKV(list []Advice) []Advice {
	seen := map[Verdict]bool{}
	return slices.DeleteFunc(list, func(a Advice) bool {
		if a.Kind != AdviseKV {
			return false
		}
		again := seen[a.Verdict]
		seen[a.Verdict] = true
		return again
	})
}

// machine is what changes with the cards that there are.
func (p *plan) machine() []Advice {
	if p.Split != SplitNone {
		return nil
	}
	var list []Advice
	c := p.Cards[p.best]
	if c.Total > c.Free {
		r := p.Request
		r.Cards = []Card{{Name: c.Name, Total: c.Total, Free: c.Total}}
		list = append(list, Advice{Kind: AdviseFree, Verdict: r.Summary().Verdict, Bytes: c.Total - c.Free, effort: 3,
			Text: fmt.Sprintf("the %s that other programs hold", GiBText(c.Total-c.Free))})
	}
	if p.Engine.Fraction > 0 && p.Engine.Fraction < 950 {
		r := p.Request
		r.Engine.Fraction = 950
		list = append(list, Advice{Kind: AdviseFraction, Verdict: r.Summary().Verdict, effort: 4,
			Text: fmt.Sprintf("0.95 of the card for %s (its %s)", p.Engine.Name, p.Engine.FractionFlag)})
	}
	if len(p.Cards) > 1 && (p.Engine.Layers || p.Engine.Tensor) {
		how, text := p.several()
		r := p.Request
		r.Split = how
		list = append(list, Advice{Kind: AdviseSplit, Verdict: r.Summary().Verdict, Split: how, effort: 5,
			Text: fmt.Sprintf("%s %d cards", text, len(p.Cards))})
	}
	return list
}

// several is how the engine uses several cards: by layers where it can, which
// asks nothing of the shapes.
func (p *plan) several() (how Split, text string) {
	if p.Engine.Layers {
		return SplitLayers, "the layers laid on"
	}
	return SplitTensor, "every matrix split over"
}

// hardware is what changes with cards to be had.
func (p *plan) hardware(s Summary) []Advice {
	var list []Advice
	if how, text := p.several(); (p.Engine.Layers || p.Engine.Tensor) && (p.Split == SplitLayers || len(p.Cards) == 1) {
		last := p.Cards[len(p.Cards)-1]
		r := p.Request
		r.Cards, r.Split = append(slices.Clone(p.Cards), last), how
		text = "a second card like this one, with " + text + " both"
		if len(p.Cards) > 1 {
			text = "one more card like the last"
		}
		list = append(list, Advice{Kind: AdviseCards, Verdict: r.Summary().Verdict, Split: how, effort: 20, Text: text})
	}
	switch p.Split {
	case SplitNone:
		need := p.cardFor(s.Need.High)
		list = append(list, Advice{Kind: AdviseMore, Verdict: Fits, Bytes: need, effort: 21,
			Text: p.cardText(need)})
	case SplitTensor:
		need := p.cardFor(add(p.share(p.Context), p.onEach(p.Context, highest)))
		list = append(list, Advice{Kind: AdviseMore, Verdict: Fits, Bytes: need, effort: 21,
			Text: fmt.Sprintf("%s of free memory on every card", GiBText(need))})
	}
	return list
}

// cardFor is the card on which a need can be met by an engine that takes a
// fraction of it.
func (p *plan) cardFor(need int64) int64 {
	if p.Engine.Fraction > 0 {
		return divUp(need, int64(p.Engine.Fraction)) * 1000
	}
	return need
}

// cardText names such a card. Of one that is not empty an engine cannot take its
// fraction.
func (p *plan) cardText(need int64) string {
	if p.Engine.Fraction > 0 {
		return "an empty card of " + GiBText(need)
	}
	return GiBText(need) + " of free memory"
}

// others is another engine, or another branch.
func (p *plan) others() []Advice {
	var list []Advice
	// ExLlamaV2 has kernels for 4 bits only.
	if !p.Engine.EmbedInRAM && !p.Engine.RAM && (p.Bits == 4 || p.Bits == 0) {
		r := p.Request
		r.Engine, _ = ProfileFor("exllamav2")
		if after := r.Summary(); after.RAM > 0 {
			list = append(list, Advice{Kind: AdviseEngine, Verdict: after.Verdict, Engine: r.Engine.ID, effort: 6,
				Text: fmt.Sprintf("%s, if it loads this branch: it keeps %s of embeddings in main memory", r.Engine.Name, GiBText(after.RAM))})
		}
	}
	for _, v := range []Verdict{Fits, Tight} {
		if lose := p.lose(v); lose > 0 {
			list = append(list, Advice{Kind: AdviseSmaller, Verdict: v, Bytes: lose, effort: 10,
				Text: fmt.Sprintf("a branch whose weights are %s smaller", GiBText(lose))})
		}
	}
	return list
}

// lose is how many bytes of weights too many there are for a verdict, 0 when no
// branch would be small enough. The layers of a smaller branch are taken to be
// of one size.
func (p *plan) lose(v Verdict) int64 {
	r := p.Request
	r.Weights.Layers = nil
	enough := func(lose int64) bool {
		r.Weights.Bytes = p.Request.Weights.Bytes - lose
		q, why := r.plan()
		return why == "" && q.holds(q.Context, levelOf(v))
	}
	low, high := int64(0), p.Request.Weights.Bytes-max(p.Request.Weights.Embed, 0)-max(p.Request.Weights.Head, 0)-1
	if high <= low || enough(low) || !enough(high) {
		return 0
	}
	for high-low > 1 {
		if mid := low + (high-low)/2; enough(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}
