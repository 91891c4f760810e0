package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// These tests run in a bubble of synctest, where time passes at once and the
// network is a function.

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// clientOf builds a client whose network is f.
func clientOf(t *testing.T, f roundTrip) *Client {
	t.Helper()
	c, err := NewClient(Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.api.HTTPClient.Transport.(*observer).next = f
	c.data.HTTPClient.Transport.(*observer).next = f
	return c
}

func response(r *http.Request, status int, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Header: make(http.Header), Body: io.NopCloser(body), ContentLength: -1, Request: r}
}

// drip gives a byte every so often, and after the last one waits for the
// request to be given up.
type drip struct {
	req   *http.Request
	every time.Duration
	left  []byte
	ends  bool
}

func (d *drip) Read(p []byte) (int, error) {
	if len(d.left) == 0 && d.ends {
		return 0, io.EOF
	}
	if len(d.left) == 0 {
		<-d.req.Context().Done()
		return 0, d.req.Context().Err()
	}
	time.Sleep(d.every)
	n := copy(p, d.left[:1])
	d.left = d.left[n:]
	return n, nil
}

func TestStalledBodyIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		c := clientOf(t, func(r *http.Request) (*http.Response, error) {
			requests++
			return response(r, 200, &drip{req: r, left: []byte("abc")}), nil
		})
		start := time.Now()
		_, err := c.ReadFile(t.Context(), testRepo, testCommit, "x", 100)
		if !errors.Is(err, errStalled) || !errors.Is(err, ErrNetwork) || !Temporary(err) {
			t.Errorf("got %v", err)
		}
		if requests != bodyAttempts {
			t.Errorf("%d requests, want %d", requests, bodyAttempts)
		}
		if took := time.Since(start); took < bodyAttempts*defaultStallTimeout || took > bodyAttempts*(defaultStallTimeout+maxBackoff) {
			t.Errorf("gave up after %v", took)
		}
	})
}

func TestSlowBodyIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := bytes.Repeat([]byte("x"), 50)
		c := clientOf(t, func(r *http.Request) (*http.Response, error) {
			return response(r, 200, &drip{req: r, every: defaultStallTimeout - time.Second, left: text, ends: true}), nil
		})
		got, err := c.ReadFile(t.Context(), testRepo, testCommit, "x", 100)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	tests := []struct {
		header, value string
		wait          time.Duration
	}{
		{"Retry-After", "20", 20 * time.Second},
		{"RateLimit", `"api";r=0;t=40`, 41 * time.Second},
		{"Retry-After", "60", 60 * time.Second},
		{"Retry-After", "61", -1}, // too long: told to the caller at once
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			first := true
			c := clientOf(t, func(r *http.Request) (*http.Response, error) {
				if !first {
					return response(r, 200, bytes.NewReader([]byte(`{"sha":"`+testCommit+`"}`))), nil
				}
				first = false
				resp := response(r, 429, bytes.NewReader(nil))
				resp.Header.Set(tt.header, tt.value)
				return resp, nil
			})
			start := time.Now()
			_, err := c.Revision(t.Context(), testRepo, "main")
			took := time.Since(start)
			if tt.wait < 0 {
				if !errors.Is(err, ErrRateLimited) || took != 0 || RetryAfter(err) != 61*time.Second {
					t.Errorf("%s: got %v after %v, to wait %v", tt.value, err, took, RetryAfter(err))
				}
				return
			}
			if err != nil || took != tt.wait {
				t.Errorf("%s: got %v after %v, want %v", tt.value, err, took, tt.wait)
			}
		})
	}
}

