package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// buffer may be written to while it is read.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serving runs hubtest serve until stop is called, and returns the endpoint.
func serving(t *testing.T, args ...string) (endpoint string, stderr *buffer, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	stderr = new(buffer)
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"serve"}, args...), w, stderr)
		w.Close()
	}()
	stop = sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() { stop() })
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("serve %q: %v: %s", args, err, stderr)
	}
	endpoint, ok := strings.CutPrefix(strings.TrimSpace(line), "HF_ENDPOINT=")
	if !ok {
		t.Fatalf("first line: %q", line)
	}
	return endpoint, stderr, stop
}

func get(t *testing.T, target string) (int, []byte) {
	t.Helper()
	resp, err := http.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestServeFolder(t *testing.T) {
	dir := folder(t, map[string]string{"config.json": "{}", "sub/a.bin": "weights"})
	log := filepath.Join(t.TempDir(), "log")
	endpoint, stderr, stop := serving(t, dir, "--repo", "me/mine", "--branch", "x/y", "--log", log, "--synthetic", "s.safetensors=100kB", "--small-files", "3=7")
	for path, want := range map[string]string{"config.json": "{}", "sub/a.bin": "weights"} {
		if status, body := get(t, endpoint+"/me/mine/resolve/x%2Fy/"+path); status != 200 || string(body) != want {
			t.Errorf("%s: got %d %q", path, status, body)
		}
	}
	_, body := get(t, endpoint+"/me/mine/resolve/x%2Fy/s.safetensors")
	sum, err := hubtest.Synthetic(100e3, 1).SHA256()
	if err != nil || sha256.Sum256(body) != sum {
		t.Errorf("synthetic: got %d other bytes, %v", len(body), err)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := stderr.String(); !strings.Contains(got, "serving me/mine:x/y, 6 files, 97.69 KiB") || !strings.Contains(got, "hf download me/mine") {
		t.Errorf("stderr: %s", got)
	}
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	var sent []string
	for {
		var l line
		if err := d.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if l.Origin == "cdn" {
			sent = append(sent, fmt.Sprint(l.Status, " ", l.Sent))
		}
	}
	if len(sent) != 2 || sent[1] != "200 100000" {
		t.Errorf("log: got %q", sent)
	}
}

func TestServeBranches(t *testing.T) {
	dir := folder(t, map[string]string{"main/config.json": "1", "other/config.json": "2"})
	endpoint, _, _ := serving(t, "--branches", dir, "--token", "hf_x")
	if status, _ := get(t, endpoint+"/api/models/local/model/refs"); status != 401 {
		t.Errorf("without the token: got %d", status)
	}
	req, err := http.NewRequest("GET", endpoint+"/local/model/resolve/other/config.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer hf_x")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "2" {
		t.Errorf("got %d %q, %v", resp.StatusCode, body, err)
	}
}

func TestServeFaults(t *testing.T) {
	endpoint, _, _ := serving(t, "--synthetic", "a.safetensors=1MiB", "--fault", "origin=cdn,status=503,times=1", "--fault", "path=/refs,html", "--link-uses=2",
		"--rate-per-conn=1GB", "--rate-total=1GB", "--latency=1us")
	file := endpoint + "/local/model/resolve/main/a.safetensors"
	for i, want := range []int{503, 200} {
		if got, _ := get(t, file); got != want {
			t.Errorf("request %d: got %d, want %d", i, got, want)
		}
	}
	if _, body := get(t, endpoint+"/api/models/local/model/refs"); !strings.Contains(string(body), "<html>") {
		t.Errorf("got %s", body)
	}
}

func TestUsage(t *testing.T) {
	empty := t.TempDir()
	tests := []struct {
		args string
		code int
		want string // in what it says
	}{
		{"", 2, "usage: hubtest serve"},
		{"--help", 0, "usage: hubtest serve"},
		{"help", 0, "usage: hubtest serve"},
		{"fetch", 2, "usage: hubtest serve"},
		{"serve --help", 0, "reset-after=SIZE"},
		{"serve", 2, "nothing to serve"},
		{"serve a b", 2, "one folder at a time"},
		{"serve --synthetic x", 2, "want NAME=SIZE"},
		{"serve --small-files 1e9=1", 2, "at most"},
		{"serve --rate-total x --synthetic a=1", 2, "not a size"},
		{"serve --fault x --synthetic a=1", 2, `no key "x"`},
		{"serve --branches --synthetic a=1", 2, "--branches takes everything"},
		{"serve --synthetic a=1 --repo nobody", 1, "want owner/name"},
		{"serve --synthetic a=1 --listen 256.0.0.1:0", 1, "listen for the api origin"},
		{"serve " + filepath.Join(empty, "absent"), 1, "absent"},
		{"serve " + empty, 1, "has no files"},
		{"serve --branches " + empty, 1, "no sub-folder"},
		{"serve --synthetic a=1 --log " + empty, 1, "open the log"},
	}
	for _, tt := range tests {
		var out buffer
		if code := run(t.Context(), strings.Fields(tt.args), &out, &out); code != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("hubtest %s: got exit code %d, want %d, and %s", tt.args, code, tt.code, &out)
		}
	}
}

func TestSizeText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 2 << 30: "2 GiB", 1234567: "1.18 MiB", 99942: "97.6 KiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
