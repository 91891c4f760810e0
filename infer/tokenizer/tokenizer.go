package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What callers branch on. A file that is not what it should be is ErrFormat; one
// that is fine but asks for a component not written here is ErrUnsupported.
var (
	ErrFormat      = errors.New("bad tokenizer.json")
	ErrUnsupported = errors.New("not supported by the tokenizer")
	// ErrTooHard ends a pattern that would search for ever on this text.
	ErrTooHard = errors.New("a pattern of the tokenizer takes too long on this text")
	// ErrUnknown is a text with something that the vocabulary has no token for.
	ErrUnknown = errors.New("the vocabulary has no token for this")
)

// Tokenizer is a parsed tokenizer.json.
type Tokenizer struct {
	raw         matcher // added tokens looked for in the raw text
	normalized  matcher // those looked for in the normalized text
	normalizers []normalizer
	trims       bool // a normalizer strips the blanks a text begins with
	splitters   []splitter
	model       model
	vocab       *vocabulary
	prefix      []int // ids that the post-processor puts before a text
	suffix      []int // and after it
	decoder     []stageFunc

	special map[int]bool   // ids of special tokens
	names   map[int]string // ids of added tokens
	ids     map[string]int // added tokens by name
	maxID   int
}

// Segment is a stretch of a text. Names of control tokens inside a Literal one
// are plain text: this is how a user's message is kept from ending its own turn.
type Segment struct {
	Text    string
	Literal bool
}

// Encode returns the ids of text. Names of added tokens inside it are found.
// special adds what the post-processor puts around a text. Invalid UTF-8 counts
// as U+FFFD. The errors are ErrTooHard and ErrUnknown.
func (t *Tokenizer) Encode(text string, special bool) ([]int, error) {
	return t.EncodeSegments([]Segment{{Text: text}}, special)
}

// EncodeSegments encodes the segments as one text: the ids are those of Encode
// on the segments joined, except that control tokens are not looked for in
// literal segments. A control token is one that the file marks special or whose
// name a segment that is not literal uses: some files do not mark the tokens
// that delimit their turns.
func (t *Tokenizer) EncodeSegments(segments []Segment, special bool) ([]int, error) {
	in := joinSegments(segments)
	if len(in.literal) > 0 {
		in.control = t.controlTokens(in)
	}
	var ids []int
	if special {
		ids = append(ids, t.prefix...)
	}
	for _, part := range t.raw.cut(in) {
		if part.id >= 0 {
			ids = append(ids, part.id)
			continue
		}
		var err error
		if ids, err = t.encodeStretch(ids, in, part); err != nil {
			return nil, err
		}
	}
	if special {
		ids = append(ids, t.suffix...)
	}
	return ids, nil
}

// encodeStretch encodes what lies between two added tokens.
func (t *Tokenizer) encodeStretch(ids []int, in input, part cutPart) ([]int, error) {
	stretch, err := in.slice(part.start, part.end, t.normalize)
	if err != nil {
		return nil, err
	}
	for _, p := range t.normalized.cut(stretch) {
		if p.id >= 0 {
			ids = append(ids, p.id)
			continue
		}
		words := []word{{text: stretch.text[p.start:p.end], first: part.start == 0 && p.start == 0 && !(t.trims && startsBlank(in.text))}}
		for _, split := range t.splitters {
			var err error
			if words, err = split(words); err != nil {
				return nil, err
			}
		}
		for _, w := range words {
			var err error
			if ids, err = t.model.encode(ids, w.text); err != nil {
				return nil, err
			}
		}
	}
	return ids, nil
}

func startsBlank(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && unicode.IsSpace(r)
}

func (t *Tokenizer) normalize(s string) (string, error) {
	for _, n := range t.normalizers {
		var err error
		if s, err = n(s); err != nil {
			return "", err
		}
	}
	return s, nil
}

// controlTokens returns the ids that literal segments may not contain.
func (t *Tokenizer) controlTokens(in input) map[int]bool {
	control := make(map[int]bool, len(t.special))
	for id := range t.special {
		control[id] = true
	}
	all := make(map[int]bool, len(t.names))
	for id := range t.names {
		all[id] = true
	}
	in.control = all // no added token at all inside literal segments
	for _, p := range t.raw.cut(in) {
		if p.id >= 0 {
			control[p.id] = true
		}
	}
	return control
}

// TokenID returns the id of a token by its exact name, added or of the model.
func (t *Tokenizer) TokenID(name string) (int, bool) {
	if id, ok := t.ids[name]; ok {
		return id, true
	}
	id, ok := t.vocab.lookup(name)
	return int(id), ok
}

// Token returns the name of a token.
func (t *Tokenizer) Token(id int) (string, bool) {
	if name, ok := t.names[id]; ok {
		return name, true
	}
	return t.vocab.name(id)
}

// IsSpecial says whether the file marks a token as special.
func (t *Tokenizer) IsSpecial(id int) bool { return t.special[id] }

// Prefix returns the ids that the post-processor puts before a text, such as the
// one that begins it. The caller must not change them.
func (t *Tokenizer) Prefix() []int { return t.prefix }

// Size is one more than the largest id.
func (t *Tokenizer) Size() int { return t.maxID + 1 }

// input is a text with the byte ranges of it that are literal.
type input struct {
	text    string
	literal []byteRange // ascending, not empty
	control map[int]bool
}

type byteRange struct{ start, end int }

func joinSegments(segments []Segment) input {
	var in input
	var b strings.Builder
	for _, s := range segments {
		start := b.Len()
		b.WriteString(strings.ToValidUTF8(s.Text, "\uFFFD"))
		if s.Literal && b.Len() > start {
			in.literal = append(in.literal, byteRange{start, b.Len()})
		}
	}
	in.text = b.String()
	return in
}

// allows says whether the token may be cut out of text[start:end].
func (in input) allows(id, start, end int) bool {
	if !in.control[id] {
		return true
	}
	i, _ := slices.BinarySearchFunc(in.literal, start, func(r byteRange, s int) int {
		if r.end <= s {
			return -1
		}
		return 1
	})
	return i == len(in.literal) || in.literal[i].start >= end
}

// slice is the normalized stretch start:end. The borders of literal ranges are
// mapped by normalizing what comes before them: exact for normalizers that work
// from left to right, and off by blanks alone for those that trim.
func (in input) slice(start, end int, normalize func(string) (string, error)) (input, error) {
	raw := in.text[start:end]
	whole, err := normalize(raw)
	if err != nil {
		return input{}, err
	}
	out := input{text: whole, control: in.control}
	border := func(at int) int {
		switch at {
		case start:
			return 0
		case end:
			return len(whole)
		}
		before, e := normalize(raw[:at-start])
		if e != nil {
			err = e
		}
		return min(len(before), len(whole))
	}
	for _, r := range in.literal {
		a, b := max(r.start, start), min(r.end, end)
		if a >= b {
			continue
		}
		if la, lb := border(a), border(b); la < lb {
			out.literal = append(out.literal, byteRange{la, lb})
		}
	}
	return out, err
}

// formatError says what is wrong with a file, where.
func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}

func unsupported(kind, name string) error {
	return fmt.Errorf("%s %q: %w", kind, name, ErrUnsupported)
}
