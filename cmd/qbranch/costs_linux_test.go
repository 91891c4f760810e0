package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/termtest"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// TestBrowserCosts says what the terminal program costs: the time to its first
// frame, what it does when nothing happens, and what a transfer takes more than
// without a screen. It judges nothing: the machine may be busy.
//
//	QBRANCH_LONG=1 go test -v -count=1 -run TestBrowserCosts ./cmd/qbranch
func TestBrowserCosts(t *testing.T) {
	if !long() {
		t.Skip("QBRANCH_LONG=1 measures")
	}
	w := newWorld(t, hubtest.Options{}, noisy(t, 512<<20))
	w.bin = filepath.Join(t.TempDir(), "qbranch") // without this test
	command(t, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", w.bin, ".")

	var frames []time.Duration
	for range 20 {
		frames = append(frames, w.firstFrame())
	}
	slices.Sort(frames)
	t.Logf("start to first frame: median %v, fastest %v, slowest %v", frames[len(frames)/2], frames[0], frames[len(frames)-1])

	get := exec.Command(w.bin, "get", w.ref(), "--progress", "none")
	get.Env = append(slices.Clone(w.env), "QBRANCH_STORE="+w.store+"-get")
	if out, err := get.CombinedOutput(); err != nil {
		t.Fatalf("get: %v\n%s", err, out)
	}
	without := get.ProcessState.UserTime() + get.ProcessState.SystemTime()

	p := termtest.OpenPTY(t, 120, 36)
	cmd := w.browse(p, "tui", w.repo)
	p.Await("the verdicts", func(s string) bool { return strings.Contains(s, "ctx 2048") || strings.Contains(s, "no GPU") })
	quiet := func(when string) {
		time.Sleep(3 * time.Second) // what was begun may end: this measures, and nothing depends on it
		woken, text := switches(t, cmd.Process.Pid), len(p.Text())
		before := usage(t, cmd.Process.Pid)
		time.Sleep(10 * time.Second)
		t.Logf("idle for 10 s, %s: %d voluntary switches, %v of CPU, %d bytes written", when,
			switches(t, cmd.Process.Pid)-woken, usage(t, cmd.Process.Pid)-before, len(p.Text())-text)
	}
	quiet("at the table")
	before, text, start := usage(t, cmd.Process.Pid), len(p.Text()), time.Now()
	if _, err := p.WriteString("\r"); err != nil {
		t.Fatal(err)
	}
	p.Await("the end of the transfer", func(s string) bool { return strings.Contains(s, "100%  ● verified") })
	wall, with := time.Since(start), usage(t, cmd.Process.Pid)-before
	t.Logf("transfer of %d MB: %v of CPU in %v, get took %v of CPU: %+.1f %% of a core for the screen, %d bytes written", w.size()/1e6,
		with, wall.Round(time.Millisecond), without, 100*(with-without).Seconds()/wall.Seconds(), len(p.Text())-text)
	quiet("after a transfer")
	if _, err := p.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// firstFrame is the time from the start of the program to the last row of its
// first frame.
func (w *world) firstFrame() time.Duration {
	w.Helper()
	p := termtest.OpenPTY(w.T, 80, 24)
	start := time.Now()
	cmd := w.browse(p)
	p.Await("the first frame", func(s string) bool { return strings.Contains(s, "ctrl+c") })
	took := time.Since(start)
	if _, err := p.WriteString("\x03"); err != nil {
		w.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		w.Error(err)
	}
	return took
}

// switches counts how often threads of a process went to sleep: it woke up as
// often.
func switches(t *testing.T, pid int) int {
	t.Helper()
	return overThreads(t, pid, "status", func(text string) int {
		_, after, _ := strings.Cut(text, "\nvoluntary_ctxt_switches:")
		number, _, _ := strings.Cut(after, "\n")
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil {
			t.Fatal(err)
		}
		return n
	})
}

// usage is the CPU time of a process's threads.
func usage(t *testing.T, pid int) time.Duration {
	t.Helper()
	return time.Duration(overThreads(t, pid, "schedstat", func(text string) int {
		n, err := strconv.Atoi(strings.Fields(text)[0])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}))
}

func overThreads(t *testing.T, pid int, file string, f func(text string) int) int {
	t.Helper()
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/%s", pid, file))
	if err != nil || len(names) == 0 {
		t.Fatalf("read %s of process %d: %v", file, pid, err)
	}
	sum := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err == nil { // the thread has not ended since
			sum += f(string(text))
		}
	}
	return sum
}
