package tokenizer

import (
	"strconv"
	"strings"
	"unicode"
)

// charSet is a set of characters: ranges, properties and nested sets.
type charSet struct {
	neg    bool
	fold   bool      // what folds to a member is one
	ascii  [2]uint64 // membership of 0…127, after neg
	ranges []rune    // pairs lo, hi
	props  []func(rune) bool
	subs   []*charSet
	all    []*charSet // the operands of &&; the other fields are empty then
}

func (s *charSet) has(r rune) bool {
	if r < 0x80 {
		return s.ascii[r>>6]>>(r&63)&1 == 1
	}
	return s.compute(r)
}

func (s *charSet) compute(r rune) bool {
	if s.lists(r) {
		return !s.neg
	}
	if s.fold {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			if s.lists(f) {
				return !s.neg
			}
		}
	}
	return s.neg
}

func (s *charSet) lists(r rune) bool {
	for i := 0; i < len(s.ranges); i += 2 {
		if s.ranges[i] <= r && r <= s.ranges[i+1] {
			return true
		}
	}
	for _, p := range s.props {
		if p(r) {
			return true
		}
	}
	for _, sub := range s.subs {
		if sub.compute(r) {
			return true
		}
	}
	for _, part := range s.all {
		if !part.compute(r) {
			return false
		}
	}
	return len(s.all) > 0
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
		set.addClass(property("Nd"), c == 'D')
	case 'w', 'W':
		set.addClass(isPatternWord, c == 'W')
	case 'h', 'H':
		set.addClass(property("XDigit"), c == 'H')
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
	is := property(name)
	if is == nil {
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
	neg := p.accept("^")
	set := &charSet{}
	var all []*charSet
	for first := true; ; first = false {
		if !p.more() {
			return nil, p.refuse("missing ]")
		}
		if p.accept("&&") {
			all = append(all, set)
			set = &charSet{}
			continue
		}
		lo, isRune := p.next(), true
		switch {
		case lo == ']' && !first:
			if all != nil {
				set = &charSet{all: append(all, set)}
			}
			set.neg, set.fold = neg, p.fold
			return set, nil
		case lo == '[':
			if err := p.nested(set, depth); err != nil {
				return nil, err
			}
			continue
		case lo == '\\':
			var err error
			if lo, isRune, err = p.classEscape(set); err != nil {
				return nil, err
			}
		}
		if !isRune {
			if rest := p.src[p.at:]; len(rest) >= 2 && rest[0] == '-' && rest[1] != ']' {
				return nil, p.refuse("a class at the start of a range")
			}
			continue
		}
		if err := p.classRange(set, lo); err != nil {
			return nil, err
		}
	}
}

// nested reads what follows a bracket inside brackets: a set, or :name:] of POSIX.
func (p *regexParser) nested(set *charSet, depth int) error {
	rest := p.src[p.at:]
	end := strings.Index(rest, ":]")
	if !strings.HasPrefix(rest, ":") || end < 1 {
		sub, err := p.class(depth + 1)
		if err != nil {
			return err
		}
		set.subs = append(set.subs, sub)
		return nil
	}
	name, inverted := strings.CutPrefix(rest[1:end], "^")
	is := posixClass(name)
	if is == nil {
		return p.refuse("[:" + name + ":]")
	}
	p.at += end + 2
	set.addClass(is, inverted)
	return nil
}

func posixClass(name string) func(rune) bool {
	switch name {
	case "alpha", "alnum", "upper", "lower", "digit", "space", "xdigit", "blank", "cntrl", "ascii":
		return property(name)
	case "punct":
		punct, symbol := property("P"), property("S")
		return func(r rune) bool { return punct(r) || symbol(r) }
	}
	return nil
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
	if p.fold && hi-lo < 0x400 && strings.ContainsFunc(longFolds, func(r rune) bool { return lo <= r && r <= hi }) {
		return p.refuse("a letter that stands for two under (?i)")
	}
	set.ranges = append(set.ranges, lo, hi)
	return nil
}

// longFolds are the letters that fold to more than one, which is not done here.
const longFolds = "ßẞŉǰΐΰևẖẗẘẙẚŉİﬀﬁﬂﬃﬄﬅﬆﬓﬔﬕﬖﬗ"
