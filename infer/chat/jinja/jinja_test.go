package jinja

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// fromJSON makes template values of JSON, keys in their order.
func fromJSON(t testing.TB, dec *json.Decoder) any {
	t.Helper()
	tok, err := dec.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch tok := tok.(type) {
	case json.Delim:
		if tok == '[' {
			l := NewList()
			for dec.More() {
				l.items = append(l.items, fromJSON(t, dec))
			}
			_, _ = dec.Token() // the bracket that More saw
			return l
		}
		d := NewDict()
		for dec.More() {
			key, _ := dec.Token() // a key, or the value after it fails
			d.set(key, fromJSON(t, dec))
		}
		_, _ = dec.Token()
		return d
	case json.Number:
		if i, err := tok.Int64(); err == nil {
			return i
		}
		f, err := tok.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return f
	case string:
		return Plain(tok)
	}
	return tok // nil, bool
}

type reference struct {
	Vars map[string]json.RawMessage `json:"vars"`
	Rows []struct {
		Template string  `json:"template"`
		Vars     string  `json:"vars"`
		Output   *string `json:"output"`
		Error    string  `json:"error"`
	} `json:"rows"`
}

func readReference(t testing.TB) (reference, map[string]map[string]any) {
	t.Helper()
	data, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref reference
	if err := json.Unmarshal(data, &ref); err != nil {
		t.Fatal(err)
	}
	vars := make(map[string]map[string]any)
	for name, raw := range ref.Vars {
		dec := json.NewDecoder(strings.NewReader(string(raw)))
		dec.UseNumber()
		d := fromJSON(t, dec).(*Dict)
		vars[name] = make(map[string]any)
		for i, k := range d.keys {
			vars[name][k.(string)] = d.values[i]
		}
	}
	return ref, vars
}

// clock is that of reference.py.
func clock() time.Time { return time.Date(2024, 7, 4, 9, 5, 3, 0, time.UTC) }

func render(t testing.TB, src string, vars map[string]any) (string, error) {
	t.Helper()
	tmpl, err := Parse(src)
	if err != nil {
		return "", err
	}
	segments, err := tmpl.Render(context.Background(), vars, Options{Now: clock})
	var b strings.Builder
	for _, s := range segments {
		b.WriteString(s.Text)
	}
	return b.String(), err
}

// What Jinja2 itself makes of the templates; see testdata/reference.py.
func TestReference(t *testing.T) {
	ref, vars := readReference(t)
	if len(ref.Rows) < 80 {
		t.Fatalf("only %d rows", len(ref.Rows))
	}
	for _, row := range ref.Rows {
		got, err := render(t, row.Template, vars[row.Vars])
		switch {
		case row.Output == nil && err == nil:
			t.Errorf("%.200s\n got %q\nwant %s", row.Template, got, row.Error)
		case row.Output == nil:
			if !errors.As(err, new(*Error)) {
				t.Errorf("%.200s: got error of type %T, want *Error", row.Template, err)
			}
		case err != nil || got != *row.Output:
			t.Errorf("%.200s\n got %q, %v\nwant %q", row.Template, got, err, *row.Output)
		}
	}
}

