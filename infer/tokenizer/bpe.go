package tokenizer

import "unicode/utf8"

// bpe is byte-pair encoding as the tokenizers library does it: characters first,
// then the pair of lowest rank is joined, the leftmost of equals, again and again.
type bpe struct {
	*vocabulary
	merges       map[uint64]merge
	unk          unknown
	fuseUnk      bool
	byteFallback bool
	ignoreMerges bool
	wordPrefix   string // continuing_subword_prefix
	wordSuffix   string // end_of_word_suffix
	bytes        [256]int32
}

type merge struct{ rank, id int32 }

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// encode appends the ids of one word.
func (m *bpe) encode(ids []int, text string) ([]int, error) {
	if m.ignoreMerges {
		if id, ok := m.lookup(text); ok {
			return append(ids, int(id)), nil
		}
	}
	symbols, err := m.symbols(text)
	if err != nil {
		return nil, err
	}
	m.mergeAll(symbols)
	for i := 0; i < len(symbols); i = symbols[i].next {
		ids = append(ids, int(symbols[i].id))
	}
	return ids, nil
}

// symbol is an element of the linked list that merging works on. A symbol that
// was merged away has id -1; the first symbol is never merged away.
type symbol struct {
	id         int32
	prev, next int
}

// symbols looks up each character of a word.
func (m *bpe) symbols(text string) ([]symbol, error) {
	symbols := make([]symbol, 0, len(text))
	add := func(id int32) {
		symbols = append(symbols, symbol{id: id, prev: len(symbols) - 1, next: len(symbols) + 1})
	}
	pending := false // an unknown that is not yet added, so that it can be fused
	for i, r := range text {
		s := m.spelling(text, i, i+utf8.RuneLen(r))
		if id, ok := m.lookup(s); ok {
			if pending {
				add(m.unk.id)
				pending = false
			}
			add(id)
			continue
		}
		if m.byteFallback && m.allBytes(s) {
			// A pending unknown is not added before these: the library does it so.
			for _, b := range []byte(s) {
				add(m.bytes[b])
			}
			continue
		}
		if m.unk.name == "" {
			continue // without an unknown token the character vanishes
		}
		if m.unk.id < 0 {
			return nil, m.unk.missing(s)
		}
		if pending && !m.fuseUnk {
			add(m.unk.id)
		}
		pending = true
	}
	if pending {
		add(m.unk.id)
	}
	return symbols, nil
}

// spelling is how the vocabulary spells the character text[start:end].
func (m *bpe) spelling(text string, start, end int) string {
	s := text[start:end]
	if start > 0 && m.wordPrefix != "" {
		s = m.wordPrefix + s
	}
	if end == len(text) && m.wordSuffix != "" {
		s += m.wordSuffix
	}
	return s
}

func (m *bpe) allBytes(s string) bool {
	for i := 0; i < len(s); i++ {
		if m.bytes[s[i]] < 0 {
			return false
		}
	}
	return true
}

// candidate is a pair that could be merged: the symbol at pos with its successor.
type candidate struct {
	merge
	pos int
}

func (a candidate) before(b candidate) bool {
	return a.rank < b.rank || a.rank == b.rank && a.pos < b.pos
}

// mergeAll merges until no pair is left, in n log n: candidates wait in a heap,
// and those that an earlier merge made stale are dropped when they come up.
func (m *bpe) mergeAll(symbols []symbol) {
	heap := make(candidates, 0, len(symbols))
	offer := func(pos int) {
		if next := symbols[pos].next; next < len(symbols) {
			if mg, ok := m.merges[pairKey(symbols[pos].id, symbols[next].id)]; ok {
				heap.push(candidate{mg, pos})
			}
		}
	}
	for i := range symbols {
		offer(i)
	}
	for len(heap) > 0 {
		c := heap.pop()
		s := &symbols[c.pos]
		if s.id < 0 || s.next >= len(symbols) {
			continue
		}
		right := &symbols[s.next]
		if mg, ok := m.merges[pairKey(s.id, right.id)]; !ok || mg.id != c.id {
			continue
		}
		s.id = c.id
		right.id = -1
		s.next = right.next
		if s.next < len(symbols) {
			symbols[s.next].prev = c.pos
		}
		if s.prev >= 0 {
			offer(s.prev)
		}
		offer(c.pos)
	}
}

// candidates is a binary heap, smallest first. container/heap would box every
// element.
type candidates []candidate

func (h *candidates) push(c candidate) {
	*h = append(*h, c)
	a := *h
	i := len(a) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !a[i].before(a[parent]) {
			break
		}
		a[i], a[parent] = a[parent], a[i]
		i = parent
	}
}

func (h *candidates) pop() candidate {
	a := *h
	top := a[0]
	last := len(a) - 1
	a[0] = a[last]
	a = a[:last]
	*h = a
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(a) {
			return top
		}
		if child+1 < len(a) && a[child+1].before(a[child]) {
			child++
		}
		if !a[child].before(a[i]) {
			return top
		}
		a[i], a[child] = a[child], a[i]
		i = child
	}
}
