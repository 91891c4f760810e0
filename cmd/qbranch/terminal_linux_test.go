package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/termtest"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// browse starts the terminal program on p.
func (w *world) browse(p *termtest.PTY, args ...string) *exec.Cmd {
	w.Helper()
	cmd := exec.Command(w.bin, args...)
	cmd.Env = append(slices.Clone(w.env), "QBRANCH_STORE="+w.store, "TERM=xterm-256color", "CUDA_VISIBLE_DEVICES=-1")
	p.Start(cmd)
	w.Cleanup(func() { cmd.Process.Kill() })
	return cmd
}

// fetching starts the terminal program and lets it fetch n bytes.
func (w *world) fetching(p *termtest.PTY, n int64) *exec.Cmd {
	w.Helper()
	cmd := w.browse(p, "tui", "--mouse", w.repo)
	p.Await("the table", func(s string) bool { return strings.Contains(s, "▸ main") })
	if _, err := p.WriteString("\r"); err != nil {
		w.Fatal(err)
	}
	p.Await("the transfer", func(string) bool { return sent(w.hub) >= n })
	return cmd
}

// behind is what is written behind the alternate screen.
func behind(t *testing.T, text string) string {
	t.Helper()
	on, off, ok := strings.Cut(text, "\x1b[?1049l")
	if !ok || strings.Count(on, "\x1b[?1049h") != 1 {
		t.Errorf("the alternate screen was not left: %q", text)
	}
	for mode, what := range map[string]string{"\x1b[?25": "the cursor", "\x1b[?7": "wrapping"} {
		if strings.LastIndex(on, mode+"h") < strings.LastIndex(on, mode+"l") {
			t.Errorf("%s is not back", what)
		}
	}
	for mode, what := range map[string]string{"\x1b[?2004": "paste", "\x1b[?1002": "mouse", "\x1b[?1006": "mouse", "\x1b[?2026": "drawing"} {
		if strings.LastIndex(on, mode+"l") < strings.LastIndex(on, mode+"h") {
			t.Errorf("%s is not off", what)
		}
	}
	return off
}

const noisyBytes = 40 << 20

// However the program is ended in the middle of a transfer, the terminal is as it
// was, the exit code tells the signal, and what was fetched is kept.
func TestBrowserSignals(t *testing.T) {
	for _, tc := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}, {syscall.SIGHUP, 129}} {
		t.Run(tc.signal.String(), func(t *testing.T) {
			w := newWorld(t, hubtest.Options{}, noisy(t, noisyBytes))
			w.hub.SetRate(24_000_000)
			p := termtest.OpenPTY(t, 100, 30)
			before := p.Modes()
			cmd := w.fetching(p, 30<<20)
			if err := cmd.Process.Signal(tc.signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the code says it
			if got := cmd.ProcessState.ExitCode(); got != tc.code {
				t.Errorf("exit code %d, want %d", got, tc.code)
			}
			if after := p.Modes(); after != before {
				t.Errorf("modes are %+v, want %+v", after, before)
			}
			if text := behind(t, p.Ended()); !strings.Contains(text, "this resumes") || !strings.Contains(text, "qbranch get "+w.ref()) {
				t.Errorf("the normal screen says %q", text)
			}
			w.resumes()
		})
	}
}

// A terminal that is closed under the program ends it, also one whose closing
// sends no signal; and what was fetched is kept.
func TestBrowserTerminalGone(t *testing.T) {
	for _, tc := range []struct {
		name string
		own  bool // the terminal is the process's own, so that closing it sends SIGHUP
		code int
	}{{"controlling terminal", true, 129}, {"another's terminal", false, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, hubtest.Options{}, noisy(t, noisyBytes))
			w.hub.SetRate(24_000_000)
			p := termtest.OpenPTY(t, 100, 30)
			p.Foreign = !tc.own
			cmd := w.fetching(p, 30<<20)
			p.Theirs.Close()
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != tc.code {
				t.Errorf("exit code %d, want %d", got, tc.code)
			}
			w.resumes()
		})
	}
}

// resumes checks that the branch is completed, and that what was sent before is
// not sent again but for the parts that were on their way.
func (w *world) resumes() {
	w.Helper()
	before := sent(w.hub)
	w.hub.SetRate(0)
	w.hub.ResetLog()
	w.must("get", w.ref())
	const onTheWay = 17 << 20 // a part of each of 16 connections, and what is small
	if got, most := sent(w.hub), w.size()-before+onTheWay; got > most || before > w.size() {
		w.Errorf("%d bytes were sent, then %d to complete it, want at most %d of %d", before, got, most, w.size())
	}
	w.whole()
}

// ctrl+z, and a signal from elsewhere, give the shell a terminal to work in; fg
// brings the screen back, in the window's size of then, and the transfer goes on.
func TestBrowserStops(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a terminal")
	}
	b := newBrowser(t, 100, 30)
	b.hub.SetRate(150_000)
	b.Text("set -m; PS1='shell> '\n")
	b.Text(b.run + " tui --mouse qbranch/llama-tales-moe-2m-GPTQ\n")
	b.Await(`▸ main`)
	b.Keys("Enter")
	b.Await(`(?i)transfers`)
	for _, stop := range []func(){
		func() { b.Keys("C-z") },
		func() {
			shell := strings.TrimSpace(b.Tmux("display-message", "-p", "-t", "t", "#{pane_pid}"))
			children, err := os.ReadFile("/proc/" + shell + "/task/" + shell + "/children")
			if err != nil {
				t.Fatal(err)
			}
			command(t, "kill", "-TSTP", strings.Fields(string(children))[0])
		},
	} {
		stop()
		screen := b.Await(`(?m)^shell> ?$`)
		if strings.Contains(screen, "enter") {
			t.Errorf("the screen is still there:\n%s", screen)
		}
		if got := strings.TrimSpace(b.Tmux("display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{wrap_flag}")); got != "0 1 0 1" {
			t.Errorf("alternate screen, cursor, mouse, wrapping are %s, want 0 1 0 1", got)
		}
		b.Text("stty -a; clear\n")
		b.Resize(90, 28)
		b.Text("fg\n")
		b.Await(`(?i)transfers(.*\n)*.*connections`)
		if got := strings.TrimSpace(b.Tmux("display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{wrap_flag}")); got != "1 0 1 0" {
			t.Errorf("after fg they are %s, want 1 0 1 0", got)
		}
	}
	b.hub.SetRate(0)
	b.Await(`100%  ● verified`)
	b.Text("q")
	b.Await(`(?m)^shell> ?$`)
}
