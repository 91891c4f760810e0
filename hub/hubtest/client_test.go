package hubtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
)

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl")
	}
	s := start(t, Options{Token: goodToken})
	for _, name := range []string{"config.json", "model.safetensors"} {
		target := filepath.Join(t.TempDir(), "out")
		// -L drops the token by itself when the host changes.
		out, err := exec.Command(curl, "-sSfL", "--noproxy", "*", "-o", target, s.URL()+"/"+testRepo+"/resolve/main/"+name).CombinedOutput()
		if err != nil {
			t.Fatalf("curl: %v\n%s", err, out)
		}
		got, err := os.ReadFile(target)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, testData().Branches["main"][name]) {
			t.Errorf("%s: got %d other bytes", name, len(got))
		}
	}
}

// The official Python client downloads a branch and reads all listings.
func TestOfficialClient(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-c", "import huggingface_hub").Run() != nil {
		t.Skip("no huggingface_hub for Python")
	}
	s := start(t, Options{PageSize: 2})
	data := testData()
	if err := s.Add(RepoData{ID: "acme/gated", Branches: data.Branches, Gated: true}); err != nil {
		t.Fatal(err)
	}
	for _, noXet := range []string{"0", "1"} {
		dir := t.TempDir()
		cmd := exec.Command(python, "testdata/client.py", testRepo, "main", filepath.Join(dir, "out"), "acme/gated")
		cmd.Env = append(os.Environ(), "HF_ENDPOINT="+s.URL(), "HF_HOME="+filepath.Join(dir, "home"), "HF_HUB_DISABLE_XET="+noXet,
			"HF_HUB_DISABLE_IMPLICIT_TOKEN=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1", "NO_PROXY=127.0.0.1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("client: %v\n%s", err, &stderr)
		}
		got := make(map[string]any)
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("client: %v\n%s", err, out)
		}
		want := map[string]any{
			"branches": []any{"main", "odd/b%"},
			"commit":   s.Commit(testRepo, "main"),
			"sizes":    map[string]any{"config.json": 11.0, "empty.bin": 0.0, "model.safetensors": 65536.0, "sub/dir/note.txt": 4.0},
			"sha256":   map[string]any{"model.safetensors": fmt.Sprintf("%x", sha256.Sum256(weights))},
			"tree":     []any{"config.json", "empty.bin", "model.safetensors", "sub", "sub/dir", "sub/dir/note.txt"},
			"paths":    []any{"config.json"},
			"gated":    "401 GatedRepo",
			"absent":   "401 None",
			"revision": "404 RevisionNotFound",
		}
		for k, v := range want {
			if !reflect.DeepEqual(got[k], v) {
				t.Errorf("%s: got %v, want %v", k, got[k], v)
			}
		}
		for name, data := range data.Branches["main"] {
			file, err := os.ReadFile(filepath.Join(dir, "out", filepath.FromSlash(name)))
			if err != nil || !bytes.Equal(file, data) {
				t.Errorf("%s: %d bytes, %v", name, len(file), err)
			}
		}
	}
}
