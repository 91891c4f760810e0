package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const envSyscallStore = "QBRANCH_TEST_SYSCALL_STORE"

// life is everything that happens to a blob: it comes in, rots, is found out,
// is repaired where it lies and once more beside a hard link.
func life(s *Store, data []byte) error {
	ctx := context.Background()
	d := wantOf(data).SHA256
	fetch := func() error {
		in, err := s.Ingest(ctx, wantOf(data))
		if err != nil {
			return err
		}
		for i := range in.NumParts() {
			if err := in.WritePart(ctx, i, part(data, i)); err != nil {
				return err
			}
		}
		_, err = in.Commit(ctx)
		return err
	}
	rot := func() error {
		if err := os.Chmod(s.Path(d), 0o600); err != nil {
			return err
		}
		f, err := os.OpenFile(s.Path(d), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte("rotten"), PartSize+1)
		err = errors.Join(err, f.Close())
		var bad *CorruptError
		if v := s.Verify(ctx, d, 1, nil); !errors.As(v, &bad) {
			return fmt.Errorf("the damage was not found: %w", v)
		}
		return err
	}
	link := func() error { return os.Link(s.Path(d), filepath.Join(s.Dir(), "tmp", "linked")) }
	for _, step := range []func() error{fetch, rot, fetch, link, rot, fetch} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// TestSyscallChild is no test of its own: it is what TestKillAtSyscalls runs.
func TestSyscallChild(t *testing.T) {
	dir := os.Getenv(envSyscallStore)
	if dir == "" {
		t.Skip("run by TestKillAtSyscalls")
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := life(s, content(80, 2*PartSize+9)); err != nil {
		t.Fatal(err)
	}
}

// TestKillAtSyscalls kills a process at its n-th system call that changes the
// disk, for growing n, and goes on from whatever is there.
func TestKillAtSyscalls(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	if err := exec.Command(strace, "-o", os.DevNull, "true").Run(); err != nil {
		t.Skipf("strace may not trace here: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data := content(80, 2*PartSize+9)
	for _, calls := range []string{"pwrite64", "rename,renameat,renameat2", "fsync,fdatasync", "unlinkat,unlink", "openat", "fchmodat,chmod,fchmod"} {
		t.Run(calls, func(t *testing.T) {
			t.Parallel()
			for n := 1; n <= 60; n += 1 + n/2 {
				dir := filepath.Join(t.TempDir(), "store")
				cmd := exec.Command(strace, "-f", "-o", os.DevNull, "-e", "trace="+calls,
					"-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", calls, n), self, "-test.run=^TestSyscallChild$")
				cmd.Env = append(os.Environ(), envSyscallStore+"="+dir)
				if err := cmd.Run(); err == nil {
					break // it has fewer such calls, and ended well
				}
				afterKill(t, fmt.Sprintf("call %d", n), dir, data)
			}
		})
	}
}

// afterKill checks that nothing wrong is believed, and finishes the blob.
func afterKill(t *testing.T, at, dir string, data []byte) {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Errorf("%s: %v", at, err)
		return
	}
	if d, ok := s.Find(wantOf(data)); ok {
		// It may have rotted just before the kill; then Verify has not seen it.
		var bad *CorruptError
		if err := s.Verify(t.Context(), d, 1, nil); err != nil && !errors.As(err, &bad) {
			t.Errorf("%s: %v", at, err)
		}
	}
	in := openIngest(t, s, wantOf(data))
	if !in.published() {
		checkHeld(t, in, data)
	}
	writeMissing(t, in, data)
	if _, err := in.Commit(t.Context()); err != nil {
		t.Errorf("%s: %v", at, err)
		return
	}
	checkBlob(t, s, data)
	if err := s.Verify(t.Context(), wantOf(data).SHA256, 1, nil); err != nil {
		t.Errorf("%s: %v", at, err)
	}
}
