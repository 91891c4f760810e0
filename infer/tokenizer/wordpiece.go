package tokenizer

import "unicode/utf8"

// wordPiece takes the longest token that a word begins with, again and again. A
// word that cannot be cut so is unknown as a whole.
type wordPiece struct {
	*vocabulary
	unk      unknown
	prefix   string // of every token but the first of a word
	maxChars int
}

func parseWordPiece(f modelFile, o rawObject) (model, *vocabulary, error) {
	v, err := parseVocab(o["vocab"])
	if err != nil {
		return nil, nil, err
	}
	m := &wordPiece{vocabulary: v, unk: v.unknown(f.UnkToken), prefix: "##", maxChars: 100}
	if f.Prefix != nil {
		m.prefix = *f.Prefix
	}
	if f.MaxChars != nil {
		m.maxChars = *f.MaxChars
	}
	return m, v, nil
}

func (m *wordPiece) encode(ids []int, word string) ([]int, error) {
	if utf8.RuneCountInString(word) > m.maxChars {
		return m.appendUnknown(ids, word)
	}
	before := len(ids)
	for start := 0; start < len(word); {
		end, id := m.longestFrom(word, start)
		if end == start {
			return m.appendUnknown(ids[:before], word)
		}
		ids = append(ids, int(id))
		start = end
	}
	return ids, nil
}

// longestFrom returns the end of the longest token that begins at start; start
// itself when there is none.
func (m *wordPiece) longestFrom(word string, start int) (end int, id int32) {
	prefix := ""
	if start > 0 {
		prefix = m.prefix
	}
	for end = min(len(word), start+m.longest); end > start; end-- {
		if end < len(word) && !utf8.RuneStart(word[end]) {
			continue
		}
		if id, ok := m.lookup(prefix + word[start:end]); ok {
			return end, id
		}
	}
	return start, 0
}

func (m *wordPiece) appendUnknown(ids []int, word string) ([]int, error) {
	if m.unk.id < 0 {
		return nil, m.unk.missing(word)
	}
	return append(ids, int(m.unk.id)), nil
}

// wordLevel has a token for each whole word that it knows.
type wordLevel struct {
	*vocabulary
	unk unknown
}

func parseWordLevel(f modelFile, o rawObject) (model, *vocabulary, error) {
	v, err := parseVocab(o["vocab"])
	if err != nil {
		return nil, nil, err
	}
	return &wordLevel{v, v.unknown(f.UnkToken)}, v, nil
}

func (m *wordLevel) encode(ids []int, word string) ([]int, error) {
	if id, ok := m.lookup(word); ok {
		return append(ids, int(id)), nil
	}
	if m.unk.id < 0 {
		return nil, m.unk.missing(word)
	}
	return append(ids, int(m.unk.id)), nil
}
