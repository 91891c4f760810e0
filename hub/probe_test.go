package hub

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// Each step that can fail is named.
func TestProbe(t *testing.T) {
	w := newWorld(t, Options{Token: NewToken(ownerToken, "the test")})
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "text/html")
		if r.Header.Get("Authorization") != "" {
			t.Error("a probe carried the token")
		}
	}))
	defer plain.Close()
	secure, _ := tlsHub(t, "")
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, nobody else does
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, proxy := startTunnel(t, strings.TrimPrefix(secure.URL, "https://"))
	proxy.User = url.UserPassword("me", "wrongSECRET")

	probe := func(o Options, target string) Probe {
		t.Helper()
		if o.Endpoint == "" {
			o.Endpoint = w.URL() // its storage may be on this machine
		}
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		o.Token = NewToken(ownerToken, "the test")
		return newClient(t, o, io.Discard).Probe(t.Context(), u)
	}
	p := probe(Options{}, w.URL()+"/api/models?limit=1")
	if p.Failed != "" || p.Err != nil || p.Page || !p.Dated || p.Skew.Abs() > time.Minute || p.Host != strings.TrimPrefix(w.URL(), "http://") || p.Hint() != "" {
		t.Errorf("hub: got %+v", p)
	}
	p = probe(Options{}, plain.URL)
	if p.Failed != "" || !p.Page || p.Skew < 59*time.Minute || p.Skew > 61*time.Minute {
		t.Errorf("a page from an hour ago: got %+v", p)
	}
	for _, tt := range []struct {
		name   string
		o      Options
		target string
		step   Step
		hint   string
	}{
		{"nobody there", Options{}, "http://127.0.0.1:1", StepTCP, "firewall"},
		{"not trusted", Options{}, secure.URL, StepTLS, "SSL_CERT_FILE"},
		{"no TLS there", Options{}, strings.Replace(plain.URL, "http:", "https:", 1), StepTLS, "encryption"},
		{"silent", Options{HeaderTimeout: 20 * time.Millisecond}, "http://" + silent.Addr().String(), StepHTTP, "does not answer"},
		{"proxy refuses", Options{Proxy: http.ProxyURL(proxy)}, "https://example.com/", StepProxy, "USER:PASSWORD"},
		{"proxy is not there", Options{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})}, "https://example.com/", StepProxy, "proxy"},
		{"proxy is none", Options{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("x") }}, "https://example.com/", StepProxy, "proxy"},
	} {
		p := probe(tt.o, tt.target)
		if p.Failed != tt.step || !errors.Is(p.Err, ErrNetwork) || !strings.Contains(p.Hint(), tt.hint) {
			t.Errorf("%s: got %+v, hint %q", tt.name, p, p.Hint())
		}
		if p.Err != nil {
			checkSecrets(t, p.Err.Error()+p.Proxy+p.Hint())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p := w.client.Probe(ctx, w.client.endpoint); p.Err == nil {
		t.Errorf("cancelled: got %+v", p)
	}
}

func TestLocate(t *testing.T) {
	w := newWorld(t, Options{})
	u, err := w.client.Locate(t.Context(), testRepo, w.at, w.files["model.safetensors"])
	if err != nil || u.String() != w.CDNURL()+"/" {
		t.Errorf("got %v, %v", u, err)
	}
}

// The question is asked once, and what is kept says nothing that was not needed.
func TestWhoAmI(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, Options{CacheDir: dir, Token: NewToken(ownerToken, "the test")})
	for range 3 {
		id, err := w.client.WhoAmI(t.Context())
		if err != nil || id.Name != "owner" || id.Role != "read" || id.Type != "user" || id.TokenName != "test" {
			t.Errorf("got %+v, %v", id, err)
		}
	}
	if got := w.apiRequests(); len(got) != 1 || got[0] != "/api/whoami-v2" {
		t.Errorf("requests %q", got)
	}
	offline := newClient(t, Options{Endpoint: w.URL(), CacheDir: dir, Offline: true, Token: NewToken(ownerToken, "the test")}, w.log)
	if id, err := offline.WhoAmI(t.Context()); err != nil || id.Name != "owner" {
		t.Errorf("offline: got %+v, %v", id, err)
	}
	for _, f := range cacheFiles(dir) {
		data := string(must(readCertificates(f.path))) // it reads any file
		if strings.Contains(data, "SECRET") || strings.Contains(data, "fullname") {
			t.Errorf("kept: %s", data)
		}
	}
	// Another token is another question.
	for token, want := range map[string]error{"hf_badSECRET": ErrUnauthorized, "": ErrUnauthorized} {
		c := newClient(t, Options{Endpoint: w.URL(), CacheDir: dir, Token: NewToken(token, "the test")}, w.log)
		if _, err := c.WhoAmI(t.Context()); !errors.Is(err, want) {
			t.Errorf("%q: got %v", token, err)
		}
	}
	// A fine-grained token, and a name with an escape sequence.
	const fine = `{"type":"user","name":"o\u001b[2Jwner","orgs":[{"name":"acme"}],"auth":{"expiresAt":"2030-01-02T03:04:05Z","accessToken":{"displayName":"ci","role":"fineGrained","fineGrained":{"canReadGatedRepos":false,"scoped":[]}}}}`
	w.AddFault(hubtest.Fault{Origin: "api", PathContains: "whoami", Status: 200, Body: fine, Header: http.Header{"Content-Type": {"application/json"}}})
	c := newClient(t, Options{Endpoint: w.URL(), Token: NewToken(ownerToken, "the test")}, new(bytes.Buffer))
	id, err := c.WhoAmI(t.Context())
	if err != nil || id.Name != "o[2Jwner" || id.Gated == nil || *id.Gated || id.Expires.Year() != 2030 || len(id.Orgs) != 1 {
		t.Errorf("got %+v, %v", id, err)
	}
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}
