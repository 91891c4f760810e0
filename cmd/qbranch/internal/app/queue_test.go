package app

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestQueue(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if got, err := Queue(dir); len(got) != 0 || err != nil {
		t.Errorf("before anything: got %v, %v", got, err)
	}
	repo := RepoID{Owner: "a", Name: "b"}
	want := []Queued{{Ref: Ref{Repo: repo, Revision: "main"}}, {Ref: Ref{Repo: repo, Revision: "c/d"}, Filter: Filter{Include: []string{"*.json"}}}}
	if err := KeepQueue(dir, want); err != nil {
		t.Fatal(err)
	}
	if got, err := Queue(dir); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	path := filepath.Join(dir, queueFile)
	if err := os.WriteFile(path, []byte(`{"fetches":[{"ref":"../../etc"},{"ref":"a/b:main"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Queue(dir); err != nil || len(got) != 1 || got[0].Ref != want[0].Ref {
		t.Errorf("of references that are none: got %v, %v", got, err)
	}
	if err := os.WriteFile(path, []byte(`{"fetches":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Queue(dir); err == nil {
		t.Error("a damaged list was read")
	}
	if err := KeepQueue(dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("an empty queue is remembered")
	}
	if err := KeepQueue(dir, nil); err != nil {
		t.Errorf("again: %v", err)
	}
}
