package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// disk is a file system in a file, on a loop device, whose power can be cut.
type disk struct {
	t          *testing.T
	image, dir string
}

// newDisk makes and mounts one, or skips the test where that is not possible.
func newDisk(t *testing.T, kind string) *disk {
	t.Helper()
	needRoot(t)
	needs(t, "mkfs."+kind, "mount", "umount")
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "image"), dir: t.TempDir()}
	f, err := os.Create(d.image)
	if err == nil {
		err = f.Truncate(1 << 30) // XFS wants 300 MiB at least
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", d.image}
	if out, err := exec.Command("mkfs."+kind, args...).CombinedOutput(); err != nil {
		t.Skipf("mkfs.%s: %v\n%s", kind, err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		t.Skipf("mount a %s image: %v\n%s", kind, err, out)
	}
	t.Cleanup(func() { d.umount() })
	return d
}

func (d *disk) umount() {
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		d.t.Errorf("umount: %v\n%s", err, out)
	}
}

// cut ends the file system as a power cut does: what was not synced is gone,
// the file system's own log included.
func (d *disk) cut() {
	d.t.Helper()
	const goingDown, noLogFlush = 0x8004587d, 2 // FS_IOC_GOINGDOWN; flag of XFS_IOC_GOINGDOWN, which ext4 shares
	f, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	flags := uint32(noLogFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), goingDown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		d.t.Skipf("this system cannot cut the power of a file system: %v", errno)
	}
}

// again mounts the disk as the machine does when the power is back.
func (d *disk) again() {
	d.t.Helper()
	d.umount()
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		d.t.Fatalf("mount after the cut: %v\n%s", err, out)
	}
}

// TestPowerCut cuts the power under the real program at random moments of a
// fetch, and a last time when it has said that it is done. After each cut the
// store has to be sound, to hold everything that a durable mark covered, and in
// the end the branch, byte by byte.
func TestPowerCut(t *testing.T) {
	fetches, cuts := 1, 1
	if long() {
		fetches, cuts = 6, 5
	}
	if testing.Short() {
		t.Skip("mounts disks and writes to them")
	}
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			d := newDisk(t, kind)
			w := newWorld(t, hubtest.Options{}, noisy(t, 320<<20)) // a mark each 64 MiB
			w.hub.SetRate(400e6)
			for i := range fetches {
				w.store = filepath.Join(d.dir, "store")
				w.cutSome(d, uint64(i), cuts)
				if err := os.RemoveAll(w.store); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// cutSome fetches the branch with so many cuts, and one behind the end.
func (w *world) cutSome(d *disk, seed uint64, cuts int) {
	w.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range cuts {
		w.hub.ResetLog()
		p := w.start("get", w.ref(), "--progress", "none")
		w.awaitSent(p, w.size()/4+random.Int64N(w.size()*3/4))
		marked := w.marked()
		d.cut()
		p.Process.Kill() // it may have ended
		code, out := p.end()
		d.again()
		w.must("store", "fsck")
		held := w.held()
		w.Logf("seed %d, cut %d: %d bytes sent, %d marked before the cut, %d held after it, code %d", seed, i, sent(w.hub), marked, held, code)
		if held < marked {
			w.Errorf("less is held than was marked:\n%s", out)
		}
	}
	w.must("get", w.ref(), "--progress", "none")
	d.cut()
	d.again()
	w.whole()
}
