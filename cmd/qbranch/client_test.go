package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
)

// TestOfficialClient downloads a branch with the official client from
// "qbranch demo --serve" and compares every byte. It needs hf, the command of
// the Python package huggingface_hub, in the path.
func TestOfficialClient(t *testing.T) {
	hf, err := exec.LookPath("hf")
	if err != nil {
		t.Skip("hf is not installed: pip install huggingface_hub")
	}
	const branch = "gptq-3bit-32g-actorder_True"
	endpoint := serveDemo(t)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), hf, "download", demo.RepoID, "--revision", branch, "--local-dir", dir)
	cmd.Env = append(os.Environ(), "HF_ENDPOINT="+endpoint, "HF_HOME="+t.TempDir(), "HF_TOKEN=",
		"HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_UPDATE_CHECK=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("hf download: %v\n%s", err, out)
	}
	branches, err := demo.Branches()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range branches[branch] {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %d bytes (%v), want the %d of the branch", name, len(got), err, len(want))
		}
	}
}

// serveDemo runs "qbranch demo --serve" until the test ends and returns its
// endpoint.
func serveDemo(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "qbranch")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, bin, "demo", "--serve", "--json")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		cmd.Wait() // it was killed: its exit status says just that
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("read the first line of demo --serve: %v", err)
	}
	var serving struct{ Endpoint string }
	if err := json.Unmarshal(line, &serving); err != nil || serving.Endpoint == "" {
		t.Fatalf("first line of demo --serve is %q: %v", line, err)
	}
	return serving.Endpoint
}
