package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/cli"
)

// goodCheckpoint writes the demo's main branch into a folder.
func goodCheckpoint(t *testing.T) string {
	t.Helper()
	branches, err := demoRepo()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range branches["main"] {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// talk is a command line whose output presses Ctrl-C.
type talk struct {
	mu     sync.Mutex
	out    strings.Builder
	writes int
	press  map[int]int // after so many writes, this many times
	caught func() bool
	cancel context.CancelCauseFunc
}

func (w *talk) catchInterrupt(f func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.caught = f
}

// Write takes a token.
func (w *talk) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.out.Write(p)
	w.writes++
	times, f := w.press[w.writes], w.caught
	w.mu.Unlock()
	for range times {
		if f == nil || !f() {
			w.cancel(&cli.SignalError{Signal: os.Interrupt})
		}
	}
	return len(p), nil
}

// One Ctrl-C ends an answer: its text stays, and the conversation goes on with
// it. Two end the command.
func TestChatInterrupted(t *testing.T) {
	dir := goodCheckpoint(t)
	tests := []struct {
		name     string
		press    map[int]int
		code     int
		out, err string
		not      string
	}{
		{"no interrupt", nil, 0, "a cheerful llama\nOnce upon a", "2 answers; ", "interrupted"},
		{"one", map[int]int{5: 1}, 0, "Once upon a time,\nOnce upon a", "2 answers; ", "interrupted"},
		{"one in each", map[int]int{5: 1, 10: 1}, 0, "", "2 answers; 9 tokens", "interrupted"},
		{"two", map[int]int{5: 2}, 130, "Once upon a time,\n", "1 answer; 5 tokens", "2 answers"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			out := &talk{press: test.press, cancel: cancel}
			var messages strings.Builder
			code := cli.Main(ctx, cli.Program{
				Args: []string{"gen", dir, "--chat", "-n", "18", "--threads", "1"},
				In:   strings.NewReader("Write a story about llamas\nWrite a story about a duck\n"),
				Out:  out, Err: &messages, Getenv: func(string) string { return "" }, CatchInterrupt: out.catchInterrupt,
			})
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if got := out.out.String(); !strings.Contains(got, test.out) {
				t.Errorf("got %q, want %q in it", got, test.out)
			}
			if got := messages.String(); !strings.Contains(got, test.err) || strings.Contains(got, test.not) {
				t.Errorf("got %q, want %q in it, and not %q", got, test.err, test.not)
			}
			if out.caught != nil {
				t.Error("interrupts are still caught")
			}
		})
	}
}

// What an answer that is interrupted has said so far is described all the same.
func TestGenInterrupted(t *testing.T) {
	dir := goodCheckpoint(t)
	for _, json := range []bool{false, true} {
		ctx, cancel := context.WithCancelCause(context.Background())
		out := &talk{press: map[int]int{6: 1}, cancel: cancel}
		args := []string{"gen", dir, "-p", "Write a story about llamas", "--threads", "1"}
		if json {
			args = append(args, "--json")
		}
		var messages strings.Builder
		code := cli.Main(ctx, cli.Program{Args: args, In: strings.NewReader(""), Out: out, Err: &messages, Getenv: func(string) string { return "" }})
		cancel(nil)
		if code != 130 {
			t.Errorf("exit code %d, want 130", code)
		}
		text := out.out.String()
		if json {
			lines := strings.Split(strings.TrimSpace(text), "\n")
			if n := len(lines); n != 8 || !strings.Contains(lines[n-2], `"finish_reason":"cancelled"`) || !strings.Contains(lines[n-1], `"code":130`) {
				t.Errorf("got\n%s", text)
			}
			continue
		}
		if !strings.HasPrefix(text, "Once upon a time, in") || !strings.HasSuffix(text, "\n") {
			t.Errorf("got %q", text)
		}
		if got := messages.String(); !strings.HasPrefix(got, "interrupted; prompt 16 tokens at ") || !strings.HasSuffix(got, "qbranch: interrupted\n") {
			t.Errorf("got %q", got)
		}
	}
}
