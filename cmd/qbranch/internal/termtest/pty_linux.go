package termtest

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// PTY is a terminal without anybody at the other end but the test: it answers
// nothing, and can be closed under the program.
type PTY struct {
	*os.File          // our end
	Theirs   *os.File // what the program gets
	// Foreign is that the terminal does not become the controlling one of a
	// program, which then gets no signal from it.
	Foreign bool
	t       testing.TB

	mu   sync.Mutex
	text strings.Builder // all that was written
	gone chan struct{}   // closed when nothing more can be read
}

// OpenPTY makes a terminal of width × height characters. It ends with the test.
func OpenPTY(t testing.TB, width, height int) *PTY {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	p := &PTY{File: ours, t: t, gone: make(chan struct{})}
	t.Cleanup(func() { ours.Close() })
	err = p.control(func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
		if err != nil {
			return err
		}
		if p.Theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
			return err
		}
		t.Cleanup(func() { p.Theirs.Close() })
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
	})
	if err != nil {
		t.Fatal(err)
	}
	go p.read()
	return p
}

// control does something with our end. Its descriptor is not taken out of the
// poller, so that closing it ends a read.
func (p *PTY) control(f func(fd int) error) error {
	raw, err := p.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func (p *PTY) read() {
	defer close(p.gone)
	buf := make([]byte, 1<<16)
	for {
		n, err := p.File.Read(buf)
		p.mu.Lock()
		p.text.Write(buf[:n])
		p.mu.Unlock()
		if err != nil {
			return // EIO, when the last program has gone
		}
	}
}

// Text is everything that was written so far.
func (p *PTY) Text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// Start runs a program on the terminal, which is its controlling one, as a shell
// would have it. The caller waits for it.
func (p *PTY) Start(cmd *exec.Cmd) {
	p.t.Helper()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.Theirs, p.Theirs, p.Theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: !p.Foreign}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// Await waits until ok says yes to what was written, without its colours, and
// fails the test when that takes more than half a minute.
func (p *PTY) Await(what string, ok func(text string) bool) {
	p.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !ok(colours.ReplaceAllString(p.Text(), "")) {
		select {
		case <-look.C:
		case <-deadline.C:
			p.t.Fatalf("%s did not appear: %q", what, p.Text())
		}
	}
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Modes are the terminal's own: echo, whole lines, signals of keys.
func (p *PTY) Modes() unix.Termios {
	p.t.Helper()
	modes, err := unix.IoctlGetTermios(int(p.Theirs.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *modes
}

// Ended returns everything that was written, when the last program has gone. The
// terminal is of no use afterwards.
func (p *PTY) Ended() string {
	p.Theirs.Close()
	<-p.gone
	return p.Text()
}