// A hub that takes connections and never answers is given up after about a
// minute, however often and by whatever layer it is asked again.
func TestSilentHubIsGivenUp(t *testing.T) {
	silent := func(r *http.Request) (*http.Response, error) {
		t := time.NewTimer(defaultHeaderTimeout) // what the transport does
		defer t.Stop()
		select {
		case <-t.C:
			return nil, errors.New("timeout awaiting response headers")
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	file := File{Path: "x", Size: 10}
	ask := map[string]func(context.Context, *Client) error{
		"API": func(ctx context.Context, c *Client) error { _, err := c.Revision(ctx, testRepo, "main"); return err },
		"range": func(ctx context.Context, c *Client) error {
			_, err := c.OpenRange(ctx, testRepo, testCommit, file, 0, 5)
			return err
		},
	}
	for name, ask := range ask {
		synctest.Test(t, func(t *testing.T) {
			c := clientOf(t, silent)
			start := time.Now()
			told := 0
			c.onWait = func(_ context.Context, w Wait) {
				if told++; w.Silent != time.Since(start) || w.Host != "huggingface.co" || w.For != 0 {
					t.Errorf("%s: told %+v after %v", name, w, time.Since(start))
				}
			}
			var err error
			for n := 1; ; n++ {
				if err = ask(t.Context(), c); !Temporary(err) {
					break
				}
				if n == 8 {
					t.Fatalf("%s: %d times: %v", name, n, err)
				}
			}
			took := time.Since(start)
			if !errors.Is(err, ErrNetwork) || took < firstPatience || took > firstPatience+defaultHeaderTimeout+maxBackoff {
				t.Errorf("%s: got %v after %v", name, err, took)
			}
			if told < 2 {
				t.Errorf("%s: told %d times", name, told)
			}
			var n *NetworkError
			if !errors.As(err, &n) || n.Silent < firstPatience || !strings.Contains(n.Hint(), "same command") {
				t.Errorf("%s: got %#v", name, err)
			}
		})
	}
	// One that has answered is given more time, and every answer gives all of it back.
	synctest.Test(t, func(t *testing.T) {
		answers := true
		c := clientOf(t, func(r *http.Request) (*http.Response, error) {
			if answers {
				return response(r, 404, strings.NewReader("")), nil
			}
			return silent(r)
		})
		c.Revision(t.Context(), testRepo, "main")
		answers = false
		start := time.Now()
		for range 3 {
			if err := ask["range"](t.Context(), c); !Temporary(err) {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
		}
		answers = true
		c.Revision(t.Context(), testRepo, "main")
		answers = false
		start = time.Now()
		for Temporary(ask["range"](t.Context(), c)) {
		}
		if took := time.Since(start); took < laterPatience || took > laterPatience+2*defaultHeaderTimeout {
			t.Errorf("gave up after %v", took)
		}
	})
}

// Whoever waits is told why, before.
func TestWaitsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		start := time.Now()
		var told []Wait
		n := 0
		c := clientOf(t, func(r *http.Request) (*http.Response, error) {
			n++
			if n > 1 {
				return response(r, 200, strings.NewReader(`{"sha":"`+testCommit+`"}`)), nil
			}
			resp := response(r, 429, strings.NewReader(""))
			resp.Header.Set("Retry-After", start.Add(20*time.Second).UTC().Format(http.TimeFormat))
			return resp, nil
		})
		c.onWait = func(ctx context.Context, w Wait) {
			if ctx.Value(key{}) != "mine" || time.Since(start) != 0 {
				t.Errorf("told with %v after %v", ctx, time.Since(start))
			}
			told = append(told, w)
		}
		if _, err := c.Revision(context.WithValue(t.Context(), key{}, "mine"), testRepo, "main"); err != nil {
			t.Fatal(err)
		}
		if want := []Wait{{Host: "huggingface.co", For: 20 * time.Second, Reason: "too many requests (429)"}}; !slices.Equal(told, want) {
			t.Errorf("got %v, want %v", told, want)
		}
	})
}

// Requests slow down before the rate limit is used up, and no hub that counts
// has to refuse one.
func TestRateLimitIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const quota, window = 100, 60 * time.Second
		left, end := 8, time.Now().Add(window)
		var waited time.Duration
		c := clientOf(t, func(r *http.Request) (*http.Response, error) {
			if !time.Now().Before(end) {
				left, end = quota, time.Now().Add(window)
			}
			if left == 0 {
				t.Error("a request too many")
			}
			left--
			resp := response(r, 200, strings.NewReader(`{"sha":"`+testCommit+`"}`))
			resp.Header.Set("RateLimit", fmt.Sprintf(`"api";r=%d;t=%d`, left, int(time.Until(end).Seconds())))
			resp.Header.Set("RateLimit-Policy", `"fixed window";"api";q=100;w=60`)
			return resp, nil
		})
		c.onWait = func(_ context.Context, w Wait) { waited += w.For }
		start := time.Now()
		for n := range 50 {
			if _, err := c.Revision(t.Context(), testRepo, "main"); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); n == 2 && took != 0 {
				t.Errorf("slow though there is much left: %v", took)
			}
		}
		if took := time.Since(start); took < window/2 || took > 2*window || waited != took {
			t.Errorf("took %v, told of %v", took, waited)
		}
		// Files count apart.
		if d := c.pace.delay("resolvers", time.Now()); d != 0 {
			t.Errorf("files wait %v for the API", d)
		}
	})
}

func FuzzRateLimit(f *testing.F) {
	f.Add(`"api";r=987;t=9`, `"fixed window";"api";q=1000;w=300`)
	f.Add(`r=0;t=2147483647`, `q=0`)
	f.Fuzz(func(t *testing.T, limit, policy string) {
		h := http.Header{"Ratelimit": {limit}, "Ratelimit-Policy": {policy}}
		var p pace
		now := time.Now()
		p.seen("api", h, now)
		for range 5 {
			if d := p.delay("api", now); d < 0 || d > maxRetryAfter {
				t.Errorf("%q, %q: a delay of %v", limit, policy, d)
			}
		}
	})
}
