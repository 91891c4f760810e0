package jinja

import (
	"slices"
	"strconv"
)

// tuple reads one expression, or several with commas as a list.
func (p *parser) tuple() (expr, error) {
	x, err := p.expr()
	if err != nil || !p.is(tokOp, ",") {
		return x, err
	}
	items := []expr{x}
	for p.accept(tokOp, ",") {
		if k := p.peek().kind; k == tokVarEnd || k == tokBlockEnd || p.is(tokOp, ")") {
			break
		}
		if x, err = p.expr(); err != nil {
			return nil, err
		}
		items = append(items, x)
	}
	return &listExpr{items, true}, nil
}

// expr is x if c else y.
func (p *parser) expr() (expr, error) {
	up, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer up()
	x, err := p.or()
	for n := 0; err == nil && p.accept(tokName, "if"); n++ {
		if n > maxChain {
			return nil, faultAt(p.peek().line, "more than %d conditions in a row", maxChain)
		}
		c := &condExpr{yes: x}
		if c.cond, err = p.or(); err != nil {
			return nil, err
		}
		if p.accept(tokName, "else") {
			if c.no, err = p.expr(); err != nil {
				return nil, err
			}
		}
		x = c
	}
	return x, err
}

// chain reads operators of equal precedence, which nest to the left.
func (p *parser) chain(operand func() (expr, error), operator func() string, join func(line int, op string, l, r expr) expr) (expr, error) {
	x, err := operand()
	for n := 0; err == nil; n++ {
		line := p.peek().line
		op := operator()
		if op == "" {
			return x, nil
		}
		if n > maxChain {
			return nil, faultAt(line, "more than %d operators in a row", maxChain)
		}
		r, err := operand()
		if err != nil {
			return nil, err
		}
		x = join(line, op, x, r)
	}
	return x, err
}

func (p *parser) oneOf(kind tokenKind, vals ...string) func() string {
	return func() string {
		if t := p.peek(); t.kind == kind && slices.Contains(vals, t.val) {
			p.at++
			return t.val
		}
		return ""
	}
}

func logic(_ int, op string, l, r expr) expr { return &logicExpr{op == "and", l, r} }

func binary(line int, op string, l, r expr) expr { return &binExpr{line, op, l, r} }

func (p *parser) or() (expr, error)  { return p.chain(p.and, p.oneOf(tokName, "or"), logic) }
func (p *parser) and() (expr, error) { return p.chain(p.not, p.oneOf(tokName, "and"), logic) }

func (p *parser) not() (expr, error) {
	n := 0
	for p.accept(tokName, "not") {
		n++
	}
	x, err := p.compare()
	if n > 0 {
		x = &notExpr{x}
	}
	if n > 0 && n%2 == 0 {
		x = &notExpr{x}
	}
	return x, err
}

// compare is a < b < c: every pair must hold.
func (p *parser) compare() (expr, error) {
	x, err := p.sum()
	if err != nil {
		return nil, err
	}
	c := &compareExpr{line: p.peek().line, first: x}
	symbols := p.oneOf(tokOp, "==", "!=", "<", ">", "<=", ">=")
	for {
		op := symbols()
		switch {
		case op != "":
		case p.accept(tokName, "in"):
			op = "in"
		case p.is(tokName, "not") && p.toks[p.at+1].kind == tokName && p.toks[p.at+1].val == "in":
			p.at += 2
			op = "not in"
		}
		if op == "" {
			break
		}
		r, err := p.sum()
		if err != nil {
			return nil, err
		}
		c.ops, c.rest = append(c.ops, op), append(c.rest, r)
	}
	if len(c.ops) == 0 {
		return x, nil
	}
	return c, nil
}

func (p *parser) sum() (expr, error)  { return p.chain(p.join, p.oneOf(tokOp, "+", "-"), binary) }
func (p *parser) join() (expr, error) { return p.chain(p.product, p.oneOf(tokOp, "~"), binary) }
func (p *parser) product() (expr, error) {
	return p.chain(p.power, p.oneOf(tokOp, "*", "/", "//", "%"), binary)
}
func (p *parser) power() (expr, error) {
	return p.chain(func() (expr, error) { return p.unary(true) }, p.oneOf(tokOp, "**"), binary)
}

func (p *parser) unary(filters bool) (expr, error) {
	up, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer up()
	line := p.peek().line
	var x expr
	if sign := p.oneOf(tokOp, "-", "+")(); sign != "" {
		if x, err = p.unary(false); err != nil {
			return nil, err
		}
		x = &signExpr{line, x, sign == "-"}
	} else if x, err = p.primary(); err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		if n > maxChain {
			return nil, faultAt(line, "more than %d operations in a row", maxChain)
		}
		y, err := p.postfix(x, filters)
		if err != nil {
			return nil, err
		}
		if y == nil {
			return x, nil
		}
		x = y
	}
}

// postfix reads one .name, [i], (args), |filter or is test; nil when none follows.
func (p *parser) postfix(x expr, filters bool) (expr, error) {
	line := p.peek().line
	switch {
	case p.accept(tokOp, "."):
		if t := p.peek(); t.kind == tokInt {
			p.at++
			i, err := strconv.ParseInt(t.val, 10, 64)
			if err != nil {
				return nil, faultAt(line, "the number %s is too large", t.val)
			}
			return &indexExpr{line, x, &litExpr{i}}, nil
		}
		name, err := p.name()
		return &attrExpr{line, x, name}, err
	case p.accept(tokOp, "["):
		return p.subscript(x, line)
	case p.is(tokOp, "("):
		args, err := p.args()
		return &callExpr{line, x, args}, err
	case filters && p.accept(tokOp, "|"):
		f, err := p.filter(line)
		return &filterExpr{x, f}, err
	case filters && p.accept(tokName, "is"):
		return p.test(x, line)
	}
	return nil, nil
}

