package tokenizer

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The patterns of tokenizer.json are Oniguruma's. Go's regexp lacks the lookahead
// that nearly all of them use, so this is a small backtracking matcher of the
// part that occurs: alternation, groups, options, lookahead and lookbehind, classes
// with classes inside and &&, \s \d \w \p{…}, and the quantifiers in greedy, lazy
// and possessive form. The rest is refused at load.

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
	opBehind                  // lookbehind of min to max characters; otherwise as opLook
	opHere                    // the place that a lookbehind looks back from
	opMark                    // remember the place in register x
	opMoved                   // go on at x if the place is that in register min
	opLineStart               // ^
	opLineEnd                 // $
	opTextStart               // \A
	opTextEnd                 // \z
	opLastLine                // \Z
	opWordEdge                // \b, neg: \B
)

// jumps says whether x is a place in the program.
func (op opcode) jumps() bool {
	switch op {
	case opSplit, opJump, opLook, opBehind, opAtomic, opMoved:
		return true
	}
	return false
}

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
	marks  int // registers
}

// regexParser compiles by recursive descent straight to instructions.
type regexParser struct {
	src   string
	at    int
	prog  []inst
	fold  bool // (?i)
	lines bool // (?m): . matches a newline too
	depth int
	marks int
	last  rune // the literal just read under (?i), 0 for none
}

func compileRegex(src string) (*regex, error) {
	if len(src) > maxRegexSize {
		return nil, formatError("a pattern of %d bytes", len(src))
	}
	p := &regexParser{src: src}
	if err := p.alternation(); err != nil {
		return nil, err
	}
	if p.at < len(p.src) {
		return nil, p.refuse("unmatched )")
	}
	p.emit(inst{op: opMatch})
	return &regex{src, p.prog, p.marks}, nil
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
		if p.prog[i].op.jumps() {
			p.prog[i].x++
		}
	}
}

func (p *regexParser) sequence() error {
	p.last = 0
	for p.more() && p.peek() != '|' && p.peek() != ')' {
		start := len(p.prog)
		before := p.last
		single, err := p.atom()
		if err != nil {
			return err
		}
		if p.last == before { // no literal
			p.last = 0
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
		any := &charSet{neg: true}
		if !p.lines {
			any.ranges = []rune{'\n', '\n'}
		}
		p.emit(inst{op: opSet, set: any.seal()})
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
		return true, p.literal(c)
	}
}

// literal compiles one character, and those that fold to it under (?i). Some
// letters fold to two: what would have to match those is refused.
func (p *regexParser) literal(c rune) error {
	p.emit(inst{op: opSet, set: (&charSet{ranges: []rune{c, c}, fold: p.fold}).seal()})
	if !p.fold {
		return nil
	}
	folded := unicode.ToLower(c)
	if folded == 'ſ' {
		folded = 's'
	}
	if strings.ContainsRune(longFolds, c) || p.last != 0 && slices.Contains([]string{"ss", "st", "ff", "fi", "fl", "ʼn"}, string(p.last)+string(folded)) {
		return p.refuse("letters that fold to one under (?i)")
	}
	p.last = folded
	return nil
}

func (p *regexParser) group() error {
	look, behind := inst{op: opLook}, inst{op: opBehind}
	switch {
	case p.accept("?:"):
		return p.body(nil)
	case p.accept("?="):
		return p.body(&look)
	case p.accept("?!"):
		look.neg = true
		return p.body(&look)
	case p.accept("?<="):
		return p.body(&behind)
	case p.accept("?<!"):
		behind.neg = true
		return p.body(&behind)
	case p.accept("?>"):
		return p.body(&inst{op: opAtomic})
	case p.accept("?#"):
		end := strings.IndexByte(p.src[p.at:], ')')
		if end < 0 {
			return p.refuse("missing )")
		}
		p.at += end + 1
		return nil
	case p.accept("?<"):
		end := strings.IndexByte(p.src[p.at:], '>')
		if end < 1 {
			return p.refuse("this kind of group")
		}
		p.at += end + 1
		return p.body(nil)
	case p.accept("?"):
		return p.options()
	}
	return p.body(nil)
}

// options reads i and m, on or off, of (?i:…), or of (?i), which holds to the end
// of the group around it, alternatives included.
func (p *regexParser) options() error {
	fold, lines := p.fold, p.lines
	defer func() { p.fold, p.lines = fold, lines }()
	for on := true; ; {
		switch p.next() {
		case '-':
			on = false
		case 'i':
			p.fold = on
		case 'm':
			p.lines = on
		case ':':
			return p.body(nil)
		case ')':
			return p.alternation()
		default:
			return p.refuse("this kind of group")
		}
	}
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
	if wrap == nil {
		return nil
	}
	if wrap.op == opBehind {
		p.prog[start].max = longest(p.prog[start+1:], start+1)
		p.emit(inst{op: opHere})
	}
	p.emit(inst{op: opMatch})
	p.prog[start].x = len(p.prog)
	return nil
}

// longest is the most characters that code, which lies at a place of its program,
// can match; math.MaxInt for any number.
func longest(code []inst, base int) int {
	most := make([]int, len(code)+1)
	add := func(n, m int) int {
		if n > math.MaxInt-m {
			return math.MaxInt
		}
		return n + m
	}
	for i := len(code) - 1; i >= 0; i-- {
		in := code[i]
		switch {
		case in.op == opSet:
			most[i] = add(most[i+1], 1)
		case in.op == opRun:
			most[i] = add(most[i+1], in.max)
		case in.op == opJump && in.x-base <= i:
			most[i] = math.MaxInt
		case in.op == opJump, in.op == opLook, in.op == opBehind:
			most[i] = most[in.x-base]
		case in.op == opSplit, in.op == opMoved:
			most[i] = max(most[i+1], most[in.x-base])
		case in.op == opAtomic:
			most[i] = add(most[i+1], most[in.x-base])
		case in.op == opMatch: // of the atomic group that goes on behind it
			most[i] = 0
		default:
			most[i] = most[i+1]
		}
	}
	return most[0]
}

// nullable says whether code, which lies at a place of its program, can match
// nothing.
func nullable(code []inst, base int) bool {
	seen := make([]bool, len(code)+1)
	var reach func(i int) bool
	reach = func(i int) bool {
		if i >= len(code) {
			return true
		}
		if seen[i] {
			return false
		}
		seen[i] = true
		switch in := code[i]; in.op {
		case opSet:
			return false
		case opRun:
			return in.min == 0 && reach(i+1)
		case opJump, opLook, opBehind, opAtomic: // as if an atomic group could always be empty
			return reach(in.x - base)
		case opSplit, opMoved:
			return reach(i+1) || reach(in.x-base)
		}
		return reach(i + 1)
	}
	return reach(0)
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
	case 'Z':
		p.next()
		p.emit(inst{op: opLastLine})
		return false, nil
	case 'b', 'B':
		p.emit(inst{op: opWordEdge, neg: p.next() == 'B'})
		return false, nil
	case 'R': // \r\n is one, for good
		p.next()
		return false, p.insertSource(`(?>\r\n|[\n-\r\x{85}\x{2028}\x{2029}])`)
	case 'N', 'O':
		any := &charSet{neg: true}
		if p.next() == 'N' {
			any.ranges = []rune{'\n', '\n'}
		}
		p.emit(inst{op: opSet, set: any.seal()})
		return true, nil
	}
	set := &charSet{}
	r, isRune, err := p.classEscape(set)
	if err != nil {
		return false, err
	}
	if isRune {
		return true, p.literal(r)
	}
	p.emit(inst{op: opSet, set: set.seal()})
	return true, nil
}

