package store

import (
	"errors"
	"os"
	"slices"
	"testing"
)

func TestVerifyQuick(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	f := SnapshotFile{Path: "w", Size: int64(len(s.own)), SHA256: wantOf(s.own).SHA256}
	if err := s.VerifyQuick(f); err != nil {
		t.Error(err)
	}
	// A changed byte is not its business.
	flip(t, s.Path(f.SHA256), 3)
	if err := s.VerifyQuick(f); err != nil {
		t.Error(err)
	}
	var corrupt *CorruptError
	if err := os.Truncate(s.Path(f.SHA256), PartSize); err != nil {
		t.Fatal(err)
	}
	if err := s.VerifyQuick(f); !errors.As(err, &corrupt) || !slices.Equal(corrupt.Parts, []int{1}) {
		t.Errorf("cut off: %v", err)
	}
	if err := os.Remove(s.Path(f.SHA256)); err != nil {
		t.Fatal(err)
	}
	if err := s.VerifyQuick(f); !errors.Is(err, ErrNotFound) {
		t.Errorf("gone: %v", err)
	}
}

func TestVerifyDeep(t *testing.T) {
	t.Parallel()
	data := content(120, 2*PartSize+9)
	d, git := wantOf(data).SHA256, gitWantOf(data).GitOID
	for _, tt := range []struct {
		name  string
		spoil func(s *Store) error
		bad   []int // parts; nil when the blob is right
		err   error
	}{
		{"right", func(*Store) error { return nil }, nil, nil},
		{"one byte", func(s *Store) error { flip(t, s.Path(d), PartSize+5); return nil }, []int{1}, nil},
		{"the list is lost", func(s *Store) error { return os.Remove(s.partsPath(d)) }, nil, nil},
		{"the list is of other bytes", func(s *Store) error {
			return s.writeParts(partList{blob: d, size: int64(len(data)), sums: make([]Digest, 3)})
		}, nil, nil},
		{"one byte, and the list is of it", func(s *Store) error { // what a default verify cannot see
			flip(t, s.Path(d), 0)
			b, err := os.ReadFile(s.Path(d))
			list := partList{blob: d, size: int64(len(b))}
			for i := range 3 {
				list.sums = append(list.sums, sumPart(part(b, i)))
			}
			return errors.Join(err, s.writeParts(list))
		}, []int{0, 1, 2}, nil},
		{"one byte, and no list", func(s *Store) error {
			flip(t, s.Path(d), 0)
			return os.Remove(s.partsPath(d))
		}, []int{0, 1, 2}, nil},
		{"cut off", func(s *Store) error { return os.Truncate(s.Path(d), PartSize+1) }, []int{1, 2}, nil},
		{"appended to", func(s *Store) error { return os.Truncate(s.Path(d), int64(len(data))+5) }, []int{2}, nil},
		{"a wrong git blob id", func(s *Store) error { return s.setAlias(Want{GitOID: [20]byte{1}}, d) }, nil, ErrMismatch},
		{"gone", func(s *Store) error { return os.Remove(s.Path(d)) }, nil, ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openTest(t)
			publishBlob(t, s, data)
			if err := s.setAlias(Want{GitOID: git}, d); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(s.Path(d), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := tt.spoil(s); err != nil {
				t.Fatal(err)
			}
			ids, err := s.GitIDs()
			if err != nil {
				t.Fatal(err)
			}
			var read int64
			err = s.VerifyDeep(t.Context(), d, ids[d], func(n int64) { read += n })
			var corrupt *CorruptError
			switch {
			case tt.bad != nil:
				if !errors.As(err, &corrupt) || !slices.Equal(corrupt.Parts, tt.bad) || s.has(d, corrupt.Size) {
					t.Errorf("got %v (%v), want bad parts %v", err, corrupt, tt.bad)
				}
			case !errors.Is(err, tt.err):
				t.Errorf("got %v, want %v", err, tt.err)
			case tt.err == nil && read != int64(len(data)):
				t.Errorf("told of %d bytes, want %d", read, len(data))
			}
			if tt.bad == nil && !errors.Is(tt.err, ErrNotFound) {
				if err := s.Verify(t.Context(), d, 1, nil); err != nil {
					t.Errorf("afterwards: %v", err)
				}
				ids, _ := s.GitIDs()
				if err := s.VerifyDeep(t.Context(), d, ids[d], nil); err != nil {
					t.Errorf("once more: %v", err)
				}
			}
		})
	}
}

func TestVerifyFolderDepths(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	snap, err := s.Snapshot(repoA, commitA)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + "/x"
	if _, err := s.Export(t.Context(), snap, dir, LinkCopy); err != nil {
		t.Fatal(err)
	}
	check := func(step string, quick, deep []string) {
		t.Helper()
		for name, want := range map[string][]string{"quick": quick, "deep": deep} {
			damage, err := VerifyFolderQuick(dir)
			if name == "deep" {
				damage, err = VerifyFolderDeep(t.Context(), dir, nil)
			}
			var got []string
			for _, d := range damage {
				got = append(got, d.Path)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s, %s: got %q, %v; want %q", step, name, got, err, want)
			}
		}
	}
	check("right", nil, nil)
	flip(t, dir+"/w.safetensors", 4)
	check("one byte", nil, []string{"w.safetensors"})
	if err := os.Truncate(dir+"/w.safetensors", 4); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir + "/a.json"); err != nil {
		t.Fatal(err)
	}
	check("cut off and gone", []string{"a.json", "w.safetensors"}, []string{"a.json", "w.safetensors"})
}
