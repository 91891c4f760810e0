package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// sweeper records what a store is asked to remove.
type sweeper struct{ asked []string }

func (s *sweeper) remove(q app.RemoveRequest) (*app.SweepReport, error) {
	s.asked = append(s.asked, fmt.Sprintf("%v partial=%v dry=%v", q.Refs, q.Partial, q.DryRun))
	return wouldRemove(q)
}

func (s *sweeper) collect(q app.CollectRequest) (*app.SweepReport, error) {
	s.asked = append(s.asked, fmt.Sprintf("collect dry=%v", q.DryRun))
	return &app.SweepReport{DryRun: q.DryRun, Removed: []app.SweepTotal{{Kind: "blob", Files: 2, Bytes: 1_300_000_000}}, Freed: 1_300_000_000, Outdated: 1}, nil
}

// Nothing is removed before the question, and the question says what goes. Rows
// that share a branch are named by their commits.
func TestStoreRemove(t *testing.T) {
	const big, part = "TheBloke/Llama-2-13B-chat-GPTQ:gptq-8bit-128g-actorder_True", "TheBloke/Llama-2-13B-chat-GPTQ:" + group32
	for _, tc := range []struct {
		name string
		keys []string
		want []string
	}{
		{"no", []string{"x", "n"}, []string{"[" + big + "] partial=false dry=true"}},
		{"esc is no", []string{"x", "esc"}, []string{"[" + big + "] partial=false dry=true"}},
		{"yes", []string{"x", "y"}, []string{"[" + big + "] partial=false dry=true", "[" + big + "] partial=false dry=false"}},
		{"two that are marked", []string{"space", "space", "x", "y"}, []string{"[" + big + " " + part + "] partial=false dry=true", "[" + big + " " + part + "] partial=false dry=false"}},
		{"a pinned one is not asked for", []string{"j", "j", "x"}, nil},
		{"nor with a pinned one among them", []string{"space", "space", "space", "x"}, nil},
		{"an outdated commit, and not its branch", []string{"j", "j", "j", "x"}, []string{"[" + tales.String() + "@" + commitA + "] partial=false dry=true"}},
		{"the commit beside it", []string{"j", "j", "j", "j", "x"}, []string{"[" + tales.String() + "@" + commitB + "] partial=false dry=true"}},
		{"a commit without a branch", []string{"end", "x"}, []string{"[" + tales.String() + "@" + commitC + "] partial=false dry=true"}},
		{"unfinished files", []string{"u", "y"}, []string{"[] partial=true dry=true", "[] partial=true dry=false"}},
		{"what no branch uses", []string{"c", "y"}, []string{"collect dry=true", "collect dry=false"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &sweeper{}
			m := atStore(t, &fake{remove: s.remove, collect: s.collect})
			tap(m, tc.keys...)
			if !slices.Equal(s.asked, tc.want) {
				t.Errorf("asked %q, want %q", s.asked, tc.want)
			}
		})
	}
}

// What the question and the status line say.
func TestStoreSays(t *testing.T) {
	m := atStore(t, &fake{remove: wouldRemove, collect: (&sweeper{}).collect})
	tap(m, "x")
	wants(t, m, "This frees 13.65 GB", "3 files of 13.65 GB", "It keeps 4 files of 2.00 MB: another branch uses it.", "$ qbranch store rm", "Remove?")
	tap(m, "y")
	wants(t, m, "✓ freed 13.65 GB: 1 branch removed", "kept 4 files of 2.00 MB: another branch uses it")
	tap(m, "u")
	wants(t, m, "1 unfinished file of 3.20 GB", "What was begun begins again", "$ qbranch store rm --partial")
	tap(m, "n", "c")
	wants(t, m, "2 files of 1.30 GB", "$ qbranch store gc")
	tap(m, "y")
	wants(t, m, "✓ freed 1.30 GB: 2 files removed", "kept 1 commit that branches have left")
	tap(m, "j", "j", "x")
	wants(t, m, "it is pinned: P lets it go")
	tap(m, "space", "space")
	wants(t, m, "2 marked, one of them pinned")
}

