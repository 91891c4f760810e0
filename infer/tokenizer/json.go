package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// scanner reads JSON without building it: a vocabulary has a quarter of a million
// names, and reflection over them takes ten times as long as reading them. It is
// strict about the values it hands out; those it skips are checked by who reads
// them.
type scanner struct {
	data []byte
	at   int
}

// peek skips blanks and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case ' ', '\n', '\r', '\t':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// array calls item for each element, which it must read.
func (s *scanner) array(item func() error) error { return s.list('[', ']', item) }

// object calls value with each key; it must read the value.
func (s *scanner) object(value func(key []byte) error) error {
	return s.list('{', '}', func() error {
		key, err := s.text()
		if err != nil {
			return err
		}
		if s.peek() != ':' {
			return s.unexpected("a colon")
		}
		s.at++
		return value(key)
	})
}

func (s *scanner) list(open, end byte, item func() error) error {
	if s.peek() != open {
		return s.unexpected(map[byte]string{'[': "a list", '{': "an object"}[open])
	}
	s.at++
	if s.peek() == end {
		s.at++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch s.peek() {
		case end:
			s.at++
			return nil
		case ',':
			s.at++
		default:
			return s.unexpected("a comma")
		}
	}
}

// end is the error of anything but blanks that is left.
func (s *scanner) end() error {
	if s.peek() != 0 || s.at < len(s.data) {
		return s.unexpected("the end")
	}
	return nil
}

// unexpected says what stands where something else should.
func (s *scanner) unexpected(want string) error {
	got := kindOf(s.peek())
	if s.at < len(s.data) && s.data[s.at] == 0 {
		got = "a zero byte"
	}
	return fmt.Errorf("%s where %s should be, at byte %d", got, want, s.at)
}

// raw returns the next value as it is written.
func (s *scanner) raw() []byte {
	s.peek()
	start, depth := s.at, 0
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case '"':
			s.at = s.stringEnd()
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			if depth == 0 {
				return bytes.TrimRight(s.data[start:s.at], " \n\r\t")
			}
			depth--
			s.at++
		case ',':
			if depth == 0 {
				return bytes.TrimRight(s.data[start:s.at], " \n\r\t")
			}
			s.at++
			continue
		default:
			s.at++
			continue
		}
		if depth == 0 {
			break
		}
	}
	return s.data[start:s.at]
}

// stringEnd returns the place behind the string that begins here.
func (s *scanner) stringEnd() int {
	for i := s.at + 1; i < len(s.data); i++ {
		switch s.data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s.data)
}

// text reads a string. The bytes are the file's own where nothing in them is
// escaped.
func (s *scanner) text() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.unexpected("a string")
	}
	start := s.at
	s.at = s.stringEnd()
	quoted := s.data[start:s.at]
	if plain(quoted) {
		return quoted[1 : len(quoted)-1], nil
	}
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return nil, err
	}
	return []byte(text), nil
}

// plain says whether a string stands for the bytes between its quotes.
func plain(quoted []byte) bool {
	if len(quoted) < 2 {
		return false
	}
	for _, c := range quoted[1 : len(quoted)-1] {
		if c < ' ' || c == '\\' {
			return false
		}
	}
	return utf8.Valid(quoted)
}

// id reads a token's id.
func (s *scanner) id() (int32, error) {
	raw := s.raw()
	id, err := strconv.ParseInt(string(raw), 10, 64)
	digit := len(raw) > 0 && '0' <= raw[0] && raw[0] <= '9' && (raw[0] != '0' || len(raw) == 1)
	if err != nil || !digit || id >= maxIDs {
		return 0, fmt.Errorf("id %.20s is not a whole number below %d", raw, maxIDs)
	}
	return int32(id), nil
}

// rawObject is an object whose values are not read yet.
type rawObject map[string]json.RawMessage

// readObject reads a whole text as an object.
func readObject(data []byte) (rawObject, error) {
	s := &scanner{data: data}
	o := make(rawObject)
	if err := s.object(func(key []byte) error {
		o[string(key)] = s.raw()
		return nil
	}); err != nil {
		return nil, err
	}
	return o, s.end()
}

// decode fills a struct from all values but those named.
func (o rawObject) decode(to any, except ...string) error {
	small := make(rawObject, len(o))
	for name, value := range o {
		if !slices.Contains(except, name) {
			small[name] = value
		}
	}
	data, err := json.Marshal(small)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, to)
}

// isNull says whether a value is missing.
func isNull(data json.RawMessage) bool { return len(data) == 0 || string(data) == "null" }

// kindOf says what a value is by its first byte.
func kindOf(c byte) string {
	switch {
	case c == '{':
		return "an object"
	case c == '[':
		return "a list"
	case c == '"':
		return "a string"
	case c == 'n':
		return "null"
	case c == 't' || c == 'f':
		return "a truth value"
	case c == '-' || '0' <= c && c <= '9':
		return "a number"
	case c == 0:
		return "the end"
	}
	return fmt.Sprintf("%q", c)
}
