package tui_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/termtest"
)

// On a terminal that answers nothing, commands ask it nothing: Bubble Tea v1
// would ask for the background while its packages are initialised, and wait.
func TestMuteTerminal(t *testing.T) {
	bin := build(t)
	for _, tc := range []struct {
		term string
		args []string
		want string
	}{
		{"xterm-256color", []string{"--version"}, "qbranch"},
		{"xterm-256color", []string{"version"}, "qbranch"},
		{"xterm-256color", []string{"--help"}, "Usage"},
		{"xterm-256color", []string{"ls", "not a reference"}, "not a reference"},
		{"dumb", nil, "the browser needs a terminal that can move the cursor"},
		{"dumb", []string{"demo", "--tui"}, "the browser needs a terminal that can move the cursor"},
	} {
		t.Run(strings.TrimSpace(tc.term+" "+strings.Join(tc.args, " ")), func(t *testing.T) {
			p := termtest.OpenPTY(t, 80, 24)
			cmd := exec.Command(bin, tc.args...)
			cmd.Env = append(os.Environ(), "TERM="+tc.term, "COLORFGBG=", "NO_COLOR=1", "QBRANCH_STORE="+t.TempDir())
			p.Start(cmd)
			cmd.Wait() // the exit code is not what is tested
			out := p.Ended()
			if !strings.Contains(out, tc.want) {
				t.Errorf("got %q, want %q in it", out, tc.want)
			}
			if strings.ContainsRune(out, '\x1b') {
				t.Errorf("escape sequences were written: %q", out)
			}
		})
	}
}

// The screens come up without asking either, however the theme is found out:
// there is nothing that could be waited for.
func TestMuteTerminalScreen(t *testing.T) {
	bin := build(t)
	for _, tc := range []struct {
		name string
		args []string
		env  []string
	}{
		{"bare", nil, nil},
		{"theme of the flag", []string{"tui", "--theme", "light"}, nil},
		{"mouse", []string{"tui", "--mouse"}, nil},
		{"theme of the environment", []string{"tui"}, []string{"COLORFGBG=0;15"}},
		{"over SSH", []string{"tui"}, []string{"SSH_TTY=/dev/pts/0", "SSH_CONNECTION=::1 1 ::1 22"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := termtest.OpenPTY(t, 80, 24)
			before := p.Modes()
			cmd := exec.Command(bin, tc.args...)
			cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", "COLORFGBG=", "LC_ALL=C.UTF-8", "HOME="+t.TempDir(), "QBRANCH_STORE="+t.TempDir()), tc.env...)
			p.Start(cmd)
			p.Await("the first screen", func(s string) bool { return strings.Contains(s, "Open a repository") })
			if _, err := p.WriteString("\x03"); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("ctrl+c: %v", err)
			}
			if after := p.Modes(); after != before {
				t.Errorf("modes are %+v, want %+v", after, before)
			}
			out := p.Ended()
			for _, query := range []string{"\x1b]10;?", "\x1b]11;?", "\x1b[6n", "\x1b[c", "\x1b[>c", "$p"} {
				if strings.Contains(out, query) {
					t.Errorf("asked the terminal %q", query)
				}
			}
		})
	}
}
