package app

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestRecent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if got, err := Recent(dir); len(got) != 0 || err != nil {
		t.Errorf("before anything: got %v, %v", got, err)
	}
	for i := range 25 {
		if err := Remember(dir, RepoID{Owner: "a", Name: fmt.Sprint("m", i%22)}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Recent(dir)
	if err != nil || len(got) != mostRecent || got[0].Name != "m2" || got[1].Name != "m1" || got[3].Name != "m21" {
		t.Errorf("got %v, %v; want %d repositories, m2, m1, m0, m21 first", got, err, mostRecent)
	}
	path := filepath.Join(dir, recentFile)
	if err := os.WriteFile(path, []byte(`{"repos":["../../etc","a/b:c","a/b"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Recent(dir); err != nil || len(got) != 1 || got[0] != (RepoID{Owner: "a", Name: "b"}) {
		t.Errorf("of names that are none: got %v, %v, want a/b", got, err)
	}
	if err := os.WriteFile(path, []byte(`{"repos":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Recent(dir); err == nil {
		t.Error("a damaged list was read")
	}
	if err := Remember(dir, RepoID{Owner: "a", Name: "b"}); err != nil {
		t.Fatal(err)
	}
	if got, err := Recent(dir); err != nil || len(got) != 1 {
		t.Errorf("after a damaged list: got %v, %v", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
