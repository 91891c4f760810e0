package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdCutOff runs qbranch with the first N bytes of a file on its standard
// input and kills it when it has taken them, all but what a pipe holds: cutoff
// N FILE ARGS...
func cmdCutOff(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) < 3, "cutoff N FILE ARGS...")
	file, err := os.Open(ts.MkAbs(args[1]))
	ts.Check(err)
	defer file.Close() // only read from
	program := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, "qbranch"); program == "" {
			if _, err := os.Stat(path); err == nil {
				program = path
			}
		}
	}
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "QBRANCH_STORE", "HF_HUB_OFFLINE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	_, err = io.CopyN(in, file, number(ts, args[0]))
	killErr := cmd.Process.Kill()
	in.Close()
	cmd.Wait() // it was killed: its exit status says just that
	if err != nil || killErr != nil {
		ts.Fatalf("cut off %s: %v, %v\n%s", program, err, killErr, stderr.Bytes())
	}
}

// cmdEdit makes a copy of a file with a byte flipped, or cut short: edit FILE
// flip|cut OFFSET TO.
func cmdEdit(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 4, "edit FILE flip|cut OFFSET TO")
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	at := number(ts, args[2])
	switch args[1] {
	case "flip":
		b[at] ^= 1
	case "cut":
		b = b[:at]
	default:
		ts.Fatalf("edit: %s", args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), b, 0o600))
}
