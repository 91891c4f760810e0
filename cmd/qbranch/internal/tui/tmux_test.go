package tui_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// scratch holds the program that the tests share.
var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "qbranch-tui")
	if err != nil {
		panic(err)
	}
	scratch = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var buildOnce = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(scratch, "qbranch")
	cmd := exec.Command("go", "build", "-o", bin, "github.com/qbranch/qbranch/cmd/qbranch")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return bin, nil
})

// build makes the real program.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the program")
	}
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// terminal is a tmux server of its own with one window.
type terminal struct {
	t      *testing.T
	socket string
}

func newTerminal(t *testing.T, width, height int) *terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed")
	}
	dir, err := os.MkdirTemp("", "qb") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t, filepath.Join(dir, "s")}
	config := filepath.Join(dir, "conf")
	if err := os.WriteFile(config, []byte("set -g status off\nset -g remain-on-exit on\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	term.tmux("-u", "-f", config, "new-session", "-d", "-s", "t", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "/bin/sh")
	t.Cleanup(func() {
		term.tmux("kill-server")
		os.RemoveAll(dir)
	})
	return term
}

// tmux runs a command of tmux and returns what it prints.
func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", term.socket}, args...)...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// keys presses keys by tmux's names.
func (term *terminal) keys(names ...string) {
	term.t.Helper()
	term.tmux(append([]string{"send-keys", "-t", "t"}, names...)...)
}

// text types text in one write, as a fast typist's terminal delivers it.
func (term *terminal) text(s string) {
	term.t.Helper()
	term.tmux("send-keys", "-t", "t", "-l", s)
}

// screen returns what the window shows.
func (term *terminal) screen() string {
	term.t.Helper()
	return term.tmux("capture-pane", "-p", "-t", "t")
}

// await returns when the window shows a match of pattern.
func (term *terminal) await(pattern string) string {
	term.t.Helper()
	want := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeout(term.t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		screen := term.screen()
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

// The whole job by hand: browse, fetch, verify, generate, be stopped in the
// middle of a transfer, and find the terminal as it was.
func TestInTerminal(t *testing.T) {
	bin := build(t)
	branches, err := demo.Branches()
	if err != nil {
		t.Fatal(err)
	}
	hub, err := hubtest.Start(hubtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	if err := hub.Add(hubtest.RepoData{ID: demo.RepoID, Branches: branches}); err != nil {
		t.Fatal(err)
	}
	term := newTerminal(t, 80, 24)
	environment := []string{"HF_ENDPOINT=" + hub.URL(), "QBRANCH_STORE=" + t.TempDir(), "HF_TOKEN=", "HF_HUB_OFFLINE=",
		"HOME=" + t.TempDir(), "LC_ALL=C.UTF-8", "NO_COLOR=1"}
	term.text("stty -a | tr ';' '\\n' > " + t.TempDir() + "/before; echo first line; env " +
		strings.Join(environment, " ") + " " + bin + " " + demo.RepoID + "; echo ended with $?\n")

	// Browse. Two keys in one write move twice.
	term.await(`▸ \S+ .*MB|Size MB`)
	term.await(`▸ \S+`)
	term.text("jj")
	picked := regexp.MustCompile(`▸ (\S+)`).FindStringSubmatch(term.await(`(?m)^   \S+ .*\n   \S+ .*\n ▸ \S+ `))[1]

	// Fetch.
	term.keys("Enter")
	term.await(`100%  ● verified`)
	term.keys("Escape")
	term.await(`▸ ` + picked + ` .*● verified`)

	// Verify.
	term.keys("v")
	term.await(`✓ good +every byte is as published`)
	term.keys("Escape")

	// Generate.
	term.keys("g")
	term.await(`▸ prompt`)
	term.text("Write a story about llamas")
	term.await(`llamas▏`)
	term.keys("Enter")
	term.await(`tokens? at .*prompt of`)
	term.keys("Escape")

	// Help.
	term.await(`Size MB`)
	term.keys("?")
	term.await(`verify, every byte`)
	term.keys("Escape")
	term.await(`Size MB`)

	// Quit in the middle of a transfer.
	hub.SetRate(100_000)
	term.text("j")
	term.await(`▸ \S+`)
	term.keys("Enter")
	term.await(`now +\d+% .* [1-9]\d* kB/s`)
	term.keys("q")
	term.await(`Quit\?`)
	term.keys("y")
	screen := term.await(`ended with 0`)
	if !strings.Contains(screen, "first line") || strings.Contains(screen, "Size MB") {
		t.Errorf("the normal screen is not back:\n%s", screen)
	}
	if !strings.Contains(screen, "this resumes") {
		t.Errorf("nothing is said about the transfer:\n%s", screen)
	}
	if got := strings.TrimSpace(term.tmux("display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}")); got != "0 1 0" {
		t.Errorf("alternate screen, cursor, mouse are %s, want 0 1 0", got)
	}
	term.text("stty -a\n")
	term.await(`[^-]icanon`)
	term.await(`[^-]echo `)

	// What it said resumes.
	resume := regexp.MustCompile(`(?s)qbranch (get ` + demo.RepoID + `:[^#]*)#`).FindStringSubmatch(screen)
	if resume == nil {
		t.Fatalf("no command to resume:\n%s", screen)
	}
	hub.SetRate(0)
	args := strings.Fields(strings.ReplaceAll(resume[1], "\n", ""))
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), environment...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
