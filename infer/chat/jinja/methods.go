package jinja

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

func sortedKeys(m map[string]value) []string { return slices.Sorted(maps.Keys(m)) }

// method makes a function of a value's method.
func method(name string, f func(in *interp, a arguments) (value, error)) *function {
	return &function{name, func(in *interp, _ int, a arguments) (value, error) { return f(in, a) }}
}

func dictMethod(d *Dict, name string) *function {
	switch name {
	case "items", "keys", "values":
		return method(name, func(in *interp, _ arguments) (value, error) { return in.entries(d, name) })
	case "get":
		return method(name, func(_ *interp, a arguments) (value, error) {
			k, ok := a.one(0, "key")
			if !ok {
				return nil, faultAt(0, "get without a key")
			}
			if key, ok := toKey(k); ok {
				if v, ok := d.get(key); ok {
					return v, nil
				}
			}
			fallback, _ := a.one(1, "default")
			return fallback, nil
		})
	}
	return nil
}

func (in *interp) entries(d *Dict, what string) (value, error) {
	out := &List{}
	for i, k := range d.keys {
		switch what {
		case "keys":
			out.items = append(out.items, keyValue(k))
		case "values":
			out.items = append(out.items, d.values[i])
		default:
			out.items = append(out.items, &List{[]value{keyValue(k), d.values[i]}, true})
		}
	}
	return out, in.spend(1+len(out.items)>>4, 64*len(out.items))
}

func listMethod(l *List, name string) *function {
	if name != "index" && name != "count" {
		return nil // those that change a list are not there, as in the reference's sandbox
	}
	return method(name, func(in *interp, a arguments) (value, error) {
		if len(a.pos) != 1 {
			return nil, faultAt(0, "%s takes one argument", name)
		}
		n := int64(0)
		for i, item := range l.items {
			if in.equal(item, a.pos[0], 0) {
				if name == "index" {
					return int64(i), nil
				}
				n++
			}
		}
		if name == "index" {
			return nil, faultAt(0, "index of something that is not in the list")
		}
		return n, in.spend(len(l.items)>>4, 0)
	})
}

// textMethod is a method of a string.
func textMethod(t Text, name string) *function {
	switch name {
	case "strip", "lstrip", "rstrip":
		return method(name, func(in *interp, a arguments) (value, error) {
			chars, err := a.text(0, "chars", "")
			if err != nil {
				return nil, err
			}
			return in.built(strip(t, chars.s, name != "rstrip", name != "lstrip"))
		})
	case "split", "rsplit", "splitlines":
		return method(name, func(in *interp, a arguments) (value, error) { return in.split(t, name, a) })
	case "startswith", "endswith":
		return method(name, func(in *interp, a arguments) (value, error) { return hasAffix(t, name, a) })
	case "find", "rfind", "index", "count":
		return method(name, func(in *interp, a arguments) (value, error) { return in.find(t, name, a) })
	case "replace":
		return method(name, func(in *interp, a arguments) (value, error) { return in.replace(t, a) })
	case "join":
		return method(name, func(in *interp, a arguments) (value, error) {
			if len(a.pos) != 1 {
				return nil, faultAt(0, "join takes one argument")
			}
			items, err := in.iterate(a.pos[0])
			if err != nil {
				return nil, err
			}
			return in.join(items, t)
		})
	case "upper", "lower", "title", "capitalize", "swapcase":
		return method(name, func(in *interp, _ arguments) (value, error) { return in.built(recase(t, name)) })
	case "isdigit", "isalpha", "isalnum", "isspace", "isupper", "islower":
		return method(name, func(_ *interp, _ arguments) (value, error) { return isKind(t.s, name), nil })
	case "removeprefix", "removesuffix":
		return method(name, func(in *interp, a arguments) (value, error) {
			affix, err := a.text(0, "affix", "")
			if err != nil {
				return nil, err
			}
			from, to := 0, len(t.s)
			if name == "removeprefix" && strings.HasPrefix(t.s, affix.s) {
				from = len(affix.s)
			}
			if name == "removesuffix" && strings.HasSuffix(t.s, affix.s) {
				to -= len(affix.s)
			}
			return in.built(t.slice(from, to))
		})
	}
	return nil
}

