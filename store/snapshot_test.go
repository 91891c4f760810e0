package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	repoA   = "TheBloke/Llama-GPTQ"
	commitA = "0123456789abcdef0123456789abcdef01234567"
	commitB = "89abcdef0123456789abcdef0123456789abcdef"
)

// fill publishes files and returns the snapshot that lists them.
func fill(t testing.TB, s *Store, repo, branch, commit string, files map[string][]byte) Snapshot {
	t.Helper()
	snap := Snapshot{Repo: repo, Branch: branch, Commit: commit}
	for path, data := range files {
		d, err := s.Put(t.Context(), wantOf(data), data)
		if err != nil {
			t.Fatal(err)
		}
		snap.Files = append(snap.Files, SnapshotFile{Path: path, Size: int64(len(data)), SHA256: d})
	}
	if err := s.PutSnapshot(snap); err != nil {
		t.Fatal(err)
	}
	return snap
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	snap := fill(t, s, repoA, "main", commitA, map[string][]byte{
		"config.json": []byte("{}"), "model.safetensors": content(60, PartSize+1), "dir/a.txt": {}, "README.md": []byte("hi"),
	})
	got, err := s.Snapshot(repoA, commitA)
	if err != nil {
		t.Fatal(err)
	}
	if got.Created.IsZero() || got.Repo != repoA || got.Branch != "main" || got.Commit != commitA {
		t.Errorf("got %+v", got)
	}
	var paths []string
	for _, f := range got.Files {
		paths = append(paths, f.Path)
	}
	if want := []string{"README.md", "config.json", "dir/a.txt", "model.safetensors"}; !slices.Equal(paths, want) {
		t.Errorf("paths %v, want %v", paths, want)
	}
	if got.Bytes() != PartSize+1+4 || snap.Bytes() != got.Bytes() {
		t.Errorf("Bytes() = %d", got.Bytes())
	}
	for _, tt := range []struct{ name, repo, commit string }{
		{"another commit", repoA, commitB},
		{"another repository", "TheBloke/Other", commitA},
		{"the same in other case", "thebloke/llama-gptq", commitA},
	} {
		if _, err := s.Snapshot(tt.repo, tt.commit); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, bad := range []struct{ repo, commit string }{
		{"../x", commitA}, {"a", commitA}, {"a/b/c", commitA}, {"/b", commitA}, {"a/", commitA},
		{repoA, "main"}, {repoA, strings.ToUpper(commitB)}, {repoA, "../../etc"}, {repoA, ""},
	} {
		if _, err := s.Snapshot(bad.repo, bad.commit); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("Snapshot(%q, %q): %v", bad.repo, bad.commit, err)
		}
	}
}

func TestSnapshotDamage(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	model := content(61, 2*PartSize)
	snap := fill(t, s, repoA, "main", commitA, map[string][]byte{"config.json": []byte("{}"), "model.safetensors": model})
	d := wantOf(model).SHA256
	flip(t, s.Path(d), PartSize)
	verifyBad(t, s, d)
	var bad *CorruptError
	got, err := s.Snapshot(repoA, commitA)
	if !errors.As(err, &bad) || bad.Digest != d || !slices.Equal(bad.Parts, []int{1}) || len(got.Files) != 2 {
		t.Errorf("with a corrupt blob: %v", err)
	}
	if err := s.PutSnapshot(snap); !errors.As(err, &bad) {
		t.Errorf("PutSnapshot with a corrupt blob: %v", err)
	}
	if missing, corrupt := s.SnapshotState(snap); len(missing) != 0 || !slices.Equal(corrupt, []string{"model.safetensors"}) {
		t.Errorf("SnapshotState() = %v, %v", missing, corrupt)
	}
	if err := errors.Join(os.Remove(s.corruptPath(d)), os.Remove(s.Path(d))); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Snapshot(repoA, commitA); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound) || len(got.Files) != 2 {
		t.Errorf("with a blob that has gone: %v", err)
	}
	if err := s.PutSnapshot(snap); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "model.safetensors") {
		t.Errorf("PutSnapshot with a missing blob: %v", err)
	}
	if missing, corrupt := s.SnapshotState(snap); !slices.Equal(missing, []string{"model.safetensors"}) || len(corrupt) != 0 {
		t.Errorf("SnapshotState() = %v, %v", missing, corrupt)
	}
}

