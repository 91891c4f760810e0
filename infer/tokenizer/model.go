package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// model turns a word into ids.
type model interface {
	encode(ids []int, word string) ([]int, error)
}

// unknown is the token for what the vocabulary does not have.
type unknown struct {
	name string // "" for none
	id   int32  // -1 where the vocabulary has no such token: found out when it is needed
}

func (v *vocabulary) unknown(name *string) unknown {
	if name == nil {
		return unknown{id: -1}
	}
	if id, ok := v.lookup(*name); ok {
		return unknown{*name, id}
	}
	return unknown{*name, -1}
}

// missing is the error of a text that needs an unknown token that is not there.
func (u unknown) missing(what string) error {
	if u.name == "" {
		return fmt.Errorf("%.20q: %w", what, ErrUnknown)
	}
	return fmt.Errorf("%.20q: %w, nor the unk_token %q", what, ErrUnknown, u.name)
}

// modelFile is the model section, but for vocab and merges.
type modelFile struct {
	Type         *string  `json:"type"`
	UnkToken     *string  `json:"unk_token"`
	UnkID        *int     `json:"unk_id"`
	Prefix       *string  `json:"continuing_subword_prefix"`
	Suffix       *string  `json:"end_of_word_suffix"`
	FuseUnk      bool     `json:"fuse_unk"`
	ByteFallback bool     `json:"byte_fallback"`
	IgnoreMerges bool     `json:"ignore_merges"`
	Dropout      *float64 `json:"dropout"`
	MaxChars     *int     `json:"max_input_chars_per_word"`
}

func parseModel(data json.RawMessage) (model, *vocabulary, error) {
	if isNull(data) {
		return nil, nil, formatError("no model")
	}
	o, err := readObject(data)
	if err != nil {
		return nil, nil, formatError("model: %v", err)
	}
	var f modelFile
	if err := o.decode(&f, "vocab", "merges"); err != nil {
		return nil, nil, formatError("model: %v", err)
	}
	switch kind := f.kind(o); kind {
	case "BPE":
		return parseBPE(f, o)
	case "Unigram":
		return parseUnigram(f, o)
	case "WordPiece":
		return parseWordPiece(f, o)
	case "WordLevel":
		return parseWordLevel(f, o)
	default:
		return nil, nil, unsupported("model", kind)
	}
}

// kind is the declared type, or for files older than that field the one whose
// parts are there.
func (f modelFile) kind(o rawObject) string {
	switch {
	case f.Type != nil:
		return *f.Type
	case o["merges"] != nil:
		return "BPE"
	case f.UnkID != nil || strings.HasPrefix(string(o["vocab"]), "["):
		return "Unigram"
	case f.MaxChars != nil:
		return "WordPiece"
	case f.UnkToken != nil:
		return "WordLevel"
	}
	return "without type or merges"
}

func parseBPE(f modelFile, o rawObject) (model, *vocabulary, error) {
	if f.Dropout != nil && *f.Dropout != 0 {
		return nil, nil, unsupported("model", fmt.Sprintf("BPE with dropout %g, which is for training,", *f.Dropout))
	}
	v, err := parseVocab(o["vocab"])
	if err != nil {
		return nil, nil, err
	}
	m := &bpe{vocabulary: v, unk: v.unknown(f.UnkToken), fuseUnk: f.FuseUnk, byteFallback: f.ByteFallback, ignoreMerges: f.IgnoreMerges}
	if f.Prefix != nil {
		m.wordPrefix = *f.Prefix
	}
	if f.Suffix != nil {
		m.wordSuffix = *f.Suffix
	}
	m.bytes = v.byteTokens()
	return m, v, m.parseMerges(o["merges"])
}

// parseMerges reads both spellings: "a b", split at its one ASCII blank, since
// other blanks occur inside tokens, and ["a", "b"].
func (m *bpe) parseMerges(data []byte) error {
	m.merges = make(map[uint64]merge, len(m.ids))
	s := &scanner{data: data}
	rank := int32(0)
	var joined []byte
	err := s.array(func() error {
		left, right, ok, err := s.merge()
		if err != nil || !ok {
			return err
		}
		l, okLeft := m.ids[string(left)]
		r, okRight := m.ids[string(right)]
		if len(right) < len(m.wordPrefix) {
			okRight = false
		} else {
			joined = append(append(joined[:0], left...), right[len(m.wordPrefix):]...)
		}
		j, okJoined := m.ids[string(joined)]
		if !okLeft || !okRight || !okJoined {
			return fmt.Errorf("%q + %q is not in the vocabulary", left, right)
		}
		m.merges[pairKey(l, r)] = merge{rank, j}
		rank++
		return nil
	})
	if err != nil {
		return formatError("model.merges, merge %d: %v", rank, err)
	}
	return nil
}

// merge reads one merge; ok is false for the line of a version.
func (s *scanner) merge() (left, right []byte, ok bool, err error) {
	if s.peek() == '"' {
		line, err := s.text()
		if err != nil {
			return nil, nil, false, err
		}
		if bytes.HasPrefix(line, []byte("#version")) {
			return nil, nil, false, nil
		}
		left, right, ok = bytes.Cut(line, []byte(" "))
		if !ok || bytes.IndexByte(right, ' ') >= 0 {
			return nil, nil, false, fmt.Errorf("%q is not two tokens", line)
		}
		return left, right, true, nil
	}
	n := 0
	err = s.array(func() error {
		text, err := s.text()
		if n++; n == 1 {
			left = text
		} else {
			right = text
		}
		return err
	})
	if err == nil && n != 2 {
		err = fmt.Errorf("%d tokens where two should be", n)
	}
	return left, right, true, err
}
