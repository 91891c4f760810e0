package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/qbranch/qbranch/store"
)

// forgery is a bundle made by somebody else, with any lie in it.
type forgery struct {
	m       Manifest
	sums    [][]byte // of the parts
	members []forged // behind manifest and parts
	tail    []byte   // behind the end of the tar
}

// forged is a member of a forgery.
type forged struct {
	tar.Header
	data []byte
}

// forge begins with an honest bundle of one branch.
func forge() *forgery {
	config, weights := []byte("{}"), noise(7, store.PartSize+1)
	f := &forgery{m: Manifest{Kind: kind, Format: 1, PartSize: store.PartSize, Snapshots: []store.Snapshot{{
		Repo: "acme/llama", Branch: "main", Commit: commitA, Files: []store.SnapshotFile{
			{Path: "config.json", Size: 2, SHA256: sha256.Sum256(config)},
			{Path: "model.safetensors", Size: store.PartSize + 1, SHA256: sha256.Sum256(weights)}}}}}}
	f.m.Contents = f.m.distinct()
	for _, data := range [][]byte{weights, config} {
		f.add(data)
	}
	return f
}

func (f *forgery) add(data []byte) {
	for part := range slices.Chunk(data, store.PartSize) {
		d := store.SumPart(part)
		f.sums = append(f.sums, d[:])
	}
	d := store.Digest(sha256.Sum256(data))
	f.members = append(f.members, forged{tar.Header{Name: "blobs/" + d.String(), Size: int64(len(data)), Mode: 0o444}, data})
}

// bytes is the forgery as a tar; as is, with no rule but tar's.
func (f *forgery) bytes(t testing.TB) []byte {
	t.Helper()
	manifest, err := f.m.encode()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(manifest)
	parts := append(sum[:], bytes.Join(f.sums, nil)...)
	sum = sha256.Sum256(parts)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	all := append([]forged{{tar.Header{Name: manifestName, Size: int64(len(manifest))}, manifest},
		{tar.Header{Name: partsName, Size: int64(len(parts) + 32)}, append(parts, sum[:]...)}}, f.members...)
	for _, m := range all {
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), f.tail...)
}

// compressed is what zstd makes of it: one frame.
func compressed(t testing.TB, b []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return enc.EncodeAll(b, nil)
}

