package store

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// FuzzReplayJournal: whatever is read, the valid prefix alone says the same and
// is not torn, and writing its records again gives its bytes.
func FuzzReplayJournal(f *testing.F) {
	w := Want{Size: 4*PartSize + 5, SHA256: Digest{1}}
	h := encodeHeader(w)
	f.Add(h[:])
	f.Add(h[:40])
	dir := f.TempDir()
	file, err := os.Create(filepath.Join(dir, "seed"))
	if err != nil {
		f.Fatal(err)
	}
	j, err := newJournal(osFile{file}, w)
	for _, err := range []error{err, j.part(0, Digest{2}), j.part(4, Digest{3}), j.mark(j.off, 1, []byte("state")), j.drop(0), j.part(0, Digest{4}), j.mark(80, 0, nil), j.mark(1<<40, 0, nil), j.part(1<<20, Digest{})} {
		if err != nil {
			f.Fatal(err)
		}
	}
	seed, err := os.ReadFile(file.Name())
	if err != nil {
		f.Fatal(err)
	}
	file.Close()
	f.Add(seed)
	f.Add(append(seed, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := replayJournal(b, w)
		if err != nil {
			return
		}
		if r.off > int64(len(b)) || r.torn != (r.off < int64(len(b))) || r.covers > r.off || r.hashed > len(r.ends) {
			t.Fatalf("impossible: %+v", r)
		}
		if held := r.heldBytes(w.Size); held < 0 || held > w.Size {
			t.Fatalf("%d bytes held", held)
		}
		again, err := replayJournal(b[:r.off], w)
		if err != nil || again.torn {
			t.Fatalf("the valid prefix: %v", err)
		}
		again.torn = r.torn
		if !reflect.DeepEqual(again, r) {
			t.Fatalf("the valid prefix says %+v, the whole %+v", again, r)
		}
		if got := rewrite(t, b[:r.off], w); !bytes.Equal(got, b[:r.off]) {
			t.Fatalf("written again it is %x, was %x", got, b[:r.off])
		}
	})
}

// rewrite writes the records of a valid journal with the writer.
func rewrite(t *testing.T, b []byte, w Want) []byte {
	copy(w.GitOID[:], b[56:])
	file, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	j, err := newJournal(osFile{file}, w)
	if err != nil {
		t.Fatal(err)
	}
	for off := journalHeader; off < len(b); {
		n := recordSize(b[off:])
		if err := j.append(append([]byte(nil), b[off:off+n-4]...)); err != nil {
			t.Fatal(err)
		}
		off += n
	}
	out, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func FuzzDecodeParts(f *testing.F) {
	f.Add(partList{}.encode())
	f.Add(partList{blob: Digest{1}, size: PartSize + 1, sums: []Digest{{2}, {3}}}.encode())
	f.Add([]byte(partsMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeParts(b)
		if err == nil && !bytes.Equal(p.encode(), b) {
			t.Fatalf("%x comes back as %x", b, p.encode())
		}
	})
}

func FuzzParseDigest(f *testing.F) {
	f.Add(Digest{0xab}.String())
	f.Add("sha256:00")
	f.Add(strings.Repeat("A", 64))
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDigest(s); err == nil && d.String() != s {
			t.Fatalf("%q comes back as %q", s, d)
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add([]byte(`{"format":1,"repo":"a/b","commit":"` + commitA + `","branch":"main","created":"2030-01-02T03:04:05Z","files":[{"path":"a","size":1,"sha256":"` + Digest{1}.String() + `"}]}`))
	f.Add([]byte(`{"format":1,"files":[{"path":"../a"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		snap, err := decodeSnapshot(b)
		if err != nil {
			return
		}
		for _, file := range snap.Files {
			if !filepath.IsLocal(file.Path) || file.Size < 0 {
				t.Fatalf("accepted %+v", file)
			}
		}
		roundTrip(t, snapshotJSON{formatVersion, snap}, func(b []byte) (any, error) {
			snap, err := decodeSnapshot(b)
			return snapshotJSON{formatVersion, snap}, err
		})
	})
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add([]byte(`{"format":1,"repo":"a/b","commit":"` + commitA + `","branch":"","part_size":1048576,"files":[{"path":"a","size":1,"sha256":"` + Digest{1}.String() + `","blake3":["` + Digest{2}.String() + `"]}]}`))
	f.Add([]byte(`{"format":1,"part_size":1048576,"files":[{"path":"a","size":17592186044416}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if !filepath.IsLocal(file.Path) || len(file.Parts) != numParts(file.Size) {
				t.Fatalf("accepted %+v", file)
			}
		}
		roundTrip(t, m, func(b []byte) (any, error) { return decodeManifest(b) })
	})
}

// roundTrip fails unless what v encodes to decodes to the same JSON.
func roundTrip(t *testing.T, v any, decode func([]byte) (any, error)) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	back, err := decode(b)
	if err != nil {
		t.Fatalf("our own JSON %s: %v", b, err)
	}
	if again, err := json.Marshal(back); err != nil || !bytes.Equal(b, again) {
		t.Fatalf("%s comes back as %s (%v)", b, again, err)
	}
}

// FuzzEscapeName: an escaped name is one plain path element on every system,
// and turns back into the name unless it was too long for that.
func FuzzEscapeName(f *testing.F) {
	for _, s := range []string{"main", "refs/pr/1", "Main", "..", "con", "nul.txt", "a.", ".a", "%41", "!a", "~", "ü", "\x00", strings.Repeat("/", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" {
			return
		}
		e := escapeName(name)
		if strings.ToLower(e) != e || len(e) > maxEscaped || !filepath.IsLocal(e) || isDeviceName(e) || strings.HasSuffix(e, ".") {
			t.Fatalf("%q becomes %q", name, e)
		}
		for i := range len(e) {
			if c := e[i]; !plainByte(c) && c != '!' && c != '%' && c != '~' {
				t.Fatalf("%q becomes %q", name, e)
			}
		}
		back, ok := unescapeName(e)
		if long := e[0] == '~'; ok == long || ok && back != name {
			t.Fatalf("%q becomes %q becomes %q, %v", name, e, back, ok)
		}
	})
}

// FuzzUnescapeName: only what escapeName writes is taken.
func FuzzUnescapeName(f *testing.F) {
	for _, s := range []string{"main", "!m", "%2f", "%2F", "!M", "%", "!", "~00", "a.", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, ok := unescapeName(s); ok && escapeName(name) != s {
			t.Fatalf("%q becomes %q becomes %q", s, name, escapeName(name))
		}
	})
}

