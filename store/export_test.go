package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExport(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	files := map[string][]byte{
		"config.json": []byte("{}"), "model.safetensors": content(70, 2*PartSize+5), "a/b/empty": {},
	}
	snap := fill(t, s, repoA, "gptq-4bit", commitA, files)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	for range 2 { // the second finds everything there
		if _, err := s.Export(t.Context(), snap, dir, LinkAuto); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has other content (%v)", path, err)
		}
	}
	m, err := ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.Repo != repoA || m.Branch != "gptq-4bit" || m.Commit != commitA || len(m.Files) != 3 {
		t.Errorf("manifest: %+v", m)
	}
	if bad := verifyFolder(t, dir); len(bad) != 0 {
		t.Errorf("VerifyFolder found %v", bad)
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, ".qbranch")); len(entries) != 1 {
		t.Errorf("left in .qbranch: %v", entries)
	}
}

func verifyFolder(t *testing.T, dir string) []Damage {
	t.Helper()
	bad, err := VerifyFolder(t.Context(), dir, 2, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	return bad
}

func TestVerifyFolder(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	model := content(71, 4*PartSize+5)
	snap := fill(t, s, repoA, "", commitA, map[string][]byte{
		"a.json": []byte("{}"), "model.safetensors": model, "gone": []byte("x"), "short": content(72, 10),
	})
	dir := t.TempDir()
	if _, err := VerifyFolder(t.Context(), dir, 0, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a folder without a manifest: %v", err)
	}
	if _, err := s.Export(t.Context(), snap, dir, LinkAuto); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int64{1, 2, 4} {
		flip(t, filepath.Join(dir, "model.safetensors"), i*PartSize+1)
	}
	err := errors.Join(os.Remove(filepath.Join(dir, "gone")),
		os.Chmod(filepath.Join(dir, "short"), 0o600), os.Truncate(filepath.Join(dir, "short"), 3))
	if err != nil {
		t.Fatal(err)
	}
	want := []Damage{
		{Path: "gone", Missing: true},
		{Path: "model.safetensors", Ranges: []Range{{PartSize, 2 * PartSize}, {4 * PartSize, 5}}},
		{Path: "short", Ranges: []Range{{0, 10}}},
	}
	got := verifyFolder(t, dir)
	if !slices.EqualFunc(got, want, func(a, b Damage) bool {
		return a.Path == b.Path && a.Missing == b.Missing && slices.Equal(a.Ranges, b.Ranges)
	}) {
		t.Errorf("VerifyFolder found %+v, want %+v", got, want)
	}
	if err := os.WriteFile(filepath.Join(dir, ".qbranch", "manifest.json"), []byte(`{"format":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyFolder(t.Context(), dir, 0, nil); !errors.Is(err, ErrFormat) {
		t.Errorf("with a damaged manifest: %v", err)
	}
}

func TestExportRefusesToOverwrite(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	snap := fill(t, s, repoA, "", commitA, map[string][]byte{"config.json": []byte(`{"a":1}`), "z": []byte("z")})
	for _, tt := range []struct {
		name string
		make func(path string) error
		ok   bool
	}{
		{"nothing there", func(string) error { return nil }, true},
		{"the same content", func(p string) error { return os.WriteFile(p, []byte(`{"a":1}`), 0o644) }, true},
		{"other content of the same length", func(p string) error { return os.WriteFile(p, []byte(`{"a":2}`), 0o644) }, false},
		{"other content", func(p string) error { return os.WriteFile(p, []byte(`mine`), 0o644) }, false},
		{"a directory", func(p string) error { return os.Mkdir(p, 0o755) }, false},
		{"a dangling symlink", func(p string) error { return os.Symlink("nowhere", p) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := tt.make(filepath.Join(dir, "config.json")); err != nil {
				t.Skip(err)
			}
			_, err := s.Export(t.Context(), snap, dir, LinkAuto)
			if tt.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *ExistsError
			if !errors.Is(err, fs.ErrExist) || !errors.As(err, &e) || e.Path != "config.json" || e.Hint() == "" {
				t.Errorf("Export: %v, want ExistsError", err)
			}
			if exists(filepath.Join(dir, ".qbranch", "manifest.json")) {
				t.Error("a failed export left a manifest")
			}
		})
	}
}

// TestExportAgain: the branch has moved on; what the first export wrote is
// replaced, what somebody changed since is not.
func TestExportAgain(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	first := fill(t, s, repoA, "main", commitA, map[string][]byte{"config.json": []byte("1"), "README.md": []byte("same")})
	second := fill(t, s, repoA, "main", commitB, map[string][]byte{"config.json": []byte("22"), "README.md": []byte("same")})
	dir := t.TempDir()
	for _, snap := range []Snapshot{first, second} {
		if _, err := s.Export(t.Context(), snap, dir, LinkAuto); err != nil {
			t.Fatal(err)
		}
		if bad := verifyFolder(t, dir); len(bad) != 0 {
			t.Errorf("VerifyFolder found %v", bad)
		}
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "config.json")); string(got) != "22" {
		t.Errorf("config.json is %q", got)
	}
	// Not in place: the file may be the blob itself.
	edited := filepath.Join(dir, "config.json")
	if err := errors.Join(os.Remove(edited), os.WriteFile(edited, []byte("my own"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Export(t.Context(), first, dir, LinkAuto); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an edited file: %v", err)
	}
	if got, _ := os.ReadFile(edited); string(got) != "my own" {
		t.Errorf("the edited file is now %q", got)
	}
	// The blobs are as they were.
	checkBlob(t, s, []byte("1"))
	checkBlob(t, s, []byte("22"))
}

// TestExportStaysInside: symlinks in the folder lead nowhere else.
func TestExportStaysInside(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	snap := fill(t, s, repoA, "", commitA, map[string][]byte{"sub/file": []byte("x")})
	for _, link := range []string{"sub", ".qbranch"} {
		outside, dir := t.TempDir(), t.TempDir()
		if err := os.Symlink(outside, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
		if _, err := s.Export(t.Context(), snap, dir, LinkAuto); err == nil {
			t.Errorf("%s leads out of the folder: no error", link)
		}
		if entries, _ := os.ReadDir(outside); len(entries) != 0 {
			t.Errorf("%s: written outside: %v", link, entries)
		}
	}
}

func TestExportRefusesDamage(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(73, PartSize)
	snap := fill(t, s, repoA, "", commitA, map[string][]byte{"f": data})
	bad := snap
	bad.Files = []SnapshotFile{{Path: "../f", Size: PartSize, SHA256: snap.Files[0].SHA256}}
	dir := t.TempDir()
	if _, err := s.Export(t.Context(), bad, filepath.Join(dir, "in"), LinkAuto); err == nil || exists(filepath.Join(dir, "f")) {
		t.Errorf("a path that leads out: %v", err)
	}
	flip(t, s.Path(snap.Files[0].SHA256), 9)
	verifyBad(t, s, snap.Files[0].SHA256)
	var corrupt *CorruptError
	if _, err := s.Export(t.Context(), snap, dir, LinkAuto); !errors.As(err, &corrupt) {
		t.Errorf("a corrupt blob: %v", err)
	}
}

// TestCopyChecked is the last resort of Export, where the folder is on another
// file system; damage is noticed on the way.
func TestCopyChecked(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(74, 2*PartSize+9)
	d := publishBlob(t, s, data)
	parts, err := s.Parts(d)
	if err != nil {
		t.Fatal(err)
	}
	f := ManifestFile{SnapshotFile{"f", int64(len(data)), d}, parts}
	copyTo := func(path string) error {
		blob, err := os.Open(s.Path(d))
		if err != nil {
			t.Fatal(err)
		}
		defer blob.Close()
		out, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		return copyChecked(t.Context(), out, blob, f)
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := copyTo(path); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, data) {
		t.Error("the copy has other content")
	}
	flip(t, s.Path(d), 2*PartSize)
	var bad *CorruptError
	if err := copyTo(path); !errors.As(err, &bad) || !slices.Equal(bad.Parts, []int{2}) {
		t.Errorf("copying a corrupt blob: %v", err)
	}
}

func TestCheckFilePath(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{"a", "a/b.c", "model-00001-of-00002.safetensors", "ünï/çode", "a..b", ".gitattributes", "consul", "com10"} {
		if err := CheckPath(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{
		"", ".", "..", "../a", "a/../b", "a//b", "/a", "a/", "a/./b", // not plain
		`a\b`, `..\a`, "C:a", "a:stream", "a*", "a?", "a|b", "a<b", `a"b`, // Windows
		"con", "CON", "Nul.txt", "a/com1", "lpt9.x", "a.", "a ", "COM¹", // devices, trailing dots
		"a\x00b", "a\nb", "a\x7f", "\xff", // control characters, not UTF-8
		".qbranch/manifest.json", ".QBRANCH", // ours
		strings.Repeat("a", 256), strings.Repeat("a/", 3000) + "a", // too long
	} {
		if err := CheckPath(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// TestExportToAnotherDisk copies, and makes a lost list of parts again first.
func TestExportToAnotherDisk(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/dev/shm", "qbranch")
	if err != nil {
		t.Skip("no second file system")
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := openTest(t)
	data := content(75, 2*PartSize+1)
	snap := fill(t, s, repoA, "", commitA, map[string][]byte{"f": data})
	d := wantOf(data).SHA256
	if err := os.Remove(s.partsPath(d)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Export(t.Context(), snap, dir, LinkAuto); err != nil {
		t.Fatal(err)
	}
	if bad := verifyFolder(t, dir); len(bad) != 0 {
		t.Errorf("VerifyFolder found %v", bad)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the copy has other content (%v)", err)
	}
}

// TestExportKilled: what a killed export left is no hindrance and goes away.
func TestExportKilled(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	data := content(76, 100)
	snap := fill(t, s, repoA, "", commitA, map[string][]byte{"f": data})
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".qbranch"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tmp-" + snap.Files[0].SHA256.String(), "tmp-manifest"} {
		if err := os.WriteFile(filepath.Join(dir, ".qbranch", name), []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Export(t.Context(), snap, dir, LinkAuto); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, ".qbranch")); len(entries) != 1 {
		t.Errorf("left in .qbranch: %v", entries)
	}
}
