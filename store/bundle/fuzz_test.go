package bundle

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/qbranch/qbranch/store"
)

// FuzzManifest: what is accepted is written again as the same manifest, and
// keeps every rule that import relies on.
func FuzzManifest(f *testing.F) {
	honest, err := forge().m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(honest)
	f.Add([]byte(`{"kind":"qbranch bundle","format":1,"part_size":1048576,"snapshots":[{"repo":"a/b","commit":"` + commitA + `"}]}`))
	f.Add([]byte(`{"kind":"qbranch bundle","format":2}`))
	f.Add([]byte(`[[[[,,,,`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%v is no ErrFormat", err)
			}
			return
		}
		sizes := map[store.Digest]int64{}
		for _, c := range m.Contents {
			if _, twice := sizes[c.SHA256]; twice {
				t.Fatal("a content twice")
			}
			sizes[c.SHA256] = c.Size
		}
		for _, snap := range m.Snapshots {
			for _, file := range snap.Files {
				if size, ok := sizes[file.SHA256]; !ok || size != file.Size || store.CheckPath(file.Path) != nil {
					t.Fatalf("accepted %+v", file)
				}
			}
		}
		if sum := m.Bytes(); sum < 0 || sum > maxBytes {
			t.Fatalf("accepted %d bytes", sum)
		}
		once, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		m, err = decodeManifest(once)
		if err != nil {
			t.Fatalf("does not accept what it wrote: %v", err)
		}
		if twice, err := m.encode(); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s becomes %s (%v)", once, twice, err)
		}
	})
}

// FuzzArchive: whatever is read, nothing is published that is not what it is
// named by; what Check finds sound is imported whole, and a reader that cannot
// seek comes to the same end.
func FuzzArchive(f *testing.F) {
	st := openStore(f)
	f.Add(export(f, st, put(f, st, "acme/llama", "main", commitA, map[string][]byte{
		"config.json": []byte("{}"), "weights": noise(5, 3000), "empty": {}})))
	f.Add(forge().bytes(f)[:4096])
	f.Add(documented(f))
	f.Add(untar(f, documented(f)))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, storedFlags, storedWindow, 0, 2, 0, 0, 0, 0, 0, 0, 1, 0x10, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		checked := check(t, b)
		if checked != nil && !errors.Is(checked, ErrFormat) && !errors.Is(checked, ErrDamaged) {
			t.Fatalf("check: %v is of no kind", checked)
		}
		a, err := Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		a.Close()
		var results [2]*Result
		for i := range results {
			var r io.Reader = bytes.NewReader(b)
			if i == 1 {
				r = onlyReader{r}
			}
			to := openStore(t)
			if results[i], _, err = importBytes(t, to, r); checked == nil && err != nil && !errors.Is(err, store.ErrNoSpace) && !errors.Is(err, ErrDamaged) {
				t.Fatalf("sound, but import says %v", err)
			}
			sound(t, to, true)
		}
		if x, y := results[0], results[1]; (x == nil) != (y == nil) || x != nil && (len(x.Imported) != len(y.Imported) || x.Taken != y.Taken) {
			t.Fatalf("a file gives %+v, a pipe %+v", x, y)
		}
	})
}
