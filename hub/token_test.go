package hub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestOptionsFromEnv(t *testing.T) {
	dir := t.TempDir()
	write := func(name, value string) string {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	byPath := write("elsewhere/tok", " hf_path\r\n")
	hfHome := filepath.Dir(write("hf/token", "hf_home\n"))
	xdg := filepath.Dir(filepath.Dir(write("xdg/huggingface/token", "hf_xdg")))
	write(".cache/huggingface/token", "hf_cache")
	tests := []struct {
		name  string
		env   map[string]string
		token string
		want  Options // without the token
	}{
		{"nothing", nil, "", Options{}},
		{"HF_TOKEN first", map[string]string{"HF_TOKEN": " hf_a\n", "HUGGING_FACE_HUB_TOKEN": "hf_b", "HF_TOKEN_PATH": byPath}, "hf_a from HF_TOKEN", Options{}},
		{"an empty one is none", map[string]string{"HF_TOKEN": " ", "HUGGING_FACE_HUB_TOKEN": "hf_b"}, "hf_b from HUGGING_FACE_HUB_TOKEN", Options{}},
		{"token path", map[string]string{"HF_TOKEN_PATH": byPath, "HF_HOME": hfHome}, "hf_path from " + byPath, Options{}},
		{"token path, expanded", map[string]string{"HF_TOKEN_PATH": "~/elsewhere/$F", "F": "tok", "HOME": dir}, "hf_path from " + dir + "/elsewhere/tok", Options{}},
		{"HF_HOME", map[string]string{"HF_HOME": hfHome, "XDG_CACHE_HOME": xdg}, "hf_home from " + filepath.Join(hfHome, "token"), Options{}},
		{"XDG", map[string]string{"XDG_CACHE_HOME": xdg, "HOME": dir}, "hf_xdg from " + filepath.Join(xdg, "huggingface", "token"), Options{}},
		{"home", map[string]string{"HOME": dir}, "hf_cache from " + filepath.Join(dir, ".cache", "huggingface", "token"), Options{}},
		{"home on Windows", map[string]string{"USERPROFILE": dir}, "hf_cache from " + filepath.Join(dir, ".cache", "huggingface", "token"), Options{}},
		{"file that is missing", map[string]string{"HF_TOKEN_PATH": filepath.Join(dir, "absent")}, "", Options{}},
		{"no implicit token", map[string]string{"HF_TOKEN": "hf_a", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "yes"}, "", Options{}},
		{"endpoint", map[string]string{"HF_ENDPOINT": " https://mirror/ "}, "", Options{Endpoint: "https://mirror"}},
		{"offline", map[string]string{"HF_HUB_OFFLINE": "On"}, "", Options{Offline: true}},
		{"offline by the other name", map[string]string{"TRANSFORMERS_OFFLINE": "1"}, "", Options{Offline: true}},
		{"not offline", map[string]string{"HF_HUB_OFFLINE": "2"}, "", Options{}},
		{"timeouts", map[string]string{"HF_HUB_ETAG_TIMEOUT": "2.5", "HF_HUB_DOWNLOAD_TIMEOUT": "1e9"}, "", Options{HeaderTimeout: 2500 * time.Millisecond, StallTimeout: maxTimeout}},
		{"timeouts that are none", map[string]string{"HF_HUB_ETAG_TIMEOUT": "-1", "HF_HUB_DOWNLOAD_TIMEOUT": "soon"}, "", Options{}},
		{"plain http", map[string]string{"QBRANCH_ALLOW_HTTP": "true"}, "", Options{AllowHTTP: true}},
	}
	for _, tt := range tests {
		got, err := OptionsFromEnv(func(k string) string { return tt.env[k] })
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		token := ""
		if !got.Token.IsZero() {
			token = strings.TrimPrefix(got.Token.authorization(), "Bearer ") + " from " + got.Token.Source
		}
		got.Token = Token{}
		if filepath.ToSlash(token) != filepath.ToSlash(tt.token) || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %q and %+v, want %q and %+v", tt.name, token, got, tt.token, tt.want)
		}
	}
	// A folder can be opened, but not read.
	if _, err := OptionsFromEnv(func(k string) string { return map[string]string{"HF_TOKEN_PATH": dir}[k] }); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("token file that is a folder: got %v", err)
	}
}

