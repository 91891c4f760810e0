package tui_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
	"github.com/qbranch/qbranch/cmd/qbranch/internal/termtest"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// Two programs on one store: what one fetches the other shows and cannot change;
// the first is paused, limited and ended, and started again it offers to go on.
func TestTransfersInTerminals(t *testing.T) {
	bin := build(t)
	branches, err := demo.Branches()
	if err != nil {
		t.Fatal(err)
	}
	extra := make([]byte, 24<<20)
	rand.NewChaCha8([32]byte{7}).Read(extra)
	branches["main"]["extra.dat"] = extra
	hub, err := hubtest.Start(hubtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	if err := hub.Add(hubtest.RepoData{ID: demo.RepoID, Branches: branches}); err != nil {
		t.Fatal(err)
	}
	program := "env " + strings.Join([]string{"HF_ENDPOINT=" + hub.URL(), "QBRANCH_STORE=" + t.TempDir(), "HF_TOKEN=", "HF_HUB_OFFLINE=",
		"HOME=" + t.TempDir(), "LC_ALL=C.UTF-8", "NO_COLOR=1"}, " ") + " " + bin
	first, second := termtest.New(t, 100, 30), termtest.New(t, 80, 24)

	hub.SetRate(1_500_000)
	first.Text(program + " " + demo.RepoID + "; echo ended with $?\n")
	first.Await(`▸ main`)
	first.Keys("Enter")
	first.Await(`parts of extra\.dat`)
	first.Await(`[1-9]\d?%.*\n.*MB/s`)
	first.Text(" ")
	first.Await(`◐ paused`)
	first.Text("b")
	first.Text("900k")
	first.Keys("Enter")
	first.Await(`limit 900 kB/s`)
	first.Text(" ")
	first.Await(`↓ fetching`)

	second.Text(program + "; echo ended with $?\n")
	second.Await(`alt\+2 transfers`) // once it knows of any
	second.Keys("C-t")
	second.Await(`↓ pid \d+`)
	second.Await(`[1-9]\d?%.*\n.*read only here`)
	second.Text("x")
	second.Await(`it can only be watched here`)

	first.Text("q")
	first.Await(`Quit\?`)
	first.Text("y")
	first.Await(`this resumes(.*\n)*.*ended with 0`)
	second.Await(`◐ stopped`)

	first.Text("clear; " + program + "; echo ended with $?\n")
	first.Await(`1 transfer can be resumed(.|\n)*alt\+2 transfers`)
	first.Keys("C-t")
	first.Await(`◐ stopped`)
	first.Keys("Enter")
	first.Await(`parts of extra\.dat`)
	second.Text("r") // nothing moved there, so nobody looked
	second.Await(`↓ pid \d+`)
	hub.SetRate(0)
	first.Await(`100%  ● verified`)
	second.Await(`100%  ● verified`)
	for _, term := range []*termtest.Terminal{first, second} {
		term.Text("q")
		term.Await(`ended with 0`)
	}
}
