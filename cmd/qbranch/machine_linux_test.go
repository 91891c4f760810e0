package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// TestFullDisk fills the disk while the weights come, and makes room later.
func TestFullDisk(t *testing.T) {
	needRoot(t)
	needs(t, "mount", "umount")
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount a tmpfs: %v\n%s", err, out)
	}
	t.Cleanup(func() { command(t, "umount", dir) })
	w := newWorld(t, hubtest.Options{}, noisy(t, 22<<20))
	w.store = filepath.Join(dir, "store")
	w.hub.SetRate(40e6)

	// Two connections: what is in flight when the disk is full is small beside what is held.
	p := w.start("get", w.ref(), "-j", "2", "--progress", "none")
	w.awaitSent(p, w.size()/2)
	filler := filepath.Join(dir, "filler")
	if err := fill(filler); err != nil {
		t.Fatal(err)
	}
	code, out := p.end()
	t.Logf("code %d\n%s", code, out)
	switch {
	case code == 7 && strings.Contains(out, "disk full"):
	case code == 0: // the room had been reserved
	default:
		t.Errorf("code %d, want 7 and that the disk is full:\n%s", code, out)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	w.must("store", "fsck")
	held := w.held()
	w.hub.ResetLog()
	w.must("get", w.ref(), "--progress", "none")
	if code == 7 && held < w.size()/4 {
		t.Errorf("%d bytes held when the disk was full, want most of %d", held, w.size()/2)
	}
	if most := w.size() - held + 1<<20; sent(w.hub) > most {
		t.Errorf("%d bytes moved with room again, want %d at most: %d were held", sent(w.hub), most, held)
	}
	w.whole()
}

// fill writes a file until the disk is full.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	if e := f.Close(); e != nil {
		return e
	}
	if !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return err
	}
	return nil
}

// TestWrongClocks fetches from hubs whose clock is far from ours, and theirs
// from their storage's: signed links that look expired, or good for ever.
func TestWrongClocks(t *testing.T) {
	files, err := demoRepo()
	if err != nil {
		t.Fatal(err)
	}
	for name, date := range map[string]string{
		"years behind": "Thu, 01 Jan 1970 00:00:01 GMT",
		"years ahead":  "Thu, 31 Dec 2099 23:59:59 GMT",
		"no date":      "",
		"not a date":   "yesterday",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, hubtest.Options{}, files["main"])
			w.hub.AddFault(hubtest.Fault{Header: http.Header{"Date": {date}}})
			w.must("get", w.ref(), "--progress", "none")
			w.whole()
			api := 0
			for _, e := range w.hub.Log() {
				if e.Origin == "api" {
					api++
				}
			}
			if most := 2 + len(w.files); api > most { // a link that looks expired is not asked for again and again
				t.Errorf("%d requests to the hub, want %d at most", api, most)
			}
		})
	}
}

// TestTogether starts two processes on one branch at the same moment, again
// and again. Both end well, or one says that the other is at work; the branch
// is whole, and moved about once.
func TestTogether(t *testing.T) {
	rounds := 5
	if long() {
		rounds = 20
	}
	files := noisy(t, 6<<20)
	for i := range rounds {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			w := newWorld(t, hubtest.Options{}, files)
			var both [2]*proc
			for i := range both {
				both[i] = w.start("get", w.ref(), "--progress", "none")
			}
			well := 0
			for _, p := range both {
				switch code, out := p.end(); code {
				case 0:
					well++
				case 8:
				default:
					t.Errorf("code %d, want 0 or 8:\n%s", code, out)
				}
			}
			if well == 0 {
				t.Error("neither of the two got the branch")
			}
			w.whole()
			if got, most := sent(w.hub), w.size()*3/2; got > most {
				t.Errorf("%d bytes moved for %d", got, w.size())
			}
		})
	}
}

// The long tests below wait in real time: a stopped process and a cable that is
// pulled keep no other.

// TestSleep stops the process for longer than a line may be silent, as closing
// a laptop does. The hub gives up the connections meanwhile.
func TestSleep(t *testing.T) {
	if !long() {
		t.Skip("sleeps for 20 s: set QBRANCH_LONG=1")
	}
	w := newWorld(t, hubtest.Options{}, noisy(t, 22<<20))
	w.hub.SetRate(10e6)
	p := w.start("get", w.ref(), "--progress", "none")
	w.awaitSent(p, w.size()/3)
	if err := p.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	<-time.After(10 * time.Second)
	w.hub.DropConnections()
	w.hub.ExpireURLs()
	<-time.After(10 * time.Second)
	if err := p.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if code, out := p.end(); code != 0 {
		t.Errorf("code %d after a sleep:\n%s", code, out)
	}
	w.whole()
}

// TestUnplugged pulls the network in the middle and puts it back, before TCP or
// the program gave up.
func TestUnplugged(t *testing.T) {
	needRoot(t)
	needs(t, "ip")
	if !long() {
		t.Skip("waits for TCP: set QBRANCH_LONG=1")
	}
	const space, inside, outside, theirs, ours = "qbranch-test", "qbt0", "qbt1", "10.213.7.1", "10.213.7.2"
	if out, err := exec.Command("ip", "netns", "add", space).CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %v\n%s", err, out)
	}
	t.Cleanup(func() { command(t, "ip", "netns", "del", space) }) // the cable goes with it
	if out, err := exec.Command("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", space).CombinedOutput(); err != nil {
		t.Skipf("no virtual cables here: %v\n%s", err, out)
	}
	command(t, "ip", "addr", "add", theirs+"/24", "dev", outside)
	command(t, "ip", "link", "set", outside, "up")
	command(t, "ip", "-n", space, "addr", "add", ours+"/24", "dev", inside)
	command(t, "ip", "-n", space, "link", "set", inside, "up")

	w := newWorld(t, hubtest.Options{Addr: theirs + ":0", CDNAddr: theirs + ":0"}, noisy(t, 22<<20))
	w.under = []string{"ip", "netns", "exec", space}
	w.hub.SetRate(10e6)
	p := w.start("get", w.ref(), "--progress", "none")
	w.awaitSent(p, w.size()/3)
	command(t, "ip", "link", "set", outside, "down")
	<-time.After(20 * time.Second) // longer than a line may be silent
	command(t, "ip", "link", "set", outside, "up")
	if code, out := p.end(); code != 0 {
		t.Errorf("code %d after 20 s without a network:\n%s", code, out)
	}
	w.whole()
}
