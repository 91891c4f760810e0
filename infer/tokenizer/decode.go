package tokenizer

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// A decoder is a chain of stages. A stage takes the tokens one after another and
// hands on what can no longer change; flush hands on the rest.
type stage interface {
	push(token string, out func(string))
	flush(out func(string))
}

// stageFunc makes a fresh stage, since stages have state.
type stageFunc func() stage

// Stream decodes ids one at a time. The texts it returns, joined, are exactly
// what Decode gives for all ids at once; none of them ends inside a character.
type Stream struct {
	t           *Tokenizer
	stages      []stage
	skipSpecial bool
	text        strings.Builder
}

// NewStream starts decoding. skipSpecial leaves special tokens out of the text.
func (t *Tokenizer) NewStream(skipSpecial bool) *Stream {
	s := &Stream{t: t, skipSpecial: skipSpecial}
	for _, f := range t.decoder {
		s.stages = append(s.stages, f())
	}
	return s
}

// Continue is NewStream for a text that goes on after that of ids: what a
// decoder does to the first token alone, such as stripping its blank, is not done
// again.
func (t *Tokenizer) Continue(ids []int, skipSpecial bool) *Stream {
	s := t.NewStream(skipSpecial)
	for i := len(ids) - 1; i >= 0; i-- {
		name, ok := t.Token(ids[i])
		if _, isByte := byteToken(name); !ok || isByte || t.special[ids[i]] {
			continue // would leave nothing, or part of a character, behind
		}
		s.Push(ids[i])
		break
	}
	return s
}

// Push takes the next id and returns the text that became certain with it, which
// may be empty. Ids outside the vocabulary are skipped.
func (s *Stream) Push(id int) string {
	name, ok := s.t.Token(id)
	if !ok || s.skipSpecial && s.t.special[id] {
		return ""
	}
	s.feed(0, name)
	return s.take()
}

// Flush ends the text and returns what was still held back.
func (s *Stream) Flush() string {
	for i, st := range s.stages {
		st.flush(func(tok string) { s.feed(i+1, tok) })
	}
	return s.take()
}

func (s *Stream) feed(i int, token string) {
	if i == len(s.stages) {
		s.text.WriteString(token)
		return
	}
	s.stages[i].push(token, func(out string) { s.feed(i+1, out) })
}

func (s *Stream) take() string {
	text := s.text.String()
	s.text.Reset()
	return text
}

// Decode returns the text of ids.
func (t *Tokenizer) Decode(ids []int, skipSpecial bool) string {
	s := t.NewStream(skipSpecial)
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(s.Push(id))
	}
	b.WriteString(s.Flush())
	return b.String()
}

// parseDecoders returns the stages of the decoder section. Without one, tokens are
// joined by blanks.
func parseDecoders(data json.RawMessage) ([]stageFunc, error) {
	if isNull(data) {
		return []stageFunc{func() stage { return &joinBlank{} }}, nil
	}
	p := decoderParser{growth: new(growth)}
	err := p.parse(data, 0)
	return p.stages, err
}

// decoderParser collects the stages. fused says whether the tokens were joined to
// one before: what comes then is one token that arrives in parts.
type decoderParser struct {
	stages []stageFunc
	growth *growth
	fused  bool
}

func (p *decoderParser) parse(data json.RawMessage, depth int) error {
	c, err := parseComponent("decoder", data)
	if c == nil || err != nil {
		return err
	}
	if depth > maxNesting {
		return formatError("decoder: nested more than %d deep", maxNesting)
	}
	switch c.Type {
	case "Sequence":
		for _, sub := range c.Decoders {
			if err := p.parse(sub, depth+1); err != nil {
				return err
			}
		}
		return nil
	case "Fuse":
		p.fused = true
		return nil
	case "Strip":
		if c.Start < 0 || c.Stop < 0 {
			return formatError("decoder Strip: negative count")
		}
		if p.fused {
			content, _ := utf8.DecodeRuneInString(c.Content)
			p.stages = append(p.stages, func() stage { return &stripStage{content: content, start: c.Start, stop: c.Stop} })
			return nil
		}
	}
	if p.fused { // whatever it does to one token, it needs all of it
		p.stages = append(p.stages, func() stage { return &wholeStage{} })
	}
	f, err := p.stage(c)
	if err != nil {
		return err
	}
	p.stages = append(p.stages, f)
	if c.Type == "ByteLevel" {
		p.fused = true
	}
	return nil
}

