package tui

import (
	"slices"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// What keys do to a comparison of main, which is here, and a branch that is not.
func TestCompareKeys(t *testing.T) {
	for _, tc := range []struct {
		name       string
		keys       []string
		wantRow    string
		wantSide   int
		wantScreen screenID
	}{
		{"the cursor begins below the first heading", nil, "bits", 1, onCompare},
		{"down", []string{"j"}, "group size", 1, onCompare},
		{"headings are no rows", []string{"j", "j", "j", "j", "j", "j", "j", "j"}, "need GiB", 1, onCompare},
		{"upwards too", []string{"j", "j", "j", "j", "j", "j", "j", "j", "k"}, "here", 1, onCompare},
		{"not above the first", []string{"k"}, "bits", 1, onCompare},
		{"end", []string{"end", "j"}, "J5", 1, onCompare},
		{"left is A", []string{"left"}, "bits", 0, onCompare},
		{"tab is the other", []string{"tab", "tab"}, "bits", 1, onCompare},
		{"only what differs", []string{"f"}, "group size", 1, onCompare},
		{"and all again", []string{"f", "f"}, "bits", 1, onCompare},
		{"enter gets B", []string{"enter"}, "bits", 1, onTransfers},
		{"A is here", []string{"left", "enter"}, "bits", 0, onCompare},
		{"v verifies A", []string{"left", "v"}, "bits", 0, onVerify},
		{"d shows all of B", []string{"d"}, "bits", 1, onDetail},
		{"esc leads back", []string{"esc"}, "bits", 1, onBranches},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := atCompare(t, &fake{shown: talesShown()})
			tap(m, tc.keys...)
			if s := &m.compare; s.rows()[s.cursor].name != tc.wantRow || s.side != tc.wantSide || m.top() != tc.wantScreen {
				t.Errorf("row %q, side %d on screen %d, want %q, %d on %d", s.rows()[s.cursor].name, s.side, m.top(), tc.wantRow, tc.wantSide, tc.wantScreen)
			}
		})
	}
}

// Every kind of difference is told in words.
func TestCompareTells(t *testing.T) {
	m := atCompare(t, &fake{})
	want := map[string]string{"bits": "", "group size": differs, "here": differs, "need GiB": differs, "verdict": "", "ExLlama": differs, "config.json": differs,
		"licence.txt": "only A", "added_tokens.json": "only B", "notes.txt": "unknown", "README.md": "", "J5": "only B"}
	for _, r := range m.compare.rows() {
		if mark, ok := want[r.name]; ok && !r.heading {
			if r.mark != mark {
				t.Errorf("%s: %q, want %q", r.name, r.mark, mark)
			}
			delete(want, r.name)
		}
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
	wants(t, m, "from A to B moves 2.22 MB, shares 39.3 kB", "fetching B: 2.26 MB")
	if got, want := m.compare.command(m), "qbranch diff "+talesRef("main").String()+" "+talesRef(group32).String(); got != want {
		t.Errorf("command %q, want %q", got, want)
	}
	if slices.ContainsFunc(m.compare.rows(), func(r pairRow) bool { return r.name == "format" }) {
		t.Error("a parameter of which nobody says anything is shown")
	}
}

// Exchanging the sides asks anew: what is to be fetched is another number. The
// answer to the first question is dropped.
func TestCompareSwap(t *testing.T) {
	m := atCompare(t, &fake{})
	late := hit(m, "r")
	now := hit(m, "x")
	if m.compare.refs[0] != talesRef(group32) || m.compare.diff != nil {
		t.Errorf("A is %v, diff %v", m.compare.refs[0], m.compare.diff)
	}
	settle(m, late)
	if m.compare.diff != nil {
		t.Error("a late answer was taken")
	}
	settle(m, now)
	if m.compare.diff == nil {
		t.Error("the answer was dropped")
	}
}

// An error leaves what was known.
func TestCompareError(t *testing.T) {
	f := &fake{}
	m := atCompare(t, f)
	f.listErr = errPlain
	tap(m, "r")
	wants(t, m, "✗ something went wrong", "group size")
	tap(m, "x")
	wants(t, m, "✗ something went wrong", "r tries again, esc goes back.")
	lacks(t, m, "group size")
	f.listErr, f.diff = nil, &app.Diff{}
	tap(m, "r")
	wants(t, m, "here")
}