func TestPutSnapshotRefuses(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	good := fill(t, s, repoA, "main", commitA, map[string][]byte{"a": []byte("x")})
	for _, tt := range []struct {
		name   string
		change func(*Snapshot)
	}{
		{"no owner", func(s *Snapshot) { s.Repo = "model" }},
		{"a branch for a commit", func(s *Snapshot) { s.Commit = "main" }},
		{"a branch that JSON cannot hold", func(s *Snapshot) { s.Branch = "\xff" }},
		{"a file outside", func(s *Snapshot) { s.Files[0].Path = "../a" }},
		{"a path of our own", func(s *Snapshot) { s.Files[0].Path = ".QBranch/manifest.json" }},
		{"negative length", func(s *Snapshot) { s.Files[0].Size = -1 }},
		{"a length that is not the blob's", func(s *Snapshot) { s.Files[0].Size = 2 }},
		{"twice the same", func(s *Snapshot) { s.Files = append(s.Files, s.Files[0]) }},
		{"twice the same where case does not count", func(s *Snapshot) {
			s.Files = append(s.Files, s.Files[0])
			s.Files[1].Path = "A"
		}},
	} {
		snap := good
		snap.Files = slices.Clone(good.Files)
		tt.change(&snap)
		if err := s.PutSnapshot(snap); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
}

func TestSnapshots(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	if list, err := s.Snapshots(); err != nil || len(list) != 0 {
		t.Errorf("of an empty store: %v, %v", list, err)
	}
	shared, own := content(62, 100), content(63, 30)
	fill(t, s, "z/z", "", commitA, map[string][]byte{"f": shared, "twice": shared})
	fill(t, s, repoA, "main", commitB, map[string][]byte{"f": own})
	fill(t, s, repoA, "gptq-4bit", commitA, map[string][]byte{"f": shared, "g": own, "h": []byte("alone")})
	list, err := s.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, snap := range list {
		names = append(names, snap.Repo+":"+snap.Branch)
	}
	if want := []string{repoA + ":gptq-4bit", repoA + ":main", "z/z:"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if got, want := SharedBytes(list), []int64{130, 30, 100}; !slices.Equal(got, want) {
		t.Errorf("SharedBytes() = %v, want %v", got, want)
	}
	// One that is damaged does not hide the others.
	path, _ := s.snapshotPath(repoA, commitB)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err = s.Snapshots()
	if !errors.Is(err, ErrFormat) || len(list) != 2 || !strings.Contains(err.Error(), commitB) {
		t.Errorf("with a damaged one: %d, %v", len(list), err)
	}
	if _, err := s.Snapshot(repoA, commitB); !errors.Is(err, ErrFormat) {
		t.Errorf("the damaged one: %v", err)
	}
}

func TestBranches(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	names := []string{"main", "Main", "gptq-4bit-32g-actorder_True", "refs/pr/1", "..", ".", "con", "a/../b", "ümlaut", "a b", "!a", "%41",
		strings.Repeat("x", 300), strings.Repeat("x", 301), "tail.", "~", "nul.txt"}
	for i, name := range names {
		if err := s.SetBranch(repoA, name, commitOf(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names { // none has taken another's place
		if got, ok := s.BranchCommit(repoA, name); !ok || got != commitOf(i) {
			t.Errorf("BranchCommit(%.20q) = %s, %v", name, got, ok)
		}
	}
	if err := s.SetBranch(repoA, "main", commitA); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.BranchCommit(repoA, "main"); !ok || got != commitA {
		t.Errorf("after a second SetBranch: %s, %v", got, ok)
	}
	if _, ok := s.BranchCommit(repoA, "never"); ok {
		t.Error("a branch never set is known")
	}
	for _, bad := range []struct{ repo, branch, commit string }{
		{"..", "main", commitA}, {repoA, "", commitA}, {repoA, "\xff", commitA}, {repoA, "main", "main"},
	} {
		if err := s.SetBranch(bad.repo, bad.branch, bad.commit); err == nil {
			t.Errorf("SetBranch(%q): no error", bad)
		}
	}
	// Nothing was written outside.
	err := filepath.WalkDir(s.Dir(), func(path string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(s.Dir(), path)
		if first, _, _ := strings.Cut(filepath.ToSlash(rel), "/"); !slices.Contains([]string{".", "VERSION", "tmp", "branches"}, first) {
			t.Errorf("found %s", rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// commitOf makes up a commit.
func commitOf(i int) string { return Digest{byte(i)}.String()[:40] }

func TestDigestText(t *testing.T) {
	t.Parallel()
	d := Digest{1, 0xff}
	text, err := d.MarshalText()
	if err != nil || string(text) != d.String() {
		t.Errorf("MarshalText() = %s, %v", text, err)
	}
	var back Digest
	if err := back.UnmarshalText(text); err != nil || back != d {
		t.Errorf("UnmarshalText: %v, %v", back, err)
	}
	for _, bad := range []string{"", "00", strings.ToUpper(d.String()), "sha256:" + d.String(), d.String() + "0", "../" + d.String()[3:]} {
		if _, err := ParseDigest(bad); err == nil {
			t.Errorf("ParseDigest(%q): no error", bad)
		}
		if back.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("UnmarshalText(%q): no error", bad)
		}
	}
}