// FuzzCheckFilePath: an accepted path stays inside on this system.
func FuzzCheckFilePath(f *testing.F) {
	for _, s := range []string{"a/b", "../a", `a\b`, "C:", "con", "a."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if CheckPath(p) == nil && (filepath.Clean(p) != p || !filepath.IsLocal(p) || strings.ContainsAny(p, "\\:\x00")) {
			t.Fatalf("accepted %q", p)
		}
	})
}

// FuzzNotes: pins, branches, holds and begun fetches that are understood are written again as
// something that is understood as the same, and lead to one place in the store.
func FuzzNotes(f *testing.F) {
	for _, seed := range []string{
		`{"format":1,"repo":"a/b","branch":"main","since":"2030-01-02T03:04:05Z"}`,
		`{"format":1,"repo":"a/B","commit":"0123456789012345678901234567890123456789"}`,
		`{"format":1,"repo":"a/b","branch":"main","commit":"0123456789012345678901234567890123456789"}`,
		`{"format":1,"repo":"../..","branch":"x"}`, `{"format":2}`, `{`, ``,
		`{"format":1,"pid":7,"what":"get a/b","everything":true,"blobs":["git-0123456789012345678901234567890123456789"]}`,
		`{"format":1,"repo":"a/b","commit":"0123456789012345678901234567890123456789","branch":"main","begun":"2030-01-02T03:04:05Z","files":[{"path":"x","size":3,"blob":"git-0123456789012345678901234567890123456789"}]}`,
	} {
		f.Add([]byte(seed))
	}
	s := &Store{dir: string(filepath.Separator) + "store"}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodePin(b); err == nil {
			path, err := s.pinPath(p)
			if err != nil || !strings.HasPrefix(path, filepath.Join(s.dir, dirPins)+string(filepath.Separator)) {
				t.Fatalf("pin %+v is at %q, %v", p, path, err)
			}
			text, err := json.Marshal(pinJSON{formatVersion, p})
			if again, err2 := decodePin(text); err != nil || err2 != nil || again.String() != p.String() {
				t.Fatalf("pin %+v, again %+v: %v, %v", p, again, err, err2)
			}
		}
		if j, err := decodeBranch(b); err == nil {
			text, err := json.Marshal(j)
			if again, err2 := decodeBranch(text); err != nil || err2 != nil || again != j {
				t.Fatalf("branch %+v, again %+v: %v, %v", j, again, err, err2)
			}
		}
		if j, err := decodeBegun(b); err == nil {
			text, err := encodeBegun(j)
			if again, err2 := decodeBegun(text); err != nil || err2 != nil || again.Repo != j.Repo || again.Branch != j.Branch || !slices.Equal(again.Files, j.Files) {
				t.Fatalf("begun %+v, again %+v: %v, %v", j, again, err, err2)
			}
		}
		if j, ok := decodeHold(b); ok {
			text, err := json.Marshal(j)
			if again, ok := decodeHold(text); err != nil || !ok || !reflect.DeepEqual(again, j) {
				t.Fatalf("hold %+v, again %+v: %v, %v", j, again, ok, err)
			}
		}
	})
}
