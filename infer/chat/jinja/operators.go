package jinja

import (
	"math"
	"strings"
)

// operate evaluates operators.
func (in *interp) operate(x expr) (value, error) {
	switch x := x.(type) {
	case *notExpr:
		v, err := in.eval(x.x)
		return !truth(v), err
	case *signExpr:
		v, err := in.eval(x.x)
		if err != nil {
			return nil, err
		}
		i, f, isInt, ok := number(v)
		switch {
		case !ok:
			return nil, faultAt(x.line, "a sign before a %s", typeName(v))
		case !x.neg && isInt:
			return i, nil
		case !x.neg:
			return f, nil
		case isInt:
			return -i, nil
		}
		return -f, nil
	case *logicExpr:
		l, err := in.eval(x.l)
		if err != nil || truth(l) != x.and {
			return l, err
		}
		return in.eval(x.r)
	case *condExpr:
		cond, err := in.eval(x.cond)
		switch {
		case err != nil:
			return nil, err
		case truth(cond):
			return in.eval(x.yes)
		case x.no == nil:
			return undefined{"else"}, nil
		}
		return in.eval(x.no)
	case *compareExpr:
		return in.compare(x)
	case *binExpr:
		l, err := in.eval(x.l)
		if err != nil {
			return nil, err
		}
		r, err := in.eval(x.r)
		if err != nil {
			return nil, err
		}
		v, err := in.binary(x.op, l, r)
		return v, at(x.line, err)
	}
	panic("qbranch: internal error: unknown template expression")
}

func (in *interp) compare(x *compareExpr) (value, error) {
	l, err := in.eval(x.first)
	if err != nil {
		return nil, err
	}
	for i, op := range x.ops {
		r, err := in.eval(x.rest[i])
		if err != nil {
			return nil, err
		}
		ok, err := in.relation(op, l, r)
		if err != nil {
			return nil, at(x.line, err)
		}
		if !ok {
			return false, nil
		}
		l = r
	}
	return true, nil
}

func (in *interp) relation(op string, l, r value) (bool, error) {
	switch op {
	case "==":
		return in.equal(l, r, 0), nil
	case "!=":
		return !in.equal(l, r, 0), nil
	case "in", "not in":
		found, err := in.contains(r, l)
		return found == (op == "in"), err
	}
	c, ok := in.order(l, r, 0)
	if !ok {
		return false, faultAt(0, "a %s and a %s cannot be ordered", typeName(l), typeName(r))
	}
	switch op {
	case "<":
		return c < 0, nil
	case ">":
		return c > 0, nil
	case "<=":
		return c <= 0, nil
	}
	return c >= 0, nil
}

func (in *interp) contains(v, what value) (bool, error) {
	switch v := v.(type) {
	case Text:
		w, ok := what.(Text)
		if !ok {
			return false, faultAt(0, "looking for a %s in a string", typeName(what))
		}
		return strings.Contains(v.s, w.s), in.spend(len(v.s)>>10, 0)
	case *List:
		for _, item := range v.items {
			if in.equal(item, what, 0) {
				return true, nil
			}
		}
		return false, in.spend(len(v.items)>>4, 0)
	case *Dict:
		key, ok := toKey(what)
		if ok {
			_, ok = v.get(key)
		}
		return ok, nil
	case undefined:
		return false, nil
	}
	return false, faultAt(0, "looking for something in a %s", typeName(v))
}

// binary evaluates arithmetic and concatenation.
func (in *interp) binary(op string, l, r value) (value, error) {
	if op == "~" {
		a, err := in.str(l)
		if err != nil {
			return nil, err
		}
		b, err := in.str(r)
		if err != nil {
			return nil, err
		}
		return in.built(concat(a, b))
	}
	if v, done, err := in.sequenceOp(op, l, r); done || err != nil {
		return v, err
	}
	li, lf, lInt, okL := number(l)
	ri, rf, rInt, okR := number(r)
	if !okL || !okR {
		return nil, faultAt(0, "a %s %s a %s", typeName(l), op, typeName(r))
	}
	if lInt && rInt && op != "/" {
		return intOp(op, li, ri)
	}
	return floatOp(op, lf, rf)
}

// sequenceOp is + and * of strings and lists, and % of a string.
func (in *interp) sequenceOp(op string, l, r value) (value, bool, error) {
	switch a := l.(type) {
	case Text:
		switch b, ok := r.(Text); {
		case op == "+" && ok:
			v, err := in.built(concat(a, b))
			return v, true, err
		case op == "*":
			v, err := in.repeat(a, r)
			return v, true, err
		case op == "%":
			return nil, true, faultAt(0, "%% formatting is not supported in chat templates")
		}
	case *List:
		if b, ok := r.(*List); ok && op == "+" {
			out := &List{items: append(append([]value(nil), a.items...), b.items...)}
			return out, true, in.spend(1+len(out.items)>>6, 16*len(out.items))
		}
	}
	if b, ok := r.(Text); ok && op == "*" {
		v, err := in.repeat(b, l)
		return v, true, err
	}
	return nil, false, nil
}

func (in *interp) repeat(t Text, times value) (value, error) {
	n, _, isInt, ok := number(times)
	if !ok || !isInt {
		return nil, faultAt(0, "a string * a %s", typeName(times))
	}
	n = max(n, 0)
	if int64(len(t.s)) > 0 && n > int64(maxBytes/len(t.s)) {
		return nil, &Error{Message: "a repeated string", Err: ErrTooLarge}
	}
	if err := in.spend(int(n)>>4, len(t.s)*int(n)); err != nil {
		return nil, err
	}
	var b builder
	for range n {
		b.add(t)
	}
	return b.text(), nil
}

// intOp is Python's: division and remainder round down.
func intOp(op string, a, b int64) (value, error) {
	switch op {
	case "+":
		return a + b, nil
	case "-":
		return a - b, nil
	case "*":
		return a * b, nil
	case "**":
		if b < 0 {
			return math.Pow(float64(a), float64(b)), nil
		}
		out := int64(1)
		for ; b > 0; b >>= 1 {
			if b&1 == 1 {
				out *= a
			}
			a *= a
		}
		return out, nil
	}
	if b == 0 {
		return nil, faultAt(0, "division by zero")
	}
	q, rest := a/b, a%b
	if rest != 0 && (rest < 0) != (b < 0) {
		q, rest = q-1, rest+b
	}
	if op == "//" {
		return q, nil
	}
	return rest, nil
}

func floatOp(op string, a, b float64) (value, error) {
	switch op {
	case "+":
		return a + b, nil
	case "-":
		return a - b, nil
	case "*":
		return a * b, nil
	case "**":
		return math.Pow(a, b), nil
	}
	if b == 0 {
		return nil, faultAt(0, "division by zero")
	}
	switch op {
	case "/":
		return a / b, nil
	case "//":
		return math.Floor(a / b), nil
	}
	rest := math.Mod(a, b)
	if rest != 0 && (rest < 0) != (b < 0) {
		rest += b
	}
	return rest, nil
}
