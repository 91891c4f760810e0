package vram

import (
	"fmt"

	"github.com/qbranch/qbranch/quant"
)

// Split is how a checkpoint is laid on several cards.
type Split string

// Ways to use cards. Memory of several cards is never added up unless asked.
const (
	SplitNone   Split = ""       // one card: the one with the most free memory
	SplitLayers Split = "layers" // whole layers, in order, each card filled before the next
	SplitTensor Split = "tensor" // every matrix over all cards (tensor parallel)
)

// Card is memory to run in: a graphics card, or main memory for an engine that
// runs there.
type Card struct {
	Name  string
	Total int64 // what it has; 0 = not known
	Free  int64 // what is free now; negative = not known, which is never "fits"
}

// Request is the question.
type Request struct {
	Weights Weights
	Model   *quant.Model // nil when there is no config.json
	Bits    int          // of the quantised matrices; 0 = not known
	Context int          // tokens; 0 = the model's most, at most DefaultContext
	Batch   int          // sequences at a time; 0 = 1
	KV      KVType       // "" = the engine's own, which also stands in for one it does not have
	Engine  Profile      // the zero value is the general one
	Cards   []Card       // none: only the need is stated
	Split   Split
}

// DefaultContext is the context of an estimate that asks for none.
const DefaultContext = 4096

// Verdict is the answer.
type Verdict string

// Verdicts.
const (
	Fits    Verdict = "fits"     // even the highest need is free
	Tight   Verdict = "tight"    // the expected need is free, the highest is not
	TooBig  Verdict = "too_big"  // the expected need is more than is free
	Unknown Verdict = "unknown"  // see Why
	Refused Verdict = "unusable" // the engine cannot use the cards as asked, however large they are: see Why
)

// Summary is an estimate in numbers.
type Summary struct {
	Engine          string  `json:"engine"`
	Context         int     `json:"context"` // what was asked, or the default
	Batch           int     `json:"batch"`
	KV              KVType  `json:"kv"`
	Need            Range   `json:"need"`              // on all cards together
	RAM             int64   `json:"ram_bytes"`         // kept in main memory beside
	Verdict         Verdict `json:"verdict"`           //
	Why             string  `json:"why,omitempty"`     // why the verdict is unknown, or refused
	Slack           int64   `json:"slack_bytes"`       // free beyond the expected need, on the card with the least
	Fills           int64   `json:"fills_bytes"`       // what the engine takes of a card whatever the model; 0 = what it needs
	MaxContext      int     `json:"max_context"`       // the most tokens of context that fit; 0 = none
	MaxContextTight int     `json:"max_context_tight"` // the most that are at least tight; 0 = none
}

// absurd is more than any checkpoint needs: a petabyte.
const absurd = 1 << 50

// maxContext bounds the search for the largest context when config.json states
// no limit.
const maxContext = 1 << 20

// plan is a request made whole.
type plan struct {
	Request
	cache  cache
	weight int64 // on the cards
	ram    int64 // embedding kept in RAM
	best   int   // the card of SplitNone
	ways   int64 // cards a matrix is split over
	limit  int   // the largest context to look for

	refused KVType // asked for, but the engine has no such cache
	cannot  bool   // use the cards as asked

	// By layer, for SplitLayers.
	layers     int
	embed      int64 // before the first layer
	tail       int64 // behind the last: norms, output matrix
	body, more int64 // bytes of a layer; the first more layers have one byte more
	each       []int64
}

// Summary answers without texts; it allocates nothing where Engine is given and
// the cards can be used as asked, so that it can be asked for every branch at every
// key.
func (r Request) Summary() Summary {
	p, why := r.plan()
	return p.summary(why)
}