// stage makes a stage that is fed whole tokens.
func (p *decoderParser) stage(c *component) (stageFunc, error) {
	switch c.Type {
	case "ByteLevel":
		return func() stage { return &byteLevelStage{} }, nil
	case "ByteFallback":
		return func() stage { return &byteFallbackStage{} }, nil
	case "Replace":
		replace, err := replacer(c.Pattern, c.Content, p.growth)
		if err != nil {
			return nil, err
		}
		return mapStage(func(tok string, _ bool) string {
			out, err := replace(tok)
			if err != nil {
				return tok // a pattern that would search for ever in one token
			}
			return out
		}), nil
	case "Metaspace":
		return metaspaceStage(c), nil
	case "BPEDecoder":
		return func() stage { return &suffixStage{suffix: c.Suffix} }, nil
	case "WordPiece":
		return wordPieceStage(c), nil
	case "Strip":
		content, _ := utf8.DecodeRuneInString(c.Content)
		return mapStage(func(tok string, _ bool) string { return stripCount(tok, content, c.Start, c.Stop) }), nil
	}
	return nil, unsupported("decoder", c.Type)
}

// wholeStage joins the parts of a fused token.
type wholeStage struct{ text strings.Builder }

func (s *wholeStage) push(part string, _ func(string)) { s.text.WriteString(part) }

func (s *wholeStage) flush(out func(string)) { out(s.text.String()) }

// wordPieceStage joins tokens by blanks, unless they carry the mark of a word that
// goes on, and moves punctuation to its word.
func wordPieceStage(c *component) stageFunc {
	clean := c.Cleanup == nil || *c.Cleanup
	return mapStage(func(tok string, first bool) string {
		tok = wordPieceJoin(tok, c.Prefix, first)
		if clean {
			return cleanUp(tok)
		}
		return tok
	})
}

func wordPieceJoin(tok, prefix string, first bool) string {
	if first {
		return tok
	}
	if rest, ok := strings.CutPrefix(tok, prefix); ok {
		return rest
	}
	return " " + tok
}