// Whatever a template tries, it ends soon and is an error.
func TestLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("runs into every limit, which takes a while")
	}
	deep := func(open, end string) string { return strings.Repeat(open, 5000) + strings.Repeat(end, 5000) }
	tests := []struct {
		name, src string
		want      error // nil = any
	}{
		{"source", strings.Repeat(" ", MaxSource+1), ErrTooLarge},
		{"a macro that calls itself", `{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}`, nil},
		{"macros that call each other", `{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ g() }}`, nil},
		{"a recursive loop without end", `{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}`, nil},
		{"loops in loops", `{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}`, ErrTooLong},
		{"range", `{{ range(1000000000) | list | length }}`, ErrTooLarge},
		{"range at the edge of integers", `{{ range(9223372036854775806, 9223372036854775807, 5) | list }}{{ range(-1, -9223372036854775807) | length }}{{ range(9223372036854775807) }}`, ErrTooLarge},
		{"repetition", `{{ 'aaaaaaaa' * 1000000000 }}`, ErrTooLarge},
		{"repetition of nothing", `{{ '' * 9000000000000000000 }}`, ErrTooLong},
		{"doubling", `{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}`, ErrTooLarge},
		{"doubling by replace", `{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set n.s = n.s.replace('a', 'aaaa') %}{% endfor %}`, ErrTooLarge},
		{"doubling a list", `{% set n = namespace(s=[1, 2, 3, 4]) %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}`, ErrTooLarge},
		{"comparing shared lists", `{% set n = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}{% endfor %}{{ n.a == n.b }}{{ 1 }}`, ErrTooLong},
		{"printing shared lists", `{% set n = namespace(a=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a }}`, nil},
		{"JSON of shared lists", `{% set n = namespace(a=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a | tojson }}`, ErrTooLong},
		{"printing a deep list", `{% set n = namespace(a=[1]) %}{% for i in range(999) %}{% set n.a = [n.a] %}{% endfor %}{{ n.a }}`, nil},
		{"output", `{% set s = 'a' * 9999 %}{% for i in range(9999) %}{{ s }}{% endfor %}`, ErrTooLarge},
		{"output of a set block", `{% set x %}{% for i in range(99999) %}{{ 'a' * 999 }}{% endfor %}{% endset %}`, ErrTooLarge},
		{"brackets", `{{ ` + deep("(", ")") + ` }}`, nil},
		{"lists", `{{ ` + deep("[", "]") + ` }}`, nil},
		{"signs", `{{ ` + strings.Repeat("-", 5000) + `1 }}`, nil},
		{"conditions", `{{ ` + strings.Repeat("1 if ", 5000) + `1 }}`, nil},
		{"sums", `{{ ` + strings.Repeat("1+", 5000) + `1 }}`, nil},
		{"subscripts", `{{ a` + strings.Repeat("[0]", 5000) + ` }}`, nil},
		{"filters", `{{ a` + strings.Repeat("|trim", 5000) + ` }}`, nil},
		{"blocks", deep("{% if 1 %}", "{% endif %}"), nil},
		{"elifs", `{% if 0 %}` + strings.Repeat("{% elif 0 %}", 5000) + `{% endif %}`, nil},
		{"an indent", `{{ 'a' | indent(100000000) }}`, nil},
		{"a division", `{{ -9223372036854775807 // -1 }}{{ 1 % 0 }}`, nil},
		{"include", `{% include '/etc/passwd' %}`, nil},
		{"import", `{% import 'x' as y %}`, nil},
		{"extends", `{% extends 'x' %}`, nil},
	}
	for _, test := range tests {
		_, err := render(t, test.src, nil)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: got error %v, want %v", test.name, err, test.want)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: an error of %d bytes", test.name, len(err.Error()))
		}
	}
}

func TestNotNotIsNotRecursive(t *testing.T) {
	got, err := render(t, `{{ `+strings.Repeat("not ", 5001)+`1 }}`, nil)
	if err != nil || got != "False" {
		t.Errorf("got %q, %v, want False", got, err)
	}
}

