package main

import (
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/termtest"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// Somebody who types a conversation: a Ctrl-C between answers is asked back, a
// line is a turn, Ctrl-D ends it; and two Ctrl-C end it as an interrupt does.
func TestChatOnATerminal(t *testing.T) {
	dir := goodCheckpoint(t)
	w := newWorld(t, hubtest.Options{}, map[string][]byte{"README.md": nil})
	for _, tc := range []struct {
		end  string
		code int
	}{{"\x04", 0}, {"/quit\r", 0}, {"\x03", 130}} {
		p := termtest.OpenPTY(t, 100, 30)
		cmd := w.browse(p, "gen", dir, "--chat", "-n", "5", "--threads", "1")
		ends := func(text string) func(string) bool {
			return func(s string) bool { return strings.HasSuffix(strings.ReplaceAll(s, "\r", ""), text) }
		}
		for _, step := range []struct{ await, send string }{
			{"Ctrl-C stops an answer\n> ", "\x03"},
			{"(Ctrl-C again or Ctrl-D ends the conversation)\n> ", "Write a story about llamas\r"},
			{"Once upon a time,\n> ", "/reset\r"},
			{"the conversation begins anew\n> ", tc.end},
		} {
			p.Await(step.await, ends(step.await))
			if _, err := p.WriteString(step.send); err != nil {
				t.Fatal(err)
			}
		}
		if tc.end == "\x03" { // twice, one by one: signals of a kind that wait are one
			p.Await("the question", func(s string) bool { return strings.Count(s, "(Ctrl-C again") == 2 })
			if _, err := p.WriteString(tc.end); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait() // its error is the exit code
		if got := cmd.ProcessState.ExitCode(); got != tc.code {
			t.Errorf("%q: exit code %d, want %d", tc.end, got, tc.code)
		}
		if text := p.Ended(); !strings.Contains(text, "1 answer; 5 tokens generated at ") {
			t.Errorf("%q: no summary in %q", tc.end, text)
		}
	}
}
