package jinja

import "unicode/utf8"

func (in *interp) eval(x expr) (value, error) {
	if err := in.spend(1, 0); err != nil {
		return nil, err
	}
	switch x := x.(type) {
	case *litExpr:
		return x.v, nil
	case *nameExpr:
		if v, ok := in.scope.lookup(x.name); ok {
			return v, nil
		}
		return undefined{x.name}, nil
	case *listExpr:
		items, err := in.evalAll(x.items)
		return &List{items, x.tuple}, err
	case *dictExpr:
		return in.dict(x)
	case *attrExpr:
		v, err := in.eval(x.x)
		if err != nil {
			return nil, err
		}
		v, err = in.attribute(v, x.name)
		return v, at(x.line, err)
	case *indexExpr:
		v, err := in.eval(x.x)
		if err != nil {
			return nil, err
		}
		i, err := in.eval(x.i)
		if err != nil {
			return nil, err
		}
		v, err = in.item(v, i)
		return v, at(x.line, err)
	case *sliceExpr:
		v, err := in.slice(x)
		return v, at(x.line, err)
	case *callExpr:
		return in.call(x)
	case *filterExpr:
		v, err := in.eval(x.x)
		if err != nil {
			return nil, err
		}
		return in.apply(v, x.f)
	case *testExpr:
		v, err := in.eval(x.x)
		if err != nil {
			return nil, err
		}
		args, err := in.evalAll(x.args)
		if err != nil {
			return nil, err
		}
		ok, err := in.test(x.name, v, args)
		return ok != x.neg, at(x.line, err)
	}
	return in.operate(x)
}

