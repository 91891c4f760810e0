package tui

import (
	"context"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unsafe"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/mattn/go-runewidth"
)

// spoiler puts a text before every string that can be reached from a value: what
// was equal stays equal, so that screens go on finding what belongs together.
type spoiler struct {
	text  string
	named bool // also strings of types of their own: states, verdicts
	done  map[unsafe.Pointer]bool
}

// ourOwn are types whose strings are the program's own, or no text.
var ourOwn = map[reflect.Type]bool{
	reflect.TypeFor[look](): true, reflect.TypeFor[worker](): true, reflect.TypeFor[modelSlot](): true, reflect.TypeFor[plan](): true,
	reflect.TypeFor[display](): true, reflect.TypeFor[time.Time](): true, reflect.TypeFor[sync.Mutex](): true, reflect.TypeFor[os.File](): true,
}

func (s spoiler) spoil(v reflect.Value) {
	if ourOwn[v.Type()] || v.Type().Implements(reflect.TypeFor[context.Context]()) {
		return
	}
	if v.CanAddr() && v.Kind() != reflect.Struct && v.Kind() != reflect.Array { // those begin where their first field does
		at := unsafe.Pointer(v.UnsafeAddr())
		if s.done[at] {
			return
		}
		s.done[at] = true
		v = reflect.NewAt(v.Type(), at).Elem() // also what is not exported
	}
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() && v.String() != "" && (s.named || v.Type() == reflect.TypeFor[string]()) {
			v.SetString(s.text + v.String())
		}
	case reflect.Pointer:
		if !v.IsNil() {
			s.spoil(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			s.spoil(v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			s.spoil(v.Index(i))
		}
	case reflect.Map:
		s.spoilMap(v)
	case reflect.Interface:
		s.spoilInside(v)
	}
}

func (s spoiler) spoilMap(v reflect.Value) {
	for _, key := range v.MapKeys() {
		k, e := s.copied(key), s.copied(v.MapIndex(key))
		v.SetMapIndex(key, reflect.Value{})
		v.SetMapIndex(k, e)
	}
}

// spoilInside spoils what an interface holds: errors become ours, others are
// copied unless they are pointers.
func (s spoiler) spoilInside(v reflect.Value) {
	switch {
	case v.IsNil():
	case v.Type() == reflect.TypeFor[error]():
		text := v.Interface().(error).Error()
		v.Set(reflect.ValueOf(hinted{s.text + text, s.text}))
	case v.Elem().Kind() == reflect.Pointer:
		s.spoil(v.Elem())
	default:
		v.Set(s.copied(v.Elem()))
	}
}

func (s spoiler) copied(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	s.spoil(c)
	return c
}

// Whatever strangers write, wherever a screen shows it, in every state: nothing but
// text reaches the terminal, and no line is wider than the window.
func TestHostileStates(t *testing.T) {
	long := strings.Repeat(nasty, 10_000/len(nasty))
	for _, tc := range []struct {
		name    string
		s       spoiler
		windows [][2]int
		keys    []string
	}{
		{"text", spoiler{text: nasty}, [][2]int{{60, 16}, {80, 24}, {120, 36}, {200, 60}}, []string{"j", "tab", "f1", "esc"}},
		{"names of states, too", spoiler{text: nasty, named: true}, [][2]int{{80, 24}, {120, 36}}, []string{"j", "tab"}},
		{"10 kB", spoiler{text: long}, [][2]int{{120, 36}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if testing.Short() && len(tc.s.text) > 1000 {
				t.Skip("takes long")
			}
			all, shown := states(t), 0
			for _, s := range all {
				tc.s.done = make(map[unsafe.Pointer]bool)
				tc.s.spoil(reflect.ValueOf(s.m))
				for _, window := range tc.windows {
					s.m.Update(tea.WindowSizeMsg{Width: window[0], Height: window[1]})
					harmless(t, s.name, s.m)
				}
				if strings.Contains(s.m.View(), "evil") {
					shown++
				} else {
					t.Log("nothing of it is on the screen: " + s.name)
				}
				for _, key := range tc.keys {
					hit(s.m, key)
					harmless(t, s.name+", then "+key, s.m)
				}
			}
			if shown < len(all)*4/5 {
				t.Errorf("it is on the screen in %d of %d states", shown, len(all))
			}
			var out strings.Builder
			for _, s := range all {
				farewell(&out, s.m)
			}
			if i := strings.IndexFunc(out.String(), control); i >= 0 {
				t.Errorf("the farewell has a control character: %q", out.String()[i:])
			}
		})
	}
}

// control reports whether a character does something to a terminal.
func control(r rune) bool {
	return r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// harmless fails unless the screen is text that fits the window.
func harmless(t *testing.T, what string, m *model) {
	t.Helper()
	view := m.View()
	if i := strings.IndexFunc(view, control); i >= 0 {
		t.Fatalf("%s: a control character is on the screen: %q", what, view[i:min(len(view), i+80)])
	}
	rows := strings.Split(view, "\n")
	if len(rows) != m.height {
		t.Fatalf("%s: %d rows in a window of %d", what, len(rows), m.height)
	}
	for i, row := range rows {
		if n := runewidth.StringWidth(row); n > m.width {
			t.Fatalf("%s at %dx%d: row %d is %d columns: %q", what, m.width, m.height, i, n, row)
		}
	}
}