// An honest bundle by another program is taken, however it is compressed; the
// lies of others are refused, and nothing wrong is published.
func TestForgeries(t *testing.T) {
	file := func(f *forgery, i int) *store.SnapshotFile { return &f.m.Snapshots[0].Files[i] }
	rename := func(path string) func(*forgery) { return func(f *forgery) { file(f, 1).Path = path } }
	for _, tc := range []struct {
		name string
		lie  func(*forgery)
		want error // nil: none
	}{
		{"honest", func(*forgery) {}, nil},
		{"zeros behind the end", func(f *forgery) { f.tail = make([]byte, 10240) }, nil},
		// Names.
		{"path that leaves", rename("../evil"), ErrFormat},
		{"absolute path", rename("/etc/passwd"), ErrFormat},
		{"backslash", rename(`a\b`), ErrFormat},
		{"Windows device", rename("nul.txt"), ErrFormat},
		{"our own folder", rename(".qbranch/manifest.json"), ErrFormat},
		{"control character", rename("x\x1b[31m"), ErrFormat},
		{"same path in other case", rename("CONFIG.json"), ErrFormat},
		{"files out of order", func(f *forgery) { slices.Reverse(f.m.Snapshots[0].Files) }, ErrFormat},
		{"repository that leaves", func(f *forgery) { f.m.Snapshots[0].Repo = "../.." }, ErrFormat},
		{"commit that is none", func(f *forgery) { f.m.Snapshots[0].Commit = "../../../../etc/passwd" }, ErrFormat},
		{"branch that is no text", func(f *forgery) { f.m.Snapshots[0].Branch = "\xff" }, nil}, // JSON makes it U+FFFD
		// The list of contents.
		{"no branch", func(f *forgery) { f.m.Snapshots = nil }, ErrFormat},
		{"the same branch twice", func(f *forgery) { f.m.Snapshots = append(f.m.Snapshots, f.m.Snapshots[0]) }, ErrFormat},
		{"content that no file has", func(f *forgery) { f.m.Contents = append(f.m.Contents, Content{}) }, ErrFormat},
		{"content missing from the list", func(f *forgery) { f.m.Contents = f.m.Contents[:1] }, ErrFormat},
		{"contents out of order", func(f *forgery) { slices.Reverse(f.m.Contents) }, ErrFormat},
		{"negative length", func(f *forgery) { file(f, 0).Size, f.m.Contents[1].Size = -1, -1 }, ErrFormat},
		{"length of a petabyte", func(f *forgery) { file(f, 1).Size, f.m.Contents[0].Size = 1<<50, 1<<50 }, ErrFormat},
		{"length of 8 TiB", func(f *forgery) { file(f, 1).Size, f.m.Contents[0].Size = 1<<43, 1<<43 }, ErrFormat},
		{"other parts", func(f *forgery) { f.m.PartSize = 512 }, ErrFormat},
		{"other kind", func(f *forgery) { f.m.Kind = "zoo" }, ErrFormat},
		// Members.
		{"part digests too short", func(f *forgery) { f.sums = f.sums[1:] }, ErrDamaged},
		{"members out of order", func(f *forgery) { slices.Reverse(f.members) }, ErrDamaged},
		{"member twice", func(f *forgery) { f.members = append(f.members, f.members[0]) }, ErrDamaged},
		{"member missing", func(f *forgery) { f.members = f.members[:1] }, ErrDamaged},
		{"member nobody listed", func(f *forgery) { f.add([]byte("more")) }, ErrDamaged},
		{"symlink", func(f *forgery) {
			f.members[1] = forged{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: f.members[1].Name, Linkname: "/etc/passwd"}}
		}, ErrDamaged},
		{"hard link", func(f *forgery) {
			f.members[1] = forged{Header: tar.Header{Typeflag: tar.TypeLink, Name: f.members[1].Name, Linkname: "blobs/x"}}
		}, ErrDamaged},
		{"extended header", func(f *forgery) { f.members[1].Header.PAXRecords = map[string]string{"QBRANCH.x": "y"} }, ErrDamaged},
		{"member too long", func(f *forgery) { f.members[1].data, f.members[1].Size = []byte("{} "), 3 }, ErrDamaged},
		{"trailing bytes", func(f *forgery) { f.tail = []byte("and more") }, ErrDamaged},
		{"trailing member", func(f *forgery) { f.tail = bytes.Repeat([]byte{1}, 512) }, ErrDamaged},
		// Contents.
		{"other content of the same length", func(f *forgery) { f.members[1].data = []byte("[]") }, ErrDamaged},
		{"other content, digests to match", func(f *forgery) {
			f.members[1].data = []byte("[]")
			d := store.SumPart([]byte("[]"))
			f.sums[2] = d[:]
		}, ErrDamaged},
		{"other weights, digests to match", func(f *forgery) {
			f.members[0].data = noise(8, store.PartSize+1)
			a, b := store.SumPart(f.members[0].data[:store.PartSize]), store.SumPart(f.members[0].data[store.PartSize:])
			f.sums[0], f.sums[1] = a[:], b[:]
		}, ErrDamaged},
		{"wrong git blob id", func(f *forgery) { f.m.Contents[1].GitOID = GitOID{1} }, ErrDamaged},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := forge()
			tc.lie(f)
			plain := f.bytes(t)
			// Without a store nobody can tell the git blob id.
			if err := check(t, plain); tc.name != "wrong git blob id" && !errors.Is(err, tc.want) {
				t.Errorf("check: %v, want %v", err, tc.want)
			}
			st := openStore(t)
			if _, _, err := importBytes(t, st, bytes.NewReader(compressed(t, plain))); !errors.Is(err, tc.want) {
				t.Errorf("import: %v, want %v", err, tc.want)
			}
			// What follows a whole bundle makes the command fail, and is not looked at.
			whole := tc.want == nil || strings.HasPrefix(tc.name, "trailing") || tc.name == "member twice"
			sound(t, st, whole)
		})
	}
}

// sound demands that every blob of a store has the SHA-256 that it is named by,
// and that it has snapshots only if whole.
func sound(t testing.TB, st *store.Store, whole bool) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(st.Dir(), "blobs", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if store.Digest(sha256.Sum256(b)).String() != filepath.Base(name) {
			t.Errorf("published %s with other content", name)
		}
	}
	snaps, err := st.Snapshots()
	if err != nil {
		t.Error(err)
	}
	for _, snap := range snaps {
		if missing, corrupt := st.SnapshotState(snap); len(missing)+len(corrupt) > 0 || !whole {
			t.Errorf("snapshot %s@%s, missing %v, corrupt %v", snap.Repo, snap.Commit, missing, corrupt)
		}
	}
}

// What is announced does not make us allocate.
func TestBombs(t *testing.T) {
	zeros := make([]byte, 1<<20)
	var bomb bytes.Buffer
	z, err := zstd.NewWriter(&bomb)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: manifestName, Size: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	for range 64 {
		w.Write(zeros)
	}
	z.Close()
	for _, tc := range []struct {
		name string
		b    []byte
		want string
	}{
		{"manifest of a gigabyte", bomb.Bytes(), "manifest"},
		{"stored frame of an exabyte", append([]byte{0x28, 0xb5, 0x2f, 0xfd, storedFlags, storedWindow}, 0, 0, 0, 0, 0, 0, 0, 0x7f), "stored frame"},
		{"window of a gigabyte", append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x01, 0, 0}, zeros[:600]...), "window"},
		{"skippable frames without end", bytes.Repeat(append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 1, 0}, zeros[:1<<16]...), 32), "skippable"},
		{"only commas", compressed(t, tarOf(t, manifestName, "["+strings.Repeat("0,", 2<<20)+"0]")), "more than a bundle may have"},
	} {
		if err := check(t, tc.b); !errors.Is(err, ErrFormat) && !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func tarOf(t testing.TB, name, data string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
