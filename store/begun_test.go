package store

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"
)

func aFetch(files ...[]byte) Begun {
	b := Begun{Repo: repoA, Commit: commitC, Branch: "next", Begun: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Exclude: []string{"*.bin"}}
	for i, f := range files {
		b.Files = append(b.Files, BegunFile{string(rune('a'+i)) + ".bin", wantOf(f)})
	}
	return b
}

const commitC = "cccccccccccccccccccccccccccccccccccccccc"

// sweepKinds are the kinds of what a collection without grace removes.
func sweepKinds(s *shelf) (kinds []ItemKind) {
	s.Helper()
	w, err := s.Collect(s.Context(), CollectOptions{PartialGrace: time.Hour})
	must(s.T, err)
	for _, it := range w.Removed {
		kinds = append(kinds, it.Kind)
	}
	return kinds
}

// A fetch is noted until it ends, who is at it is known while it runs, and what is
// left of it when it has stopped.
func TestBegun(t *testing.T) {
	s := newShelf(t)
	big := content(120, 2*PartSize)
	b := aFetch(s.shared, big, big)
	if got, err := s.BegunFetches(); err != nil || len(got) != 0 {
		t.Errorf("before: %v, %v", got, err)
	}
	h, err := s.HoldFetch(t.Context(), "get a/b:next", b)
	must(t, err)
	got, err := s.BegunFetches()
	if err != nil || len(got) != 1 || got[0].Branch != "next" || !slices.Equal(got[0].Files, b.Files) || !got[0].Begun.Equal(b.Begun) || !slices.Equal(got[0].Exclude, b.Exclude) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got[0].Bytes() != int64(len(s.shared)+len(big)) {
		t.Errorf("%d bytes, each content once", got[0].Bytes())
	}
	want := Worker{PID: os.Getpid(), What: "get a/b:next", Repo: repoA, Commit: commitC}
	if got, err := s.Workers(); err != nil || !slices.Equal(got, []Worker{want}) {
		t.Errorf("workers %+v, %v", got, err)
	}
	// A running fetch of which there is nothing yet keeps its note.
	if kinds := sweepKinds(s); slices.Contains(kinds, ItemBegun) {
		t.Errorf("a collection removed %v", kinds)
	}
	if held, worth := s.Left(b); worth || !slices.Equal(held, []int64{int64(len(s.shared)), 0, 0}) {
		t.Errorf("left %v, %v", held, worth)
	}
	in, err := s.Ingest(t.Context(), wantOf(big))
	must(t, err)
	must(t, in.WritePart(t.Context(), 1, big[PartSize:]), in.Close(), h.Release())

	if got, err := s.Workers(); err != nil || len(got) != 0 {
		t.Errorf("workers after the end: %+v, %v", got, err)
	}
	if held, worth := s.Left(b); !worth || !slices.Equal(held, []int64{int64(len(s.shared)), PartSize, PartSize}) {
		t.Errorf("left %v, %v", held, worth)
	}
	if kinds := sweepKinds(s); slices.Contains(kinds, ItemBegun) {
		t.Errorf("a collection removed %v though there is something to go on with", kinds)
	}
	must(t, s.EndFetch(repoA, commitC), s.EndFetch(repoA, commitC))
	if got, err := s.BegunFetches(); err != nil || len(got) != 0 {
		t.Errorf("after: %v, %v", got, err)
	}
}

// A note of which nothing is left goes with the next collection, and so does one
// of a commit that is here.
func TestBegunCollect(t *testing.T) {
	s := newShelf(t)
	for _, b := range []Begun{aFetch(s.shared, content(120, 2*PartSize)), {Repo: repoA, Commit: commitA, Files: []BegunFile{{"w.safetensors", wantOf(s.own)}}}} {
		h, err := s.HoldFetch(t.Context(), "get", b)
		must(t, err, h.Release())
		if kinds := sweepKinds(s); !slices.Contains(kinds, ItemBegun) {
			t.Errorf("the note of %s stayed; removed were %v", b.Commit, kinds)
		}
	}
}

// What cannot be read is told and hides nothing.
func TestBegunUnreadable(t *testing.T) {
	s := newShelf(t)
	h, err := s.HoldFetch(t.Context(), "get", aFetch(s.shared))
	must(t, err, h.Release())
	good, err := s.begunPath(repoA, commitC)
	must(t, err)
	text, err := os.ReadFile(good)
	must(t, err)
	for name, text := range map[string]string{
		commitA: "{", commitB: string(text), // in the place of another
	} {
		path, err := s.begunPath(repoA, name)
		must(t, err)
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	if got, err := s.BegunFetches(); !errors.Is(err, ErrFormat) || len(got) != 1 || got[0].Commit != commitC {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, b := range []Begun{{Repo: "a", Commit: commitC}, {Repo: repoA, Commit: "main"}} {
		if _, err := s.HoldFetch(t.Context(), "get", b); err == nil {
			t.Errorf("%+v was noted", b)
		}
	}
	if w, err := s.Workers(); err != nil || len(w) != 0 {
		t.Errorf("refused, and still held: %+v, %v", w, err)
	}
}

func TestDecodeBegun(t *testing.T) {
	file := func(f string) string {
		return `{"format":1,"repo":"a/b","commit":"` + commitC + `","branch":"m","begun":"2030-01-02T03:04:05Z","files":[` + f + `]}`
	}
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"good", file(`{"path":"x","size":3,"blob":"git-0123456789012345678901234567890123456789"}`), true},
		{"no files", file(``), true},
		{"a path that leads out", file(`{"path":"../x","size":3,"blob":"git-0123456789012345678901234567890123456789"}`), false},
		{"a negative length", file(`{"path":"x","size":-3,"blob":"git-0123456789012345678901234567890123456789"}`), false},
		{"no blob", file(`{"path":"x","size":3}`), false},
		{"another format", `{"format":2}`, false},
		{"no JSON", `x`, false},
	} {
		if _, err := decodeBegun([]byte(tt.text)); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}
