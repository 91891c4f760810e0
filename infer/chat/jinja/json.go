package jinja

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// toJSON is the tojson of transformers: json.dumps(v, ensure_ascii=False), keys
// in their order, nothing escaped for HTML. The result is data if any string in
// it is.
func (in *interp) toJSON(v value, a arguments) (value, error) {
	w := &jsonWriter{in: in, comma: ", ", colon: ": "}
	if ind, ok := a.one(0, "indent"); ok && ind != nil {
		switch ind := ind.(type) {
		case Text:
			w.indent = ind.s
		case int64:
			if ind < 0 || ind > 100 {
				return nil, faultAt(0, "an indent of %d", ind)
			}
			w.indent = strings.Repeat(" ", int(ind))
		default:
			return nil, faultAt(0, "an indent by a %s", typeName(ind))
		}
		w.lines, w.comma = true, ","
	}
	w.sorted = a.flag(3, "sort_keys", false)
	if seps, ok := a.one(2, "separators"); ok && seps != nil {
		pair, ok := seps.(*List)
		if !ok || len(pair.items) != 2 {
			return nil, faultAt(0, "separators that are not two strings")
		}
		comma, ok1 := pair.items[0].(Text)
		colon, ok2 := pair.items[1].(Text)
		if !ok1 || !ok2 {
			return nil, faultAt(0, "separators that are not two strings")
		}
		w.comma, w.colon = comma.s, colon.s
	}
	if err := w.write(v, 0); err != nil {
		return nil, err
	}
	out := Plain(w.b.String())
	if w.data {
		out = Data(out.s)
	}
	return in.built(out)
}

type jsonWriter struct {
	in            *interp
	b             strings.Builder
	indent        string
	lines, sorted bool
	comma, colon  string
	data          bool
}

func (w *jsonWriter) write(v value, depth int) error {
	if depth > maxCompare {
		return faultAt(0, "tojson of lists nested more than %d deep", maxCompare)
	}
	if err := w.in.spend(1, 0); err != nil {
		return err
	}
	if w.b.Len() > maxBytes {
		return &Error{Message: "tojson", Err: ErrTooLarge}
	}
	switch v := v.(type) {
	case nil:
		w.b.WriteString("null")
	case bool:
		w.b.WriteString(strconv.FormatBool(v))
	case int64:
		w.b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		w.b.WriteString(formatFloat(v))
	case Text:
		w.data = w.data || v.isData()
		w.quote(v.s)
	case *List:
		return w.items('[', ']', len(v.items), depth, func(i int) error { return w.write(v.items[i], depth+1) })
	case *Dict:
		order := make([]int, len(v.keys))
		for i := range order {
			order[i] = i
		}
		if w.sorted {
			sortKeys(order, v)
		}
		return w.items('{', '}', len(v.keys), depth, func(i int) error {
			w.quote(keyString(v.keys[order[i]]))
			w.b.WriteString(w.colon)
			return w.write(v.values[order[i]], depth+1)
		})
	default:
		return faultAt(0, "tojson of a %s", typeName(v))
	}
	return nil
}

func (w *jsonWriter) items(open, end byte, n, depth int, item func(int) error) error {
	w.b.WriteByte(open)
	for i := range n {
		if i > 0 {
			w.b.WriteString(w.comma)
		}
		w.newline(depth + 1)
		if err := item(i); err != nil {
			return err
		}
	}
	if n > 0 {
		w.newline(depth)
	}
	w.b.WriteByte(end)
	return nil
}

func (w *jsonWriter) newline(depth int) {
	if !w.lines {
		return
	}
	w.b.WriteByte('\n')
	for range depth {
		w.b.WriteString(w.indent)
	}
}

func (w *jsonWriter) quote(s string) {
	w.b.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			w.b.WriteByte('\\')
			w.b.WriteRune(r)
		case '\n':
			w.b.WriteString(`\n`)
		case '\r':
			w.b.WriteString(`\r`)
		case '\t':
			w.b.WriteString(`\t`)
		case '\b':
			w.b.WriteString(`\b`)
		case '\f':
			w.b.WriteString(`\f`)
		default:
			if r < 0x20 {
				fmt.Fprintf(&w.b, `\u%04x`, r)
			} else {
				w.b.WriteRune(r)
			}
		}
	}
	w.b.WriteByte('"')
}

// keyString is a key as JSON spells it.
func keyString(k any) string {
	switch k := k.(type) {
	case string:
		return k
	case bool:
		return strconv.FormatBool(k)
	case int64:
		return strconv.FormatInt(k, 10)
	case float64:
		return formatFloat(k)
	}
	return "null"
}

func sortKeys(order []int, d *Dict) {
	slices.SortStableFunc(order, func(a, b int) int {
		return strings.Compare(keyString(d.keys[a]), keyString(d.keys[b]))
	})
}
