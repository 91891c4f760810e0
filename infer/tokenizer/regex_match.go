package tokenizer

import "unicode/utf8"

// machine runs a program on a text by backtracking. Its stack is its own, so no
// pattern can exhaust the goroutine's, and its steps are counted, so none can
// run for ever.
type machine struct {
	prog  []inst
	text  string
	stack []choice
	steps int
}

// choice is a place to return to: at pc and pos; for a run of characters pos may
// shrink down to least (greedy) or grow up to most (lazy), one at a time.
type choice struct {
	pc, pos     int
	least, most int
	kind        uint8 // choicePoint, choiceShrink, choiceGrow
}

const (
	choicePoint = iota
	choiceShrink
	choiceGrow
)

const (
	// stepsPerByte bounds the work on a text: real patterns need fewer than ten.
	stepsPerByte = 2000
	maxChoices   = 1 << 20 // and the memory
)

func (re *regex) findAll(text string) ([]byteRange, error) {
	var found []byteRange
	m := &machine{prog: re.prog, text: text, steps: 1<<16 + stepsPerByte*len(text)}
	for at := 0; at < len(text); {
		end := m.run(0, at)
		if m.steps <= 0 {
			return nil, ErrTooHard
		}
		if end > at {
			found = append(found, byteRange{at, end})
			at = end
			continue
		}
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
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
	}
	before, _ := utf8.DecodeLastRuneInString(m.text[:pos])
	after, _ := utf8.DecodeRuneInString(m.text[pos:])
	edge := (pos > 0 && isWord(before)) != (pos < len(m.text) && isWord(after))
	return edge != in.neg
}