// strip removes characters, blanks if none are named, from the ends.
func strip(t Text, chars string, left, right bool) Text {
	drop := unicode.IsSpace
	if chars != "" {
		drop = func(r rune) bool { return strings.ContainsRune(chars, r) }
	}
	from, to := 0, len(t.s)
	if left {
		from = to - len(strings.TrimLeftFunc(t.s, drop))
	}
	if right {
		to = from + len(strings.TrimRightFunc(t.s[from:], drop))
	}
	return t.slice(from, to)
}

func hasAffix(t Text, name string, a arguments) (value, error) {
	if len(a.pos) != 1 {
		return nil, faultAt(0, "%s takes one argument", name)
	}
	tries := []value{a.pos[0]}
	if l, ok := a.pos[0].(*List); ok {
		tries = l.items
	}
	for _, v := range tries {
		affix, ok := v.(Text)
		if !ok {
			return nil, faultAt(0, "%s of a %s", name, typeName(v))
		}
		if name == "startswith" && strings.HasPrefix(t.s, affix.s) || name == "endswith" && strings.HasSuffix(t.s, affix.s) {
			return true, nil
		}
	}
	return false, nil
}

// find counts in characters, as Python does.
func (in *interp) find(t Text, name string, a arguments) (value, error) {
	sub, err := a.text(0, "sub", "")
	if err != nil {
		return nil, err
	}
	if err := in.spend(1+len(t.s)>>10, 0); err != nil {
		return nil, err
	}
	if name == "count" {
		return int64(strings.Count(t.s, sub.s)), nil
	}
	i := strings.Index(t.s, sub.s)
	if name == "rfind" {
		i = strings.LastIndex(t.s, sub.s)
	}
	if i < 0 {
		if name == "index" {
			return nil, faultAt(0, "index of a string that is not there")
		}
		return int64(-1), nil
	}
	return int64(utf8.RuneCountInString(t.s[:i])), nil
}

// split cuts at a separator, at runs of blanks without one, or at lines.
func (in *interp) split(t Text, name string, a arguments) (value, error) {
	var cuts []Text
	if name == "splitlines" {
		cuts = splitLines(t)
	} else {
		sep, ok := a.one(0, "sep")
		limit, err := a.integer(1, "maxsplit", -1)
		if err != nil {
			return nil, err
		}
		if limit < 0 || limit > int64(len(t.s)) {
			limit = int64(len(t.s)) + 1
		}
		if !ok || sep == nil {
			cuts = splitBlanks(t, int(limit), name == "rsplit")
		} else {
			s, ok := sep.(Text)
			if !ok || s.s == "" {
				return nil, faultAt(0, "%s by a %s", name, typeName(sep))
			}
			cuts = splitBy(t, s.s, int(limit), name == "rsplit")
		}
	}
	out := &List{}
	for _, c := range cuts {
		out.items = append(out.items, c)
	}
	return out, in.spend(1+len(cuts)>>2+len(t.s)>>10, 64*len(cuts)+len(t.s))
}

func splitBy(t Text, sep string, limit int, fromRight bool) []Text {
	var out []Text
	from, to := 0, len(t.s)
	for ; limit > 0; limit-- {
		if fromRight {
			i := strings.LastIndex(t.s[:to], sep)
			if i < 0 {
				break
			}
			out = append(out, t.slice(i+len(sep), to))
			to = i
			continue
		}
		i := strings.Index(t.s[from:], sep)
		if i < 0 {
			break
		}
		out = append(out, t.slice(from, from+i))
		from += i + len(sep)
	}
	out = append(out, t.slice(from, to))
	if fromRight {
		slices.Reverse(out)
	}
	return out
}

