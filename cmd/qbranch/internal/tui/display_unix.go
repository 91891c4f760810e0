//go:build unix

package tui

import (
	"os"
	"os/signal"
	"syscall"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sys/unix"
)

// prepareOutput: terminals know escape sequences.
func prepareOutput(*os.File) error { return nil }

// watch tells send of every new size of the window, and stops and goes on as the
// shell wants, until the function that it returns is called.
func (d *display) watch(send func(tea.Msg)) (stop func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGWINCH)
	if !signal.Ignored(syscall.SIGTSTP) {
		signal.Notify(signals, syscall.SIGTSTP)
	}
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case <-ended:
				return
			case s := <-signals:
				if s == syscall.SIGTSTP {
					d.suspend()
				}
				send(d.size())
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(ended)
	}
}

// suspend gives the terminal back, stops the process, and takes the terminal again
// when the shell lets it go on.
func (d *display) suspend() {
	if syscall.Getpgrp() == session() {
		return // no shell has made us a job, and nobody could let us go on
	}
	d.leave()
	on := make(chan os.Signal, 1)
	signal.Notify(on, syscall.SIGCONT)
	// Go keeps a signal that it was once asked for, so that SIGTSTP would not stop us
	// any more.
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGSTOP); err == nil {
		<-on
	}
	signal.Stop(on)
	// It fails when the terminal is gone, which is seen where keys are read.
	_ = d.take()
	d.redraw()
}

// session is the number of this session, which is that of its first process.
func session() int {
	id, _ := unix.Getsid(0) // cannot fail for oneself
	return id
}

// suspend asks the terminal's job to stop, as the terminal would if ctrl+z were
// no key.
func suspend() {
	if syscall.Getpgrp() != session() {
		_ = syscall.Kill(0, syscall.SIGTSTP)
	}
}
