package tokenizer

import (
	"encoding/json"
	"strings"
)

const (
	maxFile = 256 << 20 // bytes of a tokenizer.json
	maxIDs  = 1 << 22   // the largest vocabulary taken for real
)

// file is tokenizer.json as it lies on disk.
type file struct {
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         *modelFile      `json:"model"`
}

// modelFile is the model section. vocab is a list in Unigram files.
type modelFile struct {
	Type                    string            `json:"type"`
	Vocab                   json.RawMessage   `json:"vocab"`
	Merges                  []json.RawMessage `json:"merges"`
	UnkToken                *string           `json:"unk_token"`
	ContinuingSubwordPrefix *string           `json:"continuing_subword_prefix"`
	EndOfWordSuffix         *string           `json:"end_of_word_suffix"`
	FuseUnk                 bool              `json:"fuse_unk"`
	ByteFallback            bool              `json:"byte_fallback"`
	IgnoreMerges            bool              `json:"ignore_merges"`
}

// Parse reads a tokenizer.json.
func Parse(data []byte) (*Tokenizer, error) {
	if len(data) > maxFile {
		return nil, formatError("%d bytes, more than %d", len(data), maxFile)
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, formatError("%v", err)
	}
	model, err := parseModel(f.Model)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{
		model:   model,
		special: make(map[int]bool),
		names:   make(map[int]string),
		ids:     make(map[string]int),
		maxID:   len(model.tokens) - 1,
	}
	if t.normalizers, err = parseNormalizer(nil, new(growth), f.Normalizer, 0); err != nil {
		return nil, err
	}
	if t.splitters, err = parsePreTokenizer(nil, f.PreTokenizer, 0); err != nil {
		return nil, err
	}
	fused := false
	if t.decoder, err = parseDecoder(nil, new(growth), &fused, f.Decoder, 0); err != nil {
		return nil, err
	}
	if string(f.Decoder) == "null" || len(f.Decoder) == 0 {
		t.decoder = []stageFunc{func() stage { return &joinBlank{} }}
	}
	if err := t.addTokens(f.AddedTokens); err != nil {
		return nil, err
	}
	if t.prefix, t.suffix, err = parsePostProcessor(f.PostProcessor, 0); err != nil {
		return nil, err
	}
	return t, nil
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
		if tok.Normalized {
			t.normalized.add(t.normalize(tok.Content), tok)
		} else {
			t.raw.add(tok.Content, tok)
		}
	}
	return nil
}

func parseModel(f *modelFile) (*bpe, error) {
	if f == nil {
		return nil, formatError("no model")
	}
	if f.Type != "BPE" && (f.Type != "" || f.Merges == nil) {
		name := f.Type
		if name == "" {
			name = "without type or merges"
		}
		return nil, unsupported("model", name)
	}
	m := &bpe{unk: -1, fuseUnk: f.FuseUnk, byteFallback: f.ByteFallback, ignoreMerges: f.IgnoreMerges}
	if f.ContinuingSubwordPrefix != nil {
		m.wordPrefix = *f.ContinuingSubwordPrefix
	}
	if f.EndOfWordSuffix != nil {
		m.wordSuffix = *f.EndOfWordSuffix
	}
	if err := json.Unmarshal(f.Vocab, &m.vocab); err != nil {
		return nil, formatError("model.vocab: %v", err)
	}
	top := int32(-1)
	for name, id := range m.vocab {
		if id < 0 || id >= maxIDs {
			return nil, formatError("token %q has id %d", name, id)
		}
		top = max(top, id)
	}
	m.tokens = make([]string, top+1)
	for name, id := range m.vocab {
		m.tokens[id] = name
	}
	if f.UnkToken != nil {
		id, ok := m.vocab[*f.UnkToken]
		if !ok {
			return nil, formatError("unk_token %q is not in the vocabulary", *f.UnkToken)
		}
		m.unk = id
	}
	m.findBytes()
	return m, m.parseMerges(f.Merges)
}

// parseMerges reads both spellings: "a b", split at its one ASCII blank, since
// other blanks occur inside tokens, and ["a", "b"].
func (m *bpe) parseMerges(list []json.RawMessage) error {
	m.merges = make(map[uint64]merge, len(list))
	for rank, raw := range list {
		var pair [2]string
		var err error
		if len(raw) > 0 && raw[0] == '"' {
			var line string
			err = json.Unmarshal(raw, &line)
			var ok bool
			if pair[0], pair[1], ok = strings.Cut(line, " "); err == nil && (!ok || strings.Contains(pair[1], " ")) {
				return formatError("merge %d: %q is not two tokens", rank, line)
			}
		} else {
			var parts []string
			err = json.Unmarshal(raw, &parts)
			if err == nil && len(parts) != 2 {
				return formatError("merge %d has %d parts", rank, len(parts))
			}
			copy(pair[:], parts)
		}
		if err != nil {
			return formatError("merge %d: %v", rank, err)
		}
		left, okLeft := m.vocab[pair[0]]
		right, okRight := m.vocab[pair[1]]
		joined, okJoined := m.vocab[pair[0]+strings.TrimPrefix(pair[1], m.wordPrefix)]
		if !okLeft || !okRight || !okJoined {
			return formatError("merge %d: %q + %q is not in the vocabulary", rank, pair[0], pair[1])
		}
		m.merges[pairKey(left, right)] = merge{int32(rank), joined}
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
	if len(data) == 0 || string(data) == "null" {
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
