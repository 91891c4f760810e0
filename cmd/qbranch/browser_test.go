package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
	"github.com/qbranch/qbranch/cmd/qbranch/internal/termtest"
	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/store"
)

// pictures is a folder for pictures of the screens ('make screens').
var pictures = flag.String("pictures", "", "write pictures of the terminal program's screens to this `folder`")

// browser is the program in a terminal, with a hub and a store of its own.
type browser struct {
	*termtest.Terminal
	t     *testing.T
	hub   *hubtest.Server
	store string
	run   string // the command line that starts it
}

func newBrowser(t *testing.T, width, height int, env ...string) *browser {
	t.Helper()
	b := &browser{Terminal: termtest.New(t, width, height), t: t}
	var err error
	if b.hub, err = hubtest.Start(hubtest.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.hub.Close() })
	for _, kind := range []string{"demo", "mixtral"} {
		data, err := repository(kind)
		if err == nil {
			err = b.hub.Add(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "qbranch") // TestMain goes by the name
	if err := os.Symlink(self, bin); err != nil {
		t.Fatal(err)
	}
	b.store = filepath.Join(dir, "store")
	env = append([]string{"HF_ENDPOINT=" + b.hub.URL(), "QBRANCH_STORE=" + b.store, "XDG_CACHE_HOME=" + filepath.Join(dir, "cache"), "XDG_STATE_HOME=" + filepath.Join(dir, "state"),
		"HOME=" + dir, "HF_TOKEN=", "LC_ALL=C.UTF-8", "CUDA_VISIBLE_DEVICES=-1"}, env...)
	b.run = "clear; env " + strings.Join(env, " ") + " " + bin
	return b
}

// start types the command line.
func (b *browser) start(args string) {
	b.t.Helper()
	b.Text(b.run + " " + args + "; echo ended with $?\n")
}

// picture keeps what is shown, if pictures are wanted.
func (b *browser) picture(name string) {
	b.t.Helper()
	if *pictures == "" {
		return
	}
	out, err := os.Create(filepath.Join(*pictures, name+".svg"))
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command("go", "run", "../termsvg")
	// The hub of the test is on this machine; people's is not.
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(b.Coloured(), strings.TrimPrefix(b.hub.URL(), "http://"), "127.0.0.1"))
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		b.t.Fatalf("make %s: %v", out.Name(), err)
	}
	if err := out.Close(); err != nil {
		b.t.Fatal(err)
	}
}

// Somebody with a card of 24 GiB looks at a repository of 230 GB.
func TestBrowserPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a terminal")
	}
	b := newBrowser(t, 120, 36, "QBRANCH_VRAM=24GiB")
	b.start("tui " + mixtralRepo)
	b.Await(`SIM 24\.00 GiB`)
	b.Await(`(?m)main .* 23\.9  ~ `)
	b.Await(`gptq-3bit-32g\S+ .* 21\.7  ✓ `)
	b.Text("jjj")
	b.Await(`▸ gptq-3bit-32g`)
	b.picture("branches")

	// More context, by a key; then another card, typed.
	b.Text("]]")
	b.Await(`ctx 8192`)
	b.Text("p48")
	b.Keys("Enter")
	b.Await(`SIM 48\.00 GiB`)
	b.Await(`gptq-8bit--1g\S+ .*  [✓~] `)
	b.Await(`--vram 48GiB --ctx`)
	b.picture("planner")
	b.Keys("Escape")

	// Only what is wanted; two of them side by side.
	b.Text("/3bit")
	b.Await(`Branches 3 of 8`)
	b.Keys("Escape")
	b.Await(`Branches 8`)
	b.Text("s")
	b.Await(`sort: quality`)
	b.Keys("d")
	b.Await(`(?i)findings`)
	b.picture("detail")
	b.Keys("Escape")
	b.Keys("Home")
	b.Text(" ")
	b.Text(" ")
	b.Text("c")
	b.Await(`(?i)switching`)
	b.picture("compare")
	b.Keys("q")
	b.Await(`ended with 0`)
}

