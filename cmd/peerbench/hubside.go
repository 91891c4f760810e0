package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// The hub runs in a process of its own, which is this program again. Commands
// come over its standard input, one JSON object a line, and each is answered by
// one line. It ends when its input does, so it never outlives the bench.

// command is one order to the hub. Fields that Do does not name are not used.
type command struct {
	Do     string          // repo, move, shape, expire, reset, log, await
	Repo   string          // repo, move
	Branch string          // repo, move
	Files  map[string]file // repo, move
	Shape  shape           // shape
	Bytes  int64           // await: until storage has sent so many, or for a moment
}

// file is a file of the repository: one on disk, or synthetic.
type file struct {
	Path string // on disk; "" = synthetic
	Size int64
	Seed uint64
}

// shape is how the hub behaves. The zero value is a hub without limits.
type shape struct {
	ConnRate  int64         // bytes per second on each connection; 0 = no limit
	TotalRate int64         // over all connections
	Latency   time.Duration // round trip
	Faults    []string      // as hubtest.ParseFault reads them
}

// answer is what the hub says. Error is "" when the command was carried out.
type answer struct {
	Error    string
	Endpoint string // of every answer
	Commit   string // repo, move
	Log      traffic
}

// traffic sums up the hub's log since the last reset.
type traffic struct {
	API     int   // requests to the hub itself
	Storage int   // requests to storage
	Sent    int64 // body bytes of storage
	Conns   int   // connections to storage
	Signed  int   // signed links handed out
}

// serveHub carries out commands until in ends.
func serveHub(in io.Reader, out io.Writer) error {
	s, err := hubtest.Start(hubtest.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20) // thousands of files
	replies := json.NewEncoder(out)
	for lines.Scan() {
		var c command
		reply := answer{Endpoint: s.URL()}
		err := json.Unmarshal(lines.Bytes(), &c)
		if err == nil {
			err = carryOut(s, c, &reply)
		}
		if err != nil {
			reply.Error = err.Error()
		}
		if err := replies.Encode(reply); err != nil {
			return err
		}
	}
	return lines.Err()
}

func carryOut(s *hubtest.Server, c command, reply *answer) error {
	switch c.Do {
	case "repo", "move":
		files, err := contents(c.Files)
		if err != nil {
			return err
		}
		if c.Do == "move" {
			reply.Commit, err = s.SetFiles(c.Repo, c.Branch, files)
			return err
		}
		err = s.Add(hubtest.RepoData{ID: c.Repo, Files: map[string]map[string]*hubtest.Content{c.Branch: files}})
		reply.Commit = s.Commit(c.Repo, c.Branch)
		return err
	case "shape":
		s.SetConnRate(c.Shape.ConnRate)
		s.SetRate(c.Shape.TotalRate)
		s.SetLatency(c.Shape.Latency)
		s.ClearFaults()
		for _, text := range c.Shape.Faults {
			f, err := hubtest.ParseFault(text)
			if err != nil {
				return err
			}
			s.AddFault(f)
		}
	case "expire":
		s.ExpireURLs()
	case "reset":
		s.ResetLog()
	case "log":
		reply.Log = sumUp(s.Log())
	case "await":
		reply.Log = await(s, c.Bytes)
	default:
		return fmt.Errorf("no command %q", c.Do)
	}
	return nil
}

func contents(files map[string]file) (map[string]*hubtest.Content, error) {
	out := make(map[string]*hubtest.Content, len(files))
	for name, f := range files {
		if f.Path == "" {
			out[name] = hubtest.Synthetic(f.Size, f.Seed)
			continue
		}
		c, err := hubtest.OnDisk(f.Path)
		if err != nil {
			return nil, err
		}
		out[name] = c
	}
	return out, nil
}

// await returns when storage has sent n bytes, or after a moment: whoever asks
// looks whether the client still lives, and asks again.
func await(s *hubtest.Server, n int64) traffic {
	const moment = 200 * time.Millisecond
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < moment; <-tick.C {
		if t := sumUp(s.Log()); t.Sent >= n {
			return t
		}
	}
	return sumUp(s.Log())
}

func sumUp(log []hubtest.Entry) traffic {
	var t traffic
	conns := make(map[int64]bool)
	for _, e := range log {
		if e.Origin == "api" {
			t.API++
			if e.Status == 302 && e.Method == "GET" {
				t.Signed++
			}
			continue
		}
		t.Storage++
		t.Sent += e.Sent
		conns[e.Conn] = true
	}
	t.Conns = len(conns)
	return t
}

// hubMain is the main of the hub's process.
func hubMain() int {
	if err := serveHub(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "peerbench hub:", err)
		return 1
	}
	return 0
}
