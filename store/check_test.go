package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func (s *shelf) check(o CheckOptions) CheckReport {
	s.Helper()
	rep, err := s.Check(s.Context(), o)
	if err != nil {
		s.Fatal(err)
	}
	return rep
}

// codes lists the codes of problems that have not been fixed, without those
// that say nothing bad.
func codes(rep CheckReport) []string {
	var out []string
	for _, p := range rep.Problems {
		if !p.Fixed && p.Code != "BLOB_UNUSED" && p.Code != "ASIDE" {
			out = append(out, p.Code)
		}
	}
	return slices.Compact(out)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.RemoveAll(path), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	lone := wantOf([]byte("lone")).SHA256
	for _, tt := range []struct {
		code     string
		severity Severity
		spoil    func(t *testing.T, s *shelf)
		left     string // codes after a fix
	}{
		{"", "", func(*testing.T, *shelf) {}, ""},
		{"SNAPSHOT_BAD", SeverityFatal, func(t *testing.T, s *shelf) {
			path, err := s.snapshotPath(repoA, commitA)
			must(t, err)
			b, err := os.ReadFile(path)
			must(t, err)
			write(t, path, string(b[:len(b)-3])) // cut off
		}, "BRANCH_ORPHAN"},
		{"SNAPSHOT_BAD", SeverityFatal, func(t *testing.T, s *shelf) {
			path, err := s.snapshotPath(repoA, commitA)
			must(t, err)
			must(t, os.Rename(path, strings.Replace(path, commitA, strings.Repeat("3", 40), 1))) // of another commit
		}, "BRANCH_ORPHAN"},
		{"BLOB_MISSING", SeverityFatal, func(t *testing.T, s *shelf) { must(t, os.Remove(s.Path(wantOf(s.own).SHA256))) }, "BLOB_MISSING"},
		{"BLOB_SIZE", SeverityFatal, func(t *testing.T, s *shelf) {
			path := s.Path(wantOf(s.own).SHA256)
			must(t, os.Chmod(path, 0o600), os.Truncate(path, 7), os.Chmod(path, 0o444))
		}, "BLOB_SIZE"},
		{"BLOB_TYPE", SeverityFatal, func(t *testing.T, s *shelf) {
			path := s.Path(wantOf(s.own).SHA256)
			must(t, os.Remove(path), os.Symlink("/etc/passwd", path))
		}, "BLOB_TYPE"},
		{"BLOB_CORRUPT", SeverityFatal, func(t *testing.T, s *shelf) {
			must(t, s.markCorrupt(&CorruptError{Digest: wantOf(s.own).SHA256, Size: int64(len(s.own)), Parts: []int{0}}))
		}, "BLOB_CORRUPT"},
		{"BLOB_MODE", SeverityWarn, func(t *testing.T, s *shelf) { must(t, os.Chmod(s.Path(wantOf(s.own).SHA256), 0o644)) }, ""},
		{"PARTS_MISSING", SeverityWarn, func(t *testing.T, s *shelf) { must(t, os.Remove(s.partsPath(wantOf(s.own).SHA256))) }, ""},
		{"PARTS_BAD", SeverityWarn, func(t *testing.T, s *shelf) { write(t, s.partsPath(wantOf(s.own).SHA256), "x") }, ""},
		{"PARTS_BAD", SeverityWarn, func(t *testing.T, s *shelf) { // a list of another length
			must(t, s.writeParts(partList{blob: wantOf(s.own).SHA256, size: 5, sums: []Digest{{}}}))
		}, ""},
		{"PARTS_MISSING", SeverityWarn, func(t *testing.T, s *shelf) { // and the blob has been changed
			must(t, os.Remove(s.partsPath(wantOf(s.own).SHA256)))
			flip(t, s.Path(wantOf(s.own).SHA256), 3)
			must(t, os.Chmod(s.Path(wantOf(s.own).SHA256), 0o444))
		}, "BLOB_CORRUPT"},
		{"PARTS_ORPHAN", SeverityInfo, func(t *testing.T, s *shelf) {
			must(t, s.writeParts(partList{blob: lone, size: 4, sums: []Digest{{}}}))
		}, ""},
		{"ALIAS_ORPHAN", SeverityInfo, func(t *testing.T, s *shelf) { must(t, s.setAlias(Want{Size: 4, GitOID: [20]byte{7}}, lone)) }, ""},
		{"ALIAS_BAD", SeverityWarn, func(t *testing.T, s *shelf) { write(t, s.gitPath([20]byte{7}), "no digest\n") }, ""},
		{"MARK_ORPHAN", SeverityInfo, func(t *testing.T, s *shelf) {
			must(t, s.markCorrupt(&CorruptError{Digest: lone, Size: 4, Parts: []int{0}}))
		}, ""},
		{"BRANCH_ORPHAN", SeverityInfo, func(t *testing.T, s *shelf) { must(t, s.SetBranch(repoA, "gone", strings.Repeat("4", 40))) }, ""},
		{"BEGUN_BAD", SeverityWarn, func(t *testing.T, s *shelf) {
			path, err := s.begunPath(repoA, commitA)
			must(t, err)
			write(t, path, `{"format":1}`)
		}, ""},
		{"BRANCH_BAD", SeverityWarn, func(t *testing.T, s *shelf) {
			path, err := s.branchPath(repoA, "main")
			must(t, err)
			write(t, path, "{")
		}, ""},
		{"PIN_BAD", SeverityWarn, func(t *testing.T, s *shelf) {
			path, err := s.pinPath(Pin{Repo: repoA, Branch: "main"})
			must(t, err)
			write(t, path, `{"format":1,"repo":"a/b","branch":"other"}`)
		}, ""},
		{"PIN_ORPHAN", SeverityInfo, func(t *testing.T, s *shelf) { must(t, s.Pin(Pin{Repo: repoA, Branch: "gone"})) }, "PIN_ORPHAN"},
		{"PARTIAL_BAD", SeverityInfo, func(t *testing.T, s *shelf) {
			path := s.partialOf(wantOf([]byte("lone"))).journal()
			write(t, path, "x")
			old := time.Now().Add(-2 * time.Hour)
			must(t, os.Chtimes(path, old, old))
		}, "PARTIAL_BAD"},
		{"PARTIAL_LEFT", SeverityInfo, func(t *testing.T, s *shelf) {
			in, err := s.Ingest(t.Context(), wantOf(content(110, 2*PartSize)))
			must(t, err)
			must(t, in.WritePart(t.Context(), 0, content(110, PartSize)), in.Close())
		}, "PARTIAL_LEFT"},
		{"FOREIGN", SeverityWarn, func(t *testing.T, s *shelf) { write(t, filepath.Join(s.dir, "blobs", "note.txt"), "x") }, "FOREIGN"},
		{"FOREIGN", SeverityWarn, func(t *testing.T, s *shelf) { write(t, filepath.Join(s.dir, "models", "x"), "x") }, "FOREIGN"},
		{"MODE", SeverityWarn, func(t *testing.T, s *shelf) { must(t, os.Chmod(s.dir, 0o755)) }, ""},
	} {
		t.Run(tt.code, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			tt.spoil(t, s)
			before := s.files()
			rep := s.check(CheckOptions{})
			if got := strings.Join(codes(rep), " "); got != tt.code && !strings.HasPrefix(got, tt.code+" ") {
				t.Fatalf("codes %q, want %q", got, tt.code)
			}
			if got := s.files(); !slices.Equal(got, before) {
				t.Errorf("looking changed the store: %q, was %q", got, before)
			}
			i := slices.IndexFunc(rep.Problems, func(p Problem) bool { return p.Code == tt.code })
			if i >= 0 && (rep.Problems[i].Severity != tt.severity || rep.Problems[i].Message == "") {
				t.Errorf("got %+v, want %s", rep.Problems[i], tt.severity)
			}
			if damaged := tt.severity == SeverityFatal; damaged != (rep.Damaged() > 0) {
				t.Errorf("%d damaged, want some: %v", rep.Damaged(), damaged)
			}
			s.check(CheckOptions{Fix: true})
			rep = s.check(CheckOptions{Fix: true}) // what the first one brought to light
			if got := strings.Join(codes(s.check(CheckOptions{})), " "); got != tt.left && !(tt.left == "BRANCH_ORPHAN" && got == "") {
				t.Errorf("after fixing: %q, want %q (%+v)", got, tt.left, rep.Problems)
			}
			// Whatever was wrong, no content has gone.
			for _, b := range before {
				if strings.HasPrefix(b, "blobs/") {
					if _, err := os.Lstat(filepath.Join(s.dir, filepath.FromSlash(b))); err != nil {
						t.Errorf("fixing removed %s: %v", b, err)
					}
				}
			}
		})
	}
}

