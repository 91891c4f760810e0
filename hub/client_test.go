package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qbranch/qbranch/hub/hubtest"
)

const (
	ownerToken    = "hf_ownerSECRET"
	strangerToken = "hf_strangerSECRET"
)

var (
	testRepo   = RepoID{"acme", "tiny"}
	gatedRepo  = RepoID{"acme", "gated"}
	hiddenRepo = RepoID{"acme", "private"}
	noRepo     = RepoID{"acme", "none"}

	configText = []byte(`{"bits": 4}`)
	weights    = bytes.Repeat([]byte("0123456789abcdef"), 1<<14) // 256 KiB
)

// world is a hub, a client of it, and all that the client said.
type world struct {
	*hubtest.Server
	client *Client
	log    *bytes.Buffer // what the client logged
	at     Commit        // of main
	files  map[string]File
}

// newWorld starts a hub with a public, a gated and a private repository. When
// the test ends, nothing secret may have been logged, and no token may have
// come to the CDN.
func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	s, err := hubtest.Start(hubtest.Options{Token: ownerToken, OtherToken: strangerToken, PageSize: 2})
	if err != nil {
		t.Fatal(err)
	}
	branches := map[string]map[string][]byte{
		"main": {"config.json": configText, "model.safetensors": weights, "sub/a b%.txt": []byte("odd name"), "empty.bin": {}},
		"a/b":  {"config.json": configText},
		"Dev":  {"config.json": configText},
	}
	for _, r := range []hubtest.RepoData{
		{ID: testRepo.String(), Branches: branches},
		{ID: gatedRepo.String(), Branches: branches, Gated: true},
		{ID: hiddenRepo.String(), Branches: branches, Private: true},
	} {
		if err := s.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{Server: s, log: new(bytes.Buffer), at: Commit(s.Commit(testRepo.String(), "main"))}
	if o.Endpoint == "" {
		o.Endpoint = s.URL()
	}
	w.client = newClient(t, o, w.log)
	w.files = w.list(t)
	t.Cleanup(func() {
		for _, e := range s.Log() {
			if e.Origin == "cdn" && e.Auth {
				t.Errorf("the CDN got a token: %+v", e)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		checkSecrets(t, w.log.String())
	})
	s.ResetLog()
	return w
}

// list makes File values without asking the hub.
func (w *world) list(t *testing.T) map[string]File {
	t.Helper()
	c := newClient(t, Options{Endpoint: w.URL()}, io.Discard)
	files, err := c.Tree(t.Context(), testRepo, w.at)
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]File)
	for _, f := range files {
		m[f.Path] = f
	}
	return m
}

