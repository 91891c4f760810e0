package packfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

const enough = 1 << 30

// contents are sections of lengths that are no multiples of anything, one empty.
func contents() map[string][]byte {
	return map[string][]byte{
		"q_proj": bytes.Repeat([]byte("words of q"), 1234),
		"k_proj": bytes.Repeat([]byte{7}, 4097),
		"empty":  {},
	}
}

func write(t testing.TB, dir string, key Key, limit int64) error {
	t.Helper()
	data := contents()
	var sections []Section
	for _, name := range []string{"q_proj", "empty", "k_proj"} {
		sections = append(sections, Section{name, int64(len(data[name]))})
	}
	w, err := Create(dir, key, sections, limit)
	if err != nil {
		return err
	}
	for name, d := range data {
		if err := w.Put(name, d); err != nil {
			w.Abort()
			return err
		}
	}
	return w.Commit()
}

// whole opens a file and compares all of it.
func whole(t testing.TB, dir string, key Key) {
	t.Helper()
	f, err := Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range contents() {
		if got, ok := f.Section(name); !ok || !bytes.Equal(got, want) {
			t.Errorf("section %s: got %d bytes, %v, want %d that are the same", name, len(got), ok, len(want))
		}
	}
	if _, ok := f.Section("v_proj"); ok {
		t.Error("got a section that is not there")
	}
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache", "packed")
	key := KeyOf("model", "1")
	if _, err := Open(dir, key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v where nothing is, want ErrNotExist", err)
	}
	if err := write(t, dir, key, enough); err != nil {
		t.Fatal(err)
	}
	whole(t, dir, key)
	if got := names(t, dir); !slices.Equal(got, []string{name(key)}) {
		t.Errorf("got files %q, want the one", got)
	}
	if KeyOf("ab", "c") == KeyOf("a", "bc") {
		t.Error("two lists of parts have one key")
	}
	files, size, err := Clear(dir)
	if files != 1 || size < 12340+4097 || err != nil || len(names(t, dir)) != 0 {
		t.Errorf("Clear: got %d files of %d bytes, %v, and %q left", files, size, err, names(t, dir))
	}
}

