package tokenizer

import (
	"encoding/json"
	"slices"
)

const (
	maxFile = 256 << 20 // bytes of a tokenizer.json
	maxIDs  = 1 << 22   // the largest vocabulary taken for real
	maxName = 4 << 10   // bytes of an added token's name
)

// Parse reads a tokenizer.json.
func Parse(data []byte) (*Tokenizer, error) {
	if len(data) > maxFile {
		return nil, formatError("%d bytes, more than %d", len(data), maxFile)
	}
	file, err := readObject(data)
	if err != nil {
		return nil, formatError("%v", err)
	}
	t := &Tokenizer{
		special: make(map[int]bool),
		names:   make(map[int]string),
		ids:     make(map[string]int),
	}
	// What is small and may be refused comes first.
	if t.normalizers, err = parseNormalizer(nil, new(growth), file["normalizer"], 0); err != nil {
		return nil, err
	}
	t.trims = trims(file["normalizer"])
	if t.splitters, err = parsePreTokenizer(nil, file["pre_tokenizer"], 0); err != nil {
		return nil, err
	}
	if t.decoder, err = parseDecoders(file["decoder"]); err != nil {
		return nil, err
	}
	if t.prefix, t.suffix, err = parsePostProcessor(file["post_processor"], 0); err != nil {
		return nil, err
	}
	if t.model, t.vocab, err = parseModel(file["model"]); err != nil {
		return nil, err
	}
	t.maxID = len(t.vocab.names) - 1
	var added []addedToken
	if list := file["added_tokens"]; !isNull(list) {
		if err := json.Unmarshal(list, &added); err != nil {
			return nil, formatError("added_tokens: %v", err)
		}
	}
	return t, t.addTokens(added)
}

// trims says whether a normalizer strips what a text begins with: the rest of it
// then is not the text's first word to Metaspace.
func trims(data json.RawMessage) bool {
	c, err := parseComponent("normalizer", data)
	if c == nil || err != nil {
		return false
	}
	return c.Type == "Strip" && (c.StripLeft == nil || *c.StripLeft) || slices.ContainsFunc(c.Normalizers, trims)
}

// addTokens enters the added tokens, normalized names where that is asked for.
func (t *Tokenizer) addTokens(tokens []addedToken) error {
	for _, tok := range tokens {
		if tok.ID < 0 || tok.ID >= maxIDs {
			return formatError("added token %q has id %d", tok.Content, tok.ID)
		}
		if tok.Content == "" {
			continue
		}
		t.names[tok.ID] = tok.Content
		t.ids[tok.Content] = tok.ID
		t.maxID = max(t.maxID, tok.ID)
		if tok.Special {
			t.special[tok.ID] = true
		}
		if len(tok.Content) > maxName {
			return formatError("added token %d has a name of %d bytes", tok.ID, len(tok.Content))
		}
		if tok.Normalized {
			name, err := t.normalize(tok.Content)
			if err != nil {
				return formatError("added token %q: %v", tok.Content, err)
			}
			t.normalized.add(name, tok)
		} else {
			t.raw.add(tok.Content, tok)
		}
	}
	return nil
}

// processor is a post-processor; the two old kinds name their tokens as pairs.
type processor struct {
	Type          string             `json:"type"`
	Processors    []json.RawMessage  `json:"processors"`
	Single        []templateItem     `json:"single"`
	SpecialTokens map[string]special `json:"special_tokens"`
	Sep           tokenPair          `json:"sep"`
	Cls           tokenPair          `json:"cls"`
}

type templateItem struct {
	SpecialToken *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
	Sequence *struct {
		ID string `json:"id"`
	} `json:"Sequence"`
}

type special struct {
	IDs []int `json:"ids"`
}

// tokenPair is ["name", id].
type tokenPair struct{ id int }

// UnmarshalJSON reads the pair.
func (p *tokenPair) UnmarshalJSON(data []byte) error {
	var name string
	return json.Unmarshal(data, &[]any{&name, &p.id})
}

// parsePostProcessor returns the ids to put before and after a single text.
func parsePostProcessor(data json.RawMessage, depth int) (prefix, suffix []int, err error) {
	if isNull(data) {
		return nil, nil, nil
	}
	if depth > maxNesting {
		return nil, nil, formatError("post_processor: nested more than %d deep", maxNesting)
	}
	var p processor
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, nil, formatError("post_processor: %v", err)
	}
	switch p.Type {
	case "ByteLevel":
		return nil, nil, nil // trims offsets, changes no id
	case "RobertaProcessing", "BertProcessing":
		return []int{p.Cls.id}, []int{p.Sep.id}, nil
	case "Sequence":
		for _, sub := range p.Processors {
			before, after, err := parsePostProcessor(sub, depth+1)
			if err != nil {
				return nil, nil, err
			}
			prefix = append(append([]int(nil), before...), prefix...)
			suffix = append(suffix, after...)
		}
		return prefix, suffix, nil
	case "TemplateProcessing":
		return p.template()
	}
	return nil, nil, unsupported("post_processor", p.Type)
}

func (p *processor) template() (prefix, suffix []int, err error) {
	seen := false
	for _, item := range p.Single {
		if item.Sequence != nil {
			if seen || item.Sequence.ID != "A" {
				return nil, nil, unsupported("post_processor", "TemplateProcessing that repeats the text")
			}
			seen = true
			continue
		}
		if item.SpecialToken == nil {
			return nil, nil, formatError("post_processor: an item that is neither text nor token")
		}
		tok, ok := p.SpecialTokens[item.SpecialToken.ID]
		if !ok {
			return nil, nil, formatError("post_processor: %q is not described", item.SpecialToken.ID)
		}
		if seen {
			suffix = append(suffix, tok.IDs...)
		} else {
			prefix = append(prefix, tok.IDs...)
		}
	}
	if !seen {
		return nil, nil, unsupported("post_processor", "TemplateProcessing without the text")
	}
	return prefix, suffix, nil
}
