package tokenizer

import "unicode"

// isWord is \w of the library's patterns: letters, marks, digits, connectors and
// the two joiners.
func isWord(r rune) bool {
	return r < 0x80 && (r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z') ||
		r >= 0x80 && (isProperty("L", r) || isProperty("M", r) || unicode.In(r, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Join_Control, unicode.Other_Alphabetic))
}

// isNumeric is what Digits cuts: every kind of number.
func isNumeric(r rune) bool { return isProperty("N", r) || unicode.Is(digits17, r) }

// isPunct is what Punctuation cuts: all of ASCII's, symbols included, and the
// P classes of Unicode 8 beyond.
func isPunct(r rune) bool {
	if r < 0x80 {
		return '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
	}
	return unicode.Is(punct8, r) || unicode.IsPunct(r) && !unicode.Is(newPunct, r)
}

// isProperty is \p{name} for a general category. Go's tables are Unicode 15.0,
// the library's 16.0; the difference is in added16.
func isProperty(name string, r rune) bool {
	return unicode.Is(unicode.Categories[name], r) || added16[name] != nil && unicode.Is(added16[name], r)
}
