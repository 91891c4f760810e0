package tokenizer

import (
	"encoding/json"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normalizer rewrites a stretch of text before it is cut into words.
type normalizer func(string) string

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
	Suffix           string `json:"suffix"`
}

// pattern is the argument of Replace and Split.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

func parseComponent(kind string, data json.RawMessage) (*component, error) {
	if len(data) == 0 || string(data) == "null" {
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
		return append(list, func(s string) string {
			if s == "" {
				return s
			}
			return c.Prepend + s
		}), nil
	case "Replace":
		replace, err := replacer(c.Pattern, c.Content, g)
		if err != nil {
			return nil, err
		}
		return append(list, replace), nil
	case "NFC":
		return append(list, normalForm{norm.NFC, norm.NFD, true}.normalize), nil
	case "NFD":
		return append(list, normalForm{norm.NFD, norm.NFD, false}.normalize), nil
	case "NFKC":
		return append(list, normalForm{norm.NFKC, norm.NFKD, true}.normalize), nil
	case "NFKD":
		return append(list, normalForm{norm.NFKD, norm.NFKD, false}.normalize), nil
	case "Lowercase":
		return append(list, strings.ToLower), nil
	case "Strip":
		return append(list, stripNormalizer(c)), nil
	}
	return nil, unsupported("normalizer", c.Type)
}

func stripNormalizer(c *component) normalizer {
	left := c.StripLeft == nil || *c.StripLeft
	right := c.StripRight == nil || *c.StripRight
	return func(s string) string {
		if left {
			s = strings.TrimLeftFunc(s, unicode.IsSpace)
		}
		if right {
			s = strings.TrimRightFunc(s, unicode.IsSpace)
		}
		return s
	}
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

func (g *growth) add(from, to string) error {
	by := max(1, float64(len(to))/float64(len(from)))
	if *g == 0 {
		*g = 1
	}
	if *g *= growth(by); *g > maxGrowth {
		return formatError("its Replace stages make a text more than %d times longer", maxGrowth)
	}
	return nil
}

// replacer replaces every occurrence of a fixed text by another.
func replacer(p *pattern, content string, g *growth) (func(string) string, error) {
	switch {
	case p != nil && p.String != nil && *p.String != "":
		if err := g.add(*p.String, content); err != nil {
			return nil, err
		}
		r := strings.NewReplacer(*p.String, content)
		return r.Replace, nil
	case p != nil && p.String != nil:
		return func(s string) string { return s }, nil
	case p != nil && p.Regex != nil:
		return nil, unsupported("Replace by pattern", *p.Regex)
	}
	return nil, formatError("Replace without a pattern")
}
