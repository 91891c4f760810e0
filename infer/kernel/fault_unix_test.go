//go:build unix

package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A file that shrinks after it was mapped is an error in whichever goroutine
// meets it, and the pool works on.
func TestFaultIsAnError(t *testing.T) {
	page := os.Getpagesize()
	f, err := os.Create(filepath.Join(t.TempDir(), "weights"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(256 * page)); err != nil {
		t.Fatal(err)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, 256*page, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(data)
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	weight, err := NewFloats("F32", data)
	if err != nil {
		t.Fatal(err)
	}
	n := 256 * page / 4 / 64
	m, err := NewDense(64, n, weight, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{1, 4} {
		p := NewPool(threads, Float32)
		x, y := make([]float32, 64), make([]float32, n)
		if err := p.Mul(x, 1, Output{M: m, Y: y}); !errors.Is(err, ErrFault) {
			t.Errorf("%d threads: got %v, want ErrFault", threads, err)
		}
		if err := p.Run(100, func(int) {}); err != nil {
			t.Errorf("after the fault: %v", err)
		}
		p.Close()
	}
	err = Catch(func() error {
		weight.FirstNotFinite()
		return nil
	})
	if !errors.Is(err, ErrFault) {
		t.Errorf("Catch: got %v, want ErrFault", err)
	}
}

// Catch is for faults: other panics are bugs and must not be hidden.
func TestCatchPassesOtherPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the panic was swallowed")
		}
	}()
	_ = Catch(func() error { panic("a bug") })
}