func newClient(t *testing.T, o Options, log io.Writer) *Client {
	t.Helper()
	o.RetryWait = time.Millisecond
	o.Logger = slog.New(slog.NewTextHandler(&lockedWriter{w: log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func checkSecrets(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{"SECRET", "Signature=", "Key-Pair-Id="} {
		if strings.Contains(text, secret) {
			t.Errorf("%s appears in %s", secret, text)
		}
	}
}

// fetch reads a range of a file with a single OpenRange.
func (w *world) fetch(t *testing.T, name string, off, n int64) ([]byte, error) {
	t.Helper()
	return w.fetchFile(t, w.files[name], off, n)
}

func (w *world) fetchFile(t *testing.T, f File, off, n int64) ([]byte, error) {
	t.Helper()
	r, err := w.client.OpenRange(t.Context(), testRepo, w.at, f, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// count returns how many requests of the log match.
func (w *world) count(origin, pathContains string) int {
	n := 0
	for _, e := range w.Log() {
		if e.Origin == origin && strings.Contains(e.Path, pathContains) {
			n++
		}
	}
	return n
}

func TestListings(t *testing.T) {
	w := newWorld(t, Options{})
	ctx := t.Context()
	branches, err := w.client.Refs(ctx, testRepo, false)
	want := []Branch{{"main", w.at}, {"Dev", Commit(w.Commit("acme/tiny", "Dev"))}, {"a/b", Commit(w.Commit("acme/tiny", "a/b"))}}
	if err != nil || !slices.Equal(branches.Branches, want) {
		t.Errorf("refs: got %v, %v, want %v", branches, err, want)
	}
	for _, rev := range []string{"main", string(w.at)} {
		if got, err := w.client.Revision(ctx, testRepo, rev); err != nil || got != w.at {
			t.Errorf("revision %s: got %s, %v", rev, got, err)
		}
	}
	if got, err := w.client.Revision(ctx, testRepo, "a/b"); err != nil || got != want[2].Commit {
		t.Errorf("revision a/b: got %s, %v", got, err)
	}
	if got := w.client.Requests(); got != 4 {
		t.Errorf("%d requests, want 4", got)
	}
	files, err := w.client.Tree(ctx, testRepo, w.at)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, fmt.Sprint(f.Path, " ", f.Size, " ", f.LFS))
	}
	if got := strings.Join(names, ", "); got != "config.json 11 false, empty.bin 0 false, model.safetensors 262144 true, sub/a b%.txt 8 false" {
		t.Errorf("tree: got %s", got)
	}
	if got := w.count("api", "/tree/"); got != 3 { // 5 entries, folder included, by 2
		t.Errorf("%d requests for the tree, want 3", got)
	}
	if f := w.files["config.json"]; f.OID != GitBlobOID(configText) {
		t.Errorf("oid of config.json: got %s", f.OID)
	}
}

func TestReadFile(t *testing.T) {
	w := newWorld(t, Options{Token: NewToken(ownerToken, "HF_TOKEN")})
	for name, want := range map[string]string{"config.json": string(configText), "sub/a b%.txt": "odd name", "empty.bin": "", "model.safetensors": string(weights)} {
		got, err := w.client.ReadFile(t.Context(), testRepo, w.at, name, int64(len(want)))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
		if want == "" {
			continue
		}
		if _, err := w.client.ReadFile(t.Context(), testRepo, w.at, name, int64(len(want)-1)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s, a byte too large: got %v", name, err)
		}
	}
}

// A small body that breaks is begun again; in the end the failure is told.
func TestReadFileBeginsAgain(t *testing.T) {
	w := newWorld(t, Options{})
	for _, f := range []hubtest.Fault{{Truncate: 3}, {ResetAfter: 5}} {
		f.PathContains, f.Times = "config.json", bodyAttempts-1
		remove := w.AddFault(f)
		got, err := w.client.ReadFile(t.Context(), testRepo, w.at, "config.json", 100)
		if err != nil || !bytes.Equal(got, configText) {
			t.Errorf("got %q, %v", got, err)
		}
		remove()
		f.Times = 0
		remove = w.AddFault(f)
		if _, err := w.client.ReadFile(t.Context(), testRepo, w.at, "config.json", 100); !errors.Is(err, ErrNetwork) || !Temporary(err) {
			t.Errorf("got %v", err)
		}
		remove()
	}
}

func TestNoNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	c := newClient(t, Options{Endpoint: "http://" + l.Addr().String()}, io.Discard)
	_, err = c.Refs(t.Context(), testRepo, false)
	if !errors.Is(err, ErrNetwork) || !Temporary(err) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(err.Error(), "4 tries") { // apiRetries and the first
		t.Errorf("does not say how often it was tried: %v", err)
	}
	if got := c.Requests(); got != apiRetries+1 {
		t.Errorf("%d requests, want %d", got, apiRetries+1)
	}
}

func TestOffline(t *testing.T) {
	c := newClient(t, Options{Offline: true}, io.Discard)
	_, err := c.Refs(t.Context(), testRepo, false)
	if h := Hinter(nil); !errors.Is(err, ErrOffline) || !errors.As(err, &h) || !strings.Contains(h.Hint(), "HF_HUB_OFFLINE") || c.Requests() != 0 {
		t.Errorf("got %v after %d requests", err, c.Requests())
	}
}

func TestEndpoints(t *testing.T) {
	tests := []struct {
		endpoint  string
		allowHTTP bool
		want      string // Endpoint, or a part of the error
	}{
		{"", false, "https://huggingface.co"},
		{"https://hub.example/prefix/", false, "https://hub.example/prefix"},
		{"HTTPS://Hub.Example", false, "https://hub.example"},
		{"http://127.0.0.1:8080", false, "http://127.0.0.1:8080"},
		{"http://[::1]:8080", false, "http://[::1]:8080"},
		{"http://localhost", false, "http://localhost"},
		{"http://hub.example", true, "http://hub.example"},
		{"http://hub.example", false, "plain http"},
		{"http://192.168.1.2", false, "plain http"},
		{"http://localhost.example", false, "plain http"},
		{"hub.example", false, `endpoint "hub.example": it does not begin with https://`},
		{"user:SECRET@hub.example", false, `endpoint "…@hub.example": it does not begin with https://`},
		{"ftp://hub.example", false, "does not begin with https://"},
		{"https://", false, "names no host"},
		{"https://user:SECRET@hub.example", false, "user name"},
		{"https://hub.example?SECRET", false, "query"},
		{"https://hub.example\x00SECRET", false, "not a URL"},
	}
	for _, tt := range tests {
		c, err := NewClient(Options{Endpoint: tt.endpoint, AllowHTTP: tt.allowHTTP})
		if err != nil {
			if !errors.Is(err, ErrBadEndpoint) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want %s", tt.endpoint, err, tt.want)
			}
			checkSecrets(t, err.Error())
			continue
		}
		if c.Endpoint() != tt.want {
			t.Errorf("%s: got %s, want %s", tt.endpoint, c.Endpoint(), tt.want)
		}
	}
}

// The client works under a path of another server too.
func TestEndpointWithPath(t *testing.T) {
	w := newWorld(t, Options{})
	front := httptest.NewServer(http.StripPrefix("/hub", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		resp, err := http.Get(w.URL() + r.URL.RequestURI())
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		rw.WriteHeader(resp.StatusCode)
		io.Copy(rw, resp.Body)
	})))
	defer front.Close()
	c := newClient(t, Options{Endpoint: front.URL + "/hub"}, io.Discard)
	if got, err := c.ReadFile(t.Context(), testRepo, w.at, "sub/a b%.txt", 100); err != nil || string(got) != "odd name" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := c.Revision(t.Context(), testRepo, "a/b"); err != nil || string(got) != w.Commit("acme/tiny", "a/b") {
		t.Errorf("got %s, %v", got, err)
	}
}

