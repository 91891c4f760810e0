package demo

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// maxArchive is what the demo may add to the binary.
const maxArchive = 13 << 20

func TestArchiveHoldsEightBranches(t *testing.T) {
	branches, err := Branches()
	if err != nil {
		t.Fatal(err)
	}
	if got := len(branches); got != 8 {
		t.Errorf("got %d branches, want 8: %v", got, slices.Sorted(maps.Keys(branches)))
	}
	for branch, files := range branches {
		for _, want := range []string{"README.md", "config.json", "model.safetensors", "quantize_config.json", "tokenizer.json"} {
			if len(files[want]) == 0 {
				t.Errorf("%s has no %s", branch, want)
			}
		}
	}
	if len(archive) > maxArchive {
		t.Errorf("the archive is %d bytes, want at most %d", len(archive), maxArchive)
	}
}

// The archive is what packing its own contents gives, so whoever doubts it can
// make it again.
func TestArchiveIsReproducible(t *testing.T) {
	branches, err := Branches()
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := WriteArchive(&again, branches); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), archive) {
		t.Errorf("packing again gives %d other bytes, the archive has %d: run go generate", again.Len(), len(archive))
	}
}

// The embedded branches are the published ones, where these are at hand.
func TestArchiveMatchesSources(t *testing.T) {
	sources := filepath.Join("..", "..", "..", "..", "..", "shared", "demo-model")
	if _, err := os.Stat(sources); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("the sources are not here")
	}
	branches, err := Branches()
	if err != nil {
		t.Fatal(err)
	}
	for branch, files := range branches {
		for name, got := range files {
			want, err := os.ReadFile(filepath.Join(sources, branch, name))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s/%s differs from its source: %d bytes, want %d (%v)", branch, name, len(got), len(want), err)
			}
		}
	}
}

func TestReadArchiveRefusesGarbage(t *testing.T) {
	for _, in := range [][]byte{nil, []byte("not zstd"), archive[:len(archive)/2]} {
		if got, err := ReadArchive(bytes.NewReader(in)); err == nil && len(got) == 8 {
			t.Errorf("ReadArchive(%d bytes of garbage) gave 8 branches", len(in))
		}
	}
}

func TestShellWords(t *testing.T) {
	got := shellWords([]string{"gen", "a:b", "-p", "tell me", "--system", "it's"})
	if want := `gen a:b -p 'tell me' --system 'it'\''s'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
