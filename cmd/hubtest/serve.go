package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// serve runs the hub until ctx ends.
func serve(ctx context.Context, o *options, stdout, stderr io.Writer) (err error) {
	data, err := o.data()
	if err != nil {
		return err
	}
	if o.log != "" {
		l, err := openLog(o.log, stderr)
		if err != nil {
			return err
		}
		defer l.close(stderr)
		o.hub.OnRequest = l.write
	} else {
		o.hub.OnRequest = func(hubtest.Entry) {} // nobody reads the hub's own log
	}
	server, err := hubtest.Start(o.hub)
	if err != nil {
		return err
	}
	defer func() {
		if e := server.Close(); err == nil {
			err = e
		}
	}()
	server.SetConnRate(o.connRate)
	server.SetRate(o.totalRate)
	server.SetLatency(o.latency)
	for _, f := range o.faults {
		server.AddFault(f)
	}
	fmt.Fprintf(stderr, "reading and hashing %s\n", sizeText(bytesOf(data)))
	if err := server.Add(data); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "HF_ENDPOINT=%s\n", server.URL()); err != nil {
		return err
	}
	announce(stderr, server.URL(), data)
	<-ctx.Done()
	return nil
}

// data is the repository to serve.
func (o *options) data() (hubtest.RepoData, error) {
	r := hubtest.RepoData{ID: o.repo, Private: o.hub.Token != ""}
	if o.branches {
		d, err := hubtest.FromDir(o.repo, o.dir)
		if err == nil && len(d.Files) == 0 {
			err = fmt.Errorf("%s has no sub-folder to be a branch", o.dir)
		}
		r.Files = d.Files
		return r, err
	}
	files := hubtest.SmallFiles(o.small, o.smallLen, o.seed)
	if o.dir != "" {
		found, err := hubtest.Folder(o.dir)
		if err != nil {
			return r, err
		}
		if len(found) == 0 {
			return r, fmt.Errorf("%s has no files", o.dir)
		}
		maps.Copy(files, found)
	}
	for i, f := range o.files {
		files[f.path] = hubtest.Synthetic(f.size, o.seed+uint64(i))
	}
	r.Files = map[string]map[string]*hubtest.Content{o.branch: files}
	return r, nil
}

func bytesOf(data hubtest.RepoData) (n int64) {
	for _, files := range data.Files {
		for _, c := range files {
			n += c.Size()
		}
	}
	return n
}

// announce says what is served, and how to get at it.
func announce(w io.Writer, endpoint string, data hubtest.RepoData) {
	var first string
	for _, branch := range slices.Sorted(maps.Keys(data.Files)) {
		files := data.Files[branch]
		var size int64
		for _, path := range slices.Sorted(maps.Keys(files)) {
			size += files[path].Size()
			if first == "" {
				first = fmt.Sprintf("%s/%s/resolve/%s/%s", endpoint, data.ID, url.PathEscape(branch), (&url.URL{Path: path}).EscapedPath())
			}
		}
		fmt.Fprintf(w, "serving %s:%s, %d files, %s\n", data.ID, branch, len(files), sizeText(size))
	}
	fmt.Fprintf(w, "try: HF_ENDPOINT=%s hf download %s\n     curl -L %s\nCtrl-C ends it\n", endpoint, data.ID, first)
}

// sizeText is a size to three digits.
func sizeText(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size {
			return strings.TrimSuffix(strings.TrimSuffix(fmt.Sprintf("%.2f", float64(n)/float64(u.size)), "0"), ".0") + " " + u.name
		}
	}
	return fmt.Sprintf("%d B", n)
}

// requestLog writes one JSON object a request.
type requestLog struct {
	mu  sync.Mutex
	w   io.Writer
	f   *os.File // nil: not ours to close
	err error    // the first one; the hub goes on without a log
}

func openLog(name string, stderr io.Writer) (*requestLog, error) {
	if name == "-" {
		return &requestLog{w: stderr}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return &requestLog{w: f, f: f}, nil
}

// line is the JSON of a request.
type line struct {
	Time   time.Time `json:"time"`
	Origin string    `json:"origin"` // api or cdn
	Conn   int64     `json:"conn"`   // number of the connection, by origin
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Range  string    `json:"range,omitempty"`
	Auth   bool      `json:"auth,omitempty"` // a token came with it; which one is not told
	Status int       `json:"status"`         // 0 = no answer
	Sent   int64     `json:"sent"`           // body bytes
	Fault  string    `json:"fault,omitempty"`
}

func (l *requestLog) write(e hubtest.Entry) {
	b, err := json.Marshal(line{e.Time.UTC(), e.Origin, e.Conn, e.Method, e.Path, e.Range, e.Auth, e.Status, e.Sent, e.Fault})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		_, err = l.w.Write(append(b, '\n'))
	}
	if l.err == nil {
		l.err = err
	}
}

// close says what went wrong with the log, too late to do anything about it.
func (l *requestLog) close(stderr io.Writer) {
	if l.f != nil {
		if err := l.f.Close(); l.err == nil {
			l.err = err
		}
	}
	if l.err != nil {
		fmt.Fprintf(stderr, "hubtest: the log is not complete: %v\n", l.err)
	}
}
