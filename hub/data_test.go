package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/qbranch/qbranch/hub/hubtest"
)

func TestOpenRange(t *testing.T) {
	w := newWorld(t, Options{Token: NewToken(ownerToken, "HF_TOKEN")})
	size := int64(len(weights))
	tests := []struct {
		file   string
		off, n int64
		want   string
	}{
		{"model.safetensors", 0, size, string(weights)},
		{"model.safetensors", 0, 1, "0"},
		{"model.safetensors", 17, 3, "123"},
		{"model.safetensors", size - 2, 2, "ef"},
		{"model.safetensors", 5, 0, ""},
		{"model.safetensors", size, 0, ""},
		{"config.json", 2, 4, "bits"}, // served by the hub itself
		{"config.json", 0, 11, string(configText)},
		{"sub/a b%.txt", 4, 4, "name"},
		{"empty.bin", 0, 0, ""},
	}
	for _, tt := range tests {
		got, err := w.fetch(t, tt.file, tt.off, tt.n)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s %d+%d: got %d bytes, %v", tt.file, tt.off, tt.n, len(got), err)
		}
	}
	if got := w.count("api", "model.safetensors"); got != 1 {
		t.Errorf("asked %d times where the model is, want once", got)
	}
	if got := w.count("api", "") + w.count("cdn", ""); got != 1+4+3 {
		t.Errorf("%d requests, want 8", got)
	}
	for _, bad := range [][2]int64{{-1, 2}, {0, -1}, {0, size + 1}, {size, 1}, {1 << 62, 1 << 62}} {
		if _, err := w.fetch(t, "model.safetensors", bad[0], bad[1]); !errors.Is(err, ErrRange) {
			t.Errorf("%v: got %v", bad, err)
		}
	}
}

// Connections are used again when bodies are read to their end.
func TestConnectionsAreReused(t *testing.T) {
	conns := make(map[string]bool)
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		conns[r.RemoteAddr] = true
		mu.Unlock()
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(weights))
	}))
	defer s.Close()
	c := newClient(t, Options{Endpoint: s.URL}, io.Discard)
	for i := range int64(5) {
		r, err := c.OpenRange(t.Context(), testRepo, testCommit, File{Path: "x", Size: int64(len(weights))}, i, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	if len(conns) != 1 {
		t.Errorf("%d connections, want 1", len(conns))
	}
}

// Bodies that break in the middle: what came is handed on, and the error says
// that trying again may help.
func TestBrokenBodies(t *testing.T) {
	for name, f := range map[string]hubtest.Fault{"short": {Truncate: 1}, "reset": {ResetAfter: 90_000}} {
		w := newWorld(t, Options{})
		f.Origin = "cdn"
		w.AddFault(f)
		got, err := w.fetch(t, "model.safetensors", 0, 100_000)
		if !bytes.HasPrefix(weights, got) || len(got) == 100_000 || !errors.Is(err, ErrNetwork) || !Temporary(err) {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
		if name == "short" && (len(got) != 99_999 || !errors.Is(err, io.ErrUnexpectedEOF)) {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
		checkSecrets(t, fmt.Sprintf("%v %+v %#v", err, err, err))
	}
}

// A server of our own that sends more, or less, in chunks, where no length
// gives it away.
func TestBodiesWithoutLength(t *testing.T) {
	for body, want := range map[string]error{"0123": nil, "01234": ErrRange, "012": io.ErrUnexpectedEOF} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-3/100")
			w.WriteHeader(206)
			http.NewResponseController(w).Flush()
			io.WriteString(w, body)
		}))
		c := newClient(t, Options{Endpoint: s.URL}, io.Discard)
		r, err := c.OpenRange(t.Context(), testRepo, testCommit, File{Path: "x", Size: 100}, 0, 4)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if !errors.Is(err, want) || len(got) != min(len(body), 4) {
			t.Errorf("%q: got %q, %v", body, got, err)
		}
		if _, again := r.Read(make([]byte, 1)); want != nil && again != err {
			t.Errorf("%q: then got %v", body, again)
		}
		r.Close()
		s.Close()
	}
}

