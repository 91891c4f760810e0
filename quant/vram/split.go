package vram

// Share is what one card bears.
type Share struct {
	Card      string  `json:"card"`
	Index     int     `json:"index"` // of Request.Cards
	First     int     `json:"first_layer"`
	Layers    int     `json:"layers"` // how many, from First; 0 unless layers are laid on several cards
	Weights   int64   `json:"weights_bytes"`
	KV        int64   `json:"kv_bytes"`
	Need      Range   `json:"need"`
	Available int64   `json:"available_bytes"` // free, or what the engine may take of it
	Verdict   Verdict `json:"verdict"`
}

// visit is called for each card that bears something.
type visit func(card, first, layers int, weights, kv int64)

// place lays the embedding, the layers and what is behind them on the cards in
// order, as much on each as it holds at a level, and says whether all of it
// found a place. What did not is put on the last card, for visit to show.
func (p *plan) place(context int, l level, see visit) bool {
	each := p.onEach(context, l)
	card, first := 0, 0
	var weights, kv int64
	ok := true
	put := func(layer int, w, k int64) {
		for w+k > 0 && add(add(weights, kv), add(add(w, k), each)) > p.available(card) {
			if card == len(p.Cards)-1 {
				ok = false
				break
			}
			if see != nil && weights+kv > 0 {
				see(card, first, layer-first, weights, kv)
			}
			card, first, weights, kv = card+1, layer, 0, 0
		}
		weights, kv = add(weights, w), add(kv, k)
	}
	put(0, p.embed, 0)
	for layer := range p.layers {
		put(layer, p.layerWeight(layer), p.layerCache(layer, context))
		if !ok && see == nil {
			return false
		}
	}
	put(p.layers, p.tail, 0)
	if see != nil {
		see(card, first, p.layers-first, weights, kv)
	}
	return ok
}

// level is the surest level at which the layers find a place.
func (p *plan) level() level {
	if p.place(p.Context, highest, nil) {
		return highest
	}
	return expected
}

// used is how many cards bear something when layers are laid on them.
func (p *plan) used() int64 {
	n := int64(0)
	p.place(p.Context, p.level(), func(int, int, int, int64, int64) { n++ })
	return n
}

// eachShare calls see for each card that is used.
func (p *plan) eachShare(see visit) {
	switch {
	case len(p.Cards) == 0:
	case p.Split == SplitLayers:
		p.place(p.Context, p.level(), see)
	case p.ways > 1:
		for i := range p.Cards {
			see(i, 0, 0, divUp(p.weight, p.ways), divUp(p.cache.bytes(int64(p.Context)), p.ways))
		}
	default:
		see(p.best, 0, 0, p.weight, p.cache.bytes(int64(p.Context)))
	}
}

// slack is what is free beyond the expected need on the card with the least.
func (p *plan) slack() int64 {
	least := int64(maxBytes)
	each := p.onEach(p.Context, expected)
	p.eachShare(func(card, _, _ int, weights, kv int64) {
		least = min(least, p.available(card)-add(add(weights, kv), each))
	})
	return least
}

// shares lists what each card bears.
func (p *plan) shares() []Share {
	var list []Share
	p.eachShare(func(card, first, layers int, weights, kv int64) {
		s := Share{Card: p.Cards[card].Name, Index: card, First: first, Layers: layers, Weights: weights, KV: kv, Available: p.available(card)}
		s.Need = exactly(add(weights, kv)).plus(Range{p.onEach(p.Context, lowest), p.onEach(p.Context, expected), p.onEach(p.Context, highest)})
		switch {
		case s.Need.High <= s.Available:
			s.Verdict = Fits
		case s.Need.Expected <= s.Available:
			s.Verdict = Tight
		default:
			s.Verdict = TooBig
		}
		list = append(list, s)
	})
	return list
}
