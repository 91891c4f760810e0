//go:build unix

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/store"
)

const mebi = 1 << 20

// killed is a fetch of acme/big by the real program that is ended again and
// again, and what the hub has counted.
type killed struct {
	*testing.T
	rnd    *rand.Rand
	hub    *hubtest.Server
	dir    string // of the store
	store  *store.Store
	branch map[string][]byte // what the hub lists now
	conns  int

	sumLost, sumBound int64
}

func newKilled(t *testing.T, seed uint64) *killed {
	k := &killed{T: t, rnd: rand.New(rand.NewPCG(seed, 8))}
	data, err := repository("big")
	k.check(err)
	k.branch = data.Branches["main"]
	k.hub, err = hubtest.Start(hubtest.Options{})
	k.check(err)
	t.Cleanup(func() { k.hub.Close() })
	k.check(k.hub.Add(data))
	k.hub.SetRate(60e6)
	return k
}

func (k *killed) check(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// fresh begins with an empty store.
func (k *killed) fresh() {
	var err error
	k.dir = k.TempDir()
	k.store, err = store.Open(k.dir)
	k.check(err)
	k.conns = 1 + k.rnd.IntN(16)
}

func (k *killed) want() store.Want {
	w := k.branch[weights]
	return store.Want{Size: int64(len(w)), SHA256: sha256.Sum256(w)}
}

// held is what the store has of the weights.
func (k *killed) held() int64 {
	if _, ok := k.store.Find(k.want()); ok {
		return k.want().Size
	}
	return k.store.Held(k.want())
}

// get runs the program until the hub has sent so many bytes of weights, then
// ends it with a signal. It returns the exit code, -1 for a killed one.
func (k *killed) get(until int64, with syscall.Signal) int {
	k.Helper()
	k.hub.ResetLog()
	cmd := exec.Command("qbranch", "get", "acme/big", "--store", k.dir, "--json", "-j", strconv.Itoa(k.conns))
	cmd.Env = append(os.Environ(), "HF_ENDPOINT="+k.hub.URL(), "HOME="+k.dir, "HF_TOKEN=", "QBRANCH_STORE=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	k.check(cmd.Start())
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for sent(k.hub) < until {
		select {
		case err := <-over:
			return k.code(err, &out)
		case <-tick.C:
		}
	}
	if err := cmd.Process.Signal(with); err != nil && !errors.Is(err, os.ErrProcessDone) {
		k.Fatal(err)
	}
	return k.code(<-over, &out)
}

func (k *killed) code(err error, out *bytes.Buffer) int {
	k.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && (exit.ExitCode() == -1 || exit.ExitCode() == 130):
		return exit.ExitCode()
	}
	k.Fatalf("%v:\n%s", err, out)
	return 0
}

// lost checks what a run that was ended has cost: bytes that the hub has sent
// and the store does not hold. That is less than a part for each connection; the
// header that is read again; and what the kernels had of it on its way, which is
// little unless the machine is busy, and so is bounded on the whole only.
func (k *killed) lost(before int64) {
	k.Helper()
	const onItsWay, header = mebi, 128 << 10
	moved, conns := sent(k.hub), int64(k.conns)
	lost := moved - (k.held() - before)
	k.sumLost += lost
	k.sumBound += conns*mebi + header
	if lost > conns*(mebi+onItsWay)+header || k.sumLost > k.sumBound {
		k.Errorf("%d connections: %d bytes were sent and %d are held more than before; all runs lost %d, want at most %d",
			k.conns, moved, k.held()-before, k.sumLost, k.sumBound)
	}
}

// whole checks that the store shows exactly the branch.
func (k *killed) whole() {
	k.Helper()
	commit := k.hub.Commit("acme/big", "main")
	snap, err := k.store.Snapshot("acme/big", commit)
	k.check(err)
	if at, ok := k.store.BranchCommit("acme/big", "main"); !ok || at != commit {
		k.Errorf("main stands at %s, want %s", at, commit)
	}
	if len(snap.Files) != len(k.branch) {
		k.Errorf("%d files, want %d", len(snap.Files), len(k.branch))
	}
	for _, f := range snap.Files {
		got, err := os.ReadFile(k.store.Path(f.SHA256))
		k.check(err)
		if !bytes.Equal(got, k.branch[f.Path]) {
			k.Errorf("%s has other bytes", f.Path)
		}
	}
}

// move gives the branch another README, or other weights.
func (k *killed) move() {
	k.branch = maps.Clone(k.branch)
	k.branch["README.md"] = []byte(strconv.Itoa(k.rnd.Int()))
	if k.rnd.IntN(2) == 0 {
		k.branch[weights] = bytes.Clone(k.branch[weights])
		k.branch[weights][20*mebi+k.rnd.IntN(mebi)] ^= 1
	}
	_, err := k.hub.SetBranch("acme/big", "main", k.branch)
	k.check(err)
}

// Killed at any moment, also while the branch moves, a fetch goes on where it
// was: it fetches at most a part for each connection again, shows nothing that
// is not whole, and ends with the bytes of the branch as it stands.
func TestKill(t *testing.T) {
	kills := 200
	if os.Getenv("QBRANCH_LONG") != "" {
		kills = 1000
	} else if testing.Short() {
		kills = 20
	}
	k := newKilled(t, 1)
	for kills > 0 {
		k.fresh()
		for {
			before := k.held()
			if code := k.get(k.rnd.Int64N(k.want().Size-before+mebi), syscall.SIGKILL); code == 0 {
				k.whole()
				break
			}
			kills--
			k.lost(before)
			commit := k.hub.Commit("acme/big", "main")
			if _, err := k.store.Snapshot("acme/big", commit); err == nil {
				k.whole() // killed behind the last step
			}
			if k.rnd.IntN(8) == 0 {
				k.move()
			}
			if t.Failed() {
				return
			}
		}
	}
}

// Ctrl-C ends a fetch at once, though the line is slow and the bytes of a part
// would take seconds, with a code of its own and next to nothing lost.
func TestInterruptAtOnce(t *testing.T) {
	k := newKilled(t, 2)
	k.fresh()
	k.conns = 16 // the most there are: 16 MiB
	k.get(12*mebi, syscall.SIGKILL)
	before := k.held()
	const rate = 1e6 // of all; what comes in a second
	k.hub.SetRate(rate)
	const until = 1 << 20
	if code := k.get(until, syscall.SIGINT); code != 130 {
		t.Fatalf("exit code %d, want 130", code)
	}
	k.lost(before)
	if n := sent(k.hub); n > until+rate {
		t.Errorf("%d bytes were sent, want less than those of a second after %d", n, until)
	}
	k.hub.SetRate(0)
	if code := k.get(1<<40, 0); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	k.whole()
}
