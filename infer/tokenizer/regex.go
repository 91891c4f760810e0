package tokenizer

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The patterns of tokenizer.json are Oniguruma's. Go's regexp lacks the lookahead
// that nearly all of them use, so this is a small backtracking matcher of the
// part that occurs: alternation, groups, (?i:…), lookahead, classes with classes
// inside, \s \d \w \p{…}, and the quantifiers in greedy, lazy and possessive form.
// The rest is refused at load.

const (
	maxRegexSize   = 64 << 10 // bytes of a pattern
	maxNesting     = 32       // groups in groups, components in components
	maxRepeat      = 1000     // the largest count in {m,n}
	maxProgramSize = 1 << 16  // instructions
)

type opcode uint8

const (
	opSet       opcode = iota // match one character of set
	opSplit                   // try next first, then x
	opJump                    // go on at x
	opRun                     // match min to max characters of set, x = mode
	opLook                    // lookahead: next … x is the inner program; neg inverts
	opMatch                   // done
	opAtomic                  // like a positive lookahead that keeps what it matched
	opLineStart               // ^
	opLineEnd                 // $
	opTextStart               // \A
	opTextEnd                 // \z
	opWordEdge                // \b, neg: \B
)

type inst struct {
	op       opcode
	neg      bool
	x        int
	min, max int
	set      *charSet
}

// Modes of opRun.
const (
	greedy = iota
	lazy
	possessive
)

type regex struct {
	source string
	prog   []inst
}

// regexParser compiles by recursive descent straight to instructions.
type regexParser struct {
	src   string
	at    int
	prog  []inst
	fold  bool
	depth int
}

func compileRegex(src string) (*regex, error) {
	if len(src) > maxRegexSize {
		return nil, formatError("a pattern of %d bytes", len(src))
	}
	p := &regexParser{src: src}
	p.fold = p.accept("(?i)")
	if err := p.alternation(); err != nil {
		return nil, err
	}
	if p.at < len(p.src) {
		return nil, p.refuse("unmatched )")
	}
	p.emit(inst{op: opMatch})
	return &regex{src, p.prog}, nil
}

func (p *regexParser) refuse(what string) error {
	return unsupported("pattern "+strconv.Quote(p.src)+": "+what+" at", strconv.Itoa(p.at))
}

func (p *regexParser) emit(i inst) int {
	p.prog = append(p.prog, i)
	return len(p.prog) - 1
}

func (p *regexParser) more() bool { return p.at < len(p.src) }

func (p *regexParser) peek() rune {
	r, _ := utf8.DecodeRuneInString(p.src[p.at:])
	return r
}

func (p *regexParser) next() rune {
	r, n := utf8.DecodeRuneInString(p.src[p.at:])
	p.at += n
	return r
}

