package storetest

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/qbranch/qbranch/store"
)

// TestReadOnly: a store on a disk that is mounted read-only can be read,
// verified, checked and measured, and says what would be removed. What has to
// write says that it cannot.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	blobs := contents()
	disk := shelves(t, blobs)
	disk.Before(func(op Op, path string) error {
		if op.Changes() {
			return syscall.EROFS
		}
		return nil
	})
	before := names(t, disk)
	s := openOn(t, disk)
	snaps, err := s.Snapshots()
	if err != nil || len(snaps) != 3 {
		t.Fatalf("%d snapshots, %v", len(snaps), err)
	}
	for _, snap := range snaps {
		for _, f := range snap.Files {
			if f.SHA256 == blobs[5].sha {
				continue // known to be damaged
			}
			if err := errors.Join(s.Verify(t.Context(), f.SHA256, 1, nil), s.VerifyDeep(t.Context(), f.SHA256, nil, nil), s.VerifyQuick(f)); err != nil {
				t.Errorf("%s: %v", f.Path, err)
			}
			if file, err := s.OpenBlob(f.SHA256); err != nil {
				t.Error(err)
			} else if err := file.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	_, err1 := s.Usage()
	_, err2 := s.Check(t.Context(), store.CheckOptions{})
	_, err3 := s.Pins()
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Error(err)
	}
	all := []store.Selector{{Repo: modelRepo}}
	if sweep, err := s.Remove(t.Context(), all, store.RemoveOptions{DryRun: true}); err != nil || len(sweep.Removed) == 0 {
		t.Errorf("a dry run: %v", err)
	}
	if sweep, err := s.Collect(t.Context(), store.CollectOptions{DryRun: true, PartialGrace: time.Hour}); err != nil || len(sweep.Removed) == 0 {
		t.Errorf("a dry run of gc: %v", err)
	}
	if hold, err := s.Hold(t.Context(), "export", nil); err != nil || hold.Release() != nil {
		t.Errorf("a reader's hold, which cannot be announced: %v", err)
	}
	for what, do := range map[string]func() error{
		"rm":   func() error { _, err := s.Remove(t.Context(), all, store.RemoveOptions{}); return err },
		"gc":   func() error { _, err := s.Collect(t.Context(), store.CollectOptions{}); return err },
		"fsck": func() error { _, err := s.Check(t.Context(), store.CheckOptions{Fix: true}); return err },
		"pin":  func() error { return s.Pin(store.Pin{Repo: modelRepo, Branch: "one"}) },
	} {
		if err := do(); !errors.Is(err, store.ErrNotWritable) {
			t.Errorf("%s: got %v, want ErrNotWritable", what, err)
		}
	}
	// Who only reads need not announce it: here nobody can remove.
	if hold, err := s.Hold(t.Context(), "get", nil); err != nil || hold.Release() != nil {
		t.Errorf("hold: %v", err)
	}
	if got := names(t, disk); !slices.Equal(got, before) {
		t.Errorf("left %q, was %q", got, before)
	}
}