// plan completes the request. why is not "" when the verdict must be unknown
// unless it is too big already.
func (r Request) plan() (p plan, why string) {
	if r.Engine.ID == "" {
		r.Engine, _ = ProfileFor("")
	}
	if !r.Engine.offers(r.KV) && len(r.Engine.KV) > 0 {
		p.refused = r.KV
		r.KV = r.Engine.KV[0]
	}
	most := 0
	if r.Model != nil {
		most = max(r.Model.MaxPositions, 0)
	}
	if r.Context == 0 {
		r.Context = DefaultContext
		if most > 0 {
			r.Context = min(most, DefaultContext)
		}
	}
	if r.Batch == 0 {
		r.Batch = 1
	}
	p.Request = r
	p.limit = most
	if most == 0 || most > 1<<30 {
		p.limit = maxContext
	}
	p.limit = max(p.limit, r.Context)
	if r.Context < 0 || r.Batch < 0 || r.Context > 1<<30 || r.Batch > 1<<20 {
		return p, "a context or a batch below 1, or larger than anything runs"
	}
	p.cache, why = cacheOf(r.Model, &p.Engine, r.Batch, r.KV)
	if r.Weights.Bytes <= 0 {
		return p, "the size of the weights is not known"
	}
	p.weight = min(r.Weights.Bytes, maxBytes)
	if p.Engine.EmbedInRAM && r.Weights.Head > 0 && r.Weights.Embed > 0 {
		p.ram = min(r.Weights.Embed, p.weight)
		p.weight -= p.ram
	}
	p.ways = 1
	p.parts()
	if w := p.splitWhy(); w != "" {
		return p, w
	}
	return p, why
}

// splitWhy says why the cards cannot be used as asked, "" if they can.
func (p *plan) splitWhy() string {
	for i := range p.Cards {
		if p.available(i) > p.available(p.best) {
			p.best = i
		}
	}
	if p.Split == SplitNone || len(p.Cards) < 2 {
		p.Split = SplitNone
		if len(p.Cards) > 0 && p.Cards[p.best].Free < 0 {
			return "how much memory is free is not known"
		}
		return ""
	}
	for _, c := range p.Cards {
		if c.Free < 0 {
			return "how much memory is free is not known of every card"
		}
	}
	switch p.Split {
	case SplitLayers:
		if !p.Engine.Layers {
			p.cannot = true
			return p.refusal("lay layers on", p.Engine.Tensor, "split every matrix over")
		}
		if p.layers == 0 {
			return "the number of layers is not known, so they cannot be laid on several cards"
		}
	case SplitTensor:
		p.ways = int64(len(p.Cards))
		if !p.Engine.Tensor {
			p.cannot = true
			return p.refusal("split matrices over", p.Engine.Layers, "lay layers on")
		}
		if p.Model == nil || p.Model.KVHeads <= 0 {
			return "the number of key-value heads is not known, so matrices cannot be split over cards"
		}
		if int64(p.Model.KVHeads)%p.ways != 0 {
			p.cannot = true
			return fmt.Sprintf("%d key-value heads cannot be divided among %d cards", p.Model.KVHeads, p.ways)
		}
	default:
		return "this way to split a checkpoint is not known"
	}
	return ""
}

// refusal says what the engine cannot do with several cards, and what it can.
func (p *plan) refusal(not string, can bool, other string) string {
	text := p.Engine.Name + " does not " + not + " several cards"
	if can {
		text += "; it can " + other + " them"
	}
	return text
}

// parts lays out the weights by layer.
func (p *plan) parts() {
	w := &p.Request.Weights
	p.layers = min(len(w.Layers), maxLayers)
	if p.cache.known {
		p.layers = p.cache.layers
	}
	if p.layers == 0 {
		return
	}
	embed := max(w.Embed, 0)
	sum := int64(0)
	for _, n := range w.Layers {
		sum = add(sum, max(n, 0))
	}
	if len(w.Layers) == p.layers && add(sum, embed) <= w.Bytes {
		p.each = w.Layers
		p.embed, p.tail = embed, w.Bytes-sum-embed
	} else {
		head := max(w.Head, 0)
		if add(embed, head) > w.Bytes {
			embed, head = 0, 0
		}
		p.embed, p.tail = embed, head
		rest := p.Request.Weights.Bytes - embed - head
		p.body, p.more = rest/int64(p.layers), rest%int64(p.layers)
	}
	p.embed = max(p.embed-p.ram, 0)
}

// layerWeight is the bytes of layer l.
func (p *plan) layerWeight(l int) int64 {
	if p.each != nil {
		return max(p.each[l], 0)
	}
	if int64(l) < p.more {
		return p.body + 1
	}
	return p.body
}

// layerCache is the KV cache of layer l.
func (p *plan) layerCache(l, context int) int64 {
	if !p.cache.known {
		return 0
	}
	return p.cache.layer(p.cache.slides(l), int64(context))
}