func (p *regexParser) accept(s string) bool {
	if strings.HasPrefix(p.src[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

// alternation compiles a|b|c as split(a, split(b, c)).
func (p *regexParser) alternation() error {
	if p.depth++; p.depth > maxNesting {
		return p.refuse("nesting too deep")
	}
	defer func() { p.depth-- }()
	var jumps []int
	for {
		start := len(p.prog)
		if err := p.sequence(); err != nil {
			return err
		}
		if !p.accept("|") {
			break
		}
		p.insert(start, inst{op: opSplit, x: len(p.prog) + 2})
		jumps = append(jumps, p.emit(inst{op: opJump}))
	}
	for _, j := range jumps {
		p.prog[j].x = len(p.prog)
	}
	return nil
}

// insert puts an instruction before the code that begins at start, whose targets
// move by one. x of the new one already counts itself.
func (p *regexParser) insert(start int, in inst) {
	p.prog = append(p.prog, inst{})
	copy(p.prog[start+1:], p.prog[start:])
	p.prog[start] = in
	for i := start + 1; i < len(p.prog); i++ {
		switch p.prog[i].op {
		case opSplit, opJump, opLook, opAtomic:
			p.prog[i].x++
		}
	}
}

func (p *regexParser) sequence() error {
	for p.more() && p.peek() != '|' && p.peek() != ')' {
		start := len(p.prog)
		single, err := p.atom()
		if err != nil {
			return err
		}
		if err := p.quantifier(start, single); err != nil {
			return err
		}
		if len(p.prog) > maxProgramSize {
			return p.refuse("too large")
		}
	}
	return nil
}

// atom compiles one atom. single is set when it is one opSet instruction.
func (p *regexParser) atom() (single bool, err error) {
	switch c := p.next(); c {
	case '(':
		return false, p.group()
	case '[':
		set, err := p.class(0)
		if err != nil {
			return false, err
		}
		p.emit(inst{op: opSet, set: set.seal()})
		return true, nil
	case '.':
		p.emit(inst{op: opSet, set: (&charSet{neg: true, ranges: []rune{'\n', '\n'}}).seal()})
		return true, nil
	case '^':
		p.emit(inst{op: opLineStart})
		return false, nil
	case '$':
		p.emit(inst{op: opLineEnd})
		return false, nil
	case '*', '+', '?':
		return false, p.refuse("nothing to repeat")
	case '\\':
		return p.escape()
	default:
		p.emit(inst{op: opSet, set: p.literal(c).seal()})
		return true, nil
	}
}

// literal is the set of one character, and of those that fold to it under (?i).
func (p *regexParser) literal(c rune) *charSet {
	set := &charSet{ranges: []rune{c, c}}
	if p.fold {
		for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
			set.ranges = append(set.ranges, f, f)
		}
	}
	return set
}

func (p *regexParser) group() error {
	look := inst{op: opLook}
	switch {
	case p.accept("?:"):
		return p.body(nil)
	case p.accept("?="):
		return p.body(&look)
	case p.accept("?!"):
		look.neg = true
		return p.body(&look)
	case p.accept("?>"):
		return p.body(&inst{op: opAtomic})
	case p.accept("?i:"):
		outer := p.fold
		p.fold = true
		err := p.body(nil)
		p.fold = outer
		return err
	case p.accept("?"):
		return p.refuse("this kind of group")
	}
	return p.body(nil)
}

// body compiles up to the closing parenthesis, inside wrap if there is one.
func (p *regexParser) body(wrap *inst) error {
	start := len(p.prog)
	if wrap != nil {
		p.emit(*wrap)
	}
	if err := p.alternation(); err != nil {
		return err
	}
	if !p.accept(")") {
		return p.refuse("missing )")
	}
	if wrap != nil {
		p.emit(inst{op: opMatch})
		p.prog[start].x = len(p.prog)
	}
	return nil
}

// escape compiles \x outside a class.
func (p *regexParser) escape() (single bool, err error) {
	if !p.more() {
		return false, p.refuse("trailing \\")
	}
	switch p.peek() {
	case 'A':
		p.next()
		p.emit(inst{op: opTextStart})
		return false, nil
	case 'z':
		p.next()
		p.emit(inst{op: opTextEnd})
		return false, nil
	case 'b', 'B':
		p.emit(inst{op: opWordEdge, neg: p.next() == 'B'})
		return false, nil
	}
	set := &charSet{}
	r, isRune, err := p.classEscape(set)
	if err != nil {
		return false, err
	}
	if isRune {
		set = p.literal(r)
	}
	p.emit(inst{op: opSet, set: set.seal()})
	return true, nil
}

// quantifier wraps the code from start on, if a quantifier follows.
func (p *regexParser) quantifier(start int, single bool) error {
	for p.more() {
		lo, hi, ok, err := p.counts()
		if err != nil || !ok {
			return err
		}
		mode := greedy
		if p.accept("?") {
			mode = lazy
		} else if p.accept("+") {
			mode = possessive
		}
		if single {
			set := p.prog[start].set
			p.prog[start] = inst{op: opRun, set: set, min: lo, max: hi, x: mode}
			single = false
			continue
		}
		if err := p.repeat(start, lo, hi, mode); err != nil {
			return err
		}
	}
	return nil
}

// counts reads * + ? or {m,n}.
func (p *regexParser) counts() (lo, hi int, ok bool, err error) {
	switch {
	case p.accept("*"):
		return 0, math.MaxInt, true, nil
	case p.accept("+"):
		return 1, math.MaxInt, true, nil
	case p.accept("?"):
		return 0, 1, true, nil
	case !strings.HasPrefix(p.src[p.at:], "{"):
		return 0, 0, false, nil
	}
	end := strings.IndexByte(p.src[p.at:], '}')
	if end < 0 {
		return 0, 0, false, p.refuse("missing }")
	}
	low, high, comma := strings.Cut(p.src[p.at+1:p.at+end], ",")
	if low == "" {
		low = "0"
	}
	lo, err = strconv.Atoi(low)
	hi = lo
	if err == nil && comma {
		hi = math.MaxInt
		if high != "" {
			hi, err = strconv.Atoi(high)
		}
	}
	if err != nil || lo < 0 || hi < lo || lo > maxRepeat || hi > maxRepeat && hi != math.MaxInt {
		return 0, 0, false, p.refuse("bad repeat count")
	}
	p.at += end + 1
	return lo, hi, true, nil
}

// repeat writes the code of a group lo times, then optionally up to hi times.
func (p *regexParser) repeat(start, lo, hi, mode int) error {
	code := append([]inst(nil), p.prog[start:]...)
	p.prog = p.prog[:start]
	if mode == possessive {
		p.emit(inst{op: opAtomic})
	}
	paste := func() error {
		if len(p.prog)+len(code) > maxProgramSize {
			return p.refuse("too large")
		}
		shift := len(p.prog) - start
		for _, in := range code {
			switch in.op {
			case opSplit, opJump, opLook, opAtomic:
				in.x += shift
			}
			p.prog = append(p.prog, in)
		}
		return nil
	}
	for range lo {
		if err := paste(); err != nil {
			return err
		}
	}
	split := inst{op: opSplit, neg: mode == lazy}
	if hi == math.MaxInt {
		loop := p.emit(split)
		if err := paste(); err != nil {
			return err
		}
		p.emit(inst{op: opJump, x: loop})
		p.prog[loop].x = len(p.prog)
	} else {
		var exits []int
		for range hi - lo {
			exits = append(exits, p.emit(split))
			if err := paste(); err != nil {
				return err
			}
		}
		for _, e := range exits {
			p.prog[e].x = len(p.prog)
		}
	}
	if mode == possessive {
		p.emit(inst{op: opMatch})
		p.prog[start].x = len(p.prog)
	}
	return nil
}
