package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// documented returns the bundle in the format document.
func documented(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "bundle-format.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(text), "```base64\n")
	block, _, ok2 := strings.Cut(block, "```")
	if !ok || !ok2 {
		t.Fatal("no base64 block in the document")
	}
	b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(block, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bundle of the document is what the code writes, but for the compression,
// which another release of the encoder may do better.
func TestDocumentedBundle(t *testing.T) {
	want := documented(t)
	st := openStore(t)
	snap := put(t, st, "owner/name", "main", "0123456789abcdef0123456789abcdef01234567", map[string][]byte{"a/hello.txt": []byte("hello")})
	if got := export(t, st, snap); !bytes.Equal(untar(t, got), untar(t, want)) {
		t.Error("the documented bundle is not what is written")
	}
	if res, _, err := importBytes(t, openStore(t), bytes.NewReader(want)); err != nil || len(res.Imported) != 1 {
		t.Errorf("import the documented bundle: %+v, %v", res, err)
	}
}

// A manifest with keys of a later program is read, one of a later format is not.
func TestManifestOfAnotherProgram(t *testing.T) {
	_, _, archive := sample(t)
	a, err := Open(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := json.Marshal(map[string]any{"kind": kind, "format": 1, "part_size": 1 << 20, "comment": "new",
		"snapshots": a.Manifest.Snapshots, "contents": a.Manifest.Contents})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeManifest(b); err != nil {
		t.Error(err)
	}
	_, err = decodeManifest(bytes.Replace(b, []byte(`"format":1`), []byte(`"format":2`), 1))
	if err == nil || !strings.Contains(err.(*FormatError).Hint(), "newer") {
		t.Errorf("format 2: %v", err)
	}
}
