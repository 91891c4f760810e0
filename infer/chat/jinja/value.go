package jinja

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// A value is nil (none), undefined, bool, int64, float64, Text, *List, *Dict,
// *function or *loopVar. Lists and dicts are never changed once they are built, but for the
// attributes of a namespace.
type value any

// undefined is a name or an attribute that is not there. It prints as nothing,
// is false and empty, and nothing can be done with it.
type undefined struct{ name string }

// List is a sequence. A tuple differs in how it prints and in equality.
type List struct {
	items []value
	tuple bool
}

// Dict keeps its keys in order. A namespace is one whose attributes can be set.
type Dict struct {
	keys      []value // bool, int64, float64 or string
	values    []value
	index     map[any]int
	namespace bool
}

// function is something that can be called.
type function struct {
	name string
	call func(in *interp, line int, a arguments) (value, error)
}

type arguments struct {
	pos []value
	kw  map[string]value
}

// NewDict returns an empty dict, for variables.
func NewDict() *Dict { return &Dict{index: make(map[any]int)} }

// NewList returns a list of Text, *List, *Dict, bool, int64, float64 or nil.
func NewList(items ...any) *List {
	l := &List{}
	for _, it := range items {
		l.items = append(l.items, it)
	}
	return l
}

// Set adds or replaces an entry; v is as in NewList.
func (d *Dict) Set(key string, v any) { d.set(key, v) }

func (d *Dict) set(key any, v value) {
	if i, ok := d.index[key]; ok {
		d.values[i] = v
		return
	}
	d.index[key] = len(d.keys)
	d.keys = append(d.keys, key)
	d.values = append(d.values, v)
}

func (d *Dict) get(key any) (value, bool) {
	i, ok := d.index[key]
	if !ok {
		return nil, false
	}
	return d.values[i], true
}

// keyValue is a key as a value again.
func keyValue(k any) value {
	if s, ok := k.(string); ok {
		return Plain(s)
	}
	return k
}

// toKey is a value as a key; ok is false for lists, dicts and the like.
func toKey(v value) (any, bool) {
	switch v := v.(type) {
	case Text:
		return v.s, true
	case bool, int64, nil:
		return v, true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), true
		}
		return v, v == v
	}
	return nil, false
}

func typeName(v value) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case undefined:
		return "undefined value " + strconv.Quote(v.name)
	case bool:
		return "boolean"
	case int64, float64:
		return "number"
	case Text:
		return "string"
	case *List:
		return "list"
	case *Dict:
		return "dict"
	case *function:
		return "function"
	case *loopVar:
		return "loop"
	}
	panic(fmt.Sprintf("qbranch: internal error: template value of type %T", v))
}

func truth(v value) bool {
	switch v := v.(type) {
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case Text:
		return v.s != ""
	case *List:
		return len(v.items) > 0
	case *Dict:
		return v.namespace || len(v.keys) > 0
	case *function, *loopVar:
		return true
	}
	return false
}

// number returns v as an integer or a float, booleans being 0 and 1 as in Python.
func number(v value) (i int64, f float64, isInt, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, 1, true, true
		}
		return 0, 0, true, true
	case int64:
		return v, float64(v), true, true
	case float64:
		return 0, v, false, true
	}
	return 0, 0, false, false
}

const maxCompare = 64 // lists in lists that equal looks into

func (in *interp) equal(a, b value, depth int) bool {
	if in.steps++; in.steps > maxSteps {
		return false // shared lists can unfold without end; the next step is refused
	}
	if ia, fa, intA, ok := number(a); ok {
		ib, fb, intB, ok := number(b)
		if !ok {
			return false
		}
		if intA && intB {
			return ia == ib
		}
		return fa == fb
	}
	switch a := a.(type) {
	case Text:
		b, ok := b.(Text)
		return ok && a.s == b.s
	case *List:
		b, ok := b.(*List)
		if !ok || len(a.items) != len(b.items) || a.tuple != b.tuple || depth > maxCompare {
			return false
		}
		for i := range a.items {
			if !in.equal(a.items[i], b.items[i], depth+1) {
				return false
			}
		}
		return true
	case *Dict:
		b, ok := b.(*Dict)
		if !ok || len(a.keys) != len(b.keys) || depth > maxCompare || a.namespace != b.namespace {
			return false
		}
		for i, k := range a.keys {
			if other, ok := b.get(k); !ok || !in.equal(a.values[i], other, depth+1) {
				return false
			}
		}
		return true
	case undefined:
		_, ok := b.(undefined)
		return ok
	case nil:
		return b == nil
	}
	return a == b // functions
}

