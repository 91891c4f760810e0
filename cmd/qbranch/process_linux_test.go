package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/store"
)

// long reports whether the long suites are asked for.
func long() bool { return os.Getenv("QBRANCH_LONG") != "" }

// needRoot skips a test that mounts or unplugs things.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// needs returns where programs are, or skips the test.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip("needs " + p)
		}
	}
}

// command runs a program that has to succeed, and returns what it printed.
func command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// world is a hub with one branch, and this binary as qbranch beside it.
type world struct {
	*testing.T
	hub   *hubtest.Server
	repo  string
	files map[string][]byte // of main
	bin   string
	store string
	under []string // what runs the binary: strace, ip netns exec
	env   []string
}

func newWorld(t *testing.T, o hubtest.Options, files map[string][]byte) *world {
	t.Helper()
	w := &world{T: t, repo: "acme/noise", files: files}
	var err error
	if w.hub, err = hubtest.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.hub.Close() })
	if err := w.hub.Add(hubtest.RepoData{ID: w.repo, Branches: map[string]map[string][]byte{"main": files}}); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w.bin = filepath.Join(dir, "qbranch") // TestMain goes by the name
	if err := os.Symlink(self, w.bin); err != nil {
		t.Fatal(err)
	}
	w.store = filepath.Join(dir, "store")
	w.env = []string{"HF_ENDPOINT=" + w.hub.URL(), "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "QBRANCH_ALLOW_HTTP=1"}
	return w
}

// noisy is the demo's main with a tensor of so many bytes of noise.
func noisy(t *testing.T, size int) map[string][]byte {
	t.Helper()
	files, err := changed(weights, func(file []byte) ([]byte, error) {
		noise := make([]byte, size)
		rand.NewChaCha8([32]byte{2}).Read(noise) // never fails, by its contract
		return editHeader(append(bytes.Clone(file), noise...), func(h map[string]*tensor, end int64) {
			h["model.noise"] = &tensor{DType: "I8", Shape: []int64{int64(size)}, Offsets: [2]int64{end - int64(size), end}}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (w *world) ref() string { return w.repo + ":main" }

// size is the length of the branch's weights.
func (w *world) size() int64 { return int64(len(w.files[weights])) }

// proc is a running qbranch.
type proc struct {
	*exec.Cmd
	out  bytes.Buffer
	done chan struct{}
	code int
}

// start runs qbranch. The test waits for it in the end, whatever happens.
func (w *world) start(args ...string) *proc {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // only a broken program gets there
	full := slices.Concat(w.under, []string{w.bin}, args)
	p := &proc{Cmd: exec.CommandContext(ctx, full[0], full[1:]...), done: make(chan struct{})}
	p.Env = append(slices.Clone(w.env), "QBRANCH_STORE="+w.store)
	p.Stdout, p.Stderr = &p.out, &p.out
	if err := p.Start(); err != nil {
		w.Fatal(err)
	}
	go func() {
		defer close(p.done)
		defer cancel()
		err := p.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) || err == nil {
			p.code = p.ProcessState.ExitCode()
		} else {
			p.code = -2 // not even that
		}
	}()
	w.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

// end waits for the end and returns code and output.
func (p *proc) end() (int, string) {
	<-p.done
	return p.code, p.out.String()
}

// ended reports whether the process has ended.
func (p *proc) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// run runs qbranch to its end.
func (w *world) run(args ...string) (int, string) {
	w.Helper()
	return w.start(args...).end()
}

// must runs qbranch, which has to succeed.
func (w *world) must(args ...string) string {
	w.Helper()
	code, out := w.run(args...)
	if code != 0 {
		w.Fatalf("qbranch %s: code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// awaitSent waits until storage has sent n bytes, or p has ended.
func (w *world) awaitSent(p *proc, n int64) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for sent(w.hub) < n && !p.ended() {
		<-tick.C
	}
}

// whole checks that the store has the branch, byte by byte, and that nothing
// in it is wrong.
func (w *world) whole() {
	w.Helper()
	w.must("store", "fsck")
	s, err := store.Open(w.store)
	if err != nil {
		w.Fatal(err)
	}
	snap, err := s.Snapshot(w.repo, w.hub.Commit(w.repo, "main"))
	if err != nil {
		w.Fatal(err)
	}
	if len(snap.Files) != len(w.files) {
		w.Errorf("the branch has %d files, want %d", len(snap.Files), len(w.files))
	}
	for _, f := range snap.Files {
		got, err := os.ReadFile(s.Path(f.SHA256))
		if err != nil || !bytes.Equal(got, w.files[f.Path]) {
			w.Errorf("%s is not what the hub has (%d bytes, %v)", f.Path, len(got), err)
		}
	}
}

// marked is how many bytes the journals of the store say are on the disk, by
// the second last mark of each: the last may be on its way (journal-format.md).
func (w *world) marked() int64 {
	w.Helper()
	names, err := filepath.Glob(filepath.Join(w.store, "partial", "*", "journal"))
	if err != nil {
		w.Fatal(err)
	}
	var n int64
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // published in between
			w.Fatal(err)
		}
		n += markedIn(text)
	}
	return n
}

// markedIn reads a journal.
func markedIn(text []byte) int64 {
	const head, part, drop = 80, 41, 9
	var ends []int // of PART records
	var covers []uint64
	for at := head; at < len(text); {
		length := 0
		switch text[at] {
		case 1:
			length = part
			ends = append(ends, at+part)
		case 2:
			if len(text) < at+18 {
				return 0
			}
			length = 18 + int(text[at+13])
			covers = append(covers, binary.LittleEndian.Uint64(text[at+1:]))
		case 3:
			length = drop
		default:
			return 0
		}
		at += length
	}
	if len(covers) < 2 {
		return 0
	}
	durable := covers[len(covers)-2]
	n := 0
	for _, end := range ends {
		if uint64(end) <= durable {
			n++
		}
	}
	return max(int64(n-1)*store.PartSize, 0) // the last part of a file may be shorter
}

// held asks how many bytes of the branch are here.
func (w *world) held() int64 {
	w.Helper()
	for l := range strings.Lines(w.must("get", w.ref(), "--dry-run", "--json")) {
		var plan struct {
			Type string `json:"type"`
			Held int64  `json:"held_bytes"`
		}
		if json.Unmarshal([]byte(l), &plan) == nil && plan.Type == "plan" {
			return plan.Held
		}
	}
	w.Fatal("get --dry-run --json prints no plan")
	return 0
}
