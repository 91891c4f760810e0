package termtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Terminal is a window of width × height characters with a shell in it. It ends
// with the test.
type Terminal struct {
	t      testing.TB
	socket string
}

// New opens a window.
func New(t testing.TB, width, height int) *Terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("tmux is not installed")
		}
		t.Skip("tmux is not installed")
	}
	dir, err := os.MkdirTemp("", "qb") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	term := &Terminal{t, filepath.Join(dir, "s")}
	config := filepath.Join(dir, "conf")
	if err := os.WriteFile(config, []byte("set -g status off\nset -g remain-on-exit on\nset -g default-terminal screen-256color\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	term.Tmux("-u", "-f", config, "new-session", "-d", "-s", "t", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "/bin/sh")
	t.Cleanup(func() {
		term.Tmux("kill-server")
		os.RemoveAll(dir)
	})
	return term
}

// Tmux runs a command of tmux and returns what it prints.
func (term *Terminal) Tmux(args ...string) string {
	term.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", term.socket}, args...)...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Keys presses keys by tmux's names.
func (term *Terminal) Keys(names ...string) {
	term.t.Helper()
	term.Tmux(append([]string{"send-keys", "-t", "t"}, names...)...)
}

// Text types text in one write, as a fast typist's terminal delivers it.
func (term *Terminal) Text(s string) {
	term.t.Helper()
	term.Tmux("send-keys", "-t", "t", "-l", s)
}

// Resize changes the size of the window.
func (term *Terminal) Resize(width, height int) {
	term.t.Helper()
	term.Tmux("resize-window", "-t", "t", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height))
}

// Screen returns what the window shows, as text.
func (term *Terminal) Screen() string {
	term.t.Helper()
	return term.Tmux("capture-pane", "-p", "-t", "t")
}

// Coloured returns what the window shows, with its escape sequences.
func (term *Terminal) Coloured() string {
	term.t.Helper()
	return term.Tmux("capture-pane", "-e", "-p", "-t", "t")
}

// Await returns the screen as soon as it shows a match of pattern, and fails the
// test when that takes more than a minute.
func (term *Terminal) Await(pattern string) string {
	term.t.Helper()
	want := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeout(term.t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		screen := term.Screen()
		if want.MatchString(screen) {
			return screen
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			term.t.Fatalf("%q did not appear:\n%s", pattern, screen)
		}
	}
}
