package hubtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func flipped(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

// Every action, on the CDN, once on the whole file and once on the bytes
// 100-199.
func TestFaultActions(t *testing.T) {
	part := weights[100:200]
	all := func(b []byte) string { return fmt.Sprintf("%x", b) }
	tests := []struct {
		name        string
		fault       Fault
		whole, part string // status, length or error, Content-Range
		body        []byte // of the part, when it matters
	}{
		{"none", Fault{Origin: "api"}, "200 65536", "206 100 bytes 100-199/65536", part},
		{"status", Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}, Body: "busy"}, "503 4", "503 4", []byte("busy")},
		{"header alone", Fault{Header: http.Header{"content-range": {"bytes 1-2/3"}}}, "200 65536 bytes 1-2/3", "206 100 bytes 1-2/3", part},
		{"reset at once", Fault{ResetAfter: 1}, "200 reset", "206 reset", nil},
		{"reset before the headers", Fault{ResetAfter: -1}, "reset", "reset", nil},
		{"reset later than the end", Fault{ResetAfter: 101}, "200 reset", "206 100 bytes 100-199/65536", part},
		{"truncate", Fault{Truncate: 10}, "200 unexpected EOF", "206 unexpected EOF", nil},
		{"flip inside", Fault{FlipAt: 101}, "200 65536", "206 100 bytes 100-199/65536", flipped(part, 0)},
		{"flip at the last", Fault{FlipAt: 200}, "200 65536", "206 100 bytes 100-199/65536", flipped(part, 99)},
		{"flip elsewhere", Fault{FlipAt: 201}, "200 65536", "206 100 bytes 100-199/65536", part},
		{"ignore range", Fault{IgnoreRange: true}, "200 65536", "200 65536", weights},
		{"wrong range", Fault{WrongRange: true}, "200 65536", "206 100 bytes 101-200/65536", part},
		{"redirect", Fault{RedirectTo: "http://elsewhere/"}, "302 0", "302 0", nil},
		{"redirect with status", Fault{RedirectTo: "/x", Status: 307}, "307 0", "307 0", nil},
		{"rewrite", Fault{Rewrite: func(b []byte) []byte { return append(bytes.Clone(b), '!') }}, "200 65537", "206 101 bytes 100-199/65536",
			append(bytes.Clone(part), '!')},
		{"rewrite and truncate", Fault{Rewrite: bytes.ToUpper, Truncate: 1}, "200 unexpected EOF", "206 unexpected EOF", nil},
		{"reset at a byte", Fault{At: 151, ResetAfter: 1}, "200 reset", "206 reset", nil},
		{"reset at a byte elsewhere", Fault{At: 201, ResetAfter: 1}, "200 reset", "206 100 bytes 100-199/65536", part},
		{"close", Fault{CloseAfter: 1}, "200 unexpected EOF", "206 unexpected EOF", nil},
		{"close later than the end", Fault{CloseAfter: 101}, "200 unexpected EOF", "206 100 bytes 100-199/65536", part},
		{"wrong total", Fault{WrongTotal: true}, "200 65536", "206 100 bytes 100-199/65537", part},
		{"extra", Fault{Extra: 3}, "200 65539", "206 103 bytes 100-199/65536", append(bytes.Clone(part), 0, 0, 0)},
		{"other bytes", Fault{OtherBytes: true}, "200 65536", "206 100 bytes 100-199/65536", nil},
		{"no length", Fault{Without: []string{"content-length"}}, "200 65536 chunked", "206 100 bytes 100-199/65536 chunked", part},
		{"no content range", Fault{Without: []string{"Content-Range"}}, "200 65536", "206 100", part},
		{"no location", Fault{Status: 302}, "302 0", "302 0", nil},
		{"redirect with what was asked for", Fault{RedirectTo: "http://h{uri}"}, "302 0", "302 0", nil},
		{"pace", Fault{FirstByte: time.Microsecond, Rate: 1 << 30, Ramp: time.Microsecond}, "200 65536", "206 100 bytes 100-199/65536", part},
		{"slow head", Fault{SlowHead: time.Microsecond}, "200 65536", "206 100 bytes 100-199/65536", part},
		{"web page", WebPage(200, true), "200 92", "200 92", nil},
		{"delay", Fault{Delay: time.Millisecond}, "200 65536", "206 100 bytes 100-199/65536", part},
	}
	s := start(t, Options{})
	link := cdnURL(t, s)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.fault
			if f.Origin == "" {
				f.Origin = "cdn"
			}
			defer s.AddFault(f)()
			if got := describe(ask(t, "GET", link)); got != tt.whole {
				t.Errorf("whole: got %q, want %q", got, tt.whole)
			}
			a := ask(t, "GET", link, "Range", "bytes=100-199")
			if got := describe(a); got != tt.part {
				t.Errorf("part: got %q, want %q", got, tt.part)
			}
			if tt.body != nil && all(a.body) != all(tt.body) {
				t.Errorf("part: got %x, want %x", a.body, tt.body)
			}
		})
	}
	if got := describe(ask(t, "GET", link)); got != "200 65536" {
		t.Errorf("a removed fault still acts: got %q", got)
	}
}