// What came a short time ago is spared, and asked for alone when nothing else is
// unused.
func TestStoreCollectsYoung(t *testing.T) {
	var asked []string
	m := atStore(t, &fake{collect: func(q app.CollectRequest) (*app.SweepReport, error) {
		asked = append(asked, fmt.Sprintf("%v dry=%v", q.Grace, q.DryRun))
		if q.Grace > 0 {
			return &app.SweepReport{Kept: []app.SweepTotal{{Kind: "blob", Why: "it is too young", Files: 2, Bytes: 1_300_000_000}}}, nil
		}
		return &app.SweepReport{Removed: []app.SweepTotal{{Kind: "blob", Files: 2, Bytes: 1_300_000_000}, {Kind: "parts", Files: 2, Bytes: 90}}, Freed: 1_300_000_000}, nil
	}})
	tap(m, "c")
	wants(t, m, "This frees 1.30 GB", "2 files of 1.30 GB", "2 small files beside them", "a fetch that was stopped would go on with them", "$ qbranch store gc --grace 0s")
	tap(m, "y")
	if want := []string{"24h0m0s dry=true", "0s dry=true", "0s dry=false"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// However much goes, what is asked is seen, and references break behind the colon.
func TestQuestionFits(t *testing.T) {
	q := &question{ask: "Remove?", text: []string{"This frees 1.30 GB:"}}
	for h := 4; h < 20; h++ {
		view := ""
		for _, l := range q.body(nil, 60, h) {
			for _, s := range l {
				view += s.text
			}
			view += "\n"
		}
		if n := strings.Count(view, "\n"); n > h || !strings.Contains(view, "Remove?   y yes   n no") || !strings.Contains(view, "└") {
			t.Errorf("%d lines for %d:\n%s", n, h, view)
		}
		q.text = append(q.text, "  TheBloke/Llama-2-13B-chat-GPTQ:gptq-4bit-128g-actorder_True", "")
	}
	want := []string{"  TheBloke/Llama-2-13B-chat-GPTQ:", "  gptq-4bit-128g-actorder_True"}
	if got := boxRows("  TheBloke/Llama-2-13B-chat-GPTQ:gptq-4bit-128g-actorder_True", 40); !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	want = []string{"$ qbranch store rm", "  TheBloke/Llama-2-13B-chat-GPTQ:main"}
	if got := boxRows("$ qbranch store rm TheBloke/Llama-2-13B-chat-GPTQ:main", 40); !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
}

// The question comes to nobody who does not look, and a removal goes on when its
// screen is left.
func TestStoreLeft(t *testing.T) {
	s := &sweeper{}
	m := atStore(t, &fake{remove: s.remove})
	cmd := hit(m, "x")
	hit(m, "1")
	settle(m, cmd)
	if m.over != nil {
		t.Error("the question came to another screen")
	}
	tap(m, "3", "x")
	cmd = hit(m, "y")
	hit(m, "esc")
	settle(m, cmd)
	wants(t, m, "✓ freed 13.65 GB")
}

// What was removed is not shown as here any more, anywhere.
func TestStoreForgets(t *testing.T) {
	f := &fake{usage: &app.StoreUsage{Branches: []app.BranchUsage{{Repo: tales.String(), Branch: "main", Commit: commitA, State: app.LocalVerified, Unique: 2_110_000}}, Total: app.Amount{Files: 9}},
		remove: wouldRemove}
	m := atStore(t, f)
	m.transfers.list = []*transfer{{ref: talesRef("main"), state: transferDone, commit: commitA}}
	f.listErr = errPlain // the hub does not answer now
	tap(m, "x")
	f.usage = &app.StoreUsage{}
	tap(m, "y")
	wants(t, m, "The store is empty.", "✓ freed")
	if got := m.localOf(talesRef("main"), app.LocalNone); got != app.LocalNone || len(m.transfers.list) != 0 {
		t.Errorf("main is %q, with %d transfers", got, len(m.transfers.list))
	}
}

// A model that was loaded here does not keep its files from being removed.
func TestStoreReleasesTheModel(t *testing.T) {
	f := &fake{usage: &app.StoreUsage{Branches: []app.BranchUsage{{Repo: tales.String(), Branch: "main", Commit: commitA, State: app.LocalVerified}}}, remove: wouldRemove}
	m := atTales(t, f)
	tap(m, "g")
	write(m, "Once")
	tap(m, "enter")
	settle(m, m.store.open(m))
	tap(m, "x")
	if f.closes != 0 {
		t.Error("the model was closed before the question")
	}
	if tap(m, "y"); f.closes != 1 {
		t.Errorf("the model was closed %d times, want once", f.closes)
	}
}

func TestStorePin(t *testing.T) {
	f := &fake{}
	m := atStore(t, f)
	tap(m, "P")
	wants(t, m, "✓ pinned TheBloke/Llama-2-13B-chat-GPTQ:gptq-8bit")
	tap(m, "j", "j", "P")
	wants(t, m, "✓ unpinned TheBloke/Llama-2-13B-chat-GPTQ:main")
	if want := []string{"TheBloke/Llama-2-13B-chat-GPTQ:gptq-8bit-128g-actorder_True off=false", "TheBloke/Llama-2-13B-chat-GPTQ:main off=true"}; !slices.Equal(f.pins, want) {
		t.Errorf("pins %q, want %q", f.pins, want)
	}
}

// The cursor stays on its branch when the store is read again.
func TestStoreRefresh(t *testing.T) {
	f := &fake{}
	m := atStore(t, f)
	late := hit(m, "r")
	tap(m, "j", "j", "space", "k")
	f.usage = fullStore()
	f.usage.Branches = f.usage.Branches[1:]
	tap(m, "3")
	if got := m.store.row().Unique; got != 7_260_000_000 || len(m.store.marked) != 1 {
		t.Errorf("the cursor is on the row of %d bytes, %d marked", got, len(m.store.marked))
	}
	settle(m, late)
	if len(m.store.rows()) != 5 {
		t.Error("a late answer was taken")
	}
	tap(m, "esc")
	if len(m.store.marked) != 0 || m.top() != onStore {
		t.Error("esc did not take the marks away first")
	}
}

// What a repair or a transfer changed is read again for the screens on the way back.
func TestStoreRereads(t *testing.T) {
	f := &fake{shown: talesShown(), usage: &app.StoreUsage{Branches: []app.BranchUsage{{Repo: tales.String(), Branch: "main", Commit: commitA, State: app.LocalCorrupt}}}}
	m := atStore(t, f)
	cmd := hit(m, "v")
	f.usage = &app.StoreUsage{Branches: []app.BranchUsage{{Repo: tales.String(), Branch: "main", Commit: commitA, State: app.LocalVerified}}}
	settle(m, cmd)
	tap(m, "esc")
	if got := m.store.row().State; got != app.LocalVerified {
		t.Errorf("the row is %s after the verification", got)
	}
	f.get = func(context.Context, app.Ref, app.GetOptions) (*app.GetResult, error) {
		return &app.GetResult{Plan: app.Plan{Commit: commitB, Bytes: 2_340_000}}, nil
	}
	m = atDetail(t, f)
	if tap(m, "enter", "esc"); m.top() != onDetail || m.detail.local(m) != app.LocalVerified {
		t.Errorf("on screen %d, %q is here", m.top(), m.detail.local(m))
	}
}

// Keys that cannot do anything say why.
func TestStoreKeysThatDoNothing(t *testing.T) {
	readOnly := fullStore()
	readOnly.Disk.ReadOnly = true
	for _, tc := range []struct {
		name string
		use  *app.StoreUsage
		keys []string
		want string
	}{
		{"read-only", readOnly, []string{"x"}, "mounted read-only"},
		{"read-only pin", readOnly, []string{"P"}, "mounted read-only"},
		{"nothing unfinished", &app.StoreUsage{}, []string{"u"}, "no file is unfinished"},
		{"nothing at all", &app.StoreUsage{}, []string{"c"}, "there is nothing in the store"},
		{"g on what is corrupt", fullStore(), []string{"end", "g"}, "missing or corrupt: v says which"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := atStore(t, &fake{usage: tc.use})
			tap(m, tc.keys...)
			wants(t, m, tc.want)
		})
	}
	// What is removed already is not removed twice at a time.
	m := atStore(t, &fake{remove: wouldRemove})
	tap(m, "x")
	hit(m, "y")
	hit(m, "x")
	wants(t, m, "the store is being changed")

	// A pin counts at once.
	m = atStore(t, &fake{remove: wouldRemove})
	pin := hit(m, "P")
	hit(m, "x")
	wants(t, m, "the store is being changed")
	_, again := m.Update(pin())
	hit(m, "x")
	wants(t, m, "it is pinned: P lets it go")
	settle(m, again)
}

// Enter opens the repository, on the branch.
func TestStoreOpens(t *testing.T) {
	f := &fake{usage: &app.StoreUsage{Branches: []app.BranchUsage{{Repo: tales.String(), Branch: group32, Commit: commitB}}}}
	m := atStore(t, f)
	tap(m, "enter")
	if m.top() != onBranches || m.branches.row().Branch != group32 {
		t.Errorf("on screen %d, row %v", m.top(), m.branches.row())
	}
	tap(m, "3", "d")
	if m.top() != onDetail || m.detail.ref != talesRef(group32) {
		t.Errorf("on screen %d, detail of %v", m.top(), m.detail.ref)
	}
}
