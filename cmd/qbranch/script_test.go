package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
)

// TestMain lets scripts run this binary as qbranch: a real process with the
// real main.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"qbranch": main})
}

// TestScript runs testdata/script. The commands of a script beside those of
// testscript itself:
//
//	code N PROGRAM ARGS...       run it and demand exit code N
//	hub REPO...                  start a hub with these repositories (repos_test.go) and set HF_ENDPOINT
//	fault KEY[=VALUE]...         make it misbehave (hub_test.go lists the keys); "fault" alone clears all
//	rate N                       send at most N bytes of weights per second, 0 = no limit
//	latency MS                   make every request take so many milliseconds more
//	sent OP N                    compare the bytes of weights sent since the last resetlog; >= waits for them
//	requests OP N KEY=VALUE...   compare the number of requests since then that match origin, path, auth, range
//	resetlog                     forget the requests so far
//	branch REPO BRANCH FROM      move a branch to the contents of another
//	rename REPO NAME             give a repository another name
//	flip REPO BRANCH FILE OFFSET change a byte of a file in the store
//	json SELECT FIELD OP VALUE   compare a field of the JSON on standard output
//	keep NAME SELECT FIELD       put such a field into the environment
//	cutoff N FILE ARGS...        run qbranch with the first N bytes of a file on its input, then kill -9 (bundle_test.go)
//	edit FILE flip|cut N TO      copy a file with byte N flipped, or its first N bytes
//	checkpoint KIND DIR          write a folder with a spoilt checkpoint (repos_test.go)
//
// OP is one of == != <= >= ~. SELECT is "only" for the one object, "last" for
// the last line, or a type for the first line that has it.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			h := &hub{}
			e.Values[hubKey{}] = h
			e.Defer(h.close)
			e.Setenv("REPO", demo.RepoID)
			e.Setenv("MIXTRAL", mixtralRepo)
			e.Setenv("LIARS", liarsRepo)
			e.Setenv("LONG", strings.Repeat("llama ", 2000)) // longer than the demo's context
			e.Setenv("QBRANCH_STORE", filepath.Join(e.WorkDir, "store"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, ".cache"))
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, ".state"))
			e.Setenv("USERPROFILE", e.WorkDir)
			e.Setenv("LC_ALL", "C.UTF-8")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":       cmdCode,
			"hub":        cmdHub,
			"fault":      cmdFault,
			"rate":       cmdRate,
			"latency":    cmdLatency,
			"sent":       cmdSent,
			"requests":   cmdRequests,
			"resetlog":   cmdResetLog,
			"branch":     cmdBranch,
			"rename":     cmdRename,
			"flip":       cmdFlip,
			"holds":      cmdHolds,
			"json":       cmdJSON,
			"keep":       cmdKeep,
			"checkpoint": cmdCheckpoint,
			"cutoff":     cmdCutOff,
			"edit":       cmdEdit,
		},
	})
}

func usageIf(ts *testscript.TestScript, wrong bool, usage string) {
	if wrong {
		ts.Fatalf("usage: %s", usage)
	}
}

// cmdCode runs a program; testscript's own exec knows only success and failure.
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) < 2, "code N PROGRAM ARGS...")
	want := number(ts, args[0])
	got := int64(0)
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = int64(exit.ExitCode())
	}
	if got != want {
		ts.Fatalf("%s ended with code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func number(ts *testscript.TestScript, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	ts.Check(err)
	return n
}
