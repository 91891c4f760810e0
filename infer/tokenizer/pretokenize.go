package tokenizer

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// word is a piece of a stretch; first marks the one that begins the whole text.
type word struct {
	text  string
	first bool
}

// splitter cuts words further.
type splitter func([]word) ([]word, error)

// gpt2Pattern is what ByteLevel cuts by when use_regex is set.
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// parsePreTokenizer appends the splitters of one entry, sequences flattened.
func parsePreTokenizer(list []splitter, data json.RawMessage, depth int) ([]splitter, error) {
	c, err := parseComponent("pre_tokenizer", data)
	if c == nil || err != nil {
		return list, err
	}
	if depth > maxNesting {
		return nil, formatError("pre_tokenizer: nested more than %d deep", maxNesting)
	}
	switch c.Type {
	case "Sequence":
		for _, sub := range c.Pretokenizers {
			if list, err = parsePreTokenizer(list, sub, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case "ByteLevel":
		return parseByteLevel(list, c)
	case "Metaspace":
		return append(list, metaspace(c)), nil
	case "Split":
		find, err := c.Pattern.finder("Split")
		if err != nil {
			return nil, err
		}
		return appendSplit(list, find, c.Behavior, c.Invert)
	case "Digits":
		if c.IndividualDigits {
			return appendSplit(list, eachRune(isNumeric), "Isolated", false)
		}
		return appendSplit(list, eachRune(isNumeric), "Contiguous", false)
	case "Punctuation":
		behavior := c.Behavior
		if behavior == "" {
			behavior = "Isolated"
		}
		return appendSplit(list, eachRune(isPunct), behavior, false)
	case "WhitespaceSplit":
		return appendSplit(list, eachRune(unicode.IsSpace), "Removed", false)
	case "CharDelimiterSplit":
		delimiter, _ := utf8.DecodeRuneInString(c.Delimiter)
		return appendSplit(list, eachRune(func(r rune) bool { return r == delimiter }), "Removed", false)
	case "Whitespace":
		return append(list, splitBy(wordRuns, removeMatches, true)), nil
	case "FixedLength":
		if c.Length < 1 {
			return nil, formatError("pre_tokenizer FixedLength: length %d", c.Length)
		}
		return append(list, splitBy(everyNth(c.Length), func(p []piece) []piece { return p }, false)), nil
	case "BertPreTokenizer":
		if list, err = appendSplit(list, eachRune(unicode.IsSpace), "Removed", false); err != nil {
			return nil, err
		}
		return appendSplit(list, eachRune(isPunct), "Isolated", false)
	}
	return nil, unsupported("pre_tokenizer", c.Type)
}

func parseByteLevel(list []splitter, c *component) ([]splitter, error) {
	if c.AddPrefixSpace == nil || *c.AddPrefixSpace {
		list = append(list, eachWord(func(w word) string {
			if strings.HasPrefix(w.text, " ") {
				return w.text
			}
			return " " + w.text
		}))
	}
	if c.UseRegex == nil || *c.UseRegex {
		re, err := compileRegex(gpt2Pattern)
		if err != nil {
			return nil, err
		}
		if list, err = appendSplit(list, re.findAll, "Isolated", false); err != nil {
			return nil, err
		}
	}
	return append(list, eachWord(func(w word) string { return toByteLetters(w.text) })), nil
}

// metaspace writes blanks as ▁ and puts one before a word.
func metaspace(c *component) splitter {
	mark := c.Replacement
	if mark == "" {
		mark = "▁"
	}
	scheme := "always"
	if c.PrependScheme != nil {
		scheme = *c.PrependScheme
	} else if c.AddPrefixSpace != nil && !*c.AddPrefixSpace {
		scheme = "never" // files older than prepend_scheme
	}
	rewrite := eachWord(func(w word) string {
		s := strings.ReplaceAll(w.text, " ", mark)
		if !strings.HasPrefix(s, mark) && (scheme == "always" || scheme == "first" && w.first) {
			s = mark + s
		}
		return s
	})
	if c.Split != nil && !*c.Split {
		return rewrite
	}
	cut := splitBy(literalFinder(mark), mergeNext, false)
	return func(words []word) ([]word, error) {
		words, err := rewrite(words)
		if err != nil {
			return nil, err
		}
		return cut(words)
	}
}

func eachWord(f func(word) string) splitter {
	return func(words []word) ([]word, error) {
		for i, w := range words {
			words[i].text = f(w)
		}
		return words, nil
	}
}

// finder returns the matches of a pattern in a text, ascending, not overlapping.
type finder func(string) ([]byteRange, error)

func (p *pattern) finder(kind string) (finder, error) {
	switch {
	case p != nil && p.String != nil:
		return literalFinder(*p.String), nil
	case p != nil && p.Regex != nil:
		re, err := compileRegex(*p.Regex)
		if err != nil {
			return nil, err
		}
		return re.findAll, nil
	}
	return nil, formatError("%s without a pattern", kind)
}

// literalFinder matches a fixed text; the empty one between all characters.
func literalFinder(name string) finder {
	if name == "" {
		return eachBorder
	}
	return func(s string) ([]byteRange, error) {
		var found []byteRange
		for at := 0; ; {
			i := strings.Index(s[at:], name)
			if i < 0 {
				return found, nil
			}
			found = append(found, byteRange{at + i, at + i + len(name)})
			at += i + len(name)
		}
	}
}

func eachBorder(s string) ([]byteRange, error) {
	found := make([]byteRange, 0, len(s)+1)
	for i := range s {
		found = append(found, byteRange{i, i})
	}
	return append(found, byteRange{len(s), len(s)}), nil
}

// everyNth matches n characters at a time.
func everyNth(n int) finder {
	return func(s string) ([]byteRange, error) {
		var found []byteRange
		start, count := 0, 0
		for i := range s {
			if count == n {
				found = append(found, byteRange{start, i})
				start, count = i, 0
			}
			count++
		}
		if start < len(s) {
			found = append(found, byteRange{start, len(s)})
		}
		return found, nil
	}
}

// wordRuns matches runs of word characters, and runs of what is neither these nor
// blank.
func wordRuns(s string) ([]byteRange, error) {
	const none, blank, inWord, other = 0, 1, 2, 3
	var found []byteRange
	last := none
	for i, r := range s {
		kind := other
		if isWord(r) {
			kind = inWord
		} else if unicode.IsSpace(r) {
			kind = blank
		}
		end := i + utf8.RuneLen(r)
		if kind == last && kind != blank {
			found[len(found)-1].end = end
		} else if kind != blank {
			found = append(found, byteRange{i, end})
		}
		last = kind
	}
	return found, nil
}

// eachRune matches every character of a kind on its own.
func eachRune(is func(rune) bool) finder {
	return func(s string) ([]byteRange, error) {
		var found []byteRange
		for i, r := range s {
			if is(r) {
				found = append(found, byteRange{i, i + utf8.RuneLen(r)})
			}
		}
		return found, nil
	}
}

// piece is a part of a word on the way to its final cut.
type piece struct {
	byteRange
	match bool
}

// joiner decides from the matches and gaps of a word which pieces remain.
type joiner func([]piece) []piece

func appendSplit(list []splitter, find finder, behavior string, invert bool) ([]splitter, error) {
	joiners := map[string]joiner{
		"Isolated":           func(p []piece) []piece { return p },
		"Removed":            removeMatches,
		"Contiguous":         joinEqual,
		"MergedWithPrevious": mergePrevious,
		"MergedWithNext":     mergeNext,
	}
	join, ok := joiners[behavior]
	if !ok {
		return nil, unsupported("split behavior", behavior)
	}
	return append(list, splitBy(find, join, invert)), nil
}

func splitBy(find finder, join joiner, invert bool) splitter {
	return func(words []word) ([]word, error) {
		out := make([]word, 0, len(words))
		for _, w := range words {
			found, err := find(w.text)
			if err != nil {
				return nil, err
			}
			for _, p := range join(pieces(len(w.text), found, invert)) {
				if p.start < p.end {
					out = append(out, word{w.text[p.start:p.end], w.first && p.start == 0})
				}
			}
		}
		return out, nil
	}
}

// pieces lists matches and the gaps between them in order.
func pieces(n int, found []byteRange, invert bool) []piece {
	out := make([]piece, 0, 2*len(found)+1)
	at := 0
	for _, f := range found {
		if at < f.start {
			out = append(out, piece{byteRange{at, f.start}, invert})
		}
		out = append(out, piece{f, !invert})
		at = f.end
	}
	if at < n {
		out = append(out, piece{byteRange{at, n}, invert})
	}
	return out
}

func removeMatches(in []piece) []piece {
	var out []piece
	for _, p := range in {
		if !p.match {
			out = append(out, p)
		}
	}
	return out
}

// joinEqual joins neighbours that are both matches or both gaps.
func joinEqual(in []piece) []piece {
	var out []piece
	for _, p := range in {
		if n := len(out); n > 0 && out[n-1].match == p.match {
			out[n-1].end = p.end
			continue
		}
		out = append(out, p)
	}
	return out
}

// mergePrevious joins a match to the gap before it.
func mergePrevious(in []piece) []piece {
	var out []piece
	after := false // the piece before was a match
	for _, p := range in {
		if n := len(out); p.match && !after && n > 0 {
			out[n-1].end = p.end
		} else {
			out = append(out, p)
		}
		after = p.match
	}
	return out
}

// mergeNext joins a match to the gap after it.
func mergeNext(in []piece) []piece {
	var out []piece
	for i, p := range in {
		if n := len(out); n > 0 && !p.match && in[i-1].match {
			out[n-1].end = p.end
			continue
		}
		out = append(out, p)
	}
	return out
}