// available is what the engine can use of card i.
func (p *plan) available(i int) int64 {
	c := p.Cards[i]
	free := min(c.Free, maxBytes)
	if p.Engine.Fraction > 0 {
		free = min(free, p.fraction(c))
	}
	return free
}

// fraction is what an engine that fills the card takes of it.
func (p *plan) fraction(c Card) int64 {
	total := c.Total
	if total <= 0 {
		total = max(c.Free, 0)
	}
	total, f := min(total, maxBytes), int64(p.Engine.Fraction)
	return total/1000*f + total%1000*f/1000
}

// onEach is what every card that is used bears besides weights and cache.
func (p *plan) onEach(context int, l level) int64 {
	return add(add(p.Engine.Overhead.at(l), p.scratch(context).at(l)), p.communication().at(l))
}

// communication is the buffers with which cards exchange parts of a matrix.
func (p *plan) communication() Range {
	if p.ways < 2 {
		return Range{}
	}
	return mib(307, 307, 922) // 0.3 GiB by experience; NCCL 2.28 took 0.83 to 0.89 GiB on each of two H100
}

// share is what one card bears of the weights and the cache where it does not
// depend on layers.
func (p *plan) share(context int) int64 {
	return add(divUp(p.weight, p.ways), divUp(p.cache.bytes(int64(context)), p.ways))
}

// holds says whether the cards hold a context at a level.
func (p *plan) holds(context int, l level) bool {
	if len(p.Cards) == 0 {
		return false
	}
	if p.Split == SplitLayers {
		return p.place(context, l, nil)
	}
	each := add(p.share(context), p.onEach(context, l))
	if p.ways > 1 {
		for i := range p.Cards {
			if p.available(i) < each {
				return false
			}
		}
		return true
	}
	return p.available(p.best) >= each
}

// most is the largest context that the cards hold at a level, 0 if none. What a
// context needs grows with it, so the answer is found by halving.
func (p *plan) most(l level) int {
	if !p.cache.known || !p.holds(1, l) {
		return 0
	}
	low, high := 1, p.limit // low is held
	if p.holds(high, l) {
		return high
	}
	for high-low > 1 {
		if mid := low + (high-low)/2; p.holds(mid, l) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// NoCard is why the verdict is unknown where nothing but a card is missing.
const NoCard = "no card is known"

func (p *plan) summary(why string) Summary {
	s := Summary{Engine: p.Engine.ID, Context: p.Context, Batch: p.Batch, KV: p.KV, RAM: p.ram, Verdict: Unknown, Why: why}
	if p.Context < 0 || p.Batch < 0 || p.weight <= 0 && p.ram <= 0 {
		return s
	}
	s.Need = p.need()
	if s.Need.High > absurd {
		s.Need, s.Why = Range{}, "config.json or the headers state dimensions that no model has"
		return s
	}
	if len(p.Cards) == 0 {
		if s.Why == "" {
			s.Why = NoCard
		}
		return s
	}
	if p.Engine.Fraction > 0 {
		s.Fills = p.fraction(p.Cards[p.best])
	}
	if p.cannot {
		s.Verdict = Refused
		return s
	}
	if why != "" {
		// What is missing can only add to the need.
		if !p.cache.known && p.Split == SplitNone && p.Cards[p.best].Free >= 0 && !p.holds(1, expected) {
			s.Verdict, s.Why = TooBig, ""
			s.Slack = p.slack()
		}
		return s
	}
	s.Slack = p.slack()
	s.MaxContext, s.MaxContextTight = p.most(highest), p.most(expected)
	switch {
	case p.holds(p.Context, highest):
		s.Verdict = Fits
	case p.holds(p.Context, expected):
		s.Verdict = Tight
	default:
		s.Verdict = TooBig
	}
	return s
}

// need is what all cards that are used bear together.
func (p *plan) need() Range {
	used := int64(1)
	if p.Split == SplitTensor {
		used = p.ways
	}
	if p.Split == SplitLayers {
		used = p.used()
	}
	whole := add(p.weight, p.cache.bytes(int64(p.Context)))
	if p.ways > 1 {
		whole = mul(p.share(p.Context), p.ways)
	}
	n := Range{}
	n.Low = add(whole, mul(used, p.onEach(p.Context, lowest)))
	n.Expected = add(whole, mul(used, p.onEach(p.Context, expected)))
	n.High = add(whole, mul(used, p.onEach(p.Context, highest)))
	return n
}
