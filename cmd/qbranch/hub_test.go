package main

import (
	"bytes"
	"net/http"
	"os"
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

func cmdFault(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		server(ts).ClearFaults()
		return
	}
	var f hubtest.Fault
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		set, ok := faultKeys[key]
		usageIf(ts, neg || !ok, "fault KEY[=VALUE]...: no key "+key)
		set(ts, &f, value)
	}
	server(ts).AddFault(f)
}

// faultKeys are the fields of hubtest.Fault that scripts use.
var faultKeys = map[string]func(ts *testscript.TestScript, f *hubtest.Fault, v string){
	"origin": func(_ *testscript.TestScript, f *hubtest.Fault, v string) { f.Origin = v },
	"path":   func(_ *testscript.TestScript, f *hubtest.Fault, v string) { f.PathContains = v },
	"ranged": func(_ *testscript.TestScript, f *hubtest.Fault, _ string) { f.RangedOnly = true },
	"after":  func(ts *testscript.TestScript, f *hubtest.Fault, v string) { f.After = int(number(ts, v)) },
	"times":  func(ts *testscript.TestScript, f *hubtest.Fault, v string) { f.Times = int(number(ts, v)) },
	"status": func(ts *testscript.TestScript, f *hubtest.Fault, v string) { f.Status = int(number(ts, v)) },
	"body":   func(_ *testscript.TestScript, f *hubtest.Fault, v string) { f.Body = v },
	"html": func(_ *testscript.TestScript, f *hubtest.Fault, _ string) {
		f.Header = http.Header{"Content-Type": {"text/html"}}
	},
	"reset":       func(ts *testscript.TestScript, f *hubtest.Fault, v string) { f.ResetAfter = number(ts, v) },
	"stall":       func(ts *testscript.TestScript, f *hubtest.Fault, v string) { f.StallAfter = number(ts, v) },
	"truncate":    func(ts *testscript.TestScript, f *hubtest.Fault, v string) { f.Truncate = number(ts, v) },
	"flip":        func(ts *testscript.TestScript, f *hubtest.Fault, v string) { f.FlipAt = number(ts, v) },
	"ignorerange": func(_ *testscript.TestScript, f *hubtest.Fault, _ string) { f.IgnoreRange = true },
	"wrongrange":  func(_ *testscript.TestScript, f *hubtest.Fault, _ string) { f.WrongRange = true },
	"delay": func(ts *testscript.TestScript, f *hubtest.Fault, v string) {
		d, err := time.ParseDuration(v)
		ts.Check(err)
		f.Delay = d
	},
	"redirect": func(_ *testscript.TestScript, f *hubtest.Fault, v string) { f.RedirectTo = v },
	"cut": func(ts *testscript.TestScript, f *hubtest.Fault, v string) { // the answer's first bytes only, with a length to match
		n := int(number(ts, v))
		f.Rewrite = func(body []byte) []byte { return body[:min(n, len(body))] }
	},
	"replace": func(_ *testscript.TestScript, f *hubtest.Fault, v string) { // OLD=>NEW, a regular expression
		old, with, _ := strings.Cut(v, "=>")
		f.Rewrite = func(body []byte) []byte { return regexp.MustCompile(old).ReplaceAll(body, []byte(with)) }
	},
}

func cmdRate(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 1, "rate N")
	server(ts).SetRate(number(ts, args[0]))
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

// cmdFlip changes a byte on disk: flip REPO BRANCH FILE OFFSET.
func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 4, "flip REPO BRANCH FILE OFFSET")
	s, err := store.Open(ts.Getenv("QBRANCH_STORE"))
	ts.Check(err)
	data, err := repository(args[0])
	ts.Check(err)
	snap, err := s.Snapshot(data.ID, server(ts).Commit(data.ID, args[1]))
	ts.Check(err)
	i := slices.IndexFunc(snap.Files, func(f store.SnapshotFile) bool { return f.Path == args[2] })
	if i < 0 {
		ts.Fatalf("no %s in %s:%s", args[2], data.ID, args[1])
	}
	name := s.Path(snap.Files[i].SHA256)
	content, err := os.ReadFile(name)
	ts.Check(err)
	changed := bytes.Clone(content)
	changed[number(ts, args[3])] ^= 0x40
	ts.Check(os.Chmod(name, 0o600)) // blobs are read-only
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.Write(changed) // in place, as a bad disk does it
	ts.Check(err)
	ts.Check(f.Close())
}
