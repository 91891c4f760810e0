package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// steps is how long a workload is.
const steps = 40

// run runs the workload of a seed, switches the power off after cut changes
// (never, when it is negative), and returns how many changes there were. Then
// it boots what is left, and cuts the power in the middle of recovering as well.
// fault, when not nil, breaks the disk.
func run(ctx context.Context, blobs []blob, seed uint64, cut int, fault func(op Op, path string) error) (changes int, err error) {
	m := newModel(seed, blobs)
	power := m.hook(cut, fault, &changes)
	err = m.start()
	for range steps {
		if err != nil {
			break
		}
		err = m.step(ctx)
	}
	m.leave()
	if err != nil && (!power() || isBroken(err)) {
		return changes, fmt.Errorf("in the workload: %w", err)
	}
	if cut < 0 {
		return changes, nil
	}
	for boot := 0; ; boot++ {
		m.boot()
		again := -1
		if boot < 2 && m.rnd.IntN(2) == 0 {
			again = m.rnd.IntN(150)
		}
		power := m.hook(again, fault, new(int))
		err := m.start()
		if err == nil && !m.dead() {
			err = m.check()
		}
		if err == nil {
			err = m.recover(ctx)
		}
		m.leave()
		m.fs.Before(nil)
		if err == nil {
			err = m.check()
		}
		switch {
		case err == nil:
			return changes, nil
		case isBroken(err) || !power():
			return changes, fmt.Errorf("boot %d: %w\n%s", boot, err, m.describe())
		}
	}
}

func isBroken(err error) bool { var b broken; return errors.As(err, &b) }

// boot replaces the file system by what is there after a power cut, or after a
// kill.
func (m *model) boot() {
	if m.rnd.IntN(8) == 0 {
		m.fs = m.fs.Kill()
	} else {
		m.fs = m.fs.Crash(m.rnd.Uint64())
	}
}

// hook counts changes, breaks the disk, and switches the power off after cut
// changes; off reports whether it is.
func (m *model) hook(cut int, fault func(op Op, path string) error, changes *int) (off func() bool) {
	left, dead := cut, new(atomic.Bool)
	m.fs.Before(func(op Op, path string) error {
		if left == 0 {
			dead.Store(true)
			return ErrPowerOff
		}
		if op.Changes() {
			left--
			*changes++
		}
		if fault != nil {
			return fault(op, path)
		}
		return nil
	})
	return dead.Load
}

// length is how many seeds to try: a fifth with -short, as under the race
// detector, which is ten times slower.
func length(usual, long int) int {
	switch {
	case os.Getenv("QBRANCH_LONG") != "":
		return long
	case testing.Short():
		return max(1, usual/5)
	}
	return usual
}

// TestCrash cuts workloads at random places with random loss.
func TestCrash(t *testing.T) {
	seeds, cuts := length(60, 1200), 9
	blobs := contents()
	t.Logf("%d crash points", seeds*cuts)
	for shard := range 2 {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			for seed := shard; seed < seeds; seed += 2 {
				crashes(t, blobs, uint64(seed), cuts)
			}
		})
	}
}

func crashes(t *testing.T, blobs []blob, seed uint64, cuts int) {
	t.Helper()
	n, err := run(t.Context(), blobs, seed, -1, nil)
	if err != nil {
		t.Fatalf("seed %d without a cut: %v", seed, err)
	}
	rnd := rand.New(rand.NewPCG(seed, 99))
	for range cuts {
		cut := rnd.IntN(n)
		if _, err := run(t.Context(), blobs, seed, cut, nil); err != nil {
			t.Fatalf("seed %d, cut after %d of %d changes: %v", seed, cut, n, err)
		}
	}
}

