package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
)

// folder is a Local: files by path, several per path.
type folder map[string][]string

func (f folder) Find(repo hub.RepoID, _ store.Want, path string) []store.Source {
	if repo != testRepo {
		return nil
	}
	var out []store.Source
	for _, file := range f[path] {
		out = append(out, store.Source{Path: file, Stable: true})
	}
	return out
}

func TestUseLocal(t *testing.T) {
	big, small := random(1, 3*MiB+7), []byte(`{"bits":4}`)
	b := newBench(t, map[string][]byte{
		"a.safetensors": big, "z.safetensors": big, "b.safetensors": random(2, 2*MiB), "config.json": small, "held.json": []byte("{}"),
	})
	if _, err := b.Store.Put(t.Context(), Wanted(describe("held.json", []byte("{}"))), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	wrong := bytes.Clone(big)
	wrong[MiB] ^= 1
	places := folder{
		"a.safetensors": {filepath.Join(dir, "absent"), file("wrong", wrong), file("right", big)},
		"b.safetensors": {file("other", random(3, 2*MiB))},
		"config.json":   {file("config", small)},
		"held.json":     {file("held", []byte("{}"))},
	}
	p := b.plan()
	p.UseLocal(places, b.Store, store.LinkCopy)
	var got []string
	for _, f := range p.Files {
		got = append(got, fmt.Sprintf("%s %s %d %d %s", f.File.Path, f.State, f.Parts, len(f.Sources), f.Link))
	}
	want := []string{
		"config.json local 0 1 copy", "held.json held 0 0 ",
		"a.safetensors local 0 2 copy", "b.safetensors local 0 1 copy", "z.safetensors local 0 2 copy",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	local := int64(len(big) + 2*MiB + len(small))
	if p.Local != local || p.Move != 0 || p.Held != 2 || p.DiskNeeded != local {
		t.Errorf("%d local, %d to move, %d held, %d needed; want %d", p.Local, p.Move, p.Held, p.DiskNeeded, local)
	}
	linked := b.plan()
	linked.UseLocal(places, b.Store, store.LinkHard) // config.json is too small to be linked
	if linked.DiskNeeded != int64(len(small)) {
		t.Errorf("with hard links %d bytes are needed, want %d", linked.DiskNeeded, len(small))
	}

	// What is right is taken, what is wrong is told and fetched.
	b.stats.Total.Add(p.Bytes)
	b.stats.Done.Add(p.Held)
	adopted, err := b.Adopt(t.Context(), p, store.LinkCopy)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(len(big) + len(small)); adopted != want {
		t.Errorf("adopted %d, want %d", adopted, want)
	}
	var refused []string
	for _, ev := range b.of(EventRefused) {
		if !errors.Is(ev.Err, store.ErrMismatch) {
			t.Errorf("%s: %v", ev.From, ev.Err)
		}
		refused = append(refused, filepath.Base(ev.From)+" for "+ev.Path)
	}
	if want := []string{"wrong for a.safetensors", "other for b.safetensors"}; !slices.Equal(refused, want) {
		t.Errorf("refused %q, want %q", refused, want)
	}
	if told := b.of(EventAdopt); len(told) != 3 || told[0].Link != store.LinkCopy {
		t.Errorf("told %+v", told)
	}
	if len(b.hub.log()) != 0 {
		t.Errorf("the hub was asked: %v", b.hub.log())
	}
	b.Counted = true
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.checkSnapshot()
	if done, total := b.stats.Done.Load(), b.stats.Total.Load(); done != total || total != p.Bytes {
		t.Errorf("done %d of %d bytes, want %d", done, total, p.Bytes)
	}
	for _, r := range b.hub.log() {
		if r.path != "b.safetensors" {
			t.Errorf("asked the hub for %v", r)
		}
	}
}

// seeds is a Local that knows beginnings only.
type seeds []string

func (seeds) Find(hub.RepoID, store.Want, string) []store.Source { return nil }
func (s seeds) Seeds(hub.RepoID, store.Want, string) []string    { return s }

// What another downloader has left is used, and believed only with the whole.
func TestSeed(t *testing.T) {
	data := random(5, 6*MiB+77)
	spoilt := bytes.Clone(data[:4*MiB+100])
	spoilt[2*MiB+5] ^= 1
	reserved := append(bytes.Clone(data[:3*MiB]), make([]byte, 3*MiB+77)...)
	for _, tc := range []struct {
		name    string
		left    []byte
		planned int64 // bytes that the plan counts on
		asked   []int // parts asked of the hub
	}{
		{"a beginning", data[:4*MiB+100], 4 * MiB, []int{4, 5, 6}},
		{"all of it but for the end", data[:6*MiB+76], 6 * MiB, []int{6}},
		{"a file that was reserved, and half filled", reserved, 6 * MiB, []int{3, 4, 5, 6}},
		{"a wrong byte", spoilt, 4 * MiB, []int{0, 1, 2, 3, 4, 5, 6}},
		{"less than a part", data[:MiB-1], 0, []int{0, 1, 2, 3, 4, 5, 6}},
		{"longer than it should be", append(bytes.Clone(data), 1), 6 * MiB, []int{6}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, map[string][]byte{weights: data, "config.json": []byte("{}")})
			left := filepath.Join(t.TempDir(), "x.incomplete")
			if err := os.WriteFile(left, tc.left, 0o644); err != nil {
				t.Fatal(err)
			}
			p := b.plan()
			p.UseLocal(seeds{filepath.Join(t.TempDir(), "absent"), left}, b.Store, "")
			if p.Local != tc.planned || p.Move != p.Bytes-tc.planned {
				t.Errorf("the plan counts on %d of %d bytes, want %d", p.Local, p.Bytes, tc.planned)
			}
			b.stats.Total.Add(p.Bytes)
			adopted, err := b.Adopt(t.Context(), p, "")
			if err != nil {
				t.Fatal(err)
			}
			again := b.plan()
			if again.Held != adopted || b.stats.Done.Load() != adopted {
				t.Errorf("adopted %d, held %d, done %d", adopted, again.Held, b.stats.Done.Load())
			}
			b.Counted = true
			if err := b.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.checkSnapshot()
			if done := b.stats.Done.Load(); done != p.Bytes {
				t.Errorf("done %d of %d", done, p.Bytes)
			}
			asked := make(map[int]bool)
			for _, r := range b.hub.log() {
				for i := r.off / MiB; r.path == weights && i*MiB < r.off+r.n; i++ {
					asked[int(i)] = true
				}
			}
			if got := slices.Sorted(maps.Keys(asked)); !slices.Equal(got, tc.asked) {
				t.Errorf("asked for parts %v, want %v", got, tc.asked)
			}
			if got, err := os.ReadFile(left); err != nil || !bytes.Equal(got, tc.left) {
				t.Errorf("the file that was left has changed (%v)", err)
			}
		})
	}
}