// However a token, or what holds it, is printed, the secret stays inside.
func TestTokenDoesNotPrint(t *testing.T) {
	token := NewToken("hf_SECRET", "HF_TOKEN")
	o := Options{Token: token}
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, v := range []any{token, &token, o, &o, c, c.token, struct{ t Token }{token}} {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %d %x\n", v, v, v, v, v, v, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	}
	data, err := json.Marshal(o.Token)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(data)
	if s := out.String(); strings.Contains(s, "hf_SECRET") || strings.Contains(s, "68665f5345") {
		t.Errorf("the secret is in %s", s)
	}
	if got := token.String(); got != "token from HF_TOKEN" {
		t.Errorf("got %s", got)
	}
	for _, bad := range []string{"hf_a b", "hf_a\r\nX: y", "hf_ä"} {
		_, err := NewClient(Options{Token: NewToken(bad, "HF_TOKEN")})
		if err == nil || strings.Contains(err.Error(), "hf_") || !strings.Contains(err.Error(), "HF_TOKEN") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain text, ünïcode 日本", "plain text, ünïcode 日本"},
		{"a\nb\tc\r\n", "a b c"},
		{"\x1b]0;title\x07x\x1b[31mred", "]0;titlex[31mred"}, // harmless without its escape
		{"C1 \u009b31m", "C1 31m"},
		{"a\u202eb\u2066c\u200bd\ufeffe", "abcde"},
		{"bad \xff\xfe byte", "bad \ufffd byte"},
		{strings.Repeat("ä", 1000), strings.Repeat("ä", maxPrinted) + "…"},
	}
	for _, tt := range tests {
		if got := printable(tt.in); got != tt.want {
			t.Errorf("printable(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name   string
		header http.Header
		want   time.Duration
	}{
		{"nothing", http.Header{}, 0},
		{"seconds", http.Header{"Retry-After": {"7"}}, 7 * time.Second},
		{"date", http.Header{"Retry-After": {now.Add(time.Minute).Format(http.TimeFormat)}}, time.Minute},
		{"date gone by", http.Header{"Retry-After": {now.Add(-time.Minute).Format(http.TimeFormat)}}, 0},
		{"below zero", http.Header{"Retry-After": {"-7"}}, 0},
		{"words", http.Header{"Retry-After": {"later"}}, 0},
		{"too large for a duration", http.Header{"Retry-After": {"99999999999999"}}, 0},
		{"window used up", http.Header{"Ratelimit": {`"api";r=0;t=9`}, "Retry-After": {"7"}}, 10 * time.Second},
		{"window with room", http.Header{"Ratelimit": {`"api";r=12;t=9`}, "Retry-After": {"7"}}, 7 * time.Second},
		{"window, half", http.Header{"Ratelimit": {`"api";r=0`}}, 0},
	}
	for _, tt := range tests {
		if got := retryAfter(tt.header, now); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	c, err := NewClient(Options{RetryWait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for attempt, top := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, maxBackoff, maxBackoff, maxBackoff} {
		for range 20 {
			if got := c.backoff(0, 0, attempt, nil); got < top/2 || got > top {
				t.Errorf("attempt %d: %v is not between %v and %v", attempt, got, top/2, top)
			}
		}
	}
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "3600": maxRetryAfter} {
		if got := c.backoff(0, 0, 0, &http.Response{Header: http.Header{"Retry-After": {header}}, Request: httptest.NewRequest("GET", "/", nil)}); got != want {
			t.Errorf("Retry-After %s: got %v, want %v", header, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"a\x1b[2Jb", "\u202e\ufeff", "\xff\n", "  x  "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s)
		for _, c := range got {
			if c < ' ' || c >= 0x7f && c < 0xa0 || isBidi(c) || c == '\u2028' || c == '\u2029' || c >= 0x200b && c <= 0x200f || c == 0xfeff {
				t.Errorf("%q: %q has %U", s, got, c)
			}
		}
		if again := printable(got); again != got && !strings.HasSuffix(got, "…") {
			t.Errorf("%q: %q becomes %q", s, got, again)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("7", `"api";r=0;t=9`)
	f.Add("Fri, 02 Jan 2026 03:04:05 GMT", "r=1;t=-1")
	f.Fuzz(func(t *testing.T, after, limit string) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		h := http.Header{"Retry-After": {after}, "Ratelimit": {limit}}
		if got := retryAfter(h, now); got < 0 {
			t.Errorf("got %v", got)
		}
		// Made from numbers, it has to be read back.
		h = http.Header{"Ratelimit": {fmt.Sprintf(`"api";r=0;t=%d`, len(after))}}
		if got, want := retryAfter(h, now), time.Duration(len(after)+1)*time.Second; got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
