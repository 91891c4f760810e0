package jinja

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// one reads a single argument, given by position or by one of the names.
func (a arguments) one(i int, name string) (value, bool) {
	if i < len(a.pos) {
		return a.pos[i], true
	}
	v, ok := a.kw[name]
	return v, ok
}

// text reads a string argument, or returns the fallback.
func (a arguments) text(i int, name, fallback string) (Text, error) {
	v, ok := a.one(i, name)
	if !ok || v == nil {
		return Plain(fallback), nil
	}
	t, ok := v.(Text)
	if !ok {
		return Text{}, faultAt(0, "argument %s is a %s, want a string", name, typeName(v))
	}
	return t, nil
}

// integer reads an integer argument, or returns the fallback.
func (a arguments) integer(i int, name string, fallback int64) (int64, error) {
	v, ok := a.one(i, name)
	if !ok || v == nil {
		return fallback, nil
	}
	n, _, isInt, ok := number(v)
	if !ok || !isInt {
		return 0, faultAt(0, "argument %s is a %s, want an integer", name, typeName(v))
	}
	return n, nil
}

// flag reads a boolean argument.
func (a arguments) flag(i int, name string, fallback bool) bool {
	v, ok := a.one(i, name)
	if !ok {
		return fallback
	}
	return truth(v)
}

// globals are the functions every template sees.
func (in *interp) globals() map[string]value {
	return map[string]value{
		"range":           &function{"range", rangeOf},
		"namespace":       &function{"namespace", namespaceOf},
		"dict":            &function{"dict", dictOf},
		"raise_exception": &function{"raise_exception", raise},
		"strftime_now": &function{"strftime_now", func(in *interp, _ int, a arguments) (value, error) {
			format, err := a.text(0, "format", "%Y-%m-%d")
			if err != nil {
				return nil, err
			}
			s, err := strftime(in.now(), format.s)
			return Plain(s), err
		}},
	}
}

func rangeOf(in *interp, _ int, a arguments) (value, error) {
	bounds := [3]int64{0, 0, 1}
	for i, v := range a.pos {
		n, _, isInt, ok := number(v)
		if !ok || !isInt || i > 2 {
			return nil, faultAt(0, "range takes one to three integers")
		}
		bounds[i] = n
	}
	switch len(a.pos) {
	case 0:
		return nil, faultAt(0, "range takes one to three integers")
	case 1:
		bounds[0], bounds[1] = 0, bounds[0]
	}
	from, to, step := bounds[0], bounds[1], bounds[2]
	if step == 0 {
		return nil, faultAt(0, "range with a step of zero")
	}
	out := &List{}
	for i := from; step > 0 && i < to || step < 0 && i > to; {
		if len(out.items) == maxRange {
			return nil, &Error{Message: "a range", Err: ErrTooLarge}
		}
		out.items = append(out.items, i)
		next := i + step
		if (next > i) != (step > 0) {
			break // overflow
		}
		i = next
	}
	return out, in.spend(1+len(out.items)>>4, 16*len(out.items))
}

func namespaceOf(in *interp, line int, a arguments) (value, error) {
	v, err := dictOf(in, line, a)
	if err == nil {
		v.(*Dict).namespace = true
	}
	return v, err
}

func dictOf(in *interp, _ int, a arguments) (value, error) {
	d := NewDict()
	for _, v := range a.pos {
		other, ok := v.(*Dict)
		if !ok {
			return nil, faultAt(0, "dict of a %s", typeName(v))
		}
		for i, k := range other.keys {
			d.set(k, other.values[i])
		}
	}
	for _, k := range sortedKeys(a.kw) {
		d.set(k, a.kw[k])
	}
	return d, in.spend(1, 64*len(d.keys))
}

func raise(in *interp, _ int, a arguments) (value, error) {
	msg := ""
	if len(a.pos) > 0 {
		t, err := in.str(a.pos[0])
		if err != nil {
			return nil, err
		}
		msg = t.s
	}
	return nil, &Error{Err: fmt.Errorf("%w: %s", ErrRaised, msg)}
}

// strftime knows the codes that templates print dates with.
func strftime(t time.Time, format string) (string, error) {
	codes := map[byte]string{
		'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'B': "January", 'b': "Jan", 'A': "Monday", 'a': "Mon",
		'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'j': "002", 'Z': "MST", 'z': "-0700",
		'F': "2006-01-02", 'T': "15:04:05",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		if i == len(format) {
			return "", errors.New("strftime_now: a format that ends in %")
		}
		c := format[i]
		if c == '-' && i+1 < len(format) { // %-d: without the leading zero
			i++
			layout, ok := codes[format[i]]
			if !ok {
				return "", fmt.Errorf("strftime_now: unknown code %%-%c", format[i])
			}
			s := strings.TrimLeft(t.Format(layout), "0")
			if s == "" {
				s = "0"
			}
			b.WriteString(s)
			continue
		}
		layout, ok := codes[c]
		switch {
		case c == '%':
			b.WriteByte('%')
		case ok:
			b.WriteString(t.Format(layout))
		default:
			return "", fmt.Errorf("strftime_now: unknown code %%%c", c)
		}
	}
	return b.String(), nil
}
