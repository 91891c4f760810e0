package hub

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// What docs/security.md promises of the network, where no test of a feature
// shows it.

// Which URLs are the endpoint's own. Scheme, host and port have to be the same.
func TestTokenOnlyToTheEndpoint(t *testing.T) {
	c, err := NewClient(Options{Endpoint: "https://hub.example", Token: NewToken("hf_x", "test")})
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]bool{
		"https://hub.example/x":              true,
		"https://HUB.example:443/x":          true,
		"http://hub.example/x":               false,
		"http://hub.example:443/x":           false,
		"https://hub.example:8443/x":         false,
		"https://cdn.hub.example/x":          false, // net/http would pass a token on
		"https://hub.example.evil.example/x": false,
		"https://hub.example./x":             false,
		"https://evil.example/hub.example":   false,
		"https://hub.example@evil.example/x": false,
		"https://evil.example#hub.example":   false,
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.isEndpoint(u); got != want {
			t.Errorf("%s: got %v", target, got)
		}
	}
}

// The same through whole calls: where requests went, and which had the token.
func TestTokenStaysHome(t *testing.T) {
	const hosts = "https://cdn.hub.example https://hub.example:8443 https://hub.example.evil.example https://evil.example"
	for host := range strings.FieldsSeq(hosts) {
		c, err := NewClient(Options{Endpoint: "https://hub.example", Token: NewToken("hf_x", "test")})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var home, away int
		network := roundTrip(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			has := r.Header.Get("Authorization") != ""
			if r.URL.Host == "hub.example" {
				home++
				if !has {
					t.Errorf("%s: no token for the endpoint", r.URL)
				}
				resp := response(r, http.StatusFound, strings.NewReader(""))
				resp.Header.Set("Location", host+r.URL.Path+"?keep=1")
				if strings.Contains(r.URL.Path, "/tree/") { // the listing goes on elsewhere
					resp = response(r, http.StatusOK, strings.NewReader("[]"))
					resp.Header.Set("Link", "<"+host+r.URL.Path+`>; rel="next"`)
				}
				return resp, nil
			}
			away++
			if has {
				t.Errorf("the token went to %s", r.URL)
			}
			for _, v := range r.Header {
				if strings.Contains(strings.Join(v, ""), "hf_x") {
					t.Errorf("the token went to %s in another header", r.URL)
				}
			}
			return response(r, http.StatusNotFound, strings.NewReader("")), nil
		})
		c.api.HTTPClient.Transport.(*observer).next = network
		c.data.HTTPClient.Transport.(*observer).next = network
		f := File{Path: "w.safetensors", Size: 10, LFS: true}
		_, err1 := c.Revision(t.Context(), testRepo, "main")
		_, err2 := c.ReadFile(t.Context(), testRepo, testCommit, "config.json", 100)
		_, err3 := c.OpenRange(t.Context(), testRepo, testCommit, f, 0, 10)
		f.LFS = false
		_, err4 := c.OpenRange(t.Context(), testRepo, testCommit, f, 0, 10)
		_, err5 := c.Tree(t.Context(), testRepo, testCommit)
		for i, err := range []error{err1, err2, err3, err4, err5} {
			if err == nil || strings.Contains(err.Error(), "hf_x") {
				t.Errorf("%s: call %d: got %v", host, i, err)
			}
		}
		if !errors.Is(err5, ErrBadListing) {
			t.Errorf("%s: a next page elsewhere: got %v", host, err5)
		}
		if home < 5 || away < 4 {
			t.Errorf("%s: %d requests at home, %d away", host, home, away)
		}
	}
}

// A name is judged by the address that is dialled, when it is dialled: what it
// meant a moment ago does not count, and a name that looks public may not be.
func TestNamesAreJudgedWhenDialled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var connected atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connected.Add(1)
			conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d := &dialer{endpoint: "hub.example:443"}
	conn, err := d.dial(t.Context(), "tcp", net.JoinHostPort("localhost", port)) // a name that leads home
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, errPrivateAddress) || connected.Load() != 0 {
		t.Errorf("got %v, %d connections", err, connected.Load())
	}
}

// A server that can do no more than TLS 1.1 is not talked to.
func TestOldTLSIsRefused(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	c := newClient(t, Options{Endpoint: s.URL}, io.Discard)
	trust(c, s)
	_, err := c.Revision(t.Context(), testRepo, "main")
	if !errors.Is(err, ErrNetwork) || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("got %v", err)
	}
}

// What has no end is given up after a bounded number of bytes.
func TestWithoutEnd(t *testing.T) {
	for name, f := range map[string]hubtest.Fault{
		"head":              {EndlessHead: true},
		"body of 1 GB":      {Extra: 1 << 30},
		"chunks of 40 MB":   {Extra: 40 << 20, Without: []string{"Content-Length"}},
		"small when packed": hubtest.Bomb(40 << 20),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{})
			f.Origin = "api"
			w.AddFault(f)
			_, err := w.client.Revision(t.Context(), testRepo, "main")
			if !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrNetwork) {
				t.Errorf("got %v", err)
			}
			var sent int64
			for _, e := range w.Log() {
				sent += e.Sent
			}
			if most := int64(36 << 20); sent > most { // 16 MiB, and what lies in the kernel, which is much on a busy machine
				t.Errorf("%d bytes were sent, at most %d are read", sent, most)
			}
		})
	}
}

// A server's words reach errors without what a terminal would obey.
func TestWordsOfServersAreTamed(t *testing.T) {
	const evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202efdp.exe\u200b\r\nqbranch: all is well"
	for _, f := range []hubtest.Fault{
		{Status: 403, Body: evil},
		{Status: 403, Body: `{"error":"\u001b[2J\u009b31m\u202e x"}`, Header: http.Header{"Content-Type": {"application/json"}}},
		{Status: 404, Body: "<Error><Message>" + evil + "</Message></Error>"},
		{Status: 400, Header: http.Header{"X-Error-Code": {"\u009b31m\u202ecode"}, "X-Error-Message": {"\u009b31m\u202etext"}, "X-Request-Id": {"\u009b31mid"}}},
		{Status: 302, Header: http.Header{"Location": {"https://evil.example/\u009b31m\u202e"}}},
		{Status: 200, Body: evil},
		{Status: 200, Body: `[{"type":"file","path":"\u001b[2Jx","size":1,"oid":"0000000000000000000000000000000000000000"}]`},
	} {
		w := newWorld(t, Options{})
		w.AddFault(f)
		_, err1 := w.client.Tree(t.Context(), testRepo, w.at)
		_, err2 := w.client.ReadFile(t.Context(), testRepo, w.at, "config.json", 10)
		for _, err := range []error{err1, err2} {
			if err != nil && strings.ContainsFunc(err.Error(), unsafeToPrint) {
				t.Errorf("status %d: %q", f.Status, err)
			}
		}
		if err1 == nil {
			t.Errorf("status %d: no error", f.Status)
		}
	}
}

// unsafeToPrint says what a terminal may obey, or may show in a way that
// deceives.
func unsafeToPrint(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || slices.Contains([]rune("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"), r)
}
