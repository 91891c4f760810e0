package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/store"
)

type hubKey struct{}

// hub is a script's own hub, in the test's process.
type hub struct{ server *hubtest.Server }

func (h *hub) close() {
	if h.server != nil {
		h.server.Close() // nothing can be done about it here, and nothing depends on it
	}
}

func server(ts *testscript.TestScript) *hubtest.Server {
	h := ts.Value(hubKey{}).(*hub)
	if h.server == nil {
		ts.Fatalf("no hub: start it with hub REPO...")
	}
	return h.server
}

// goodToken opens gated and private repositories; otherToken is somebody's who
// has no access.
const (
	goodToken  = "hf_good"
	otherToken = "hf_other"
)

func cmdHub(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) == 0, "hub REPO...")
	s, err := hubtest.Start(hubtest.Options{Token: goodToken, OtherToken: otherToken})
	ts.Check(err)
	ts.Value(hubKey{}).(*hub).server = s
	for _, kind := range args {
		data, err := repository(kind)
		ts.Check(err)
		ts.Check(s.Add(data))
	}
	ts.Setenv("HF_ENDPOINT", s.URL())
	ts.Setenv("CDN", s.CDNURL())
}

// cmdFault adds a fault, in the words of hubtest.ParseFault, one an argument,
// and two of its own: cut=N sends the first N bytes of an answer, with a length
// to match; replace=OLD=>NEW changes an answer by a regular expression. \x1b is
// an escape character. Without arguments it removes all faults.
func cmdFault(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg, "fault KEY[=VALUE]...")
	if len(args) == 0 {
		server(ts).ClearFaults()
		return
	}
	var words []string
	var rewrite func([]byte) []byte
	for _, arg := range args {
		if n, ok := strings.CutPrefix(arg, "cut="); ok {
			most := int(number(ts, n))
			rewrite = func(body []byte) []byte { return body[:min(most, len(body))] }
		} else if change, ok := strings.CutPrefix(arg, "replace="); ok {
			old, with, _ := strings.Cut(change, "=>")
			rewrite = func(body []byte) []byte { return regexp.MustCompile(old).ReplaceAll(body, []byte(with)) }
		} else {
			words = append(words, strings.ReplaceAll(arg, `\x1b`, "\x1b"))
		}
	}
	f, err := hubtest.ParseFault(strings.Join(words, ","))
	ts.Check(err)
	f.Rewrite = rewrite
	server(ts).AddFault(f)
}

func cmdRate(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 1, "rate N")
	server(ts).SetRate(number(ts, args[0]))
}

func cmdLatency(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 1, "latency MS")
	server(ts).SetLatency(time.Duration(number(ts, args[0])) * time.Millisecond)
}

func cmdResetLog(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 0, "resetlog")
	server(ts).ResetLog()
}

// cmdSent compares the bytes of weights that the hub has sent. With >= it
// waits until there are so many: the way to stop a fetch in the middle.
func cmdSent(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 2, "sent OP N")
	s, want := server(ts), args[1]
	got := sent(s)
	if args[0] == ">=" {
		deadline := time.Now().Add(time.Minute) // only a broken program gets there
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for ; got < number(ts, want) && time.Now().Before(deadline); got = sent(s) {
			<-tick.C
		}
	}
	if !compare(ts, strconv.FormatInt(got, 10), args[0], want) {
		ts.Fatalf("the hub sent %d bytes of weights, want %s %s", got, args[0], want)
	}
}

func sent(s *hubtest.Server) int64 {
	var n int64
	for _, e := range s.Log() {
		if e.Origin == "cdn" {
			n += e.Sent
		}
	}
	return n
}

// cmdRequests counts requests: requests OP N KEY=VALUE...
func cmdRequests(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) < 2, "requests OP N KEY=VALUE...")
	n := 0
	for _, e := range server(ts).Log() {
		facts := map[string]string{"origin": e.Origin, "path": e.Path, "auth": strconv.FormatBool(e.Auth), "range": e.Range, "method": e.Method}
		if !slices.ContainsFunc(args[2:], func(arg string) bool {
			key, value, _ := strings.Cut(arg, "=")
			fact, ok := facts[key]
			usageIf(ts, !ok, "requests: no key "+key)
			return !strings.Contains(fact, value)
		}) {
			n++
		}
	}
	if !compare(ts, strconv.Itoa(n), args[0], args[1]) {
		ts.Fatalf("%d requests with %q, want %s %s", n, args[2:], args[0], args[1])
	}
}

// cmdBranch moves a branch: branch REPO BRANCH FROM.
func cmdBranch(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 3, "branch REPO BRANCH FROM")
	data, err := repository(args[0])
	ts.Check(err)
	_, err = server(ts).SetBranch(data.ID, args[1], data.Branches[args[2]])
	ts.Check(err)
}

// cmdRename gives a repository another name: rename REPO NAME.
func cmdRename(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 2, "rename REPO NAME")
	data, err := repository(args[0])
	ts.Check(err)
	ts.Check(server(ts).Rename(data.ID, args[1]))
}

// cmdHolds looks for a text in all files of a folder: holds TEXT DIR.
func cmdHolds(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, len(args) != 2, "holds TEXT DIR")
	var found []string
	files := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[1]), func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		data, err := os.ReadFile(name)
		if err == nil && bytes.Contains(data, []byte(args[0])) {
			found = append(found, name)
		}
		return err
	}))
	if files == 0 || (len(found) > 0) == neg {
		ts.Fatalf("%d files, %q in %q", files, args[0], found)
	}
}

// cmdFlip changes a byte on disk: flip REPO BRANCH FILE OFFSET.
func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 4, "flip REPO BRANCH FILE OFFSET")
	data, err := repository(args[0])
	ts.Check(err)
	ts.Check(rot(ts.Getenv("QBRANCH_STORE"), data.ID, server(ts).Commit(data.ID, args[1]), args[2], number(ts, args[3])))
}

// rot changes a byte of a file in the store, in place, as a bad disk does it.
func rot(dir, repo, commit, path string, offset int64) error {
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	snap, err := s.Snapshot(repo, commit)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(snap.Files, func(f store.SnapshotFile) bool { return f.Path == path })
	if i < 0 {
		return fmt.Errorf("no %s in %s at %s", path, repo, commit)
	}
	name := s.Path(snap.Files[i].SHA256)
	if err := os.Chmod(name, 0o600); err != nil { // blobs are read-only
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], offset)
	if err == nil {
		b[0] ^= 0x40
		_, err = f.WriteAt(b[:], offset)
	}
	return errors.Join(err, f.Close())
}
