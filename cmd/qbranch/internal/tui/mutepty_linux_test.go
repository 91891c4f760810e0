package tui_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openPTY makes a terminal: what programs see, and our end of it.
func openPTY(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { ours.Close() })
	fd := int(ours.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// On a terminal that answers nothing, commands ask it nothing: Bubble Tea v1
// would ask for the background while its packages are initialised, and wait.
func TestMuteTerminal(t *testing.T) {
	bin := build(t)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--version"}, "qbranch"},
		{[]string{"version"}, "qbranch"},
		{[]string{"--help"}, "Usage"},
		{[]string{"ls", "not a reference"}, "not a reference"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			ours, theirs := openPTY(t)
			cmd := exec.Command(bin, tc.args...)
			cmd.Env = append(os.Environ(), "TERM=xterm-256color", "COLORFGBG=", "NO_COLOR=1", "QBRANCH_STORE="+t.TempDir())
			cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			theirs.Close()
			out := readAll(t, ours)
			cmd.Wait() // the exit code is not what is tested
			if !strings.Contains(out, tc.want) {
				t.Errorf("got %q, want %q in it", out, tc.want)
			}
			if strings.ContainsRune(out, '\x1b') {
				t.Errorf("escape sequences were written: %q", out)
			}
		})
	}
}

// The screens come up without asking either.
func TestMuteTerminalScreen(t *testing.T) {
	bin := build(t)
	ours, theirs := openPTY(t)
	cmd := exec.Command(bin)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "COLORFGBG=", "LC_ALL=C.UTF-8", "QBRANCH_STORE="+t.TempDir())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	var out strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(out.String(), "Open a repository"); {
		n, err := ours.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v after %q", err, out.String())
		}
	}
	if _, err := ours.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	out.WriteString(readAll(t, ours))
	if err := cmd.Wait(); err != nil {
		t.Errorf("ctrl+c: %v", err)
	}
	for _, query := range []string{"\x1b]10;?", "\x1b]11;?", "\x1b[6n", "\x1b[c", "\x1b[>c"} {
		if strings.Contains(out.String(), query) {
			t.Errorf("asked the terminal %q", query)
		}
	}
}

// readAll reads until the last program on the terminal has gone, which a
// terminal reports as EIO.
func readAll(t *testing.T, ours *os.File) string {
	t.Helper()
	out, err := io.ReadAll(ours)
	if err != nil && !errors.Is(err, unix.EIO) {
		t.Fatal(err)
	}
	return string(out)
}