// While a snapshot is set aside nobody knows what it uses, and nothing is
// removed, until it has been fetched again or somebody removes the file.
func TestSetAside(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	path, err := s.snapshotPath(repoA, commitA)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := s.Snapshot(repoA, commitA)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil { // it names nothing any more
		t.Fatal(err)
	}
	s.check(CheckOptions{Fix: true})
	sweep := s.collect(CollectOptions{})
	if !s.has(s.own) || len(sweep.Kept) != 1 || sweep.Kept[0].Why != WhyAside {
		t.Errorf("kept %+v", sweep.Kept)
	}
	aside := filepath.Join(s.dir, dirAside, commitA+".json.1")
	if err := s.PutSnapshot(snap); err != nil { // fetched again
		t.Fatal(err)
	}
	s.collect(CollectOptions{})
	if _, err := os.Stat(aside); !errors.Is(err, fs.ErrNotExist) || !s.has(s.own) {
		t.Errorf("fetched again: %v, its file is there: %v", err, s.has(s.own))
	}
	s.remove(Selector{Repo: repoA, Branch: "main"})
	if s.has(s.own) || !s.has(s.shared) || !s.has(s.other) {
		t.Error("want only what nothing names to go")
	}
}

// While a fetch is running, lists and aliases without a blob are left alone:
// they come before it.
func TestCheckWhileFetching(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	lone := wantOf([]byte("lone")).SHA256
	if err := s.writeParts(partList{blob: lone, size: 4, sums: []Digest{{}}}); err != nil {
		t.Fatal(err)
	}
	hold, err := s.Hold(t.Context(), "get a/b", []Want{gitWantOf([]byte("lone"))})
	if err != nil {
		t.Fatal(err)
	}
	s.check(CheckOptions{Fix: true})
	s.collect(CollectOptions{})
	if _, err := s.readParts(lone); err != nil {
		t.Errorf("the list of a blob that is about to come: %v", err)
	}
	if err := hold.Release(); err != nil {
		t.Fatal(err)
	}
	s.check(CheckOptions{Fix: true})
	if _, err := os.Stat(s.partsPath(lone)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the list is still there: %v", err)
	}
}

// must ends a test that something it needs has gone wrong for.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
