package demo

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/infer/infertest"
)

// The embedded branches compute what other programs recorded for them: logits,
// hidden states and greedy tokens.
func TestBranchesMatchReferences(t *testing.T) {
	branches, err := Branches()
	if err != nil {
		t.Fatal(err)
	}
	for branch, contents := range branches {
		if testing.Short() && branch != "main" {
			continue
		}
		t.Run(branch, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			files := infer.Files{}
			for name, data := range contents {
				files[name] = filepath.Join(dir, name)
				if err := os.WriteFile(files[name], data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			infertest.CheckReference(t, files, filepath.Join("..", "..", "..", "..", "infer", "testdata", "demo", branch), infertest.Exact,
				infertest.Bound{Compute: infer.Int16, Tolerance: 3e-4})
		})
	}
}