// Whatever happens to a file: nothing wrong is returned, and the file is removed,
// so that it is made anew.
func TestDamage(t *testing.T) {
	dir, key := t.TempDir(), KeyOf("x")
	if err := write(t, dir, key, enough); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name(key))
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		damage  func([]byte) []byte
		section bool // only a section is bad
	}{
		{"empty", func([]byte) []byte { return nil }, false},
		{"cut in the header", func(b []byte) []byte { return b[:63] }, false},
		{"cut in the data", func(b []byte) []byte { return b[:len(b)-1] }, false},
		{"longer", func(b []byte) []byte { return append(b, 0) }, false},
		{"another magic", func(b []byte) []byte { b[7]++; return b }, false},
		{"another key", func(b []byte) []byte { b[8]++; return b }, false},
		{"another index", func(b []byte) []byte { b[headerSize]++; return b }, false},
		{"more sections", func(b []byte) []byte { b[48]++; return b }, false},
		{"zeros", func(b []byte) []byte { return make([]byte, len(b)) }, false},
		{"a bit of a section", func(b []byte) []byte { b[len(b)-1] ^= 4; return b }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := os.WriteFile(path, tc.damage(bytes.Clone(sound)), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := Open(dir, key)
			if !tc.section {
				if !errors.Is(err, ErrCorrupt) {
					t.Errorf("got error %v, want ErrCorrupt", err)
				}
				if got := names(t, dir); len(got) > 0 {
					t.Errorf("got %q, want the file removed", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, ok := f.Section("k_proj"); ok {
				t.Error("got a section whose checksum is wrong")
			}
			if _, ok := f.Section("q_proj"); !ok {
				t.Error("got none of the sound sections")
			}
			if got := names(t, dir); len(got) > 0 && runtime.GOOS != "windows" { // where what is mapped stays
				t.Errorf("got %q, want the file removed", got)
			}
		})
	}
}

// A writer that stops half way, or is given the wrong thing, leaves nothing.
func TestAbort(t *testing.T) {
	dir := t.TempDir()
	sections := []Section{{"a", 3}, {"b", 4}}
	for _, tc := range []struct {
		name string
		put  map[string]string
	}{
		{"nothing", nil},
		{"one of two", map[string]string{"a": "abc"}},
	} {
		w, err := Create(dir, KeyOf("x"), sections, enough)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range tc.put {
			if err := w.Put(name, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Put("a", []byte("longer")); err == nil {
			t.Errorf("%s: a section of another length was taken", tc.name)
		}
		if err := w.Put("c", nil); err == nil {
			t.Errorf("%s: a section was taken that was not announced", tc.name)
		}
		if err := w.Commit(); err == nil {
			t.Errorf("%s: a file that lacks sections was committed", tc.name)
		}
		if got := names(t, dir); len(got) > 0 {
			t.Errorf("%s: got %q left", tc.name, got)
		}
	}
	if _, err := Create(dir, KeyOf("x"), []Section{{"a", 1}, {"a", 1}}, enough); err == nil {
		t.Error("two sections of one name were taken")
	}
	if err := write(t, dir, KeyOf("x"), 10000); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got error %v for a file above the limit, want ErrTooLarge", err)
	}
}

// The folder stays below its limit; what was used last stays.
func TestEvict(t *testing.T) {
	dir := t.TempDir()
	hour := func(n int) time.Time { return time.Now().Add(time.Duration(n) * time.Hour) }
	used := func(key Key, at time.Time) {
		if err := os.Chtimes(filepath.Join(dir, name(key)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	a, b, c := KeyOf("a"), KeyOf("b"), KeyOf("c")
	for i, key := range []Key{a, b} {
		if err := write(t, dir, key, enough); err != nil {
			t.Fatal(err)
		}
		used(key, hour(-10+i))
	}
	info, err := os.Stat(filepath.Join(dir, name(a)))
	if err != nil {
		t.Fatal(err)
	}
	whole(t, dir, a) // used now, so b is the older one
	old, young, foreign := filepath.Join(dir, "1"+suffix+tempSuffix), filepath.Join(dir, "2"+suffix+tempSuffix), filepath.Join(dir, "other")
	for _, path := range []string{old, young, foreign} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, hour(-25), hour(-25)); err != nil {
		t.Fatal(err)
	}
	if err := write(t, dir, c, 2*info.Size()); err != nil {
		t.Fatal(err)
	}
	got, want := names(t, dir), []string{name(a), name(c), filepath.Base(young), "other"}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Writers of one key do not disturb each other or a reader.
func TestConcurrent(t *testing.T) {
	dir, key := t.TempDir(), KeyOf("x")
	if err := write(t, dir, key, enough); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				if err := write(t, dir, key, enough); err != nil && runtime.GOOS != "windows" { // no file that is mapped is replaced there
					t.Error(err)
				}
				whole(t, dir, key)
			}
		})
	}
	wg.Wait()
}

// A file that is deleted stays usable for those who have it.
func TestDeleted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be deleted there")
	}
	dir, key := t.TempDir(), KeyOf("x")
	if err := write(t, dir, key, enough); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if files, _, err := Clear(dir); files != 1 || err != nil {
		t.Fatalf("Clear: got %d, %v", files, err)
	}
	if got, ok := f.Section("k_proj"); !ok || !bytes.Equal(got, contents()["k_proj"]) {
		t.Error("the section is gone with its name")
	}
}

func TestUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(t, filepath.Join(file, "packed"), KeyOf("x"), enough); err == nil {
		t.Error("got no error below a file")
	}
}

// No index, however bad, gives a section outside of the file; a good one comes
// back as it was.
func FuzzDecodeIndex(f *testing.F) {
	f.Add(encodeIndex([]entry{{Section{"a", 3}, 4096, 1}, {Section{"b", 0}, 8192, 2}}), 2)
	f.Add([]byte{}, 0)
	f.Add(bytes.Repeat([]byte{0xff}, entrySize), 1)
	f.Fuzz(func(t *testing.T, text []byte, count int) {
		const begin, end = 100, 1 << 20
		index, ok := decodeIndex(text, min(count, 1000), begin, end)
		if !ok {
			return
		}
		at := int64(begin)
		for _, e := range index {
			if e.offset < at || e.Size < 0 || e.offset+e.Size > end {
				t.Fatalf("section %+v after %d", e, at)
			}
			at = e.offset + e.Size
		}
		if got := encodeIndex(index); !bytes.Equal(got, text) {
			t.Errorf("got %x, want %x", got, text)
		}
	})
}

func BenchmarkSection(b *testing.B) {
	dir, key := b.TempDir(), KeyOf("x")
	data := make([]byte, 64<<20)
	w, err := Create(dir, key, []Section{{"a", int64(len(data))}}, enough)
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(w.Put("a", data), w.Commit()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		f, err := Open(dir, key)
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := f.Section("a"); !ok {
			b.Fatal(fmt.Errorf("bad"))
		}
		f.Close()
	}
}
