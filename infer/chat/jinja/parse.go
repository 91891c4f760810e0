package jinja

import (
	"slices"
	"strconv"
)

const (
	maxNesting = 100  // blocks in blocks, brackets in brackets
	maxChain   = 1000 // operators in a row, which nest to the left
)

// parser is a recursive descent over tokens, with the precedence of Jinja2's
// parser.py.
type parser struct {
	toks  []token
	at    int
	depth int
	loops int // for loops around, for break and continue
}

func parse(src string) ([]stmt, error) {
	toks, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{toks: toks}
	body, _, err := p.block()
	return body, err
}

func (p *parser) peek() token { return p.toks[p.at] }

func (p *parser) next() token {
	t := p.toks[p.at]
	if t.kind != tokEOF {
		p.at++
	}
	return t
}

func (p *parser) is(kind tokenKind, val string) bool {
	t := p.peek()
	return t.kind == kind && t.val == val
}

func (p *parser) accept(kind tokenKind, val string) bool {
	if p.is(kind, val) {
		p.at++
		return true
	}
	return false
}

func (p *parser) unexpected(want string) error {
	t := p.peek()
	return faultAt(t.line, "unexpected %v, want %s", t, want)
}

func (p *parser) expect(kind tokenKind, val string) error {
	if !p.accept(kind, val) {
		return p.unexpected(strconv.Quote(val))
	}
	return nil
}

func (p *parser) name() (string, error) {
	if p.peek().kind != tokName {
		return "", p.unexpected("a name")
	}
	return p.next().val, nil
}

// deeper guards recursion; the caller defers the returned function.
func (p *parser) deeper() (func(), error) {
	if p.depth++; p.depth > maxNesting {
		return nil, faultAt(p.peek().line, "nested more than %d deep", maxNesting)
	}
	return func() { p.depth-- }, nil
}

// block reads statements up to a tag that begins with one of the names in end,
// which it returns with that tag's name read; without end, up to the end of the
// template.
func (p *parser) block(end ...string) ([]stmt, string, error) {
	up, err := p.deeper()
	if err != nil {
		return nil, "", err
	}
	defer up()
	var out []stmt
	for {
		t := p.next()
		switch t.kind {
		case tokEOF:
			if len(end) > 0 {
				return nil, "", faultAt(t.line, "the template ends without %q", end[len(end)-1])
			}
			return out, "", nil
		case tokData:
			out = append(out, &textStmt{t.val})
		case tokVarBegin:
			x, err := p.tuple()
			if err != nil {
				return nil, "", err
			}
			if err := p.expect(tokVarEnd, "}}"); err != nil {
				return nil, "", err
			}
			out = append(out, &outputStmt{t.line, x})
		case tokBlockBegin:
			tag := p.peek()
			if tag.kind == tokName && slices.Contains(end, tag.val) {
				p.at++
				return out, tag.val, nil
			}
			s, err := p.statement()
			if err != nil {
				return nil, "", err
			}
			out = append(out, s...)
		default:
			return nil, "", faultAt(t.line, "unexpected %v", t)
		}
	}
}

func (p *parser) endTag() error { return p.expect(tokBlockEnd, "%}") }

// body reads the end of a tag, the statements after it, and the tag that ends
// them, which has nothing else in it.
func (p *parser) body(end string) ([]stmt, error) {
	if err := p.endTag(); err != nil {
		return nil, err
	}
	body, _, err := p.block(end)
	if err != nil {
		return nil, err
	}
	if end == "endmacro" || end == "endset" {
		if p.peek().kind == tokName { // endmacro may repeat the name
			p.at++
		}
	}
	return body, p.endTag()
}

func (p *parser) statement() ([]stmt, error) {
	t := p.peek()
	tag, err := p.name()
	if err != nil {
		return nil, err
	}
	one := func(s stmt, err error) ([]stmt, error) { return []stmt{s}, err }
	switch tag {
	case "if":
		return one(p.ifStmt(t.line))
	case "for":
		return one(p.forStmt(t.line))
	case "set":
		return one(p.setStmt(t.line))
	case "macro":
		return one(p.macroStmt(t.line))
	case "call":
		return one(p.callStmt(t.line))
	case "filter":
		fs, err := p.filters(t.line)
		if err != nil {
			return nil, err
		}
		body, err := p.body("endfilter")
		return one(&filterStmt{t.line, fs, body}, err)
	case "with":
		return one(p.withStmt(t.line))
	case "do":
		x, err := p.expr()
		if err != nil {
			return nil, err
		}
		return one(&doStmt{t.line, x}, p.endTag())
	case "break", "continue":
		if p.loops == 0 {
			return nil, faultAt(t.line, "%s outside a loop", tag)
		}
		return one(&loopCtl{tag == "break"}, p.endTag())
	case "generation": // marks the assistant's turns for training; renders its body
		return p.body("endgeneration")
	}
	return nil, faultAt(t.line, "the statement %q is not supported in chat templates", tag)
}

