package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// failure is a system call that fails from its n-th time on, on each thread, or
// just then.
type failure struct {
	call, errno string
	nth         int
	lasting     bool
}

func (f failure) String() string {
	s := fmt.Sprintf("%s:%s:%d", f.call, f.errno, f.nth)
	if f.lasting {
		s += "+"
	}
	return s
}

// failures of writing, making room, syncing, publishing and opening. The long
// suite has each of them at many moments.
func failures() []failure {
	var out []failure
	add := func(call, errno string, moments ...int) {
		if long() && call != "openat" { // whose first times are the system's loader's
			moments = []int{1, 2, 3, 4, 6, 9, 30}
		}
		for _, n := range moments {
			out = append(out, failure{call, errno, n, false})
			// A call that is interrupted for ever is made again for ever.
			if errno != "EINTR" && (long() || errno == "ENOSPC" || errno == "EROFS") {
				out = append(out, failure{call, errno, n, true})
			}
		}
	}
	add("pwrite64", "ENOSPC", 2)
	add("pwrite64", "EIO", 1)
	add("pwrite64", "EINTR", 1)
	add("fallocate", "ENOSPC", 1)
	add("fsync,fdatasync", "EIO", 1, 4)
	add("fsync,fdatasync", "EINTR", 1)
	add("renameat,renameat2,rename", "EIO", 1)
	add("renameat,renameat2,rename", "EROFS", 2)
	add("mkdirat", "ENOSPC", 2)
	add("openat", "EIO", 20, 30)
	add("unlinkat", "EIO", 1)
	return out
}

// TestFailingCalls lets system calls of the real program fail. It either gets
// along, or says what happened, with the code of a storage failure; the store
// stays sound, and the same command does the rest.
func TestFailingCalls(t *testing.T) {
	needs(t, "strace")
	if err := exec.Command("strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "true").Run(); err != nil {
		t.Skip("strace may not trace here: ", err)
	}
	if testing.Short() {
		t.Skip("runs the program often")
	}
	files, err := demoRepo()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failures() {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, hubtest.Options{}, files["main"])
			w.fail(f)
		})
	}
}

func (w *world) fail(f failure) {
	w.Helper()
	when := fmt.Sprint(f.nth)
	if f.lasting {
		when += "+"
	}
	log := filepath.Join(w.TempDir(), "strace")
	w.under = []string{
		"strace", "-f", "-qq", "--seccomp-bpf", "-o", log, "-e", "trace=" + f.call,
		"-e", fmt.Sprintf("inject=%s:error=%s:when=%s", f.call, f.errno, when),
	}
	code, out := w.run("get", w.ref(), "--progress", "none")
	w.under = nil
	trace, err := os.ReadFile(log)
	if err != nil {
		w.Fatal(err)
	}
	injected := strings.Count(string(trace), "(INJECTED)")
	w.Logf("%d calls failed, code %d: %s", injected, code, out)
	if injected == 0 && !long() { // the long suite asks for moments that may never come
		w.Errorf("no call failed: nothing was tested")
	}
	switch {
	case code == 0:
	case code == 7 && strings.Contains(out, "qbranch: "):
	default:
		w.Errorf("code %d, want 0, or 7 and a message:\n%s", code, out)
	}
	if strings.Contains(out, "goroutine ") || strings.Contains(out, "internal error") {
		w.Errorf("the program panicked:\n%s", out)
	}
	w.must("store", "fsck")
	w.must("get", w.ref(), "--progress", "none")
	w.must("verify", w.ref(), "--progress", "none")
	w.whole()
}
