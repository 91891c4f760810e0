package store

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentedBytes: the examples in the format documents are what the code
// writes, byte for byte.
func TestDocumentedBytes(t *testing.T) {
	s := frozen(openTest(t))
	data := []byte("hello")
	in := openIngest(t, s, wantOf(data))
	writeMissing(t, in, data)
	catchUp(t, in)
	if err := in.mark(); err != nil {
		t.Fatal(err)
	}
	journal, err := os.ReadFile(in.p.journal())
	if err != nil {
		t.Fatal(err)
	}
	d := commit(t, in)
	parts, err := os.ReadFile(s.partsPath(d))
	if err != nil {
		t.Fatal(err)
	}
	for doc, want := range map[string][]byte{"journal-format.md": journal, "store-format.md": parts} {
		text, err := os.ReadFile(filepath.Join("..", "docs", doc))
		if err != nil {
			t.Fatal(err)
		}
		if got := hexDump(t, string(text)); !bytes.Equal(got, want) {
			t.Errorf("docs/%s shows\n%x\nwant\n%s", doc, got, dump(want))
		}
	}
}

// hexDump returns the bytes of the document's block of lines "offset: hex".
func hexDump(t *testing.T, text string) []byte {
	t.Helper()
	_, block, ok := strings.Cut(text, "```hex\n")
	block, _, ok2 := strings.Cut(block, "```")
	if !ok || !ok2 {
		t.Fatal("no hex block in the document")
	}
	var out []byte
	for line := range strings.Lines(block) {
		_, digits, _ := strings.Cut(line, ":")
		digits, _, _ = strings.Cut(digits, "|") // what follows is a remark
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, b...)
	}
	return out
}

// dump formats bytes as the documents do.
func dump(b []byte) string {
	var out strings.Builder
	for off := 0; off < len(b); off += 16 {
		fmt.Fprintf(&out, "%4d: % x\n", off, b[off:min(off+16, len(b))])
	}
	return out.String()
}
