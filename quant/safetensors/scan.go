package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// scanner walks JSON over bytes that are known to be UTF-8. encoding/json's
// tokens take ten times as long, and give neither names that stand once nor
// bounded nesting. Its slow twin is in scan_test.go.
type scanner struct {
	buf   []byte
	pos   int
	depth int
}

// maxDepth is how deep the JSON of a header may nest. The format needs three
// levels: the object, a tensor's object, its shape.
const maxDepth = 4

// errSyntax is bytes that are not JSON.
var errSyntax = errors.New("invalid character")

func (s *scanner) syntax(want string) error {
	if s.pos >= len(s.buf) {
		return io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w %q where %s must stand", errSyntax, s.buf[s.pos], want)
}

// peek skips white space and gives the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.buf); s.pos++ {
		switch c := s.buf[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// open enters an object or array, with { or [.
func (s *scanner) open(want byte) error {
	if c := s.peek(); c != want {
		found, err := s.token()
		if err != nil {
			return err
		}
		return malformed("found %s where %c must stand", found, want)
	}
	s.pos++
	if s.depth++; s.depth > maxDepth {
		return malformed("the JSON nests deeper than %d levels", maxDepth)
	}
	return nil
}

// next says whether another element follows, and passes the comma before it; at
// the end it leaves the object or array. Elements are counted from 0.
func (s *scanner) next(element int, end byte) (bool, error) {
	c := s.peek()
	switch {
	case c == end:
		s.pos++
		s.depth--
		return false, nil
	case element == 0:
		return true, nil
	case c != ',':
		return false, s.syntax("a comma")
	}
	s.pos++
	return true, nil
}

// key reads a name and the colon after it.
func (s *scanner) key() (string, error) {
	if s.peek() != '"' {
		return "", s.syntax("a name")
	}
	name, err := s.text()
	if err != nil {
		return "", err
	}
	if s.peek() != ':' {
		return "", s.syntax("a colon")
	}
	s.pos++
	return name, nil
}

// text reads a string, which begins here.
func (s *scanner) text() (string, error) {
	start, escaped := s.pos, false
	for s.pos++; s.pos < len(s.buf); s.pos++ {
		switch c := s.buf[s.pos]; {
		case c == '"':
			s.pos++
			if escaped {
				var out string
				err := json.Unmarshal(s.buf[start:s.pos], &out)
				return out, err
			}
			return intern(s.buf[start+1 : s.pos-1]), nil
		case c == '\\':
			escaped = true
			s.pos++
		case c < ' ':
			return "", s.syntax("a printable character")
		}
	}
	return "", io.ErrUnexpectedEOF
}

// intern saves an allocation for what stands in every tensor's object.
func intern(b []byte) string {
	switch string(b) {
	case "dtype":
		return "dtype"
	case "shape":
		return "shape"
	case "data_offsets":
		return "data_offsets"
	case "I32":
		return "I32"
	case "F16":
		return "F16"
	case "BF16":
		return "BF16"
	}
	return string(b)
}

// number reads a number, which begins here, as it is written.
func (s *scanner) number() (string, error) {
	start := s.pos
	digits := func() bool {
		from := s.pos
		for s.pos < len(s.buf) && s.buf[s.pos] >= '0' && s.buf[s.pos] <= '9' {
			s.pos++
		}
		return s.pos > from
	}
	at := func(set string) bool {
		for i := range len(set) {
			if s.pos < len(s.buf) && s.buf[s.pos] == set[i] {
				return true
			}
		}
		return false
	}
	if at("-") {
		s.pos++
	}
	if at("0") {
		s.pos++
	} else if !digits() {
		return "", s.syntax("a digit")
	}
	if at(".") {
		if s.pos++; !digits() {
			return "", s.syntax("a digit")
		}
	}
	if at("eE") {
		if s.pos++; at("+-") {
			s.pos++
		}
		if !digits() {
			return "", s.syntax("a digit")
		}
	}
	return string(s.buf[start:s.pos]), nil
}

// whole reads a whole number below 2^63 that is followed by neither a fraction
// nor an exponent; ok is false, and nothing read, if there is none.
func (s *scanner) whole() (n int64, ok bool) {
	i := s.pos
	for ; i < len(s.buf) && s.buf[i] >= '0' && s.buf[i] <= '9'; i++ {
		if n > (math.MaxInt64-9)/10 {
			return 0, false // or nearly 2^63: number reads it
		}
		n = 10*n + int64(s.buf[i]-'0')
	}
	if i == s.pos || i < len(s.buf) && (s.buf[i] == '.' || s.buf[i] == 'e' || s.buf[i] == 'E') || s.buf[s.pos] == '0' && i > s.pos+1 {
		return 0, false
	}
	s.pos = i
	return n, true
}

// token reads a string, number or literal, or the bracket that opens what is
// more, and gives it as a message shows it.
func (s *scanner) token() (string, error) {
	switch c := s.peek(); c {
	case '"':
		return s.text()
	case '{', '[':
		s.pos++
		return string(c), nil
	case 't', 'f', 'n':
		for _, word := range []string{"true", "false", "null"} {
			if word[0] == c && len(s.buf)-s.pos >= len(word) && string(s.buf[s.pos:s.pos+len(word)]) == word {
				s.pos += len(word)
				return word, nil
			}
		}
		return "", s.syntax("a value")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return s.number()
	}
	return "", s.syntax("a value")
}

// skip consumes one value of any kind, within the nesting limit.
func (s *scanner) skip() error {
	switch s.peek() {
	case '{':
		return s.each('{', '}', func(int) error {
			if _, err := s.key(); err != nil {
				return err
			}
			return s.skip()
		})
	case '[':
		return s.each('[', ']', func(int) error { return s.skip() })
	}
	_, err := s.token()
	return err
}

// each calls element for each of an object or array, by its number; element
// consumes it.
func (s *scanner) each(begin, end byte, element func(i int) error) error {
	if err := s.open(begin); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := s.next(i, end)
		if err != nil || !more {
			return err
		}
		if err := element(i); err != nil {
			return err
		}
	}
}

// object calls member for every name, of which none stands twice; member
// consumes the value.
func (s *scanner) object(member func(name string) error) error {
	var few [4]string // what a tensor's object has
	var seen map[string]bool
	return s.each('{', '}', func(i int) error {
		name, err := s.key()
		if err != nil {
			return err
		}
		if i < len(few) {
			if slices.Contains(few[:i], name) {
				return twice(name)
			}
			few[i] = name
			return member(name)
		}
		if seen == nil {
			seen = map[string]bool{}
			for _, other := range few {
				seen[other] = true
			}
		}
		if seen[name] {
			return twice(name)
		}
		seen[name] = true
		return member(name)
	})
}

func twice(name string) error { return tensorErr(name, "the name stands twice in one object") }

// end checks that only white space follows.
func (s *scanner) end() error {
	if s.peek(); s.pos == len(s.buf) {
		return nil
	}
	found, err := s.token()
	if err != nil {
		return err
	}
	return malformed("%s follows the JSON object", found)
}
