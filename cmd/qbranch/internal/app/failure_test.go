package app

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/store"
)

func TestFailureOf(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{StoreDir: filepath.Join(file, "store")})
	if err != nil {
		t.Fatal(err)
	}
	_, noStore := a.openStore()
	tests := []struct {
		name string
		err  error
		want Failure
	}{
		// The system says "not there" of it, which is not said of a branch.
		{"a store that cannot be", noStore, FailureStorage},
		{"a folder of another branch", fmt.Errorf("export: %w", &store.FolderError{}), FailureStorage},
		{"a file in the way", &store.ExistsError{}, FailureStorage},
		{"a folder without a checkpoint", infer.ErrNoCheckpoint, FailureNotFound},
		{"a token id outside the vocabulary", infer.ErrRequest, FailureUsage},
		{"a prompt too long", infer.ErrContext, FailureUsage},
		{"an answer that memory does not hold", infer.ErrMemory, FailureNothingFits},
	}
	for _, tt := range tests {
		if got := FailureOf(tt.err); got != tt.want {
			t.Errorf("%s: got %v of %v, want %v", tt.name, got, tt.err, tt.want)
		}
	}
	if HintOf(noStore) == "" {
		t.Errorf("no hint: %v", noStore)
	}
}