// insertSource compiles another pattern in place.
func (p *regexParser) insertSource(src string) error {
	inner := &regexParser{src: src, prog: p.prog, depth: p.depth, marks: p.marks}
	err := inner.alternation()
	p.prog, p.marks = inner.prog, inner.marks
	return err
}

// quantifier wraps the code from start on, if quantifiers follow. Those of a
// quantified piece apply to it as to a group.
func (p *regexParser) quantifier(start int, single bool) error {
	for p.more() {
		lo, hi, braces, ok, err := p.counts()
		if err != nil || !ok {
			return err
		}
		if len(p.prog) == start || p.prog[start].op == opLook && p.prog[start].x == len(p.prog) || isAssertion(p.prog[start:]) {
			return p.refuse("nothing to repeat")
		}
		mode := greedy
		switch {
		case braces && lo == hi: // {2}? is an optional {2}
		case p.accept("?"):
			mode = lazy
		case !braces && p.accept("+"): // {1,3}+ is a repeated {1,3}
			mode = possessive
		}
		p.last = 0
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

// isAssertion says whether code is one instruction that matches nothing.
func isAssertion(code []inst) bool {
	switch code[0].op {
	case opLineStart, opLineEnd, opTextStart, opTextEnd, opLastLine, opWordEdge:
		return len(code) == 1
	}
	return false
}

var countSyntax = regexp.MustCompile(`^\{(\d{0,5})(?:(,)(\d{0,5}))?\}`)

// counts reads * + ? or {m,n}. Braces that are not counts are characters.
func (p *regexParser) counts() (lo, hi int, braces, ok bool, err error) {
	switch {
	case p.accept("*"):
		return 0, math.MaxInt, false, true, nil
	case p.accept("+"):
		return 1, math.MaxInt, false, true, nil
	case p.accept("?"):
		return 0, 1, false, true, nil
	}
	m := countSyntax.FindStringSubmatch(p.src[p.at:])
	if m == nil || m[1] == "" && m[3] == "" {
		return 0, 0, false, false, nil
	}
	p.at += len(m[0])
	lo, _ = strconv.Atoi(m[1]) // "" is 0
	switch {
	case m[2] == "":
		hi = lo
	case m[3] == "":
		hi = math.MaxInt
	default:
		hi, _ = strconv.Atoi(m[3])
	}
	if hi < lo || lo > maxRepeat || hi > maxRepeat && hi != math.MaxInt {
		return 0, 0, false, false, p.refuse("bad repeat count")
	}
	return lo, hi, true, true, nil
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
			if in.op.jumps() {
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
		// A body that may match nothing could go round for ever: the loop is left
		// when it did.
		empty, mark := nullable(code, start), p.marks
		loop := p.emit(split)
		if empty {
			p.marks++
			p.emit(inst{op: opMark, x: mark})
		}
		if err := paste(); err != nil {
			return err
		}
		if empty {
			p.emit(inst{op: opMoved, min: mark, x: len(p.prog) + 2})
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