func describe(a answer) string {
	var s []string
	if a.Response != nil {
		s = append(s, fmt.Sprint(a.StatusCode))
	}
	switch {
	case errors.Is(a.err, io.ErrUnexpectedEOF):
		return strings.Join(append(s, "unexpected EOF"), " ")
	case errors.Is(a.err, syscall.ECONNRESET), a.err != nil && runtime.GOOS == "windows":
		return strings.Join(append(s, "reset"), " ")
	case a.err != nil:
		return a.err.Error()
	}
	s = append(s, fmt.Sprint(len(a.body)))
	if r := a.Header.Get("Content-Range"); r != "" {
		s = append(s, r)
	}
	if a.ContentLength < 0 {
		s = append(s, "chunked")
	}
	return strings.Join(s, " ")
}

// Which of six requests a fault acts on.
func TestFaultMatching(t *testing.T) {
	s := start(t, Options{})
	link := cdnURL(t, s)
	branch := s.URL() + "/api/models/" + testRepo + "/refs"
	requests := []struct{ method, target, rng string }{
		{"GET", branch, ""}, {"HEAD", branch, ""}, {"GET", link, ""}, {"GET", link, "bytes=0-0"}, {"GET", link, "bytes=1-1"}, {"GET", link, "bytes=2-2"},
	}
	tests := []struct {
		name  string
		fault Fault
		want  string
	}{
		{"all", Fault{}, "xxxxxx"},
		{"origin", Fault{Origin: "api"}, "xx...."},
		{"method", Fault{Method: "HEAD"}, ".x...."},
		{"path of the file on the CDN", Fault{PathContains: "model.safetensors"}, "..xxxx"},
		{"ranged", Fault{RangedOnly: true}, "...xxx"},
		{"query", Fault{QueryContains: "Signature="}, "..xxxx"},
		{"with a token", Fault{AuthOnly: true}, "......"},
		{"a byte of the file", Fault{Origin: "cdn", FlipAt: 2}, "..x.x."},
		{"one connection of them", Fault{OneConn: true, After: 0}, "x....."}, // ask makes one for each
		{"after", Fault{After: 4}, "....xx"},
		{"times", Fault{Times: 2}, "xx...."},
		{"after and times of those that match", Fault{RangedOnly: true, After: 1, Times: 1}, "....x."},
	}
	for _, tt := range tests {
		tt.fault.Status = http.StatusTeapot
		remove := s.AddFault(tt.fault)
		got := ""
		for _, r := range requests {
			if ask(t, r.method, r.target, "Range", r.rng).StatusCode == http.StatusTeapot {
				got += "x"
			} else {
				got += "."
			}
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
		remove()
	}
}

func TestFaultsCombineAndAreLogged(t *testing.T) {
	s := start(t, Options{})
	link := cdnURL(t, s)
	s.ResetLog()
	s.AddFault(Fault{Name: "flip", Origin: "cdn", FlipAt: 1})
	s.AddFault(Fault{Name: "cut", Origin: "cdn", ResetAfter: 10})
	if a := ask(t, "GET", link); describe(a) != "200 reset" || !bytes.HasPrefix(flipped(weights, 0)[:10], a.body) {
		t.Errorf("got %s, %q", describe(a), a.body)
	}
	if log := s.Log(); log[0].Fault != "flip+cut" || log[0].Sent != 10 {
		t.Errorf("log: got %+v", log)
	}
	s.ClearFaults()
	if a := ask(t, "GET", link); describe(a) != "200 65536" {
		t.Errorf("after ClearFaults: got %s", describe(a))
	}
}

// openSlow begins a download and returns once its first byte is here.
func openSlow(t *testing.T, link string) io.ReadCloser {
	t.Helper()
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return resp.Body
}

func TestStallLastsUntilTheClientGoes(t *testing.T) {
	s := start(t, Options{})
	s.AddFault(Fault{Origin: "cdn", StallAfter: 1})
	body := openSlow(t, cdnURL(t, s))
	body.Close() // without this the server's Close in the cleanup would have to break it
}

func TestCloseBreaksAStall(t *testing.T) {
	s := start(t, Options{})
	s.AddFault(Fault{Origin: "cdn", StallAfter: 1})
	body := openSlow(t, cdnURL(t, s))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(body); err == nil {
		t.Error("the body ended well")
	}
}

func TestDropConnections(t *testing.T) {
	s := start(t, Options{})
	s.SetRate(50) // one byte at a time: no test would outlast the file
	link := cdnURL(t, s)
	a, b := openSlow(t, link), openSlow(t, link)
	if got := s.DropConnections(); got != 2 {
		t.Errorf("dropped %d connections, want 2", got)
	}
	for _, body := range []io.Reader{a, b} {
		if _, err := io.ReadAll(body); !errors.Is(err, syscall.ECONNRESET) && runtime.GOOS != "windows" {
			t.Errorf("got %v, want a reset", err)
		}
	}
	s.SetRate(0)
	if a := ask(t, "GET", link); describe(a) != "200 65536" {
		t.Errorf("afterwards: got %s", describe(a))
	}
	log := s.Log()
	if slices.ContainsFunc(log[1:3], func(e Entry) bool { return e.Sent < 1 || e.Sent >= int64(len(weights)) }) {
		t.Errorf("log: got %+v", log)
	}
}

// A new rate is felt by downloads that are under way.
func TestSetRate(t *testing.T) {
	s := start(t, Options{})
	s.SetRate(50)
	body := openSlow(t, cdnURL(t, s))
	s.SetRate(0)
	rest, err := io.ReadAll(body)
	if err != nil || len(rest) != len(weights)-1 {
		t.Errorf("got %d bytes and %v", len(rest), err)
	}
}
