package hub

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// writeCertificate writes the certificate of a test server.
func writeCertificate(t *testing.T, s *httptest.Server, name string) string {
	t.Helper()
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCertificatesOfTheUser(t *testing.T) {
	s, _ := tlsHub(t, "")
	dir := t.TempDir()
	good := writeCertificate(t, s, filepath.Join(dir, "certs", "corp.pem"))
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, absent := filepath.Dir(good), filepath.Join(dir, "absent")
	list := absent + string(os.PathListSeparator) + folder
	for _, tt := range []struct {
		name   string
		env    map[string]string
		source string // of the roots
		bad    string // in the error
	}{
		{"file", map[string]string{"SSL_CERT_FILE": good}, "SSL_CERT_FILE=" + good, ""},
		{"folders", map[string]string{"SSL_CERT_DIR": list}, "SSL_CERT_DIR=" + list, ""},
		{"of Python", map[string]string{"REQUESTS_CA_BUNDLE": good}, "REQUESTS_CA_BUNDLE=" + good, ""},
		{"of Python, a folder", map[string]string{"REQUESTS_CA_BUNDLE": folder}, "REQUESTS_CA_BUNDLE=" + folder, ""},
		{"of curl, from home", map[string]string{"CURL_CA_BUNDLE": "~/certs/corp.pem", "HOME": dir}, "CURL_CA_BUNDLE=~/certs/corp.pem", ""},
		{"the first counts", map[string]string{"SSL_CERT_FILE": good, "REQUESTS_CA_BUNDLE": absent, "CURL_CA_BUNDLE": empty}, "SSL_CERT_FILE=" + good, ""},
		{"Python's before curl's", map[string]string{"REQUESTS_CA_BUNDLE": good, "CURL_CA_BUNDLE": empty}, "REQUESTS_CA_BUNDLE=" + good, ""},
		{"absent", map[string]string{"SSL_CERT_FILE": absent}, "", "read the certificates of SSL_CERT_FILE (" + absent + "): "},
		{"without any", map[string]string{"CURL_CA_BUNDLE": empty}, "", "there are no certificates in PEM form in it"},
	} {
		o, err := OptionsFromEnv(func(k string) string { return tt.env[k] })
		if tt.bad != "" {
			h := Hinter(nil)
			if !errors.Is(err, ErrBadCertificates) || !strings.Contains(err.Error(), tt.bad) || !errors.As(err, &h) || !strings.Contains(h.Hint(), "BEGIN CERTIFICATE") {
				t.Errorf("%s: got %v", tt.name, err)
			}
			continue
		}
		if err != nil || o.Roots.Source != tt.source {
			t.Errorf("%s: got %q, %v, want %q", tt.name, o.Roots.Source, err, tt.source)
			continue
		}
		o.Endpoint = s.URL
		c := newClient(t, o, io.Discard)
		if _, err := c.Revision(t.Context(), testRepo, "main"); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// tunnel is a proxy that connects whoever shows the password, wherever he asks
// to, to one address.
type tunnel struct {
	to       string
	password string

	mu   sync.Mutex
	seen []string // "CONNECT host:port", and requests for plain http
}

func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r.Method+" "+r.Host)
	p.mu.Unlock()
	if _, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth(); password != p.password {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		r.URL.Host, r.RequestURI = p.to, ""
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		io.Copy(w, resp.Body)
		return
	}
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusOK)
	client, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	go func() { io.Copy(server, rw); server.Close() }()
	io.Copy(client, server)
	client.Close()
}

func startTunnel(t *testing.T, to string) (*tunnel, *url.URL) {
	t.Helper()
	p := &tunnel{to: to, password: "passSECRET"}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return p, u
}

// Both planes go through the proxy, by CONNECT for https; who may use it is
// nobody's business but the proxy's.
func TestProxy(t *testing.T) {
	s, _ := tlsHub(t, "")
	addr := strings.TrimPrefix(s.URL, "https://")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	p, proxy := startTunnel(t, addr)
	var logged bytes.Buffer
	ask := func(user *url.Userinfo) (*Client, error) {
		u := *proxy
		u.User = user
		c := newClient(t, Options{Endpoint: "https://example.com:" + port, Proxy: http.ProxyURL(&u), Token: NewToken(ownerToken, "the test")}, &logged)
		trust(c, s) // its certificate is example.com's, too
		_, err := c.Revision(t.Context(), testRepo, "main")
		return c, err
	}
	c, err := ask(url.UserPassword("me", "passSECRET"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.OpenRange(t.Context(), testRepo, testCommit, File{Path: "x", Size: 4}, 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if want := "CONNECT example.com:" + port; len(p.seen) != 2 || p.seen[0] != want || p.seen[1] != want {
		t.Errorf("the proxy saw %q", p.seen)
	}

	p.seen = nil
	c, err = ask(url.UserPassword("me", "wrongSECRET"))
	h := Hinter(nil)
	if !errors.Is(err, ErrProxy) || Temporary(err) || !strings.Contains(err.Error(), "407 Proxy Authentication Required") || !errors.As(err, &h) || !strings.Contains(h.Hint(), "USER:PASSWORD@") {
		t.Errorf("a wrong password: got %v", err)
	}
	if c.Requests() != 1 || len(p.seen) != 1 {
		t.Errorf("%d requests: asking the proxy again cannot help", c.Requests())
	}
	checkSecrets(t, err.Error()+h.Hint()+logged.String())

	proxy.Host = "127.0.0.1:1"
	_, err = ask(url.UserPassword("me", "passSECRET"))
	if !errors.Is(err, ErrNetwork) || !errors.As(err, &h) || !strings.Contains(h.Hint(), "cannot be reached") {
		t.Errorf("no proxy there: got %v", err)
	}
	checkSecrets(t, err.Error()+h.Hint()+logged.String())
}

func TestTokenFileMode(t *testing.T) {
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte("hf_x\r\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for mode, exposed := range map[os.FileMode]bool{0o644: true, 0o640: true, 0o600: false, 0o400: false} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		tok, err := ReadToken(name)
		if err != nil || tok.authorization() != "Bearer hf_x" || tok.Exposed() != exposed && filepath.Separator == '/' {
			t.Errorf("%v: got %v, %v, exposed %v", mode, tok.authorization(), err, tok.Exposed())
		}
	}
	if NewToken("x", "HF_TOKEN").Exposed() {
		t.Error("a variable is no file")
	}
}
