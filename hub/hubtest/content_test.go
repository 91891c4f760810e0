package hubtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func read(t *testing.T, c *Content) []byte {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The words are those of Vigna's splitmix64.c; the digest was published with
// the Xet specification's test vectors.
func TestSynthetic(t *testing.T) {
	c := Synthetic(1_000_000, 0)
	b := read(t, c)
	if b[0] != 175 || b[127] != 132 || b[111111] != 118 {
		t.Errorf("got bytes %d %d %d", b[0], b[127], b[111111])
	}
	first := binary.LittleEndian.Uint64(read(t, Synthetic(8, 1234567)))
	if want := uint64(6457827717110365317); first != want {
		t.Errorf("first word: got %d, want %d", first, want)
	}
	sum, err := c.SHA256()
	if err != nil || sum != sha256.Sum256(b) {
		t.Errorf("digest: got %x, %v", sum, err)
	}
	if s := hex.EncodeToString(sum[:]); s[:8] != "b3d0a1f7" || s[58:] != "54befb" {
		t.Errorf("digest: got %s", s)
	}
}

// A read at any place gives what a read of the whole gives there.
func TestSyntheticAnywhere(t *testing.T) {
	whole := read(t, Synthetic(64, 7))
	for off := range 40 {
		for n := range 24 {
			p := make([]byte, n)
			stream(7).ReadAt(p, int64(off))
			if !bytes.Equal(p, whole[off:off+n]) {
				t.Fatalf("%d bytes at %d: got %x, want %x", n, off, p, whole[off:off+n])
			}
		}
	}
}

// Contents of each kind come out of the hub as they are, whole and in part,
// with a rate and without.
func TestContentKinds(t *testing.T) {
	s := start(t, Options{})
	path := filepath.Join(t.TempDir(), "f")
	data := read(t, Synthetic(700_001, 3))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	disk, err := OnDisk(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		c    *Content
	}{{"memory", Bytes(data)}, {"seed", Synthetic(700_001, 3)}, {"disk", disk}} {
		name, c := tt.name, tt.c
		if _, err := s.SetFiles(testRepo, "main", map[string]*Content{"model.safetensors": c}); err != nil {
			t.Fatal(err)
		}
		link := cdnURL(t, s)
		for _, rate := range []int64{0, 1 << 40} {
			s.SetConnRate(rate)
			s.ResetLog()
			if a := ask(t, "GET", link); a.err != nil || !bytes.Equal(a.body, data) {
				t.Errorf("%s: got %d bytes, %v", name, len(a.body), a.err)
			}
			if a := ask(t, "GET", link, "Range", "bytes=300001-600000"); a.err != nil || !bytes.Equal(a.body, data[300001:600001]) {
				t.Errorf("%s: part: got %d bytes, %v", name, len(a.body), a.err)
			}
			ask(t, "HEAD", link)
			if log := s.Log(); log[0].Sent != 700_001 || log[1].Sent != 300_000 || log[2].Sent != 0 || log[1].Status != 206 {
				t.Errorf("%s: log %+v", name, log)
			}
		}
	}
	if _, err := OnDisk(filepath.Dir(path)); err == nil {
		t.Error("served a folder as a file")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, "GET", cdnURL(t, s)); a.StatusCode != 500 {
		t.Errorf("a file that is gone: got %d", a.StatusCode)
	}
}

func TestSmallFiles(t *testing.T) {
	files := SmallFiles(250, 10, 1)
	seen := make(map[string]bool)
	for _, c := range files {
		seen[string(read(t, c))] = true
	}
	if len(files) != 250 || len(seen) != 250 || files["d002/f00249.json"] == nil {
		t.Errorf("got %d files, %d contents", len(files), len(seen))
	}
}

// A request waits one round trip, the first of a connection two.
func TestLatency(t *testing.T) {
	s := start(t, Options{})
	link := cdnURL(t, s)
	const rtt = 20 * time.Millisecond
	s.SetLatency(rtt)
	begun := time.Now()
	ask(t, "HEAD", link)
	if d := time.Since(begun); d < 2*rtt {
		t.Errorf("new connection: answered after %v", d)
	}
	s.SetLatency(0)
}

// A connection's rate holds for what comes after the first fiftieth of a
// second's bytes.
func TestConnRate(t *testing.T) {
	s := start(t, Options{})
	link := cdnURL(t, s)
	s.SetConnRate(1 << 20)
	begun := time.Now()
	a := ask(t, "GET", link)
	if least := time.Duration(len(weights)-1<<20/50) * time.Second >> 20; len(a.body) != len(weights) || time.Since(begun) < least*9/10 {
		t.Errorf("got %d bytes after %v, want at least %v", len(a.body), time.Since(begun), least)
	}
}

func TestSyntheticAfter(t *testing.T) {
	want := append([]byte("first words"), read(t, Synthetic(64, 7))[11:]...)
	whole := SyntheticAfter([]byte("first words"), 64, 7)
	if got := read(t, whole); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	for off := range 40 {
		r, err := whole.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Seek(int64(off), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want[off:]) {
			t.Errorf("from %d: got %x, %v, want %x", off, got, err, want[off:])
		}
	}
}

// A digest that is claimed is not computed: this would take a minute.
func TestClaiming(t *testing.T) {
	want := sha256.Sum256([]byte("claimed"))
	if got, err := Synthetic(1<<40, 1).Claiming(want).SHA256(); got != want || err != nil {
		t.Errorf("got %x, %v", got, err)
	}
}