func TestCancelInBody(t *testing.T) {
	w := newWorld(t, Options{})
	w.AddFault(hubtest.Fault{Origin: "cdn", StallAfter: 10})
	reason := errors.New("stalled")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := w.client.OpenRange(ctx, testRepo, w.at, w.files["model.safetensors"], 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel(reason)
	if _, err := r.Read(make([]byte, 10)); !errors.Is(err, reason) || Temporary(err) {
		t.Errorf("got %v", err)
	}
}

// Links end. Eight readers find out at once, and one asks for all.
func TestExpiredLinkIsResolvedOnce(t *testing.T) {
	w := newWorld(t, Options{MaxConns: 8})
	if _, err := w.fetch(t, "model.safetensors", 0, 1); err != nil {
		t.Fatal(err)
	}
	w.ExpireURLs()
	w.ResetLog()
	var wg sync.WaitGroup
	for i := range int64(8) {
		wg.Go(func() {
			if got, err := w.fetch(t, "model.safetensors", i*16, 16); err != nil || string(got) != "0123456789abcdef" {
				t.Errorf("reader %d: got %q, %v", i, got, err)
			}
		})
	}
	wg.Wait()
	if got := w.count("api", "/resolve/"); got != 1 {
		t.Errorf("asked %d times for a link, want once", got)
	}
}

// Storage that signs for the very range: found out once, then each range has a
// link of its own.
func TestLinksBoundToARange(t *testing.T) {
	s, err := hubtest.Start(hubtest.Options{RangeBound: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Add(hubtest.RepoData{ID: testRepo.String(), Branches: map[string]map[string][]byte{"main": {"model.safetensors": weights}}}); err != nil {
		t.Fatal(err)
	}
	w := &world{Server: s, at: Commit(s.Commit(testRepo.String(), "main")), client: newClient(t, Options{Endpoint: s.URL()}, io.Discard)}
	w.files = w.list(t)
	for i, want := range []int{6, 2, 2} { // a link and a range each, after two that were refused
		s.ResetLog()
		off := int64(i) * 16
		if got, err := w.fetch(t, "model.safetensors", off, 10); err != nil || string(got) != "0123456789" {
			t.Errorf("got %q, %v", got, err)
		}
		if n := len(s.Log()); n != want {
			t.Errorf("range %d: %d requests, want %d", i, n, want)
		}
	}
}

// Eight readers begin at once: one asks for the first link too, and when the
// answer is a refusal, it is everybody's.
func TestFirstLinkIsResolvedOnce(t *testing.T) {
	for _, status := range []int{0, 404} {
		w := newWorld(t, Options{MaxConns: 8})
		var begun sync.WaitGroup
		begun.Add(8)
		hold := hubtest.Fault{Origin: "api", Header: http.Header{"X-Error-Code": {"EntryNotFound"}}, Rewrite: func(b []byte) []byte {
			begun.Wait() // until all have begun
			return b
		}}
		file := w.files["model.safetensors"]
		if status != 0 {
			file.Path = "absent"
		}
		w.AddFault(hold)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				begun.Done()
				_, err := w.fetchFile(t, file, 0, 16)
				if (err != nil) != (status != 0) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		// All had begun, but some may have come to the question only after
		// the refusal, which is not remembered.
		if got := w.count("api", "/resolve/"); status == 0 && got != 1 {
			t.Errorf("asked %d times for a link, want once", got)
		}
	}
}

func TestLinkCache(t *testing.T) {
	var cache linkCache
	key := linkKey{testRepo, testCommit, "x"}
	asked := 0
	resolve := func() (link, error) { asked++; return link{url: &url.URL{}}, nil }
	ask := func(stale int) link {
		t.Helper()
		l, err := cache.get(t.Context(), key, stale, resolve)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if l := ask(0); l.generation != 1 || asked != 1 {
		t.Errorf("first: generation %d, asked %d times", l.generation, asked)
	}
	if l := ask(0); l.generation != 1 || asked != 1 {
		t.Errorf("again: generation %d, asked %d times", l.generation, asked)
	}
	if l := ask(1); l.generation != 2 || asked != 2 {
		t.Errorf("the first is stale: generation %d, asked %d times", l.generation, asked)
	}
	if l := ask(1); l.generation != 2 || asked != 2 { // somebody else has asked already
		t.Errorf("the first is stale, said late: generation %d, asked %d times", l.generation, asked)
	}
	cache.m[key].until = time.Now()
	if l := ask(0); l.generation != 3 || asked != 3 {
		t.Errorf("over: generation %d, asked %d times", l.generation, asked)
	}
}

// When the one who asks goes away, somebody who waits asks in his place.
func TestLinkCacheSurvivesItsLeader(t *testing.T) {
	var cache linkCache
	key := linkKey{testRepo, testCommit, "x"}
	asking, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := cache.get(t.Context(), key, 0, func() (link, error) {
			close(asking)
			<-leave
			return link{}, fmt.Errorf("asking: %w", context.Canceled)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the leader got %v", err)
		}
	})
	<-asking
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cache.get(gone, key, 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits and goes away got %v", err)
	}
	wg.Go(func() {
		l, err := cache.get(t.Context(), key, 0, func() (link, error) { return link{url: &url.URL{Host: "b"}}, nil })
		if err != nil || l.url.Host != "b" {
			t.Errorf("the next one got %v, %v", l, err)
		}
	})
	close(leave)
	wg.Wait()
}

func TestGoodUntil(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	unix := func(d time.Duration) string { return fmt.Sprint(now.Add(d).Unix()) }
	tests := []struct {
		name, query, date string
		want              time.Duration // from now; 0 = not known
	}{
		{"an hour", "Expires=" + unix(time.Hour), date(0), 59 * time.Minute},
		{"no Date", "Expires=" + unix(time.Hour), "", 59 * time.Minute},
		{"our clock is an hour behind", "Expires=" + unix(2*time.Hour), date(time.Hour), 59 * time.Minute},
		{"our clock is a day ahead", "Expires=" + unix(-23*time.Hour), date(-24 * time.Hour), 59 * time.Minute},
		{"ten seconds", "Expires=" + unix(10*time.Second), date(0), 9 * time.Second},
		{"over before it began", "Expires=" + unix(-time.Hour), date(0), 0},
		{"nothing said", "x=y", date(0), 0},
		{"not a number", "Expires=soon", date(0), 0},
		{"S3", "X-Amz-Date=20260102T030405Z&X-Amz-Expires=3600", date(0), 59 * time.Minute},
		{"S3, half", "X-Amz-Expires=3600", date(0), 0},
		{"GCS", "X-Goog-Date=20260102T030405Z&X-Goog-Expires=3600", date(0), 59 * time.Minute},
	}
	for _, tt := range tests {
		got := goodUntil(&url.URL{RawQuery: tt.query}, http.Header{"Date": {tt.date}}, now)
		want := now.Add(tt.want)
		if tt.want == 0 {
			want = time.Time{}
		}
		if !got.Equal(want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, want)
		}
	}
}

var contentRange = regexp.MustCompile(`\Abytes ([0-9]+)-([0-9]+)/([0-9]+)\z`)

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 5-4/10", "bytes 0-10/10", "bytes */10", "bytes 0-9/*", "bytes +0-9/10", "bytes 0-9223372036854775806/9223372036854775807", "bytes 0-1/99999999999999999999", "bytes 00-01/2", "items 0-1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, ok := parseContentRange(s)
		// The slow twin, with numbers of any length.
		m := contentRange.FindStringSubmatch(s)
		var want [3]*big.Int
		wantOK := m != nil
		for i := range want {
			want[i] = new(big.Int)
			if m != nil {
				want[i].SetString(m[i+1], 10)
			}
		}
		wantOK = wantOK && want[0].Cmp(want[1]) <= 0 && want[1].Cmp(want[2]) < 0 && want[2].IsInt64()
		if ok != wantOK {
			t.Fatalf("%q: ok is %v", s, ok)
		}
		if ok && (first != want[0].Int64() || last != want[1].Int64() || total != want[2].Int64()) {
			t.Errorf("%q: got %d %d %d", s, first, last, total)
		}
	})
}
