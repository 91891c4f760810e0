package hub

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// tlsHub serves a revision and a file of 4 bytes over TLS, and notes the
// protocol of each path.
func tlsHub(t *testing.T, redirect string) (s *httptest.Server, proto *sync.Map) {
	t.Helper()
	proto = new(sync.Map)
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto.Store(r.URL.Path, r.Proto)
		switch {
		case redirect != "":
			http.Redirect(w, r, redirect, http.StatusFound)
		case r.Header.Get("Range") != "":
			w.Header().Set("Content-Range", "bytes 0-3/4")
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "data")
		default:
			io.WriteString(w, `{"sha":"`+testCommit+`"}`)
		}
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail on purpose
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, proto
}

// trust makes a client accept the certificate of a test server.
func trust(c *Client, s *httptest.Server) {
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for _, r := range []*http.Client{c.api.HTTPClient, c.data.HTTPClient} {
		r.Transport.(*observer).next.(*http.Transport).TLSClientConfig.RootCAs = roots
	}
}

func TestCertificateIsNotTrusted(t *testing.T) {
	s, _ := tlsHub(t, "")
	c := newClient(t, Options{Endpoint: s.URL}, io.Discard)
	_, err := c.Revision(t.Context(), testRepo, "main")
	h := Hinter(nil)
	if !errors.Is(err, ErrNetwork) || Temporary(err) || !errors.As(err, &h) || !strings.Contains(h.Hint(), "SSL_CERT_FILE") {
		t.Errorf("got %v", err)
	}
	if got := c.Requests(); got != 1 {
		t.Errorf("%d requests, want 1: trying again cannot help", got)
	}
}

// Ranges would share one connection over HTTP/2; listings may.
func TestProtocols(t *testing.T) {
	s, proto := tlsHub(t, "")
	c := newClient(t, Options{Endpoint: s.URL}, io.Discard)
	trust(c, s)
	if _, err := c.Revision(t.Context(), testRepo, "main"); err != nil {
		t.Fatal(err)
	}
	r, err := c.OpenRange(t.Context(), testRepo, testCommit, File{Path: "x", Size: 4}, 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "data" {
		t.Errorf("got %q, %v", got, err)
	}
	for path, want := range map[string]string{
		"/api/models/acme/tiny/revision/main":     "HTTP/2.0",
		"/acme/tiny/resolve/" + testCommit + "/x": "HTTP/1.1",
	} {
		if got, _ := proto.Load(path); got != want {
			t.Errorf("%s: got %v, want %s", path, got, want)
		}
	}
}

func TestNoWayBackToPlainHTTP(t *testing.T) {
	s, _ := tlsHub(t, "http://127.0.0.1:1/x?Signature=SECRET")
	c := newClient(t, Options{Endpoint: s.URL, AllowHTTP: true}, io.Discard)
	trust(c, s)
	_, err := c.Revision(t.Context(), testRepo, "main")
	if !errors.Is(err, ErrRedirect) || !strings.Contains(err.Error(), "from https to plain http") {
		t.Errorf("got %v", err)
	}
	checkSecrets(t, err.Error())
}