func splitBlanks(t Text, limit int, fromRight bool) []Text {
	var out []Text
	t = strip(t, "", true, true)
	for ; t.s != "" && limit > 0; limit-- {
		if fromRight {
			i := strings.LastIndexFunc(t.s, unicode.IsSpace)
			if i < 0 {
				break
			}
			_, n := utf8.DecodeRuneInString(t.s[i:])
			out = append(out, t.slice(i+n, len(t.s)))
			t = strip(t.slice(0, i), "", false, true)
			continue
		}
		i := strings.IndexFunc(t.s, unicode.IsSpace)
		if i < 0 {
			break
		}
		out = append(out, t.slice(0, i))
		t = strip(t.slice(i, len(t.s)), "", true, false)
	}
	if t.s != "" {
		out = append(out, t)
	}
	if fromRight {
		slices.Reverse(out)
	}
	return out
}

func splitLines(t Text) []Text {
	var out []Text
	for at := 0; at < len(t.s); {
		i := strings.IndexAny(t.s[at:], "\r\n")
		if i < 0 {
			return append(out, t.slice(at, len(t.s)))
		}
		out = append(out, t.slice(at, at+i))
		at += i + 1
		if t.s[at-1] == '\r' && at < len(t.s) && t.s[at] == '\n' {
			at++
		}
	}
	return out
}

// replace replaces every occurrence, or the first count of them.
func (in *interp) replace(t Text, a arguments) (value, error) {
	from, err := a.text(0, "old", "")
	if err != nil {
		return nil, err
	}
	to, err := a.text(1, "new", "")
	if err != nil {
		return nil, err
	}
	count, err := a.integer(2, "count", -1)
	if err != nil {
		return nil, err
	}
	n := strings.Count(t.s, from.s)
	if count >= 0 && count < int64(n) {
		n = int(count)
	}
	if size := len(t.s) + n*len(to.s); size > maxBytes {
		return nil, &Error{Message: "a replaced string", Err: ErrTooLarge}
	}
	if err := in.spend(1+n>>4, len(t.s)+n*len(to.s)); err != nil {
		return nil, err
	}
	if from.s == "" { // between all characters: rare enough not to be told apart
		return derived(strings.Replace(t.s, "", to.s, n), t, to), nil
	}
	var b builder
	at := 0
	for ; n > 0; n-- {
		i := at + strings.Index(t.s[at:], from.s)
		b.add(t.slice(at, i))
		b.add(to)
		at = i + len(from.s)
	}
	b.add(t.slice(at, len(t.s)))
	return b.text(), nil
}

func (in *interp) join(items []value, sep Text) (value, error) {
	var b builder
	for i, item := range items {
		t, err := in.str(item)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.add(sep)
		}
		b.add(t)
		if err := in.spend(1, len(t.s)+len(sep.s)); err != nil {
			return nil, err
		}
	}
	return b.text(), nil
}

func recase(t Text, name string) Text {
	var s string
	switch name {
	case "upper":
		s = strings.ToUpper(t.s)
	case "lower":
		s = strings.ToLower(t.s)
	default:
		start := true // of a word, or of the text
		s = strings.Map(func(r rune) rune {
			first := start
			switch name {
			case "title":
				start = !unicode.IsLetter(r)
			case "title filter": // the filter's words end at fewer characters
				start = unicode.IsSpace(r) || strings.ContainsRune("-({[<", r)
			default:
				start = false
			}
			switch {
			case name == "swapcase" && unicode.IsUpper(r):
				return unicode.ToLower(r)
			case name == "swapcase":
				return unicode.ToUpper(r)
			case first:
				return unicode.ToTitle(r)
			}
			return unicode.ToLower(r)
		}, t.s)
	}
	if len(s) == len(t.s) {
		return Text{s, t.data} // letters kept their places
	}
	return derived(s, t)
}

func isKind(s, name string) bool {
	kinds := map[string]func(rune) bool{
		"isdigit": unicode.IsDigit,
		"isalpha": unicode.IsLetter,
		"isalnum": func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) },
		"isspace": unicode.IsSpace,
	}
	if is, ok := kinds[name]; ok {
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !is(r) }) < 0
	}
	wrong, right := unicode.IsLower, unicode.IsUpper
	if name == "islower" {
		wrong, right = right, wrong
	}
	return strings.IndexFunc(s, right) >= 0 && strings.IndexFunc(s, wrong) < 0
}
