package tokenizer

import (
	"encoding/json"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normalizer rewrites a stretch of text before it is cut into words. The error is
// ErrTooHard.
type normalizer func(string) (string, error)

// rewrite makes a normalizer of what cannot fail.
func rewrite(f func(string) string) normalizer {
	return func(s string) (string, error) { return f(s), nil }
}

// component is what every entry of the file's pipeline has: its kind, and fields
// that depend on it.
type component struct {
	Type string `json:"type"`

	Normalizers   []json.RawMessage `json:"normalizers"`
	Pretokenizers []json.RawMessage `json:"pretokenizers"`
	Processors    []json.RawMessage `json:"processors"`
	Decoders      []json.RawMessage `json:"decoders"`

	Prepend string `json:"prepend"` // Prepend

	Pattern  *pattern `json:"pattern"` // Replace, Split
	Content  string   `json:"content"` // Replace, Strip
	Behavior string   `json:"behavior"`
	Invert   bool     `json:"invert"`

	StripLeft  *bool `json:"strip_left"` // Strip normalizer
	StripRight *bool `json:"strip_right"`
	Start      int   `json:"start"` // Strip decoder
	Stop       int   `json:"stop"`

	Replacement    string  `json:"replacement"` // Metaspace
	PrependScheme  *string `json:"prepend_scheme"`
	AddPrefixSpace *bool   `json:"add_prefix_space"` // Metaspace, ByteLevel
	Split          *bool   `json:"split"`
	UseRegex       *bool   `json:"use_regex"`

	IndividualDigits bool   `json:"individual_digits"`
	Delimiter        string `json:"delimiter"`
	Suffix           string `json:"suffix"` // BPEDecoder
	Prefix           string `json:"prefix"` // WordPiece decoder
	Cleanup          *bool  `json:"cleanup"`
	Length           int    `json:"length"` // FixedLength

	CharsMap string `json:"precompiled_charsmap"` // Precompiled, in base64
}

// pattern is the argument of Replace and Split.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

func parseComponent(kind string, data json.RawMessage) (*component, error) {
	if isNull(data) {
		return nil, nil
	}
	var c component
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, formatError("%s: %v", kind, err)
	}
	return &c, nil
}

// parseNormalizer appends the normalizers of one entry, sequences flattened.
func parseNormalizer(list []normalizer, g *growth, data json.RawMessage, depth int) ([]normalizer, error) {
	c, err := parseComponent("normalizer", data)
	if c == nil || err != nil {
		return list, err
	}
	if depth > maxNesting {
		return nil, formatError("normalizer: nested more than %d deep", maxNesting)
	}
	switch c.Type {
	case "Sequence":
		for _, sub := range c.Normalizers {
			if list, err = parseNormalizer(list, g, sub, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case "Prepend":
		if len(c.Prepend) > maxPrepend {
			return nil, formatError("Prepend of %d bytes", len(c.Prepend))
		}
		return append(list, rewrite(func(s string) string {
			if s == "" {
				return s
			}
			return c.Prepend + s
		})), nil
	case "Replace":
		replace, err := replacer(c.Pattern, c.Content, g)
		if err != nil {
			return nil, err
		}
		return append(list, replace), nil
	case "NFC":
		return append(list, rewrite(normalForm{norm.NFC, norm.NFD, true}.normalize)), nil
	case "NFD":
		return append(list, rewrite(normalForm{norm.NFD, norm.NFD, false}.normalize)), nil
	case "NFKC":
		return append(list, rewrite(normalForm{norm.NFKC, norm.NFKD, true}.normalize)), nil
	case "NFKD":
		return append(list, rewrite(normalForm{norm.NFKD, norm.NFKD, false}.normalize)), nil
	case "Lowercase":
		return append(list, rewrite(lowercase)), nil
	case "Strip":
		return append(list, stripNormalizer(c)), nil
	case "StripAccents":
		return append(list, rewrite(stripAccents)), nil
	case "Nmt":
		return append(list, rewrite(nmt)), nil
	case "ByteLevel":
		return append(list, rewrite(toByteLetters)), nil
	case "Precompiled":
		p, err := parsePrecompiled(c.CharsMap, g)
		if err != nil {
			return nil, err
		}
		return append(list, rewrite(p.normalize)), nil
	}
	return nil, unsupported("normalizer", c.Type)
}

// lowercase maps each character on its own, without regard to where in a word it
// stands. Go knows one letter differently.
func lowercase(s string) string {
	if strings.Contains(s, "İ") {
		s = strings.ReplaceAll(s, "İ", "i\u0307")
	}
	return strings.Map(lowerRune, s)
}

// stripAccents drops marks; a letter that carries one stays as it is, unless it
// was decomposed before.
func stripAccents(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0x300 && isCombining(r) {
			return -1
		}
		return r
	}, s)
}

// nmt drops control characters and takes all kinds of blanks for blanks.
func nmt(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 1 <= r && r <= 8, r == 0x0B, 0x0E <= r && r <= 0x1F, r == 0x7F, r == 0x8F, r == 0x9F:
			return -1
		case r == '\t', r == '\n', r == '\f', r == '\r', r == 0x1680, 0x200B <= r && r <= 0x200F,
			r == 0x2028, r == 0x2029, r == 0x2581, r == 0xFEFF, r == 0xFFFD:
			return ' '
		}
		return r
	}, s)
}

func stripNormalizer(c *component) normalizer {
	left := c.StripLeft == nil || *c.StripLeft
	right := c.StripRight == nil || *c.StripRight
	return rewrite(func(s string) string {
		if left {
			s = strings.TrimLeftFunc(s, unicode.IsSpace)
		}
		if right {
			s = strings.TrimRightFunc(s, unicode.IsSpace)
		}
		return s
	})
}

// Bounds of what a file may make of a text. Real ones write ▁ for a blank, three
// times its length; a dozen stages that each write four letters for one would
// make gigabytes of a line.
const (
	maxGrowth  = 64   // of all Replace stages of a pipeline together
	maxPrepend = 1024 // bytes
)

// growth is how many times longer the Replace stages so far can make a text.
type growth float64

func (g *growth) add(by float64) error {
	if *g == 0 {
		*g = 1
	}
	if *g *= growth(max(1, by)); *g > maxGrowth {
		return formatError("its Replace stages make a text more than %d times longer", maxGrowth)
	}
	return nil
}

// replacer replaces every match of a pattern by a text.
func replacer(p *pattern, content string, g *growth) (normalizer, error) {
	by := float64(len(content)) + 1 // a pattern may match nothing, beside every character
	if p != nil && p.String != nil && *p.String != "" {
		by = float64(len(content)) / float64(len(*p.String))
	} else if content == "" {
		by = 1
	}
	if err := g.add(by); err != nil {
		return nil, err
	}
	if p != nil && p.String != nil && *p.String != "" {
		return rewrite(strings.NewReplacer(*p.String, content).Replace), nil
	}
	find, err := p.finder("Replace")
	if err != nil {
		return nil, err
	}
	return func(s string) (string, error) {
		found, err := find(s)
		if len(found) == 0 || err != nil {
			return s, err
		}
		var b strings.Builder
		at := 0
		for _, f := range found {
			b.WriteString(s[at:f.start])
			b.WriteString(content)
			at = f.end
		}
		b.WriteString(s[at:])
		return b.String(), nil
	}, nil
}