func (p *parser) ifStmt(line int) (stmt, error) {
	first := &ifStmt{line: line}
	for at := first; ; {
		var err error
		if at.cond, err = p.expr(); err != nil {
			return nil, err
		}
		if err := p.endTag(); err != nil {
			return nil, err
		}
		var end string
		if at.yes, end, err = p.block("elif", "else", "endif"); err != nil {
			return nil, err
		}
		switch end {
		case "elif":
			// A chain nests, so it counts as depth.
			if p.depth++; p.depth > maxNesting {
				return nil, faultAt(line, "nested more than %d deep", maxNesting)
			}
			defer func() { p.depth-- }()
			next := &ifStmt{line: p.peek().line}
			at.alt = []stmt{next}
			at = next
			continue
		case "else":
			at.alt, err = p.body("endif")
			return first, err
		}
		return first, p.endTag()
	}
}

func (p *parser) targets() ([]string, error) {
	paren := p.accept(tokOp, "(")
	var names []string
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		names = append(names, name)
		if !p.accept(tokOp, ",") {
			break
		}
	}
	if paren {
		return names, p.expect(tokOp, ")")
	}
	return names, nil
}

func (p *parser) forStmt(line int) (stmt, error) {
	s := &forStmt{line: line}
	var err error
	if s.target, err = p.targets(); err != nil {
		return nil, err
	}
	if err := p.expect(tokName, "in"); err != nil {
		return nil, err
	}
	if s.in, err = p.or(); err != nil { // no condition: "if" filters here
		return nil, err
	}
	if p.accept(tokName, "if") {
		if s.filter, err = p.expr(); err != nil {
			return nil, err
		}
	}
	s.recursive = p.accept(tokName, "recursive")
	if err := p.endTag(); err != nil {
		return nil, err
	}
	p.loops++
	var end string
	s.body, end, err = p.block("else", "endfor")
	p.loops--
	if err != nil {
		return nil, err
	}
	if end == "else" {
		s.alt, err = p.body("endfor")
		return s, err
	}
	return s, p.endTag()
}

func (p *parser) setStmt(line int) (stmt, error) {
	s := &setStmt{line: line}
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		target := setTarget{name: name}
		if p.accept(tokOp, ".") {
			if target.attr, err = p.name(); err != nil {
				return nil, err
			}
		}
		s.targets = append(s.targets, target)
		if !p.accept(tokOp, ",") {
			break
		}
	}
	var err error
	if p.accept(tokOp, "=") {
		if s.value, err = p.tuple(); err != nil {
			return nil, err
		}
		return s, p.endTag()
	}
	if len(s.targets) > 1 {
		return nil, p.unexpected(`"="`)
	}
	if p.accept(tokOp, "|") {
		if s.filters, err = p.filters(line); err != nil {
			return nil, err
		}
	}
	s.body, err = p.body("endset")
	return s, err
}

func (p *parser) macroStmt(line int) (stmt, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	s := &macroStmt{line: line, name: name}
	if err := p.params(s); err != nil {
		return nil, err
	}
	loops := p.loops
	p.loops = 0
	s.body, err = p.body("endmacro")
	p.loops = loops
	return s, err
}

// params reads (a, b=1).
func (p *parser) params(s *macroStmt) error {
	if err := p.expect(tokOp, "("); err != nil {
		return err
	}
	for !p.accept(tokOp, ")") {
		if len(s.params) > 0 {
			if err := p.expect(tokOp, ","); err != nil {
				return err
			}
		}
		name, err := p.name()
		if err != nil {
			return err
		}
		var fallback expr
		if p.accept(tokOp, "=") {
			if fallback, err = p.expr(); err != nil {
				return err
			}
		}
		s.params, s.defaults = append(s.params, name), append(s.defaults, fallback)
	}
	return nil
}

func (p *parser) callStmt(line int) (stmt, error) {
	s := &callStmt{line: line, macro: &macroStmt{line: line, name: "caller"}}
	if p.is(tokOp, "(") {
		if err := p.params(s.macro); err != nil {
			return nil, err
		}
	}
	x, err := p.unary(false)
	if err != nil {
		return nil, err
	}
	var ok bool
	if s.call, ok = x.(*callExpr); !ok {
		return nil, faultAt(line, "call without a call")
	}
	loops := p.loops
	p.loops = 0
	s.macro.body, err = p.body("endcall")
	p.loops = loops
	return s, err
}

func (p *parser) withStmt(line int) (stmt, error) {
	s := &withStmt{line: line}
	for !p.is(tokBlockEnd, "%}") {
		if len(s.names) > 0 {
			if err := p.expect(tokOp, ","); err != nil {
				return nil, err
			}
		}
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		if err := p.expect(tokOp, "="); err != nil {
			return nil, err
		}
		x, err := p.expr()
		if err != nil {
			return nil, err
		}
		s.names, s.values = append(s.names, name), append(s.values, x)
	}
	var err error
	s.body, err = p.body("endwith")
	return s, err
}
