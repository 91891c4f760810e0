package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/qbranch/qbranch/store"
)

// TestAdoptionCrash cuts the power at every change that an adoption makes to the
// disk, with random loss: what counts as good afterwards is good, the source is
// whole if it was durable before, and the same adoption ends well.
func TestAdoptionCrash(t *testing.T) {
	seeds := uint64(length(3, 100))
	all := contents()
	before := map[string]func(s *store.Store, disk *FS, b *blob) error{
		"nothing":    func(*store.Store, *FS, *blob) error { return nil },
		"unfinished": leaveUnfinished,
		"damaged":    leaveDamaged,
	}
	for name, prepare := range before {
		for _, link := range []store.Link{store.LinkHard, store.LinkCopy} {
			for _, durable := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, %s, durable %v", name, link, durable), func(t *testing.T) {
					t.Parallel()
					b := all[3] // one part and a bit
					a := &adoptionTest{b: &b, link: link, durable: durable, base: NewFS()}
					if err := prepare(openOn(t, a.base), a.base, &b); err != nil {
						t.Fatal(err)
					}
					a.writeSource(t)
					points := 0
					for cut := 0; a.cutAfter(t, cut, seeds); cut++ {
						points += int(seeds)
					}
					t.Logf("%d crash points", points)
				})
			}
		}
	}
}

func leaveUnfinished(s *store.Store, _ *FS, b *blob) error {
	in, err := s.Ingest(context.Background(), b.want)
	if err != nil {
		return err
	}
	return errors.Join(in.WritePart(context.Background(), 1, b.part(1)), in.Close())
}

func leaveDamaged(s *store.Store, disk *FS, b *blob) error {
	if _, err := s.Put(context.Background(), b.want, b.data); err != nil {
		return err
	}
	if err := disk.Flip(s.Path(b.sha), store.PartSize+3); err != nil {
		return err
	}
	var corrupt *store.CorruptError
	if err := s.Verify(context.Background(), b.sha, 1, nil); !errors.As(err, &corrupt) {
		return fmt.Errorf("the flipped byte was not found: %w", err)
	}
	return nil
}

// adoptionTest is one way of adopting one file.
type adoptionTest struct {
	b       *blob
	link    store.Link
	durable bool // the source was synced
	base    *FS
}

func (a *adoptionTest) source() store.Source {
	return store.Source{Path: filepath.Join(filepath.Dir(modelDir), "cache", "blob"), Stable: true}
}

func (a *adoptionTest) writeSource(t *testing.T) {
	t.Helper()
	path := a.source().Path
	dir := filepath.Dir(path)
	err := a.base.Mkdir(dir, 0o755)
	if err == nil {
		err = a.base.SyncDir(filepath.Dir(dir))
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := a.base.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.WriteAt(a.b.data, 0)
	}
	if err == nil && a.durable {
		err = errors.Join(f.Sync(), a.base.SyncDir(dir))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// cutAfter cuts the power after so many changes; false when the adoption was
// over by then.
func (a *adoptionTest) cutAfter(t *testing.T, cut int, seeds uint64) bool {
	t.Helper()
	disk := a.base.Kill()
	s := openOn(t, disk)
	disk.PowerOff(cut)
	_, err := s.Adopt(t.Context(), a.b.want, a.source(), store.AdoptOptions{Link: a.link})
	if err != nil && !errors.Is(err, ErrPowerOff) {
		t.Fatalf("after %d changes: %v", cut, err)
	}
	for seed := range seeds {
		left := disk.Crash(seed)
		if seed == 0 {
			left = disk.Kill()
		}
		when := fmt.Sprintf("cut after %d changes, seed %d", cut, seed)
		s := openOn(t, left)
		if _, good := s.Find(a.b.want); good {
			a.holds(t, left, s.Path(a.b.sha), when)
		} else if err == nil {
			t.Fatalf("%s: what was adopted has gone", when)
		}
		if !a.durable {
			continue // the source may have gone itself
		}
		a.holds(t, left, a.source().Path, when)
		if _, err := s.Adopt(t.Context(), a.b.want, a.source(), store.AdoptOptions{Link: a.link}); err != nil {
			t.Fatalf("%s: once more: %v", when, err)
		}
		a.holds(t, left, s.Path(a.b.sha), when)
		if err := s.Verify(t.Context(), a.b.sha, 1, nil); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
	return err != nil
}

// holds checks the content of a file.
func (a *adoptionTest) holds(t *testing.T, disk *FS, path, when string) {
	t.Helper()
	f, err := disk.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, a.b.data) {
		t.Fatalf("%s: %s has other content (%v)", when, path, err)
	}
}
