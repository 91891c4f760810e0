package tui_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
	"github.com/qbranch/qbranch/cmd/qbranch/internal/termtest"
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

// Somebody quits in the middle of a transfer: the terminal is as it was, and what
// was said there resumes.
func TestQuitInTerminal(t *testing.T) {
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
	term := termtest.New(t, 80, 24)
	environment := []string{"HF_ENDPOINT=" + hub.URL(), "QBRANCH_STORE=" + t.TempDir(), "HF_TOKEN=", "HF_HUB_OFFLINE=",
		"HOME=" + t.TempDir(), "LC_ALL=C.UTF-8", "NO_COLOR=1"}
	term.Text("stty -a | tr ';' '\\n' > " + t.TempDir() + "/before; echo first line; env " +
		strings.Join(environment, " ") + " " + bin + " " + demo.RepoID + "; echo ended with $?\n")

	// Two keys in one write move twice.
	term.Await(`sort: main first`)
	term.Await(`▸ main`)
	term.Text("jj")
	term.Await(`▸ gptq-3bit-128g`)

	hub.SetRate(100_000)
	term.Keys("Enter")
	term.Await(`░ +[1-9]\d* kB/s`)
	term.Keys("q")
	term.Await(`Quit\?`)
	term.Keys("y")
	screen := term.Await(`ended with 0`)
	if !strings.Contains(screen, "first line") || strings.Contains(screen, "sort:") {
		t.Errorf("the normal screen is not back:\n%s", screen)
	}
	if !strings.Contains(screen, "this resumes") {
		t.Errorf("nothing is said about the transfer:\n%s", screen)
	}
	if got := strings.TrimSpace(term.Tmux("display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}")); got != "0 1 0" {
		t.Errorf("alternate screen, cursor, mouse are %s, want 0 1 0", got)
	}
	term.Text("stty -a\n")
	term.Await(`[^-]icanon`)
	term.Await(`[^-]echo `)

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
