package tui

import (
	"context"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// What keys do to the branch table.
func TestBranchKeys(t *testing.T) {
	last := len(talesListing().Branches) - 1
	for _, tc := range []struct {
		name       string
		keys       []string
		wantCursor int
		wantScreen screenID
	}{
		{"down and up", []string{"j", "down", "k"}, 1, onBranches},
		{"not above the first", []string{"up"}, 0, onBranches},
		{"not below the last", []string{"end", "j"}, last, onBranches},
		{"home", []string{"end", "home"}, 0, onBranches},
		{"enter on a verified branch does nothing", []string{"enter"}, 0, onBranches},
		{"enter fetches and shows it", []string{"j", "enter"}, 1, onTransfers},
		{"space marks and goes on", []string{"j", "space"}, 2, onBranches},
		{"two that are marked are fetched", []string{"j", "space", "j", "j", "j", "space", "enter"}, 6, onTransfers},
		{"two that are marked are compared", []string{"space", "j", "space", "c"}, 3, onCompare},
		{"esc takes the marks away first", []string{"space", "esc"}, 1, onBranches},
		{"d shows all of it", []string{"d"}, 0, onDetail},
		{"digits are tabs", []string{"3"}, 0, onStore},
		{"and lead back", []string{"2", "3", "1"}, 0, onBranches},
		{"enter on a corrupt branch repairs", []string{"j", "j", "j", "enter"}, 3, onVerify},
		{"v on a branch that is not here does nothing", []string{"j", "v"}, 1, onBranches},
		{"v verifies", []string{"v"}, 0, onVerify},
		{"g generates", []string{"g"}, 0, onGenerate},
		{"g on a corrupt branch does nothing", []string{"j", "j", "j", "g"}, 3, onBranches},
		{"esc leads back from any depth", []string{"v", "g", "esc", "esc"}, 0, onBranches},
		{"esc leads to the first screen and no further", []string{"esc", "esc"}, 0, onStart},
		{"help takes the keys", []string{"?", "j", "esc"}, 0, onBranches},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := atTales(t, &fake{})
			tap(m, tc.keys...)
			if m.branches.cursor != tc.wantCursor || m.top() != tc.wantScreen {
				t.Errorf("cursor %d on screen %d, want %d on %d", m.branches.cursor, m.top(), tc.wantCursor, tc.wantScreen)
			}
		})
	}
}

// Errors say what happened and what to do; good data stays.
func TestListErrors(t *testing.T) {
	gated := hinted{"list: access to the repository is restricted", "accept the terms, then set HF_TOKEN"}
	f := &fake{listing: talesListing()}
	m := atTales(t, f)
	f.listErr = gated
	tap(m, "r")
	wants(t, m, gated.text, gated.hint, group32)

	// Without data there is the error alone, r tries again.
	m = bench(t, f)
	m.show(onBranches)
	settle(m, m.branches.open(m, app.Ref{Repo: tales}))
	wants(t, m, gated.text, gated.hint, "r tries again")
	f.listErr = nil
	tap(m, "r")
	wants(t, m, group32)
	lacks(t, m, gated.text)

	// What is in the store can be verified and run while the hub cannot be asked.
	f.listErr = errPlain
	f.items = []app.StoreItem{{Repo: tales.String(), Branch: "main", Commit: commitA, State: app.LocalVerified, Bytes: 1}}
	m = bench(t, f)
	m.show(onBranches)
	settle(m, m.branches.open(m, app.Ref{Repo: tales}))
	wants(t, m, "from the store, not the hub", "● verified", "g generate", errPlain.Error())
	if tap(m, "g"); m.top() != onGenerate {
		t.Error("g did not work offline")
	}
}