func (in *interp) evalAll(xs []expr) ([]value, error) {
	items := make([]value, 0, len(xs))
	for _, x := range xs {
		v, err := in.eval(x)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	return items, in.spend(0, 16*len(items))
}

func (in *interp) dict(x *dictExpr) (value, error) {
	d := NewDict()
	for i := range x.keys {
		k, err := in.eval(x.keys[i])
		if err != nil {
			return nil, err
		}
		key, ok := toKey(k)
		if !ok {
			return nil, faultAt(0, "a %s as a key", typeName(k))
		}
		v, err := in.eval(x.values[i])
		if err != nil {
			return nil, err
		}
		d.set(key, v)
	}
	return d, in.spend(0, 64*len(x.keys))
}

func (in *interp) arguments(a callArgs) (arguments, error) {
	out := arguments{kw: make(map[string]value, len(a.kw))}
	var err error
	if out.pos, err = in.evalAll(a.pos); err != nil {
		return out, err
	}
	for i, name := range a.names {
		if out.kw[name], err = in.eval(a.kw[i]); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (in *interp) call(x *callExpr) (value, error) {
	f, err := in.eval(x.f)
	if err != nil {
		return nil, err
	}
	a, err := in.arguments(x.args)
	if err != nil {
		return nil, err
	}
	v, err := in.invoke(f, x.line, a)
	return v, at(x.line, err)
}

func (in *interp) invoke(f value, line int, a arguments) (value, error) {
	if l, ok := f.(*loopVar); ok {
		return l.call(in, line, a)
	}
	fn, ok := f.(*function)
	if !ok {
		return nil, faultAt(line, "%s is called but is no function", typeName(f))
	}
	return fn.call(in, line, a)
}

// attribute is v.name: a method before an entry, as in Python.
func (in *interp) attribute(v value, name string) (value, error) {
	switch v := v.(type) {
	case *Dict:
		if m := dictMethod(v, name); m != nil && !v.namespace {
			return m, nil
		}
		if e, ok := v.get(name); ok {
			return e, nil
		}
		return undefined{name}, nil
	case Text:
		if m := textMethod(v, name); m != nil {
			return m, nil
		}
	case *List:
		if m := listMethod(v, name); m != nil {
			return m, nil
		}
	case *loopVar:
		return v.attribute(name), nil
	case undefined:
		return nil, faultAt(0, "%q of %s", name, typeName(v))
	}
	return undefined{name}, nil
}

// item is v[i].
func (in *interp) item(v, i value) (value, error) {
	switch v := v.(type) {
	case *Dict:
		if key, ok := toKey(i); ok {
			if e, ok := v.get(key); ok {
				return e, nil
			}
		}
	case *List:
		n, _, isInt, ok := number(i)
		if ok && isInt {
			if n < 0 {
				n += int64(len(v.items))
			}
			if n >= 0 && n < int64(len(v.items)) {
				return v.items[n], nil
			}
		}
	case Text:
		n, _, isInt, ok := number(i)
		if ok && isInt {
			chars := offsets(v.s)
			if n < 0 {
				n += int64(len(chars) - 1)
			}
			if n >= 0 && n < int64(len(chars)-1) {
				return v.slice(chars[n], chars[n+1]), in.spend(len(chars)>>6, 0)
			}
		}
	case undefined:
		return nil, faultAt(0, "an item of %s", typeName(v))
	}
	if name, ok := i.(Text); ok {
		if _, isDict := v.(*Dict); !isDict {
			return in.attribute(v, name.s)
		}
		return undefined{name.s}, nil
	}
	return undefined{"item"}, nil
}

// offsets returns where each character begins, and the end.
func offsets(s string) []int {
	out := make([]int, 0, len(s)+1)
	for i := range s {
		out = append(out, i)
	}
	return append(out, len(s))
}

// slice is v[from:to:step] with Python's rules.
func (in *interp) slice(x *sliceExpr) (value, error) {
	v, err := in.eval(x.x)
	if err != nil {
		return nil, err
	}
	bounds := [3]*int64{}
	for i, part := range []expr{x.from, x.to, x.step} {
		if part == nil {
			continue
		}
		b, err := in.eval(part)
		if err != nil {
			return nil, err
		}
		if b == nil {
			continue
		}
		n, _, isInt, ok := number(b)
		if !ok || !isInt {
			return nil, faultAt(0, "a slice by a %s", typeName(b))
		}
		bounds[i] = &n
	}
	switch v := v.(type) {
	case *List:
		out := &List{}
		for _, i := range indices(len(v.items), bounds) {
			out.items = append(out.items, v.items[i])
		}
		return out, in.spend(1+len(out.items)>>6, 16*len(out.items))
	case Text:
		chars := offsets(v.s)
		if err := in.spend(len(chars)>>6, 0); err != nil {
			return nil, err
		}
		picked := indices(len(chars)-1, bounds)
		if len(picked) == 0 {
			return Text{}, nil
		}
		if bounds[2] == nil || *bounds[2] == 1 {
			return in.built(v.slice(chars[picked[0]], chars[picked[len(picked)-1]+1]))
		}
		var b builder
		for _, i := range picked {
			b.add(v.slice(chars[i], chars[i+1]))
		}
		return in.built(b.text())
	}
	return nil, faultAt(0, "a slice of a %s", typeName(v))
}

func indices(n int, bounds [3]*int64) []int {
	step := int64(1)
	if bounds[2] != nil {
		step = *bounds[2]
	}
	if step == 0 {
		return nil
	}
	from, to := int64(0), int64(n)
	if step < 0 {
		from, to = int64(n)-1, -1
	}
	low, high := int64(0), int64(n)
	if step < 0 {
		low, high = -1, int64(n)-1
	}
	for i, p := range []*int64{&from, &to} {
		if bounds[i] == nil {
			continue
		}
		*p = *bounds[i]
		if *p < 0 {
			*p += int64(n)
		}
		*p = min(max(*p, low), high)
	}
	var out []int
	step = min(max(step, -int64(n)-1), int64(n)+1) // larger ones mean the same
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		out = append(out, int(i))
	}
	return out
}

// iterate returns what a for loop goes over.
func (in *interp) iterate(v value) ([]value, error) {
	switch v := v.(type) {
	case *List:
		return v.items, nil
	case *Dict:
		keys := make([]value, len(v.keys))
		for i, k := range v.keys {
			keys[i] = keyValue(k)
		}
		return keys, in.spend(len(keys)>>4, 16*len(keys))
	case Text:
		if err := in.spend(1, 64*len(v.s)); err != nil {
			return nil, err
		}
		var chars []value
		for i := 0; i < len(v.s); {
			_, n := utf8.DecodeRuneInString(v.s[i:])
			chars = append(chars, v.slice(i, i+n))
			i += n
		}
		return chars, nil
	case undefined:
		return nil, nil
	}
	return nil, faultAt(0, "a loop over a %s", typeName(v))
}
