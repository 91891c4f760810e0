package jinja

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

func (in *interp) applyAll(v value, fs []filterCall) (value, error) {
	for _, f := range fs {
		var err error
		if v, err = in.apply(v, f); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (in *interp) apply(v value, f filterCall) (value, error) {
	a, err := in.arguments(f.args)
	if err != nil {
		return nil, err
	}
	out, err := in.filter(f.name, v, a)
	return out, at(f.line, err)
}

// filter runs a filter by its name.
func (in *interp) filter(name string, v value, a arguments) (value, error) {
	switch name {
	case "default", "d":
		fallback, ok := a.one(0, "default_value")
		if !ok {
			fallback = Text{}
		}
		_, missing := v.(undefined)
		if missing || a.flag(1, "boolean", false) && !truth(v) {
			return fallback, nil
		}
		return v, nil
	case "string":
		t, err := in.str(v)
		return t, err
	case "safe", "escape", "e", "forceescape":
		if name == "safe" {
			return v, nil
		}
		return nil, faultAt(0, "the filter %q is not supported in chat templates", name)
	case "tojson":
		return in.toJSON(v, a)
	case "int", "float", "abs", "round":
		return convert(name, v, a)
	}
	if out, done, err := in.textFilter(name, v, a); done || err != nil {
		return out, err
	}
	return in.listFilter(name, v, a)
}

// textFilter runs the filters of strings.
func (in *interp) textFilter(name string, v value, a arguments) (value, bool, error) {
	switch name {
	case "trim", "upper", "lower", "title", "capitalize", "replace", "indent":
	default:
		return nil, false, nil
	}
	t, err := in.str(v)
	if err != nil {
		return nil, true, err
	}
	var out value
	switch name {
	case "trim":
		chars, err := a.text(0, "chars", "")
		if err != nil {
			return nil, true, err
		}
		out, err = in.built(strip(t, chars.s, true, true))
		return out, true, err
	case "replace":
		out, err = in.replace(t, a)
	case "indent":
		out, err = in.indent(t, a)
	case "title":
		out, err = in.built(recase(t, "title filter"))
	default:
		out, err = in.built(recase(t, name))
	}
	return out, true, err
}

// indent puts blanks before every line but the first and empty ones.
func (in *interp) indent(t Text, a arguments) (value, error) {
	pad := Plain("    ")
	if v, ok := a.one(0, "width"); ok {
		if s, isText := v.(Text); isText {
			pad = s
		} else {
			n, err := a.integer(0, "width", 4)
			if err != nil || n < 0 || n > 1000 {
				return nil, faultAt(0, "an indent of %d", n)
			}
			pad = Plain(strings.Repeat(" ", int(n)))
		}
	}
	first, blank := a.flag(1, "first", false), a.flag(2, "blank", false)
	var b builder
	lines := splitBy(t, "\n", len(t.s)+1, false)
	if err := in.spend(1+len(lines), len(t.s)+len(lines)*len(pad.s)); err != nil {
		return nil, err
	}
	for i, line := range lines {
		if i > 0 {
			b.add(Plain("\n"))
		}
		if (i > 0 || first) && (line.s != "" || blank) {
			b.add(pad)
		}
		b.add(line)
	}
	return b.text(), nil
}

// listFilter runs the filters of sequences.
func (in *interp) listFilter(name string, v value, a arguments) (value, error) {
	switch name {
	case "length", "count":
		return length(v)
	case "items":
		d, ok := v.(*Dict)
		if !ok {
			if _, missing := v.(undefined); missing {
				return &List{}, nil
			}
			return nil, faultAt(0, "items of a %s", typeName(v))
		}
		return in.entries(d, "items")
	case "dictsort":
		return in.dictSort(v)
	}
	known := []string{"first", "last", "list", "join", "map", "select", "reject", "selectattr", "rejectattr",
		"sort", "reverse", "unique", "min", "max", "sum", "batch"}
	if !slices.Contains(known, name) {
		return nil, faultAt(0, "the filter %q is not supported in chat templates", name)
	}
	items, err := in.iterate(v)
	if err != nil {
		return nil, err
	}
	if err := in.spend(1+len(items)>>2, 16*len(items)); err != nil {
		return nil, err
	}
	switch name {
	case "first", "last":
		if len(items) == 0 {
			return undefined{name}, nil
		}
		if name == "first" {
			return items[0], nil
		}
		return items[len(items)-1], nil
	case "list":
		return &List{items: items}, nil
	case "join":
		return in.joinFilter(items, a)
	case "map":
		return in.mapItems(items, a)
	case "select", "reject", "selectattr", "rejectattr":
		return in.selectItems(name, items, a)
	case "reverse":
		out := slices.Clone(items)
		slices.Reverse(out)
		if _, ok := v.(Text); ok {
			return in.join(out, Text{})
		}
		return &List{items: out}, nil
	case "batch":
		return in.batch(items, a)
	}
	return in.orderItems(name, items, a)
}

func length(v value) (value, error) {
	switch v := v.(type) {
	case Text:
		return int64(utf8.RuneCountInString(v.s)), nil
	case *List:
		return int64(len(v.items)), nil
	case *Dict:
		return int64(len(v.keys)), nil
	case undefined:
		return int64(0), nil
	}
	return nil, faultAt(0, "the length of a %s", typeName(v))
}

func (in *interp) dictSort(v value) (value, error) {
	d, ok := v.(*Dict)
	if !ok {
		return nil, faultAt(0, "dictsort of a %s", typeName(v))
	}
	all, err := in.entries(d, "items")
	if err != nil {
		return nil, err
	}
	items := all.(*List).items
	err = in.sortBy(items, func(v value) value {
		k := v.(*List).items[0]
		if t, ok := k.(Text); ok {
			return Plain(strings.ToLower(t.s))
		}
		return k
	})
	return &List{items: items}, err
}

func (in *interp) joinFilter(items []value, a arguments) (value, error) {
	sep, err := a.text(0, "d", "")
	if err != nil {
		return nil, err
	}
	if name, ok := a.one(1, "attribute"); ok {
		if items, err = in.attributes(items, name); err != nil {
			return nil, err
		}
	}
	return in.join(items, sep)
}

// attributes picks an attribute, which may be a path a.b, of every item.
func (in *interp) attributes(items []value, name value) ([]value, error) {
	out := make([]value, 0, len(items))
	for _, item := range items {
		v, err := in.path(item, name)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (in *interp) path(v value, name value) (value, error) {
	t, ok := name.(Text)
	if !ok {
		return in.item(v, name)
	}
	for _, part := range strings.Split(t.s, ".") {
		key := value(Plain(part))
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			key = n
		}
		var err error
		if v, err = in.item(v, key); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// mapItems is map('filter', …) or map(attribute='name').
func (in *interp) mapItems(items []value, a arguments) (value, error) {
	if name, ok := a.kw["attribute"]; ok {
		out, err := in.attributes(items, name)
		if fallback, ok := a.kw["default"]; ok {
			for i, v := range out {
				if _, missing := v.(undefined); missing {
					out[i] = fallback
				}
			}
		}
		return &List{items: out}, err
	}
	name, err := a.text(0, "filter", "")
	if err != nil {
		return nil, err
	}
	if len(a.pos) == 0 {
		return nil, faultAt(0, "map without a filter")
	}
	out := make([]value, 0, len(items))
	for _, item := range items {
		v, err := in.filter(name.s, item, arguments{a.pos[1:], a.kw})
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return &List{items: out}, in.spend(len(items), 16*len(items))
}

// selectItems is select, reject, selectattr and rejectattr.
func (in *interp) selectItems(name string, items []value, a arguments) (value, error) {
	args := a.pos
	var attr value
	if strings.HasSuffix(name, "attr") {
		if len(args) == 0 {
			return nil, faultAt(0, "%s without an attribute", name)
		}
		attr, args = args[0], args[1:]
	}
	test := ""
	if len(args) > 0 {
		t, ok := args[0].(Text)
		if !ok {
			return nil, faultAt(0, "%s by a %s", name, typeName(args[0]))
		}
		test, args = t.s, args[1:]
	}
	out := &List{}
	for _, item := range items {
		v := item
		var err error
		if attr != nil {
			if v, err = in.path(item, attr); err != nil {
				return nil, err
			}
		}
		ok := truth(v)
		if test != "" {
			if ok, err = in.test(test, v, args); err != nil {
				return nil, err
			}
		}
		if ok == strings.HasPrefix(name, "select") {
			out.items = append(out.items, item)
		}
	}
	return out, in.spend(len(items), 16*len(out.items))
}

func (in *interp) batch(items []value, a arguments) (value, error) {
	n, err := a.integer(0, "linecount", 0)
	if err != nil || n < 1 {
		return nil, faultAt(0, "batches of %d", n)
	}
	out := &List{}
	for i := 0; i < len(items); i += int(min(n, int64(len(items)))) {
		out.items = append(out.items, &List{items: items[i:min(len(items), i+int(min(n, int64(len(items)))))]})
	}
	return out, nil
}

// orderItems is sort, unique, min, max and sum.
func (in *interp) orderItems(name string, items []value, a arguments) (value, error) {
	attr, hasAttr := a.one(map[string]int{"sort": 2, "unique": 1, "min": 1, "max": 1, "sum": 0}[name], "attribute")
	exact := a.flag(map[string]int{"sort": 1}[name], "case_sensitive", false) || name == "sum"
	var fault error
	key := func(v value) value {
		if hasAttr && attr != nil {
			var err error
			if v, err = in.path(v, attr); err != nil {
				fault = err
			}
		}
		if t, ok := v.(Text); ok && !exact {
			return Plain(strings.ToLower(t.s))
		}
		return v
	}
	var out value
	var err error
	switch name {
	case "sort":
		sorted := slices.Clone(items)
		err = in.sortBy(sorted, key)
		if a.flag(0, "reverse", false) {
			slices.Reverse(sorted)
		}
		out = &List{items: sorted}
	case "unique":
		out, err = unique(items, key)
	case "sum":
		out, err = in.sum(items, key, a)
	default:
		out, err = in.extreme(name, items, key)
	}
	return out, errFirst(fault, err)
}

func unique(items []value, key func(value) value) (value, error) {
	out := &List{}
	seen := make(map[any]bool)
	for _, item := range items {
		k, ok := toKey(key(item))
		if !ok {
			return nil, faultAt(0, "unique of a %s", typeName(item))
		}
		if !seen[k] {
			seen[k] = true
			out.items = append(out.items, item)
		}
	}
	return out, nil
}

func (in *interp) sum(items []value, key func(value) value, a arguments) (value, error) {
	var total value = int64(0)
	if start, ok := a.one(1, "start"); ok {
		total = start
	}
	for _, item := range items {
		var err error
		if total, err = in.binary("+", total, key(item)); err != nil {
			return nil, err
		}
	}
	return total, nil
}

// extreme is min and max.
func (in *interp) extreme(name string, items []value, key func(value) value) (value, error) {
	if len(items) == 0 {
		return undefined{name}, nil
	}
	best := items[0]
	for _, item := range items[1:] {
		c, ok := in.order(key(item), key(best), 0)
		if !ok {
			return nil, faultAt(0, "%s of values that cannot be ordered", name)
		}
		if c < 0 && name == "min" || c > 0 && name == "max" {
			best = item
		}
	}
	return best, nil
}

func errFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// sortBy sorts items in place, equals staying in order.
func (in *interp) sortBy(items []value, key func(value) value) error {
	var fault error
	slices.SortStableFunc(items, func(a, b value) int {
		c, ok := in.order(key(a), key(b), 0)
		if !ok && fault == nil {
			fault = faultAt(0, "a %s and a %s cannot be ordered", typeName(a), typeName(b))
		}
		return c
	})
	return errFirst(fault, in.spend(4*len(items), 0))
}

// convert is int, float, abs and round.
func convert(name string, v value, a arguments) (value, error) {
	if t, ok := v.(Text); ok && (name == "int" || name == "float") {
		s := strings.TrimSpace(t.s)
		if i, err := strconv.ParseInt(s, 10, 64); err == nil && name == "int" {
			return i, nil
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			v = f
		}
	}
	i, f, isInt, ok := number(v)
	switch {
	case !ok && (name == "int" || name == "float"):
		if fallback, given := a.one(0, "default"); given {
			return fallback, nil
		}
		if name == "int" {
			return int64(0), nil
		}
		return 0.0, nil
	case !ok:
		return nil, faultAt(0, "%s of a %s", name, typeName(v))
	}
	switch name {
	case "int":
		if isInt {
			return i, nil
		}
		if math.Abs(f) < 1<<62 {
			return int64(f), nil
		}
		return int64(0), nil
	case "float":
		return f, nil
	case "abs":
		if isInt {
			return max(i, -i), nil
		}
		return math.Abs(f), nil
	}
	return round(f, a)
}

// round rounds halves to even, as Python does, or up or down.
func round(f float64, a arguments) (value, error) {
	digits, err := a.integer(0, "precision", 0)
	if err != nil || digits < -300 || digits > 300 {
		return nil, faultAt(0, "a precision of %d digits", digits)
	}
	way, err := a.text(1, "method", "common")
	if err != nil {
		return nil, err
	}
	scale := math.Pow(10, float64(digits))
	switch way.s {
	case "ceil":
		return math.Ceil(f*scale) / scale, nil
	case "floor":
		return math.Floor(f*scale) / scale, nil
	case "common":
		return math.RoundToEven(f*scale) / scale, nil
	}
	return nil, faultAt(0, "rounding %q", way.s)
}
