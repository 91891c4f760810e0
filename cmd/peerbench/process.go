package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// invocation is a program to run.
type invocation struct {
	args []string
	env  []string // added to a bare environment
	dir  string
}

// sample is what one run of a tool took.
type sample struct {
	Wall    time.Duration // from start to exit, and until its files are on the disk where that is asked for
	CPU     time.Duration // user and system, of the process and its children
	RSS     int64         // peak, bytes
	Exit    int
	Traffic traffic
	Tail    time.Duration // from the last byte of storage to exit
	Right   bool          // the file has the bytes it should have
}

// process is a started invocation.
type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	start  time.Time
}

// start runs a program. What it prints is kept for an error message.
func start(ctx context.Context, in invocation) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, in.args[0], in.args[1:]...)}
	p.cmd.Dir = in.dir
	p.cmd.Env = append(environment(), in.env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.start = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", in.args[0], err)
	}
	return p, nil
}

// environment is what every tool gets: paths, and nothing of the user's
// settings or tokens.
func environment() []string {
	var env []string
	for _, name := range []string{"PATH", "LANG", "SystemRoot", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, "NO_COLOR=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1", "no_proxy=127.0.0.1")
}

// wait waits for the end.
func (p *process) wait() (sample, error) {
	err := p.cmd.Wait()
	s := sample{Wall: time.Since(p.start)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return s, err
	}
	state := p.cmd.ProcessState
	s.CPU = state.UserTime() + state.SystemTime()
	s.RSS = peakRSS(state)
	s.Exit = state.ExitCode()
	return s, nil
}