// foreign is a server of another origin that remembers whether it got a token.
func foreign(t *testing.T, answer string) (url string, tokens func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "" {
			n++
		}
		io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// The token stays at home, even where only the port differs.
func TestTokenDoesNotFollowRedirects(t *testing.T) {
	url, tokens := foreign(t, `{"sha":"`+testCommit+`"}`)
	w := newWorld(t, Options{Token: NewToken(ownerToken, "HF_TOKEN")})
	w.AddFault(hubtest.Fault{Origin: "api", RedirectTo: url + "/elsewhere?keep=1"})
	if got, err := w.client.Revision(t.Context(), testRepo, "main"); err != nil || got != testCommit {
		t.Errorf("revision: got %s, %v", got, err)
	}
	if got, err := w.client.ReadFile(t.Context(), testRepo, w.at, "config.json", 100); err != nil || !strings.Contains(string(got), testCommit) {
		t.Errorf("small file: got %s, %v", got, err)
	}
	if _, err := w.fetch(t, "model.safetensors", 0, 10); !errors.Is(err, ErrRange) { // it knows no ranges
		t.Errorf("range: got %v", err)
	}
	if n := tokens(); n != 0 {
		t.Errorf("%d requests elsewhere carried the token", n)
	}
	for _, e := range w.Log() {
		if !e.Auth {
			t.Errorf("a request to the hub carried no token: %+v", e)
		}
	}
}

// A renamed repository: a relative redirect on the hub itself keeps the token.
func TestRenamedRepository(t *testing.T) {
	w := newWorld(t, Options{Token: NewToken(ownerToken, "HF_TOKEN")})
	w.AddFault(hubtest.Fault{Origin: "api", PathContains: "/old/name/", Status: 307, RedirectTo: "/api/models/acme/private/refs"})
	if got, err := w.client.Refs(t.Context(), RepoID{"old", "name"}, false); err != nil || len(got.Branches) != 3 || got.Repo != hiddenRepo {
		t.Errorf("got %v, %v", got, err)
	}
}

// A public endpoint cannot send us into a private network; one that is in a
// private network may.
func TestPrivateNetworks(t *testing.T) {
	public, err := NewClient(Options{})
	if err != nil {
		t.Fatal(err)
	}
	q := request{op: "test", url: public.endpoint}
	for target, want := range map[string]bool{
		"https://cdn.example/x": true, "https://8.8.8.8/x": true, "/relative": true,
		"https://127.0.0.1/x": false, "https://localhost/x": false, "https://10.1.2.3/x": false, "https://192.168.1.1/x": false,
		"https://169.254.169.254/latest": false, "https://[::1]/x": false, "https://[fe80::1]/x": false, "https://[fd00::1]/x": false,
		"https://[::ffff:127.0.0.1]/x": false, "https://100.64.0.1/x": false, "https://0.0.0.0/x": false,
		"http://cdn.example/x": false, "http://huggingface.co/x": false,
	} {
		if _, err := public.nextHop(q, public.endpoint, target); (err == nil) != want {
			t.Errorf("%s: got %v", target, err)
		}
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	dial := func(d *dialer) error {
		conn, err := d.dial(t.Context(), "tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := dial(&public.dial); !errors.Is(err, errPrivateAddress) {
		t.Errorf("redirected by a public endpoint: got %v", err)
	}
	behindProxy := &dialer{endpoint: "hub.example:443"}
	behindProxy.proxies.Store(addr, struct{}{})
	if err := dial(behindProxy); err != nil {
		t.Errorf("the user's proxy: %v", err)
	}
	onPremises := &dialer{endpoint: addr}
	if err := dial(onPremises); err != nil {
		t.Errorf("the endpoint itself: %v", err)
	}
	onPremises.endpoint = "other:443" // known to be private by now
	if err := dial(onPremises); err != nil {
		t.Errorf("storage of a private endpoint: %v", err)
	}
}

func TestMirrorPassesOnLinksOfTheHub(t *testing.T) {
	w := newWorld(t, Options{})
	next := "https://huggingface.co/api/models/acme/tiny/tree/" + string(w.at) + "?recursive=true&cursor=bW9kZWwuc2FmZXRlbnNvcnM"
	w.AddFault(hubtest.Fault{Origin: "api", Times: 1, Header: http.Header{"Link": {"<" + next + `>; rel="next"`}}})
	files, err := w.client.Tree(t.Context(), testRepo, w.at)
	if err != nil || len(files) != 3 { // two of the first page, and what follows the model
		t.Errorf("got %v, %v", files, err)
	}
}

func TestTransientFailuresPass(t *testing.T) {
	for _, f := range []hubtest.Fault{
		{Status: 503}, {Status: 408}, {Status: 429}, {Status: 500}, {ResetAfter: -1},
	} {
		w := newWorld(t, Options{})
		f.Times = 2
		w.AddFault(f)
		if got, err := w.client.Revision(t.Context(), testRepo, "main"); err != nil || got != w.at {
			t.Errorf("%d: got %s, %v", f.Status, got, err)
		}
		f.Origin, f.Times = "cdn", dataRetries
		w.AddFault(f)
		if got, err := w.fetch(t, "model.safetensors", 3, 5); err != nil || string(got) != "34567" {
			t.Errorf("%d from storage: got %q, %v", f.Status, got, err)
		}
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t, Options{})
	reason := errors.New("the user went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	w.AddFault(hubtest.Fault{Origin: "api", Rewrite: func(b []byte) []byte { cancel(reason); return b }, ResetAfter: 1})
	_, err := w.client.Refs(ctx, testRepo, false)
	if !errors.Is(err, reason) || errors.Is(err, ErrNetwork) || Temporary(err) {
		t.Errorf("got %v", err)
	}
	ctx, cancelPlain := context.WithCancel(t.Context())
	cancelPlain()
	if _, err := w.client.ReadFile(ctx, testRepo, w.at, "config.json", 100); !errors.Is(err, context.Canceled) || Temporary(err) {
		t.Errorf("got %v", err)
	}
}
