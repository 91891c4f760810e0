package hub

import (
	"bytes"
	"errors"
	"io"
	"net/http"
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
	c.api.HTTPClient.Transport = f
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
		if took := time.Since(start); took < bodyAttempts*stallTimeout || took > bodyAttempts*(stallTimeout+maxBackoff) {
			t.Errorf("gave up after %v", took)
		}
	})
}

func TestSlowBodyIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := bytes.Repeat([]byte("x"), 50)
		c := clientOf(t, func(r *http.Request) (*http.Response, error) {
			return response(r, 200, &drip{req: r, every: stallTimeout - time.Second, left: text, ends: true}), nil
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
