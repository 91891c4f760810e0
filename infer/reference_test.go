package infer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/infer/infertest"
)

// checkpointFiles lists a folder.
func checkpointFiles(t testing.TB, dir string) infer.Files {
	t.Helper()
	files, err := infer.FilesInDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Tiny random checkpoints of every kind: 2, 3 and 4 bits, act-order or not,
// symmetric or not, both formats, one file or shards, both namings of experts,
// every scaling of rotary embeddings, a window shorter than the prompt.
func TestCheckpoints(t *testing.T) {
	dirs, err := filepath.Glob("testdata/checkpoints/*")
	if err != nil || len(dirs) < 34 {
		t.Fatalf("%d checkpoints, %v", len(dirs), err)
	}
	if testing.Short() {
		dirs = dirs[len(dirs)-9:] // one or more of most families
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			infertest.CheckReference(t, checkpointFiles(t, dir), dir, infertest.Exact, infertest.Rounded)
		})
	}
}

// demoModel is where the demo's weights lie beside the repository.
const demoModel = "../../shared/demo-model"

// demoFiles returns a branch of the demo. It may be missing on a developer's
// machine, never in CI.
func demoFiles(t testing.TB, branch string) infer.Files {
	t.Helper()
	dir := filepath.Join(demoModel, branch)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI needs %s: %v", dir, err)
		}
		t.Skipf("%s is not here", dir)
	}
	return checkpointFiles(t, dir)
}

// demoReferences lists the folders of recorded outputs, one for each branch; one
// alone in -short runs.
func demoReferences(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/demo/*")
	if err != nil || len(dirs) != 8 {
		t.Fatalf("%d references, %v", len(dirs), err)
	}
	if testing.Short() {
		return dirs[:1]
	}
	return dirs
}