// order compares numbers with numbers, strings with strings and lists with lists.
func (in *interp) order(a, b value, depth int) (int, bool) {
	if in.steps++; in.steps > maxSteps {
		return 0, false
	}
	if _, fa, _, ok := number(a); ok {
		_, fb, _, ok := number(b)
		switch {
		case !ok:
			return 0, false
		case fa < fb:
			return -1, true
		case fa > fb:
			return 1, true
		}
		return 0, true
	}
	if a, ok := a.(Text); ok {
		b, ok := b.(Text)
		return strings.Compare(a.s, b.s), ok
	}
	la, okA := a.(*List)
	lb, okB := b.(*List)
	if !okA || !okB || depth > maxCompare {
		return 0, false
	}
	for i := range min(len(la.items), len(lb.items)) {
		if c, ok := in.order(la.items[i], lb.items[i], depth+1); !ok || c != 0 {
			return c, ok
		}
	}
	return len(la.items) - len(lb.items), true
}

// str is what {{ v }} writes: Python's str().
func (in *interp) str(v value) (Text, error) {
	switch v := v.(type) {
	case Text:
		return v, nil
	case undefined:
		return Text{}, nil
	}
	var b builder
	err := in.repr(&b, v, 0)
	return b.text(), err
}

// repr writes Python's repr().
func (in *interp) repr(b *builder, v value, depth int) error {
	if depth > maxCompare {
		return faultAt(0, "lists nested more than %d deep", maxCompare)
	}
	if err := in.spend(1, b.b.Len()); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		b.add(Plain("None"))
	case bool:
		if v {
			b.add(Plain("True"))
		} else {
			b.add(Plain("False"))
		}
	case int64:
		b.add(Plain(strconv.FormatInt(v, 10)))
	case float64:
		b.add(Plain(formatFloat(v)))
	case Text:
		b.add(derived(quotePython(v.s), v))
	case undefined:
		b.add(Plain("Undefined"))
	case *List:
		open, end := "[", "]"
		if v.tuple {
			open, end = "(", ")"
			if len(v.items) == 1 {
				end = ",)"
			}
		}
		return in.reprItems(b, open, end, len(v.items), func(i int) error { return in.repr(b, v.items[i], depth+1) })
	case *Dict:
		return in.reprItems(b, "{", "}", len(v.keys), func(i int) error {
			if err := in.repr(b, keyValue(v.keys[i]), depth+1); err != nil {
				return err
			}
			b.add(Plain(": "))
			return in.repr(b, v.values[i], depth+1)
		})
	case *function:
		b.add(Plain("<function " + v.name + ">"))
	case *loopVar:
		b.add(Plain("<loop>"))
	}
	return nil
}

func (in *interp) reprItems(b *builder, open, end string, n int, item func(int) error) error {
	b.add(Plain(open))
	for i := range n {
		if i > 0 {
			b.add(Plain(", "))
		}
		if err := item(i); err != nil {
			return err
		}
	}
	b.add(Plain(end))
	return nil
}

// formatFloat is Python's repr of a float: the shortest digits that read back,
// in exponent form only below 1e-4 and from 1e16 on.
func formatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case f != f:
		return "nan"
	case f == 0 || math.Abs(f) >= 1e-4 && math.Abs(f) < 1e16:
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	return strconv.FormatFloat(f, 'e', -1, 64)
}

// quotePython is repr of a string.
func quotePython(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	var b strings.Builder
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7F:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0x7F && !unicode.IsPrint(r):
			switch {
			case r < 0x100:
				fmt.Fprintf(&b, `\x%02x`, r)
			case r < 0x10000:
				fmt.Fprintf(&b, `\u%04x`, r)
			default:
				fmt.Fprintf(&b, `\U%08x`, r)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(quote)
	return b.String()
}