// The whole job by hand: plan, get, quit half way, start again, resume, verify,
// prove, generate, repair what has rotted, free the space; the window changes its
// size in between.
func TestBrowserWholeJob(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a terminal")
	}
	const branch = "gptq-3bit-32g-actorder_True"
	b := newBrowser(t, 100, 30)
	b.start("tui")
	b.Await(`Open a repository`)
	b.Text(demo.RepoID + ":" + branch)
	b.Keys("Enter")
	b.Await(`▸ ` + branch + ` .*✓`)

	// Get, and quit half way.
	b.hub.SetRate(150_000)
	b.Keys("Enter")
	b.Await(`(?i)transfers`)
	b.Await(branch + `(.|\n)*[2-9]\d%`)
	b.Resize(120, 36)
	b.Await(`(?m)^.{105,}$`)
	b.picture("transfers")
	b.Resize(100, 30)
	b.Keys("q")
	b.Await(`Quit\?`)
	b.Text("y")
	b.Await(`this resumes(.|\n)*ended with 0`)

	// Start again: it says what is unfinished, and resumes.
	b.hub.ResetLog()
	b.start("tui " + demo.RepoID)
	b.Await(`◐ ?\d+%`)
	b.hub.SetRate(0)
	b.Keys("2")
	b.Await(branch)
	b.Keys("Enter")
	b.Await(`100%  ● verified`)
	if got := sent(b.hub); got > 1_700_000 {
		t.Errorf("%d bytes of 2 MB were fetched again after the pause", got)
	}
	b.Keys("1")
	b.Await(`sort: `)
	b.Keys("Home")
	b.Text("jjj")
	b.Await(`▸ ` + branch + ` .*● verified`)

	// Verify, prove, generate.
	b.Keys("v")
	b.Await(`✓ good +every byte is as published`)
	b.Keys("p")
	b.Await(`sound|suspect|broken`)
	b.Await(`known text 0\.\d+|signals within bounds`)
	b.picture("prove")
	b.Keys("g")
	b.Await(`▸ prompt`)
	b.Text("Write a story about llamas")
	b.Await(`llamas▏`)
	b.Keys("Enter")
	b.Await(`tokens? at .*prompt of`)
	b.picture("generate")
	b.Keys("Escape")

	// A byte rots; it is found, and only its part is fetched again.
	if err := rot(b.store, demo.RepoID, b.hub.Commit(demo.RepoID, branch), weights, 1_481_832); err != nil {
		t.Fatal(err)
	}
	b.Await(`(?i)verdict`)
	b.Keys("r")
	b.Await(`✗ corrupt`)
	b.picture("corrupt")
	b.hub.ResetLog()
	b.Keys("Enter")
	b.Await(`repaired; every byte is as published`)
	if got := sent(b.hub); got > 1<<20 {
		t.Errorf("%d bytes were fetched for a repair, want a part", got)
	}

	// Free the space.
	b.Keys("3")
	b.Await(`(?i)shared(.|\n)*` + branch)
	b.picture("store")
	b.Keys("x")
	b.Await(`(?i)remove`)
	b.Await(`y yes`)
	b.Text("y")
	b.Await(`(?i)freed`)
	b.Keys("q")
	b.Await(`ended with 0`)
	if s, err := store.Open(b.store); err != nil {
		t.Error(err)
	} else if all, err := s.Snapshots(); err != nil || len(all) != 0 {
		t.Errorf("after removing the branch the store holds %v, %v", all, err)
	}
}

// Two branches are fetched at once and compared; one walks from a branch to its
// siblings and back; a pin keeps one when space is freed, and what both had stays.
func TestBrowserWalks(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a terminal")
	}
	b := newBrowser(t, 80, 24)
	b.start("tui " + demo.RepoID)
	b.Await(`▸ main .*✓`)
	b.Text("  ")
	b.Await(`▸ gptq-3bit-128g`)
	b.Keys("Enter")
	b.Await(`100%(.|\n)*100%`)
	b.Keys("1")
	b.Await(`(?m)main .*●$`)

	// Side by side, exchanged, only what differs.
	b.Keys("Home")
	b.Text("  c")
	b.Await(`(?m)from A to B moves 0 B`)
	b.Await(`A main`)
	b.Text("xf")
	b.Await(`B main(.|\n)*▸ bits +3 +4 +differs`)
	b.Keys("Escape", "Escape")
	b.Await(`▸ \S+ +\d`)

	// The sections of a branch, and on to the last of its siblings.
	b.Keys("Home")
	b.Text("d")
	b.Await(`\[Parameters\](.|\n)*✓ \d agree`)
	b.Keys("Left")
	b.Await(`\[Siblings 8\]`)
	b.Keys("End", "Enter")
	b.Await(`qbranch +…:gptq-8bit-128g-actorder_True`)
	b.Keys("Escape")
	b.Await(`▸ gptq-8bit-128g-actorder_True`)

	// What is pinned stays, and what both have stays with it.
	b.Keys("3")
	b.Await(`Store  2 branches`)
	b.Text("P")
	b.Await(`✓ pinned `)
	b.Text("x")
	b.Await(`it is pinned: P lets it go`)
	b.Keys("Down")
	b.Text("x")
	b.Await(`This frees (.|\n)*It keeps 6 files of 41\.1 kB: another branch uses it(.|\n)*qbranch store rm`)
	b.Text("y")
	b.Await(`Store  1 branch (.|\n)*pin(.|\n)*✓ freed .*: 1 branch removed`)
	b.Keys("q")
	b.Await(`ended with 0`)
	if s, err := store.Open(b.store); err != nil {
		t.Error(err)
	} else if all, err := s.Snapshots(); err != nil || len(all) != 1 {
		t.Errorf("the store holds %v, %v", all, err)
	}
}
