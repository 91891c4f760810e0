package cli

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// hostile is what a card, a branch, a file or a configuration may be called: it
// paints the terminal, turns the text around, and begins a line of its own.
const hostile = "a\x1b[31m\x1b]0;title\x07\u202e\u009b2J\u200b\r\nINJECTED"

// TestHostileText: whatever stands in any text of an answer, the terminal sees
// nothing but text, in lines that are ours. In JSON it is what it was.
func TestHostileText(t *testing.T) {
	t.Parallel()
	var l app.Listing
	var f app.FitReport
	var s app.Shown
	var d app.Diff
	var c app.Card
	for _, v := range []any{&l, &f, &s, &d, &c} {
		fill(reflect.ValueOf(v).Elem(), 0)
	}
	for name, text := range map[string]string{
		"ls": lsText(&l, 0), "ls, narrow": lsText(&l, 40), "ls --explain": lsExplained(&l, 0), "ls --explain, narrow": lsExplained(&l, 40),
		"fit": fitText(&f, 0, false), "fit --explain": fitText(&f, 60, true),
		"show": showText(&s, 0, true, true), "show, narrow": showText(&s, 40, true, false),
		"diff": diffText(&d, 0), "diff, narrow": diffText(&d, 40), "card": cardText(&c),
	} {
		if len(text) < 100 {
			t.Errorf("%s: got %q, want a text", name, text)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimSpace(line), "INJECTED") && !strings.HasPrefix(line, "    ") { // a prompt template has lines of its own
				t.Errorf("%s: a line of its own: %q", name, line)
			}
			for _, r := range strings.TrimSuffix(line, "\n") {
				if r != ' ' && safeRune(r) != r {
					t.Errorf("%s: %U in %q", name, r, line)
					break
				}
			}
		}
	}
	for name, v := range map[string]any{"ls": lsObject{"x", &l}, "fit": fitObject{"x", &f}, "show": showObject{"x", &s}, "diff": diffObject{"x", &d}, "card": cardObject{"x", &c}} {
		var out bytes.Buffer
		if err := emitTo(&out, v); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); strings.ContainsAny(text, "\x1b\x07\u202e\u009b\u200b\r") || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: the JSON has characters that a terminal obeys", name)
		}
		var back map[string]any
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || !strings.Contains(out.String(), `\nINJECTED`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fill puts something into everything, and hostile into every text.
func fill(v reflect.Value, depth int) {
	if !v.CanSet() || depth > 12 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile)
		if v.Type() != reflect.TypeFor[string]() {
			v.SetString("x") // a type of its own has values of our own
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(hostile))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	}
}