// TestFaults has one call of each workload fail: the process goes on, the power
// is cut at its end, and nothing that was promised is lost.
func TestFaults(t *testing.T) {
	seeds := length(150, 3000)
	blobs := contents()
	for shard := range 2 {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			happened := 0
			for seed := shard; seed < seeds; seed += 2 {
				what, err := fault(t.Context(), blobs, uint64(seed))
				if err != nil {
					t.Fatalf("seed %d, %s: %v", seed, what, err)
				}
				if what != "" {
					happened++
				}
			}
			if happened < seeds/4 {
				t.Errorf("only %d of %d faults happened", happened, seeds/2)
			}
		})
	}
}

// fault is one workload with one fault.
func fault(ctx context.Context, blobs []blob, seed uint64) (what string, err error) {
	m := newModel(seed, blobs)
	rnd := rand.New(rand.NewPCG(seed, 97))
	left := rnd.IntN(700)
	kind := []error{syscall.ENOSPC, syscall.EIO, syscall.EMFILE, syscall.EDQUOT}[rnd.IntN(4)]
	m.fs.Before(func(op Op, path string) error {
		if left--; left != 0 || op == OpRead {
			return nil
		}
		what = fmt.Sprintf("%s %s: %v", op, path, kind)
		if op == OpSync {
			return fmt.Errorf("%w %w: %w", errInjected, errFsync, kind)
		}
		return fmt.Errorf("%w: %w", errInjected, kind)
	})
	if err := m.start(); err != nil && !errors.Is(err, errInjected) {
		return what, err
	}
	for range steps {
		if m.s == nil {
			if err := m.start(); err != nil {
				return what, fmt.Errorf("start again: %w", err)
			}
		}
		err := m.step(ctx)
		// A removal says in words which snapshot it cannot read.
		if err != nil && !errors.Is(err, errInjected) && !strings.Contains(err.Error(), errInjected.Error()) {
			return what, fmt.Errorf("in the workload: %w\n%s", err, m.describe())
		}
		if in := m.open[m.current]; err != nil && in != nil {
			delete(m.open, m.current)
			_ = in.Close() // it may have ended already, or be one that a sync has ended
		}
	}
	m.leave()
	m.fs.Before(nil)
	m.boot()
	err = m.start()
	if err == nil {
		err = m.check()
	}
	if err == nil {
		err = m.recover(ctx)
	}
	if err == nil {
		err = m.check()
	}
	m.leave()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, m.describe())
	}
	return what, err
}

// TestCrashBites proves that the model notices: on disks that lie in one way
// each, promises are broken.
func TestCrashBites(t *testing.T) {
	in := func(dir, path string) bool {
		return strings.Contains(path, filepath.Join(modelDir, dir)) // behind a volume's name on Windows
	}
	for name, lies := range map[string]func(op Op, path string) bool{
		"no sync":                func(op Op, _ string) bool { return op == OpSync },
		"no sync of directories": func(op Op, _ string) bool { return op == OpSyncDir },
		"no sync of the data":    func(op Op, path string) bool { return op == OpSync && filepath.Base(path) == "data" },
		"no sync of the journal": func(op Op, path string) bool { return op == OpSync && filepath.Base(path) == "journal" },
		"no sync of small files": func(op Op, path string) bool { return op == OpSync && in("tmp", path) },
		"no sync of the names of blobs": func(op Op, path string) bool {
			return op == OpSyncDir && in("blobs", path)
		},
		"no sync of the names of partials": func(op Op, path string) bool {
			return op == OpSyncDir && in("partial", path)
		},
		"no sync of the names of snapshots": func(op Op, path string) bool {
			return op == OpSyncDir && in("snapshots", path)
		},
		"no sync of the names of branches": func(op Op, path string) bool {
			return op == OpSyncDir && in("branches", path)
		},
		"no sync of the marks": func(op Op, path string) bool { return op == OpSyncDir && in("corrupt", path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fault := func(op Op, path string) error {
				if lies(op, path) {
					return ErrSkip
				}
				return nil
			}
			blobs := contents()
			for seed := range uint64(400) {
				rnd := rand.New(rand.NewPCG(seed, 98))
				_, err := run(t.Context(), blobs, seed, rnd.IntN(250), fault)
				if err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("no promise was broken")
		})
	}
}
