package tokenizer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// unigram picks the cut of a word whose tokens have the highest sum of scores.
type unigram struct {
	*vocabulary
	scores       []float64 // by id
	unk          int32     // -1 for none
	unkScore     float64
	byteFallback bool
	bytes        [256]int32
	trie         trie
}

// unkPenalty is how much worse than the worst token an unknown character is.
const unkPenalty = 10

// parseUnigram reads a list of names with scores; the places are the ids.
func parseUnigram(f modelFile, o rawObject) (model, *vocabulary, error) {
	m := &unigram{unk: -1, byteFallback: f.ByteFallback}
	var arena strings.Builder
	var entries []entry
	s := &scanner{data: o["vocab"]}
	err := s.array(func() error {
		name, score, err := s.scored()
		if err != nil {
			return fmt.Errorf("token %d: %w", len(entries), err)
		}
		if len(entries) >= maxIDs {
			return fmt.Errorf("more than %d tokens", maxIDs)
		}
		arena.Write(name)
		entries = append(entries, entry{arena.Len(), int32(len(entries))})
		m.scores = append(m.scores, score)
		return nil
	})
	if err != nil {
		return nil, nil, formatError("model.vocab: %v", err)
	}
	if m.vocabulary, err = newVocabulary(arena.String(), entries); err != nil {
		return nil, nil, err
	}
	if f.UnkID != nil {
		if *f.UnkID < 0 || *f.UnkID >= len(entries) {
			return nil, nil, formatError("unk_id %d is not in the vocabulary of %d", *f.UnkID, len(entries))
		}
		m.unk = int32(*f.UnkID)
	}
	least := math.Inf(1)
	for _, score := range m.scores {
		least = min(least, score)
	}
	m.unkScore = least - unkPenalty
	m.bytes = m.byteTokens()
	for name, id := range m.ids {
		if name != "" {
			m.trie.add(name, id)
		}
	}
	return m, m.vocabulary, nil
}

// scored reads ["name", score].
func (s *scanner) scored() (name []byte, score float64, err error) {
	n := 0
	err = s.array(func() error {
		var err error
		switch n++; n {
		case 1:
			name, err = s.text()
		case 2:
			score, err = parseScore(string(s.raw()))
		default:
			s.raw()
		}
		return err
	})
	if err == nil && n != 2 {
		err = fmt.Errorf("%d parts where a name and a score should be", n)
	}
	return name, score, err
}

// parseScore reads a number as the library does, which divides all its digits by a
// power of ten: that can be one unit in the last place off what is written, and
// decides which of two ways of the same sum is taken.
func parseScore(text string) (float64, error) {
	exact, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, err
	}
	digits, rest, _ := strings.Cut(strings.TrimPrefix(text, "-"), "e")
	whole, fraction, _ := strings.Cut(digits, ".")
	significand, err := strconv.ParseUint(whole+fraction, 10, 64)
	if err != nil || rest != "" || len(fraction) > 22 {
		return exact, nil
	}
	score := float64(significand) / math.Pow10(len(fraction))
	return math.Copysign(score, exact), nil
}

// lattice is the best way to the end of a prefix of the word.
type lattice struct {
	score float64
	start int32 // of the last token; -1 while there is no way
	id    int32
}

func (m *unigram) encode(ids []int, word string) ([]int, error) {
	best := make([]lattice, len(word)+1)
	for i := range best {
		best[i].start = -1
	}
	offer := func(start, end int, id int32, score float64) {
		score += best[start].score
		if best[end].start < 0 || score > best[end].score {
			best[end] = lattice{score, int32(start), id}
		}
	}
	for at := 0; at < len(word); {
		_, size := utf8.DecodeRuneInString(word[at:])
		single := false
		m.trie.prefixes(word[at:], func(n int, id int32) {
			offer(at, at+n, id, m.scores[id])
			single = single || n == size
		})
		if !single {
			if m.unk < 0 {
				return nil, unknown{id: -1}.missing(word[at : at+size])
			}
			offer(at, at+size, m.unk, m.unkScore)
		}
		at += size
	}
	return m.path(ids, word, best)
}

// path appends the tokens of the best way. Unknown ones side by side are one.
func (m *unigram) path(ids []int, word string, best []lattice) ([]int, error) {
	var cuts []int // ends of the pieces, last first
	fused := false
	for end := len(word); end > 0; end = int(best[end].start) {
		unk := m.unk >= 0 && best[end].id == m.unk
		if !unk || !fused {
			cuts = append(cuts, end)
		}
		fused = unk
	}
	start := 0
	for i := len(cuts) - 1; i >= 0; i-- {
		piece := word[start:cuts[i]]
		start = cuts[i]
		if id, ok := m.lookup(piece); ok {
			ids = append(ids, int(id))
			continue
		}
		if m.byteFallback && m.allBytes(piece) {
			for _, b := range []byte(piece) {
				ids = append(ids, int(m.bytes[b]))
			}
			continue
		}
		if m.unk < 0 {
			return nil, unknown{id: -1}.missing(piece)
		}
		ids = append(ids, int(m.unk))
	}
	return ids, nil
}

func (m *unigram) allBytes(s string) bool {
	for i := 0; i < len(s); i++ {
		if m.bytes[s[i]] < 0 {
			return false
		}
	}
	return true
}
