package tokenizer

import (
	"strings"
	"unicode"
)

// property returns \p{name} of the library's patterns, nil for one that is not
// known. Go's tables are Unicode 15.0, the library's 16.0; the difference is in
// added16 and removed16.
func property(name string) func(rune) bool {
	name = propertyNames[strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(name))]
	switch name {
	case "":
		return nil
	case "Any":
		return func(rune) bool { return true }
	case "ASCII":
		return func(r rune) bool { return r < 0x80 }
	case "Word":
		return isPatternWord
	case "Space":
		return unicode.IsSpace
	case "C", "Cn":
		return func(r rune) bool {
			return !unicode.In(r, assignedTables...) || name == "C" && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co)
		}
	}
	var in []*unicode.RangeTable
	switch name {
	case "Alphabetic":
		in = append(in, unicode.L, unicode.Nl, unicode.Other_Alphabetic)
	case "Alnum":
		in = append(in, unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.Nd, added16["Alphabetic"], added16["Nd"])
	case "Uppercase":
		in = append(in, unicode.Lu, unicode.Other_Uppercase, added16["Lu"])
	case "Lowercase":
		in = append(in, unicode.Ll, unicode.Other_Lowercase, added16["Ll"])
	case "LC":
		in = append(in, unicode.Lu, unicode.Ll, unicode.Lt, added16["Lu"], added16["Ll"])
	case "XDigit":
		in = append(in, unicode.ASCII_Hex_Digit)
	case "Blank":
		in = append(in, unicode.Zs, table(span('\t', '\t')))
	default:
		if t := unicode.Categories[name]; t != nil {
			in = append(in, t)
		} else {
			in = append(in, unicode.Scripts[name])
		}
	}
	if t := added16[name]; t != nil {
		in = append(in, t)
	}
	out := removed16[name]
	return func(r rune) bool { return unicode.In(r, in...) && (out == nil || !unicode.Is(out, r)) }
}

// propertyNames finds a property by its names in lower case without blanks,
// underscores and hyphens, as patterns may write them.
var propertyNames = func() map[string]string {
	names := map[string]string{
		"letter": "L", "uppercaseletter": "Lu", "lowercaseletter": "Ll", "titlecaseletter": "Lt", "modifierletter": "Lm",
		"otherletter": "Lo", "mark": "M", "nonspacingmark": "Mn", "spacingmark": "Mc", "enclosingmark": "Me", "number": "N",
		"decimalnumber": "Nd", "digit": "Nd", "letternumber": "Nl", "othernumber": "No", "punctuation": "P", "punct": "P",
		"connectorpunctuation": "Pc", "dashpunctuation": "Pd", "openpunctuation": "Ps", "closepunctuation": "Pe",
		"initialpunctuation": "Pi", "finalpunctuation": "Pf", "otherpunctuation": "Po", "symbol": "S", "mathsymbol": "Sm",
		"currencysymbol": "Sc", "modifiersymbol": "Sk", "othersymbol": "So", "separator": "Z", "spaceseparator": "Zs",
		"lineseparator": "Zl", "paragraphseparator": "Zp", "other": "C", "control": "Cc", "cntrl": "Cc", "format": "Cf",
		"privateuse": "Co", "unassigned": "Cn", "cn": "Cn", "casedletter": "LC", "lc": "LC",
		"alpha": "Alphabetic", "alphabetic": "Alphabetic", "alnum": "Alnum", "upper": "Uppercase", "uppercase": "Uppercase",
		"lower": "Lowercase", "lowercase": "Lowercase", "word": "Word", "space": "Space", "whitespace": "Space",
		"xdigit": "XDigit", "blank": "Blank", "any": "Any", "ascii": "ASCII",
	}
	for _, c := range []string{"L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps",
		"Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co"} {
		names[strings.ToLower(c)] = c
	}
	// The scripts that were compared with the library, code point by code point.
	for _, s := range []string{"Han", "Hiragana", "Katakana", "Hangul", "Latin", "Greek", "Cyrillic", "Armenian", "Hebrew", "Arabic",
		"Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Thai", "Lao",
		"Tibetan", "Myanmar", "Georgian", "Ethiopic", "Khmer", "Mongolian", "Bopomofo", "Inherited"} {
		names[strings.ToLower(s)] = s
	}
	return names
}()

var (
	wordTables = []*unicode.RangeTable{unicode.L, unicode.Nl, unicode.Other_Alphabetic, added16["Alphabetic"],
		unicode.M, added16["M"], unicode.Nd, added16["Nd"], unicode.Pc, unicode.Join_Control}
	assignedTables = []*unicode.RangeTable{unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf, unicode.Co,
		added16["L"], added16["M"], added16["N"], added16["P"], added16["S"]}
)

// isWord is the \w by which the library looks around added tokens and by which
// the Whitespace pre-tokenizer cuts: letters, marks, digits, connectors and the
// two joiners.
func isWord(r rune) bool {
	if r < 0x80 {
		return r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z'
	}
	return unicode.In(r, wordTables...)
}

// isPatternWord is \w of patterns: without the joiners, but with the numbers of
// Latin-1, for which the library's pattern engine has a table of its own.
func isPatternWord(r rune) bool {
	switch r {
	case 0x200C, 0x200D:
		return false
	case 0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE:
		return true
	}
	return isWord(r)
}

// isNumeric is what Digits cuts: every kind of number.
func isNumeric(r rune) bool { return unicode.In(r, unicode.N, added16["N"], digits17) }

// isPunct is what Punctuation cuts: all of ASCII's, symbols included, and the
// P classes of Unicode 8 beyond.
func isPunct(r rune) bool {
	if r < 0x80 {
		return '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
	}
	return unicode.Is(punct8, r) || unicode.IsPunct(r) && !unicode.Is(newPunct, r)
}

// isCombining is what StripAccents drops: the marks of Unicode 9.0.
func isCombining(r rune) bool {
	return unicode.Is(unicode.M, r) && !unicode.Is(newMark, r) || r == 0x1CF2 || r == 0x1CF3
}

// lowerRune maps a letter to lower case; lower16 has the pairs that Go does not
// know yet.
func lowerRune(r rune) rune {
	if r >= 0x1C89 {
		for _, c := range lower16 {
			if c.lo <= r && r <= c.hi && (r-c.lo)%c.step == 0 {
				return r + c.by
			}
		}
	}
	return unicode.ToLower(r)
}

// lower16 are runs of capitals, every step-th from lo to hi, and what to add.
var lower16 = []struct{ lo, hi, step, by rune }{
	{0x1C89, 0x1C89, 1, 1}, {0xA7CB, 0xA7CB, 1, -42343}, {0xA7CC, 0xA7CE, 2, 1}, {0xA7D2, 0xA7D4, 2, 1},
	{0xA7DA, 0xA7DA, 1, 1}, {0xA7DC, 0xA7DC, 1, -42561}, {0x10D50, 0x10D65, 1, 32}, {0x16EA0, 0x16EB8, 1, 27},
}
