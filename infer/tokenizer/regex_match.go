package tokenizer

import "unicode/utf8"

// machine runs a program on a text by backtracking. Its stack is its own, so no
// pattern can exhaust the goroutine's, and its steps are counted, so none can
// run for ever.
type machine struct {
	prog  []inst
	text  string
	stack []choice
	marks []int // registers
	here  int   // where the lookbehind that runs looks back from
	steps int
}

// choice is a place to return to: at pc and pos; for a run of characters pos may
// shrink down to least (greedy) or grow up to most (lazy), one at a time.
type choice struct {
	pc, pos     int
	least, most int
	kind        uint8
}

const (
	choicePoint = iota
	choiceShrink
	choiceGrow
	choiceMark // not a choice: register pc was pos
)

const (
	// stepsPerByte bounds the work on a text: real patterns need fewer than ten.
	stepsPerByte = 2000
	maxChoices   = 1 << 20 // and the memory
)

// findAll returns the matches, from left to right. One that is empty counts,
// unless it stands where the match before it ended.
func (re *regex) findAll(text string) ([]byteRange, error) {
	var found []byteRange
	m := &machine{prog: re.prog, text: text, marks: make([]int, re.marks), steps: 1<<16 + stepsPerByte*len(text)}
	for at, last := 0, -1; at <= len(text); {
		end := m.run(0, at)
		if m.steps <= 0 {
			return nil, ErrTooHard
		}
		if end > at || end == at && at != last {
			found = append(found, byteRange{at, end})
			last = end
		}
		if end > at {
			at = end
			continue
		}
		_, n := utf8.DecodeRuneInString(text[at:])
		at += max(n, 1)
	}
	return found, nil
}

// run matches the program from pc at pos and returns the end of the match, or -1.
func (m *machine) run(pc, pos int) int {
	base := len(m.stack)
	defer func() { m.stack = m.stack[:base] }()
	for {
		if m.steps--; m.steps <= 0 || len(m.stack) > maxChoices {
			m.steps = 0
			return -1
		}
		in := &m.prog[pc]
		ok := true
		switch in.op {
		case opMatch:
			return pos
		case opJump:
			pc = in.x
			continue
		case opSplit:
			first, second := pc+1, in.x
			if in.neg {
				first, second = second, first
			}
			m.stack = append(m.stack, choice{pc: second, pos: pos})
			pc = first
			continue
		case opSet:
			n := 0
			if n, ok = m.one(in.set, pos); ok {
				pos += n
			}
		case opRun:
			pos, ok = m.repeat(in, pc, pos)
		case opMark:
			m.stack = append(m.stack, choice{pc: in.x, pos: m.marks[in.x], kind: choiceMark})
			m.marks[in.x] = pos
		case opMoved:
			if m.marks[in.min] == pos {
				pc = in.x
				continue
			}
		case opHere:
			ok = pos == m.here
		case opBehind:
			if ok = m.behind(in, pc, pos) != in.neg; ok {
				pc = in.x
				continue
			}
		case opLook, opAtomic:
			end := m.run(pc+1, pos)
			if ok = (end >= 0) != in.neg; ok {
				if in.op == opAtomic {
					pos = end
				}
				pc = in.x
				continue
			}
		default:
			ok = m.assert(in, pos)
		}
		if ok {
			pc++
			continue
		}
		if pc, pos, ok = m.backtrack(base); !ok {
			return -1
		}
	}
}

// behind says whether a lookbehind matches some text that ends at pos.
func (m *machine) behind(in *inst, pc, pos int) bool {
	outer := m.here
	defer func() { m.here = outer }()
	m.here = pos
	for at, n := pos, 0; ; n++ {
		if m.run(pc+1, at) >= 0 {
			return true
		}
		if at == 0 || n >= in.max || m.steps <= 0 {
			return false
		}
		_, size := utf8.DecodeLastRuneInString(m.text[:at])
		at -= size
	}
}

func (m *machine) one(set *charSet, pos int) (int, bool) {
	if pos >= len(m.text) {
		return 0, false
	}
	if c := m.text[pos]; c < utf8.RuneSelf {
		return 1, set.has(rune(c))
	}
	r, n := utf8.DecodeRuneInString(m.text[pos:])
	return n, set.has(r)
}

// repeat matches a run of characters and leaves the choices behind.
func (m *machine) repeat(in *inst, pc, pos int) (int, bool) {
	count := 0
	step := func() bool {
		n, ok := m.one(in.set, pos)
		if ok {
			pos += n
			count++
			m.steps--
		}
		return ok
	}
	for count < in.min {
		if !step() {
			return pos, false
		}
	}
	if in.x == lazy {
		m.stack = append(m.stack, choice{pc: pc, pos: pos, most: in.max - count, kind: choiceGrow})
		return pos, true
	}
	least := pos
	for count < in.max && step() {
	}
	if in.x == greedy && pos > least {
		m.stack = append(m.stack, choice{pc: pc, pos: pos, least: least, kind: choiceShrink})
	}
	return pos, true
}

// backtrack takes up the last choice that is left above base.
func (m *machine) backtrack(base int) (pc, pos int, ok bool) {
	for len(m.stack) > base {
		top := &m.stack[len(m.stack)-1]
		switch top.kind {
		case choicePoint:
			c := *top
			m.stack = m.stack[:len(m.stack)-1]
			return c.pc, c.pos, true
		case choiceShrink:
			_, n := utf8.DecodeLastRuneInString(m.text[:top.pos])
			top.pos -= n
			pc, pos = top.pc+1, top.pos
			if top.pos <= top.least {
				m.stack = m.stack[:len(m.stack)-1]
			}
			return pc, pos, true
		case choiceGrow:
			n, can := m.one(m.prog[top.pc].set, top.pos)
			if can && top.most > 0 {
				top.pos += n
				top.most--
				return top.pc + 1, top.pos, true
			}
			m.stack = m.stack[:len(m.stack)-1]
		case choiceMark:
			m.marks[top.pc] = top.pos
			m.stack = m.stack[:len(m.stack)-1]
		}
	}
	return 0, 0, false
}

func (m *machine) assert(in *inst, pos int) bool {
	switch in.op {
	case opLineStart:
		return pos == 0 || m.text[pos-1] == '\n'
	case opLineEnd:
		return pos == len(m.text) || m.text[pos] == '\n'
	case opTextStart:
		return pos == 0
	case opTextEnd:
		return pos == len(m.text)
	case opLastLine:
		return pos == len(m.text) || m.text[pos:] == "\n"
	}
	before, _ := utf8.DecodeLastRuneInString(m.text[:pos])
	after, _ := utf8.DecodeRuneInString(m.text[pos:])
	edge := (pos > 0 && isPatternWord(before)) != (pos < len(m.text) && isPatternWord(after))
	return edge != in.neg
}
