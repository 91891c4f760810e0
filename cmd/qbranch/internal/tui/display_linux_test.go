package tui

import (
	"context"
	"errors"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/cmd/qbranch/internal/termtest"
)

// bomb is an overlay that panics when it is drawn, or when a key is pressed.
type bomb struct{ drawn bool }

func (b bomb) keys(*model) []binding {
	return []binding{bind("x", "x", "explode", true, simply(func(*model) tea.Cmd { panic("in a key") }))}
}

func (b bomb) body(*model, int, int) []line {
	if b.drawn {
		panic("in a frame")
	}
	return nil
}

// A panic of ours, wherever it is, ends the program with the terminal as it was
// found, and every command has ended.
func TestPanics(t *testing.T) {
	for _, tc := range []struct {
		name string
		over overlay
		key  string
		open func(context.Context) // of the backend
		want string
	}{
		{"in Update", bomb{}, "x", nil, "in a key"},
		{"in View", bomb{drawn: true}, "", nil, "in a frame"},
		{"in a command", nil, "", func(context.Context) { panic("in a command") }, "in a command"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := termtest.OpenPTY(t, 80, 24)
			before := p.Modes()
			w := newWorker(t.Context())
			m := newModel(w, &fake{}, newLook("mono", false, false), Options{})
			d := newDisplay(p.Theirs, p.Theirs, true)
			m.display, m.over = d, tc.over
			if tc.open != nil {
				m.back = surprise{&fake{}, tc.open}
			}
			if tc.key != "" {
				if _, err := p.WriteString(tc.key + "\x0c"); err != nil {
					t.Fatal(err)
				}
			}
			err := perform(t.Context(), m, d)
			var crash *crashError
			if !errors.As(err, &crash) || crash.value != tc.want || !strings.Contains(string(crash.stack), "display_linux_test.go") || app.HintOf(err) == "" {
				t.Errorf("got %v, want a crash %q with its stack", err, tc.want)
			}
			if after := p.Modes(); after != before {
				t.Errorf("modes are %+v, want %+v", after, before)
			}
			_, behind, ok := strings.Cut(p.Ended(), "\x1b[?1049l")
			if !ok || !strings.Contains(behind, "display_linux_test.go") || strings.Contains(behind, "\x1b") {
				t.Errorf("behind the screen stands %q, want the stack", behind)
			}
		})
	}
}

// surprise is a backend that does something else when it is asked for the store.
type surprise struct {
	backend
	instead func(context.Context)
}

func (s surprise) StoreList(ctx context.Context) ([]app.StoreItem, error) {
	s.instead(ctx)
	return nil, nil
}

// Only rows that differ are written, and rows that reach the last column are not
// erased behind it.
func TestDifference(t *testing.T) {
	const on, off = beginFrame, endFrame
	for _, tc := range []struct {
		name         string
		before, rows []string
		anew         bool
		want         string
	}{
		{"all of it", nil, []string{"ab", "\x1b[1mabcd\x1b[0m"}, true, on + "\x1b[2J\x1b[1;1Hab\x1b[K\x1b[2;1H\x1b[1mabcd\x1b[0m" + off},
		{"nothing", []string{"ab", "cd"}, []string{"ab", "cd"}, false, ""},
		{"one row", []string{"ab", "cd"}, []string{"ab", "ce"}, false, on + "\x1b[2;1Hce\x1b[K" + off},
		{"wide characters", []string{"ab"}, []string{"漢字"}, false, on + "\x1b[1;1H漢字" + off},
		{"fewer rows", []string{"ab", "cd", "ef"}, []string{"ab"}, false, on + "\x1b[2;1H\x1b[J" + off},
	} {
		if got := difference(tc.before, tc.rows, 4, tc.anew); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