// The caller's context ends a rendering.
func TestContext(t *testing.T) {
	tmpl, err := Parse(`{% for a in range(9999) %}{% for b in range(99) %}{% endfor %}{% endfor %}`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := tmpl.Render(ctx, nil, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
}

// Errors say where and what.
func TestErrors(t *testing.T) {
	tests := []struct {
		src, says string
		line      int
	}{
		{"a\n\n{{ nope.x }}", `"x" of undefined value "nope"`, 3},
		{"{% for m in messages %}\n{{ m.content.strip(1) }}{% endfor %}", "want a string", 2},
		{"{% if x %}\n", `without "endif"`, 1},
		{"\n{{ raise_exception('only user turns') }}", "only user turns", 2},
		{"{% block x %}", `"block" is not supported`, 1},
		{"{{ 'x' | center }}", `"center" is not supported`, 1},
		{"{{ 1 is frozen }}", `"frozen" is not supported`, 1},
		{"{{ '%s' % 1 }}", "% formatting is not supported", 1},
		{"{{ strftime_now('%Q') }}", "%Q", 1},
		{"{{ strftime_now('%') }}", "ends in %", 1},
	}
	for _, test := range tests {
		_, err := render(t, test.src, map[string]any{"messages": NewList(func() any {
			d := NewDict()
			d.Set("content", Data("x"))
			return d
		}())})
		e, ok := errors.AsType[*Error](err)
		if !ok || !strings.Contains(e.Error(), test.says) || e.Line != test.line {
			t.Errorf("%q: got error %v, want line %d saying %q", test.src, err, test.line, test.says)
		}
	}
}

// Data stays data through whatever a template does with it, and the template's
// own text stays its own.
func TestDataIsTracked(t *testing.T) {
	vars := map[string]any{"m": Data(" Us er "), "name": Data("Bob"), "own": Plain("own"), "empty": Data("")}
	tests := []struct{ src, want string }{ // data in brackets
		{`<|user|>{{ m }}<|end|>`, `<|user|>[ Us er ]<|end|>`},
		{`{{ '<' + m.strip() + '>' }}`, `<[Us er]>`},
		{`{{ '<' ~ m[1:3] ~ m[-2] ~ '>' }}`, `<[Usr]>`},
		{`{{ '<' + m | trim + '>' }}`, `<[Us er]>`},
		{`{% set x %}a{{ name }}b{% endset %}{{ x }}{{ x[1:] }}`, `a[Bob]b[Bob]b`},
		{`{{ ('a,' + name + ',b').split(',') | join('|') }}`, `a|[Bob]|b`},
		{`{{ ('a ' ~ name).split() | last }}`, `[Bob]`},
		{`{{ name.replace('o', '0') }} {{ 'xyz'.replace('y', name) }}`, `[B]0[b] x[Bob]z`},
		{`{{ name.upper() }} {{ ('a' ~ name) | upper }}`, `[BOB] A[BOB]`},
		{`{{ ('a' ~ name) | replace('', '-') }}`, `[-a-B-o-b-]`}, // cannot be told apart: data as a whole
		{`{{ [own, name] }}`, `['own', ['Bob']]`},
		{`{{ [own, name] | tojson }} {{ [own] | tojson }}`, `[["own", "Bob"]] ["own"]`},
		{`{{ name | list | join }}{% for c in name %}{{ c }}-{% endfor %}`, `[BobB]-[o]-[b]-`},
		{`{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(name) }}`, `<[Bob]>`},
		{`{{ name * 2 }}{{ name[::-1] }}{{ name | reverse }}`, `[BobBobboBboB]`},
		{`{{ 'a\nb' | indent(2) }}{{ (own ~ '\n' ~ name) | indent(1) }}`, "a\n  bown\n [Bob]"},
		{`{{ name | default('x') }}{{ nope | default(name) }}`, `[BobBob]`},
		{`{{ name if name == 'Bob' else own }}`, `[Bob]`},
		{`{{ empty }}{{ own }}`, `own`},
		{`{{ name.title() }}`, `[Bob]`},
	}
	for _, test := range tests {
		tmpl, err := Parse(test.src)
		if err != nil {
			t.Errorf("%s: %v", test.src, err)
			continue
		}
		segments, err := tmpl.Render(context.Background(), vars, Options{})
		if err != nil {
			t.Errorf("%s: %v", test.src, err)
		}
		got := ""
		for _, s := range segments {
			if s.Data {
				s.Text = "[" + s.Text + "]"
			}
			got += s.Text
		}
		if got != test.want {
			t.Errorf("%s\n got %q\nwant %q", test.src, got, test.want)
		}
	}
}

func TestStrftime(t *testing.T) {
	tests := []struct{ format, want string }{
		{"%d %b %Y", "04 Jul 2024"},
		{"%A, %B %-d, %y", "Thursday, July 4, 24"},
		{"%H:%M:%S %I %p %j %% %a %F %T", "09:05:03 09 AM 186 % Thu 2024-07-04 09:05:03"},
	}
	for _, test := range tests {
		tmpl, err := Parse(`{{ strftime_now('` + test.format + `') }}`)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tmpl.Render(context.Background(), nil, Options{Now: clock})
		if err != nil || len(got) != 1 || got[0].Text != test.want {
			t.Errorf("%s: got %v, %v, want %q", test.format, got, err, test.want)
		}
	}
}

// A template cannot change what it was given: the same variables serve again.
func TestVariablesAreNotChanged(t *testing.T) {
	d := NewDict()
	d.Set("content", Data("hello"))
	vars := map[string]any{"messages": NewList(d), "x": Plain("a")}
	src := `{% set x = 'b' %}{% set messages = messages + messages %}{% for m in messages %}{% set m = x %}{% endfor %}{{ x }}{{ messages | length }}`
	for range 2 {
		if got, err := render(t, src, vars); err != nil || got != "b2" {
			t.Errorf("got %q, %v, want b2", got, err)
		}
	}
	if _, err := render(t, `{% set messages.x = 1 %}`, vars); err == nil {
		t.Error("a list was written to")
	}
	if _, err := render(t, `{% for m in messages %}{% set m.content = 1 %}{% endfor %}`, vars); err == nil {
		t.Error("a dict was written to")
	}
}

// No source makes the interpreter panic, and the output is no larger than allowed.
func FuzzRender(f *testing.F) {
	ref, vars := readReference(f)
	for _, row := range ref.Rows {
		f.Add(row.Template)
	}
	all := make(map[string]any)
	for _, set := range vars {
		for name, v := range set {
			all[name] = v
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		got, err := render(t, src, all)
		if len(got) > MaxOutput {
			t.Errorf("%d bytes of output", len(got))
		}
		if err != nil && !errors.As(err, new(*Error)) {
			t.Errorf("error of type %T: %v", err, err)
		}
	})
}
