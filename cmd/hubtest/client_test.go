package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// The real clients, each skipped where it is not installed. A connection breaks
// each 2 MiB for those that go on by themselves.

const weights = 5<<20 + 17

// clientHub serves a file and returns where it is, below the endpoint, and what
// it holds.
func clientHub(t *testing.T, args ...string) (file string, want []byte) {
	t.Helper()
	endpoint, _, _ := serving(t, append(args, "--synthetic", "model.safetensors=5242897", "--small-files", "3=100")...)
	r, err := hubtest.Synthetic(weights, 1).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if want, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	return endpoint + "/local/model/resolve/main/model.safetensors", want
}

// client runs a program in a folder of its own, with one file there to begin
// with, and returns what that file becomes.
func client(t *testing.T, begin []byte, name string, args ...string) []byte {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name + " is not installed")
	}
	dir := t.TempDir()
	if begin != nil {
		if err := os.WriteFile(filepath.Join(dir, "out"), begin, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "HF_HOME="+t.TempDir(), "HF_TOKEN=",
		"HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_UPDATE_CHECK=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	for _, out := range []string{"out", "out/model.safetensors"} {
		if got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(out))); err == nil {
			return got
		}
	}
	t.Fatalf("%s left no file", name)
	return nil
}

func TestCurlRange(t *testing.T) {
	file, want := clientHub(t)
	got := client(t, nil, "curl", "-sSfL", "-r", "1000000-3000000", "-o", "out", file)
	if !bytes.Equal(got, want[1000000:3000001]) {
		t.Errorf("got %d other bytes", len(got))
	}
}

func TestCurlResumes(t *testing.T) {
	file, want := clientHub(t)
	if got := client(t, want[:2_000_001], "curl", "-sSfL", "-C", "-", "-o", "out", file); !bytes.Equal(got, want) {
		t.Errorf("got %d other bytes", len(got))
	}
}

func TestCurlRetries(t *testing.T) {
	file, want := clientHub(t, "--fault", "origin=cdn,status=503,retry-after=1,times=1")
	if got := client(t, nil, "curl", "-sSfL", "--retry", "2", "-o", "out", file); !bytes.Equal(got, want) {
		t.Errorf("got %d other bytes", len(got))
	}
}

func TestAria2(t *testing.T) {
	file, want := clientHub(t, "--fault", "origin=cdn,close-every=2MiB,times=2")
	got := client(t, nil, "aria2c", "-q", "--no-conf", "-x4", "-s4", "-k1M", "--retry-wait=1", "-o", "out", file)
	if !bytes.Equal(got, want) {
		t.Errorf("got %d other bytes", len(got))
	}
}

// aria2c goes on with a file that has a beginning.
func TestAria2Resumes(t *testing.T) {
	file, want := clientHub(t)
	got := client(t, want[:3<<20], "aria2c", "-q", "--no-conf", "-c", "-x2", "-s2", "-k1M", "-o", "out", file)
	if !bytes.Equal(got, want) {
		t.Errorf("got %d other bytes", len(got))
	}
}

// hf with and without Xet, of which this hub has nothing; a connection that is
// closed in mid-file is one that it goes on after.
func TestHF(t *testing.T) {
	for _, noXet := range []string{"0", "1"} {
		file, want := clientHub(t, "--fault", "origin=cdn,close-after=3MiB,times=1")
		endpoint, _, _ := strings.Cut(file, "/local/")
		t.Setenv("HF_ENDPOINT", endpoint)
		t.Setenv("HF_HUB_DISABLE_XET", noXet)
		if got := client(t, nil, "hf", "download", "local/model", "--local-dir", "out"); !bytes.Equal(got, want) {
			t.Errorf("got %d other bytes", len(got))
		}
	}
}
