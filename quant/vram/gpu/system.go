package gpu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// Command is a program to run.
type Command struct {
	Name string // looked up in PATH, unless it is a path
	Args []string
	Env  []string // NAME=VALUE, beside the environment
}

// Output is how a program ended.
type Output struct {
	Stdout, Stderr []byte // the first mebibyte of each
	Code           int    // its exit code
}

// System is the machine that is asked. Its methods may be called concurrently.
type System interface {
	// OS is the operating system as Go names it.
	OS() string
	// LookupEnv reads the environment.
	LookupEnv(name string) (value string, ok bool)
	// Run runs a program to its end and returns what it said, also when it
	// failed. The error says that it did not run or did not end: it is
	// exec.ErrNotFound or fs.ErrNotExist when there is no such program, and the
	// context's when it took too long.
	Run(ctx context.Context, c Command) (Output, error)
	// ReadFile reads the beginning of a file, at most a mebibyte.
	ReadFile(name string) ([]byte, error)
	// Glob lists the files that match a pattern of path.Match, sorted.
	Glob(pattern string) []string
	// Memory is main memory as the system tells it by a call, for systems that
	// have no file or program for that; else it is errors.ErrUnsupported.
	Memory() (total, available int64, err error)
}

// Machine is this machine.
type Machine struct{}

var _ System = Machine{}

const (
	mostOutput = 1 << 20                // bytes, of a file or a program
	lastWords  = 500 * time.Millisecond // for a program that was told to end
)

// OS is runtime.GOOS.
func (Machine) OS() string { return runtime.GOOS }

// LookupEnv is os.LookupEnv.
func (Machine) LookupEnv(name string) (string, bool) { return os.LookupEnv(name) }

// Memory asks the system, where that takes a call.
func (Machine) Memory() (total, available int64, err error) { return callMemory() }

// Glob is filepath.Glob.
func (Machine) Glob(pattern string) []string {
	names, err := filepath.Glob(filepath.FromSlash(pattern))
	if err != nil {
		return nil // a pattern of this package that is wrong finds nothing in its tests
	}
	return names
}

// ReadFile reads the beginning of a file.
func (Machine) ReadFile(name string) ([]byte, error) {
	f, err := os.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	return io.ReadAll(io.LimitReader(f, mostOutput))
}

// Run runs a program, with nothing on its input.
func (Machine) Run(ctx context.Context, c Command) (Output, error) {
	cmd := exec.CommandContext(ctx, c.Name, c.Args...)
	cmd.WaitDelay = lastWords // for children that keep the pipes open
	if len(c.Env) > 0 {
		cmd.Env = append(os.Environ(), c.Env...)
	}
	stdout, stderr := &beginning{}, &beginning{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		return Output{}, err
	}
	// A program that asks a broken driver can hang where even a kill does not
	// reach it. Such a one is left behind, with the goroutine that waits for it.
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return ending(ctx, cmd, err, stdout, stderr)
	case <-ctx.Done():
	}
	late := time.NewTimer(2 * lastWords)
	defer late.Stop()
	select {
	case err := <-ended:
		return ending(ctx, cmd, err, stdout, stderr)
	case <-late.C:
		return Output{}, fmt.Errorf("%s does not even end when it is killed: %w", c.Name, context.Cause(ctx))
	}
}

// ending is the outcome of a program that has ended.
func ending(ctx context.Context, cmd *exec.Cmd, err error, stdout, stderr *beginning) (Output, error) {
	out := Output{Stdout: stdout.b.Bytes(), Stderr: stderr.b.Bytes()}
	if cmd.ProcessState != nil {
		out.Code = cmd.ProcessState.ExitCode()
	}
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil && err != nil:
		return out, fmt.Errorf("run %s: %w", cmd.Path, context.Cause(ctx))
	case err == nil, errors.As(err, &failed), errors.Is(err, exec.ErrWaitDelay):
		return out, nil
	}
	return out, err
}

// beginning keeps the first bytes and takes the rest for nothing.
type beginning struct{ b bytes.Buffer }

func (w *beginning) Write(p []byte) (int, error) {
	w.b.Write(p[:min(len(p), mostOutput-w.b.Len())]) // a bytes.Buffer does not fail
	return len(p), nil
}