// Without a network the head says so, nothing is offered to be fetched, and what is
// here works.
func TestOffline(t *testing.T) {
	m := atTales(t, &fake{offline: true, listing: agedListing()})
	wants(t, m, "offline, list of 2 h ago", "g generate")
	tap(m, "j")
	lacks(t, m, "enter get")
	if tap(m, "enter"); len(m.transfers.list) > 0 {
		t.Error("a transfer was begun offline")
	}
	wants(t, m, "offline: it cannot be fetched now")
	if tap(m, "space", "space", "enter"); len(m.transfers.list) > 0 {
		t.Error("marked branches were fetched offline")
	}
}

// What is no GPTQ is unusable whatever memory there is: that is said once, it has
// no rank, and comes last where quality counts.
func TestUnusable(t *testing.T) {
	m := atTales(t, &fake{listing: awqListing()})
	m.Update(tea.WindowSizeMsg{Width: 200, Height: 60})
	tap(m, "j", "j")
	wants(t, m, "▸ awq", "✗ unusable: quantize_config.json:")
	screen := m.View()
	for _, text := range []string{"AWQ, not GPTQ", "the branch is AWQ", "engine overhead", "engines  "} {
		want := map[string]int{"AWQ, not GPTQ": 1}[text]
		if got := strings.Count(screen, text); got != want {
			t.Errorf("%q is said %d times, want %d:\n%s", text, got, want, screen)
		}
	}
	r := m.branches.row()
	if got := m.branches.rank(r); got != "" {
		t.Errorf("its rank is %q", got)
	}
	if tap(m, "s"); m.branches.rows()[0].Branch == "awq" || m.branches.rows()[len(m.branches.rows())-1].Branch != "awq" {
		t.Errorf("by quality: %v", m.View())
	}
	tap(m, "d")
	wants(t, m, "✗ unusable")
	lacks(t, m, "✓ 4.")
	tap(m, "tab", "tab")
	wants(t, m, "✗ unusable: quantize_config.json:", "AWQ")
}

// What fatal findings speak against is fetched after a question, whether they are
// known before or stopped the transfer, and the command line says so.
func TestForce(t *testing.T) {
	var got app.GetOptions
	gets := 0
	refuse := func(_ context.Context, _ app.Ref, o app.GetOptions) (*app.GetResult, error) {
		if got, gets = o, gets+1; !o.Force {
			return nil, &app.FindingsError{Op: "get", Findings: []app.Finding{{Code: "PICKLE", Severity: app.Fatal, Message: "the weights are pickle files"}}}
		}
		return &app.GetResult{}, nil
	}
	m := atTales(t, &fake{listing: awqListing(), get: refuse})
	tap(m, "j", "j", "enter")
	wants(t, m, "Fetch it all the same?", "AWQ, not GPTQ", "y yes")
	lacks(t, m, "Pickles")
	if tap(m, "n"); gets != 0 || len(m.transfers.list) != 0 {
		t.Errorf("%d times fetched after a no", gets)
	}
	tap(m, "enter", "y")
	if m.top() != onTransfers || gets != 1 || !got.Force || got.AllowPickle {
		t.Errorf("on screen %d, fetched %d times, with force %v, pickles %v", m.top(), gets, got.Force, got.AllowPickle)
	}
	if got, want := m.transfers.list[0].command(), "qbranch get "+talesRef("awq").String()+" --force"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	m = atTales(t, &fake{get: refuse})
	tap(m, "j", "enter")
	wants(t, m, "the weights are pickle files", "enter fetch all the same")
	lacks(t, m, "enter resume")
	tap(m, "enter")
	wants(t, m, "Fetch it all the same?", "Pickles can run code")
	tap(m, "y")
	if !got.Force || !got.AllowPickle || m.transfers.list[0].state != transferDone {
		t.Errorf("with force %v, pickles %v: state %d", got.Force, got.AllowPickle, m.transfers.list[0].state)
	}
}