func (p *parser) subscript(x expr, line int) (expr, error) {
	var parts [3]expr
	n := 0
	for !p.accept(tokOp, "]") {
		if p.accept(tokOp, ":") {
			if n++; n > 2 {
				return nil, p.unexpected(`"]"`)
			}
			continue
		}
		if parts[n] != nil {
			return nil, p.unexpected(`"]"`)
		}
		var err error
		if parts[n], err = p.expr(); err != nil {
			return nil, err
		}
	}
	if n > 0 {
		return &sliceExpr{line, x, parts[0], parts[1], parts[2]}, nil
	}
	if parts[0] == nil {
		return nil, faultAt(line, "empty subscript")
	}
	return &indexExpr{line, x, parts[0]}, nil
}

// args reads (a, b=c), its parenthesis not yet read.
func (p *parser) args() (callArgs, error) {
	var a callArgs
	if err := p.expect(tokOp, "("); err != nil {
		return a, err
	}
	for first := true; !p.accept(tokOp, ")"); first = false {
		if !first {
			if err := p.expect(tokOp, ","); err != nil {
				return a, err
			}
			if p.accept(tokOp, ")") {
				break
			}
		}
		if t := p.toks[p.at+min(1, len(p.toks)-1-p.at)]; p.peek().kind == tokName && t.kind == tokOp && t.val == "=" {
			a.names = append(a.names, p.next().val)
			p.at++
			x, err := p.expr()
			if err != nil {
				return a, err
			}
			a.kw = append(a.kw, x)
			continue
		}
		x, err := p.expr()
		if err != nil {
			return a, err
		}
		a.pos = append(a.pos, x)
	}
	return a, nil
}

func (p *parser) filter(line int) (filterCall, error) {
	f := filterCall{line: line}
	var err error
	if f.name, err = p.name(); err != nil {
		return f, err
	}
	if p.is(tokOp, "(") {
		f.args, err = p.args()
	}
	return f, err
}

// filters reads a|b|c.
func (p *parser) filters(line int) ([]filterCall, error) {
	var out []filterCall
	for {
		f, err := p.filter(line)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
		if !p.accept(tokOp, "|") {
			return out, nil
		}
	}
}

// test reads is [not] name [argument].
func (p *parser) test(x expr, line int) (expr, error) {
	t := &testExpr{line: line, x: x, neg: p.accept(tokName, "not")}
	var err error
	if t.name, err = p.name(); err != nil {
		return nil, err
	}
	next := p.peek()
	switch {
	case p.is(tokOp, "("):
		args, err := p.args()
		t.args = args.pos
		return t, err
	case next.kind == tokName && !slices.Contains([]string{"else", "or", "and", "is", "if", "in", "not", "recursive"}, next.val),
		next.kind == tokString, next.kind == tokInt, next.kind == tokFloat, p.is(tokOp, "["), p.is(tokOp, "{"):
		arg, err := p.unary(false)
		t.args = []expr{arg}
		return t, err
	}
	return t, nil
}

func (p *parser) primary() (expr, error) {
	t := p.peek()
	switch t.kind {
	case tokName:
		p.at++
		switch t.val {
		case "true", "True":
			return &litExpr{true}, nil
		case "false", "False":
			return &litExpr{false}, nil
		case "none", "None":
			return &litExpr{nil}, nil
		}
		return &nameExpr{t.line, t.val}, nil
	case tokString:
		s := ""
		for p.peek().kind == tokString { // adjacent strings are one
			s += p.next().val
		}
		return &litExpr{Plain(s)}, nil
	case tokInt:
		p.at++
		i, err := strconv.ParseInt(t.val, 10, 64)
		if err != nil {
			return nil, faultAt(t.line, "the number %s is too large", t.val)
		}
		return &litExpr{i}, nil
	case tokFloat:
		p.at++
		f, err := strconv.ParseFloat(t.val, 64)
		if err != nil {
			return nil, faultAt(t.line, "the number %s is too large", t.val)
		}
		return &litExpr{f}, nil
	}
	switch {
	case p.accept(tokOp, "("):
		if p.accept(tokOp, ")") {
			return &listExpr{tuple: true}, nil
		}
		x, err := p.tuple()
		if err != nil {
			return nil, err
		}
		return x, p.expect(tokOp, ")")
	case p.accept(tokOp, "["):
		items, err := p.items("]", nil)
		return &listExpr{items: items}, err
	case p.accept(tokOp, "{"):
		d := &dictExpr{}
		var err error
		d.values, err = p.items("}", &d.keys)
		return d, err
	}
	return nil, p.unexpected("an expression")
}

// items reads the rest of a list, or of a dict when keys is given.
func (p *parser) items(end string, keys *[]expr) ([]expr, error) {
	var out []expr
	for !p.accept(tokOp, end) {
		if len(out) > 0 {
			if err := p.expect(tokOp, ","); err != nil {
				return nil, err
			}
			if p.accept(tokOp, end) {
				break
			}
		}
		x, err := p.expr()
		if err != nil {
			return nil, err
		}
		if keys != nil {
			*keys = append(*keys, x)
			if err := p.expect(tokOp, ":"); err != nil {
				return nil, err
			}
			if x, err = p.expr(); err != nil {
				return nil, err
			}
		}
		out = append(out, x)
	}
	return out, nil
}