// cleanUp makes replacements one after another, as the library does.
func cleanUp(s string) string {
	for _, r := range [][2]string{{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"},
		{" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}} {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return s
}

// joinBlank is the decoder of files without one: tokens with blanks between.
type joinBlank struct{ begun bool }

func (s *joinBlank) push(tok string, out func(string)) {
	if s.begun {
		tok = " " + tok
	}
	s.begun = true
	out(tok)
}

func (s *joinBlank) flush(func(string)) {}

// mapper rewrites each token on its own; it is told which is the first.
type mapper struct {
	f     func(tok string, first bool) string
	begun bool
}

func mapStage(f func(string, bool) string) stageFunc {
	return func() stage { return &mapper{f: f} }
}

func (s *mapper) push(tok string, out func(string)) {
	out(s.f(tok, !s.begun))
	s.begun = true
}

func (s *mapper) flush(func(string)) {}

// metaspaceStage turns ▁ to blanks, and drops it in the first token unless none
// was put there.
func metaspaceStage(c *component) stageFunc {
	mark := c.Replacement
	if mark == "" {
		mark = "▁"
	}
	never := c.PrependScheme != nil && *c.PrependScheme == "never" ||
		c.PrependScheme == nil && c.AddPrefixSpace != nil && !*c.AddPrefixSpace
	return mapStage(func(tok string, first bool) string {
		if first && !never {
			return strings.ReplaceAll(tok, mark, "")
		}
		return strings.ReplaceAll(tok, mark, " ")
	})
}

// suffixStage replaces an end-of-word mark by a blank, except in the last token.
type suffixStage struct {
	suffix string
	held   string
	holds  bool
}

func (s *suffixStage) push(tok string, out func(string)) {
	if s.holds {
		out(s.replace(s.held, " "))
	}
	s.held, s.holds = tok, true
}

func (s *suffixStage) flush(out func(string)) {
	if s.holds {
		out(s.replace(s.held, ""))
	}
}

func (s *suffixStage) replace(tok, by string) string {
	return strings.ReplaceAll(tok, s.suffix, by)
}

// byteLevelStage turns letters back into bytes and those into text. Bytes that
// may yet become a character are held.
type byteLevelStage struct{ pending []byte }

func (s *byteLevelStage) push(tok string, out func(string)) { s.emit(fromByteLetters(tok), false, out) }

func (s *byteLevelStage) flush(out func(string)) { s.emit(nil, true, out) }

func (s *byteLevelStage) emit(more []byte, end bool, out func(string)) {
	var text strings.Builder
	rest := appendValid(&text, append(s.pending, more...), end)
	s.pending = append(s.pending[:0], rest...)
	if text.Len() > 0 {
		out(text.String())
	}
}

// byteFallbackStage joins runs of byte tokens. The library takes a run that is
// not valid as a whole for one U+FFFD per byte, so a run is held until it ends.
type byteFallbackStage struct{ run []byte }

func (s *byteFallbackStage) push(tok string, out func(string)) {
	if b, ok := byteToken(tok); ok {
		s.run = append(s.run, b)
		return
	}
	s.flush(out)
	out(tok)
}

func (s *byteFallbackStage) flush(out func(string)) {
	if len(s.run) == 0 {
		return
	}
	run := s.run
	s.run = nil
	if utf8.Valid(run) {
		out(string(run))
		return
	}
	for range run {
		out("\uFFFD") // each is a token of its own to the stages after this
	}
}

// byteToken reads <0xHH>.
func byteToken(tok string) (byte, bool) {
	if len(tok) != 6 || tok[:3] != "<0x" || tok[5] != '>' {
		return 0, false
	}
	hi, lo := hexDigit(tok[3]), hexDigit(tok[4])
	if hi < 0 || lo < 0 {
		return 0, false
	}
	return byte(hi<<4 | lo), true
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// stripCount removes up to start leading and stop trailing characters of a kind.
func stripCount(tok string, content rune, start, stop int) string {
	for ; start > 0; start-- {
		r, n := utf8.DecodeRuneInString(tok)
		if n == 0 || r != content {
			break
		}
		tok = tok[n:]
	}
	for ; stop > 0; stop-- {
		r, n := utf8.DecodeLastRuneInString(tok)
		if n == 0 || r != content {
			break
		}
		tok = tok[:len(tok)-n]
	}
	return tok
}

// stripStage is Strip on the joined text: the first characters as they come, the
// last ones held back until the text ends.
type stripStage struct {
	content     rune
	start, stop int
	begun       bool
	held        string // trailing characters of the kind, at most stop of them
}

func (s *stripStage) push(part string, out func(string)) {
	if !s.begun {
		trimmed := stripCount(part, s.content, s.start, 0)
		s.start -= (len(part) - len(trimmed)) / max(1, utf8.RuneLen(s.content))
		s.begun = trimmed != ""
		part = trimmed
	}
	if s.stop == 0 {
		out(part)
		return
	}
	whole := s.held + part
	keep := stripCount(whole, s.content, 0, s.stop)
	s.held = whole[len(keep):]
	out(keep)
}

func (s *stripStage) flush(func(string)) {}