// What needs permission is locked: it is said how to get it, and nothing is begun
// that must fail.
func TestLocked(t *testing.T) {
	l := talesListing()
	l.Notes = append(l.Notes, app.Note{Code: "RESTRICTED", Message: "access to the files is restricted"})
	m := atTales(t, &fake{listing: l})
	wants(t, m, "access to the files is restricted", howToUnlock, "⊘", "g generate")
	tap(m, "j", "enter")
	lacks(t, m, "enter get")
	wants(t, m, "cannot be fetched without permission", "HF_TOKEN")
	if len(m.transfers.list) != 0 {
		t.Error("a transfer was begun")
	}
}

// What leaves rows out is told at every width, with how many are left, and how to
// take it away.
func TestNarrowedIsTold(t *testing.T) {
	for _, w := range []int{80, 100, 120} {
		m := atTales(t, &fake{listing: bigListing()})
		m.Update(tea.WindowSizeMsg{Width: w, Height: 30})
		tap(m, "/", "4", "b", "i", "t", "enter", "f")
		wants(t, m, "/4bit ", " of 7", "fit: fits", "esc show all")
		tap(m, "f", "esc")
		wants(t, m, "fit: fits or tight")
		lacks(t, m, "/4bit")
	}
}

// While the hub does not answer its last list is shown, with its age; its next
// answer takes the place of that.
func TestKeptList(t *testing.T) {
	f := &fake{listErr: errPlain, kept: agedListing(), listing: talesListing()}
	m := bench(t, f)
	m.show(onBranches)
	settle(m, m.branches.open(m, app.Ref{Repo: tales}))
	wants(t, m, "list of 2 h ago", errPlain.Error(), "r tries again", group32, "all of it, verified")
	f.listErr = nil
	tap(m, "r")
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 24})
	wants(t, m, group32, "127.0.0.1:41873")
	lacks(t, m, "2 h ago", errPlain.Error())
}

// The planner changes what is measured, at once.
func TestPlanner(t *testing.T) {
	m := atTales(t, &fake{})
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 36})
	if got := m.branches.report.Cards[0].Name; got != "RTX 3060" {
		t.Errorf("measured against %q at first, want this machine's card", got)
	}
	tap(m, "p", "2", "4", "enter")
	wants(t, m, "SIM 24.00 GiB", "--vram 24GiB")
	tap(m, "down", "right", "right", "left")
	if got := m.plan.context; got != 6144 {
		t.Errorf("got a context of %d after two steps up and one down, want 6144", got)
	}
	tap(m, "9", "9", "9", "enter")
	wants(t, m, "ctx 999", "--vram 24GiB --ctx 999")
	tap(m, "n", "enter")
	wants(t, m, "is not a number")
	tap(m, "r", "esc")
	lacks(t, m, "SIM", "ctx 999")
	if m.branches.planner.open || m.top() != onBranches {
		t.Error("esc did not close the planner alone")
	}
}

// What fits is found by filter, verdict and order; the cursor stays on its branch.
func TestArrange(t *testing.T) {
	m := atTales(t, &fake{})
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 36})
	tap(m, "j") // group32
	tap(m, "/", "4", "b", "i", "t", "enter")
	wants(t, m, "Branches 2 of 8")
	if r := m.branches.row(); r.Branch != group32 {
		t.Errorf("the cursor went to %s", r.Branch)
	}
	tap(m, "esc", "s")
	wants(t, m, "sort: quality")
	if r := m.branches.row(); r.Branch != group32 || m.branches.shown[0].Branch != "gptq-8bit-128g-actorder_False" {
		t.Errorf("sorted by quality the first is %s, the cursor on %s", m.branches.shown[0].Branch, r.Branch)
	}
	tap(m, "p", "4", "enter", "esc", "f") // 4 GiB: nothing fits
	wants(t, m, "no branch of")
	tap(m, "f", "f")
	wants(t, m, "Branches 8")
}

// A late answer to an older question changes nothing.
func TestStaleGrades(t *testing.T) {
	m := atTales(t, &fake{})
	old := m.branches.grade(m)
	tap(m, "]")
	want := m.branches.report
	m.Update(old())
	if m.branches.report != want {
		t.Error("the grades of an older plan were taken")
	}
}
