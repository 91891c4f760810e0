package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// addedToken is an entry of added_tokens.
type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// matcher finds the names of added tokens in a text, at each place the longest.
type matcher struct {
	names  trie // name → index into tokens
	tokens []addedToken
	begins [256]bool // the bytes that a name begins with
}

// add enters a token under a name, which differs from its content where the
// name is normalized. A later token of the same name wins.
func (m *matcher) add(name string, tok addedToken) {
	if name == "" {
		return
	}
	m.names.add(name, int32(len(m.tokens)))
	m.tokens = append(m.tokens, tok)
	m.begins[name[0]] = true
}

// cutPart is a stretch of text (id -1) or an added token.
type cutPart struct {
	start, end int
	id         int
}

// cut splits a text at the added tokens in it. The parts cover the text in
// order, without empty stretches.
func (m *matcher) cut(in input) []cutPart {
	var parts []cutPart
	done, at := 0, 0
	for len(m.tokens) > 0 && at < len(in.text) {
		if !m.begins[in.text[at]] {
			at++
			continue
		}
		tok, end := m.longest(in, at)
		if tok == nil {
			at++
			continue
		}
		start := at
		at = end
		if tok.SingleWord && !alone(in.text, start, end) {
			continue
		}
		if tok.LStrip {
			start = max(trimBlankRight(in.text[:start]), done)
		}
		if tok.RStrip {
			end += leadingBlank(in.text[end:])
		}
		if done < start {
			parts = append(parts, cutPart{done, start, -1})
		}
		if start < end { // else the token before it swallowed all of it
			parts = append(parts, cutPart{start, end, tok.ID})
		}
		done = end
	}
	if done < len(in.text) {
		parts = append(parts, cutPart{done, len(in.text), -1})
	}
	return parts
}

// longest returns the longest allowed token whose name begins at a place.
func (m *matcher) longest(in input, at int) (found *addedToken, end int) {
	m.names.prefixes(in.text[at:], func(n int, k int32) {
		if in.allows(m.tokens[k].ID, at, at+n) {
			found, end = &m.tokens[k], at+n
		}
	})
	return found, end
}

// alone says whether no word character touches text[start:end].
func alone(text string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:start])
	after, _ := utf8.DecodeRuneInString(text[end:])
	return (start == 0 || !isWord(before)) && (end == len(text) || !isWord(after))
}

// trimBlankRight returns the length of s without the blanks at its end.
func trimBlankRight(s string) int {
	for len(s) > 0 {
		r, n := utf8.DecodeLastRuneInString(s)
		if !unicode.IsSpace(r) {
			break
		}
		s = s[:len(s)-n]
	}
	return len(s)
}

// leadingBlank returns the length of the blanks that s begins with.
func leadingBlank(s string) int {
	n := 0
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if !unicode.IsSpace(r) {
			break
		}
		n += size
	}
	return n
}
