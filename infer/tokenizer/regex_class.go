package tokenizer

import (
	"strconv"
	"strings"
	"unicode"
)

// charSet is a set of characters: ranges, properties and nested sets.
type charSet struct {
	neg    bool
	ascii  [2]uint64 // membership of 0…127, after neg
	ranges []rune    // pairs lo, hi
	props  []func(rune) bool
	subs   []*charSet
}

func (s *charSet) has(r rune) bool {
	if r < 0x80 {
		return s.ascii[r>>6]>>(r&63)&1 == 1
	}
	return s.compute(r)
}

func (s *charSet) compute(r rune) bool {
	for i := 0; i < len(s.ranges); i += 2 {
		if s.ranges[i] <= r && r <= s.ranges[i+1] {
			return !s.neg
		}
	}
	for _, p := range s.props {
		if p(r) {
			return !s.neg
		}
	}
	for _, sub := range s.subs {
		if sub.compute(r) {
			return !s.neg
		}
	}
	return s.neg
}

func (s *charSet) seal() *charSet {
	for r := rune(0); r < 0x80; r++ {
		if s.compute(r) {
			s.ascii[r>>6] |= 1 << (r & 63)
		}
	}
	return s
}

// classEscape reads what follows a backslash: a character, or a class that it
// adds to set.
func (p *regexParser) classEscape(set *charSet) (r rune, isRune bool, err error) {
	if !p.more() {
		return 0, false, p.refuse("trailing \\")
	}
	switch c := p.next(); c {
	case 's', 'S':
		set.addClass(unicode.IsSpace, c == 'S')
	case 'd', 'D':
		set.addClass(func(r rune) bool { return unicode.Is(unicode.Nd, r) }, c == 'D')
	case 'w', 'W':
		set.addClass(isWord, c == 'W')
	case 'p', 'P':
		is, err := p.property()
		if err != nil {
			return 0, false, err
		}
		set.addClass(is, c == 'P')
	case 'n':
		return '\n', true, nil
	case 'r':
		return '\r', true, nil
	case 't':
		return '\t', true, nil
	case 'f':
		return '\f', true, nil
	case 'v':
		return '\v', true, nil
	case 'a':
		return '\a', true, nil
	case 'e':
		return 0x1B, true, nil
	case 'x':
		return p.hex(2, true)
	case 'u':
		return p.hex(4, false)
	default:
		if c < 0x80 && (c >= '0' && c <= '9' || unicode.IsLetter(c)) {
			return 0, false, p.refuse("\\" + string(c))
		}
		return c, true, nil
	}
	return 0, false, nil
}

func (s *charSet) addClass(is func(rune) bool, neg bool) {
	if neg {
		s.props = append(s.props, func(r rune) bool { return !is(r) })
		return
	}
	s.props = append(s.props, is)
}

// hex reads \xHH, \x{H…} or \uHHHH.
func (p *regexParser) hex(digits int, braces bool) (rune, bool, error) {
	s := p.src[p.at:]
	if braces && strings.HasPrefix(s, "{") {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return 0, false, p.refuse("missing }")
		}
		s = s[1:end]
		p.at += end + 1
	} else {
		if len(s) < digits {
			return 0, false, p.refuse("hexadecimal digits missing")
		}
		s = s[:digits]
		p.at += digits
	}
	v, err := strconv.ParseUint(s, 16, 32)
	if err != nil || v > unicode.MaxRune {
		return 0, false, p.refuse("bad hexadecimal number")
	}
	return rune(v), true, nil
}

// property reads {Name} or {^Name} after \p.
func (p *regexParser) property() (func(rune) bool, error) {
	if !p.accept("{") {
		return nil, p.refuse("\\p without {")
	}
	end := strings.IndexByte(p.src[p.at:], '}')
	if end < 0 {
		return nil, p.refuse("missing }")
	}
	name := p.src[p.at : p.at+end]
	p.at += end + 1
	inverted := strings.HasPrefix(name, "^")
	name = strings.TrimPrefix(name, "^")
	long := map[string]string{"Letter": "L", "Mark": "M", "Number": "N", "Punctuation": "P", "Symbol": "S", "Separator": "Z"}
	if short, ok := long[name]; ok {
		name = short
	}
	var is func(rune) bool
	if _, ok := unicode.Categories[name]; ok {
		is = func(r rune) bool { return isProperty(name, r) }
	} else if table, ok := unicode.Scripts[name]; ok {
		is = func(r rune) bool { return unicode.Is(table, r) }
	} else {
		return nil, p.refuse("\\p{" + name + "}")
	}
	if inverted {
		return func(r rune) bool { return !is(r) }, nil
	}
	return is, nil
}

// class reads a bracket expression, its opening bracket already read.
func (p *regexParser) class(depth int) (*charSet, error) {
	if depth > maxNesting {
		return nil, p.refuse("nesting too deep")
	}
	set := &charSet{neg: p.accept("^")}
	for first := true; ; first = false {
		if !p.more() {
			return nil, p.refuse("missing ]")
		}
		if p.accept("&&") {
			return nil, p.refuse("&&")
		}
		lo, isRune := p.next(), true
		switch {
		case lo == ']' && !first:
			return set, nil
		case lo == '[':
			if strings.HasPrefix(p.src[p.at:], ":") {
				return nil, p.refuse("[:class:]")
			}
			sub, err := p.class(depth + 1)
			if err != nil {
				return nil, err
			}
			set.subs = append(set.subs, sub)
			continue
		case lo == '\\':
			var err error
			if lo, isRune, err = p.classEscape(set); err != nil {
				return nil, err
			}
		}
		if isRune {
			if err := p.classRange(set, lo); err != nil {
				return nil, err
			}
		}
	}
}

// classRange adds lo, or lo-hi where a range follows.
func (p *regexParser) classRange(set *charSet, lo rune) error {
	hi := lo
	rest := p.src[p.at:]
	if len(rest) >= 2 && rest[0] == '-' && rest[1] != ']' {
		p.at++
		hi = p.next()
		if hi == '\\' {
			var isRune bool
			var err error
			if hi, isRune, err = p.classEscape(set); err != nil {
				return err
			}
			if !isRune {
				return p.refuse("a class at the end of a range")
			}
		}
		if hi == '[' {
			return p.refuse("a class at the end of a range")
		}
	}
	if hi < lo {
		return p.refuse("an empty range")
	}
	set.ranges = append(set.ranges, lo, hi)
	if p.fold {
		p.foldRange(set, lo, hi)
	}
	return nil
}

// foldRange adds what the characters of a range fold to; large ranges are those
// of scripts without case.
func (p *regexParser) foldRange(set *charSet, lo, hi rune) {
	for c := lo; c <= hi && c-lo < 1024; c++ {
		for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
			set.ranges = append(set.ranges, f, f)
		}
	}
}
