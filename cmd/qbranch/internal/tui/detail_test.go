package tui

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// What keys do to the detail of the second branch.
func TestDetailKeys(t *testing.T) {
	for _, tc := range []struct {
		name        string
		keys        []string
		wantSection int
		wantCursor  int
		wantScreen  screenID
	}{
		{"right leads to the next section", []string{"l"}, findingsSection, 0, onDetail},
		{"and tab", []string{"tab", "tab"}, memorySection, 0, onDetail},
		{"left from the first to the last", []string{"left"}, siblingsSection, 0, onDetail},
		{"around", []string{"tab", "tab", "tab", "tab", "tab", "tab", "tab"}, parametersSection, 0, onDetail},
		{"down moves", []string{"j", "j", "k"}, parametersSection, 1, onDetail},
		{"not below the last", []string{"end", "j"}, parametersSection, 5, onDetail},
		{"each section has a cursor", []string{"j", "tab", "j", "j", "left"}, parametersSection, 1, onDetail},
		{"enter gets", []string{"enter"}, parametersSection, 0, onTransfers},
		{"v on what is not here does nothing", []string{"v"}, parametersSection, 0, onDetail},
		{"enter on a sibling repository lists its branches", []string{"left", "enter"}, siblingsSection, 0, onBranches},
		{"enter on a branch shows it", []string{"left", "end", "enter"}, siblingsSection, 0, onDetail},
		{"esc leads back", []string{"esc"}, parametersSection, 0, onBranches},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := atDetail(t, &fake{})
			tap(m, tc.keys...)
			if d := &m.detail; d.section != tc.wantSection || d.cursors[d.section] != tc.wantCursor || m.top() != tc.wantScreen {
				t.Errorf("section %d, cursor %d on screen %d, want %d, %d on %d", d.section, d.cursors[d.section], m.top(), tc.wantSection, tc.wantCursor, tc.wantScreen)
			}
		})
	}
}

// Each section says what it is about, and which command line prints it.
func TestDetailSections(t *testing.T) {
	ref := talesRef(group32).String()
	for _, tc := range []struct {
		name string
		keys []string
		want []string
	}{
		{"a value is believed of one, and another differs", []string{"j"}, []string{"✗ quantize_config.json 128", "▸ 32  tensors", "the shapes of the tensors prove it", "not asked  metadata", "$ qbranch show " + ref}},
		{"the worst finding first, with its hint", []string{"tab"}, []string{"[Findings 5]", "! warn", "expected   32", "do         programs that read"}},
		{"a misled program", []string{"tab", "j"}, []string{"believes: group size 128", "reads      quantize_config.json"}},
		{"why an engine does not load it", []string{"tab", "tab", "tab", "j", "j"}, []string{"✗ no", "ExLlama runs llama and mistral only", "--engines"}},
		{"files with both digests", []string{"tab", "tab", "tab", "tab", "j"}, []string{"[Files 4]", "3f786850e387550fdab836ed7e6dc881de23001b3f786850e387550fdab836ed", "789ce1000cf8087829223861dbd0a73e9a8e4de9", "● the store has it", "--files"}},
		{"the prompt template as it is", []string{"left", "left", "end"}, []string{"ChatML", "   <|im_start|>system", "   {prompt}<|im_end|>", "$ qbranch card " + ref}},
		{"siblings", []string{"left"}, []string{"[Siblings 6]", "GGUF        qbranch/llama-tales-moe-2m-GGUF", "original", "◐ 43%", "$ qbranch ls qbranch/llama-tales-moe-2m-GGUF"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := atDetail(t, &fake{})
			m.Update(tea.WindowSizeMsg{Width: 117, Height: 40})
			tap(m, tc.keys...)
			wants(t, m, tc.want...)
		})
	}
}

// The table knows much already: it is shown until all is known, and walking back
// leaves the table's cursor on the branch that was looked at last.
func TestDetailWalk(t *testing.T) {
	m := atTales(t, &fake{shown: talesShown()})
	cmd := hit(m, "j", "d")
	wants(t, m, "4 bits, groups of 32, act-order", "[Parameters]")
	if !m.detail.partly {
		t.Error("what the table knows counts as all")
	}
	settle(m, cmd)
	if m.detail.partly {
		t.Error("all is known, and counts as partly known")
	}
	tap(m, "left", "end", "enter", "esc")
	if got := m.branches.row().Branch; got != "gptq-3bit-128g-actorder_True" {
		t.Errorf("the cursor of the table is on %s", got)
	}
}

// From the branches of another repository esc walks back, step by step.
func TestDetailWalkBack(t *testing.T) {
	f := &fake{shown: talesShown()}
	m := atDetail(t, f)
	gguf := app.RepoID{Owner: "qbranch", Name: "llama-tales-moe-2m-GGUF"}
	tap(m, "left", "enter")
	if m.top() != onBranches || m.branches.repo != gguf {
		t.Fatalf("on screen %d with %v", m.top(), m.branches.repo)
	}
	tap(m, "d", "down", "enter") // from its first branch to the AWQ
	if m.branches.repo.Name != "llama-tales-moe-2m-AWQ" || len(m.branches.trail) != 2 {
		t.Fatalf("branches of %v, trail %v", m.branches.repo, m.branches.trail)
	}
	tap(m, "esc")
	if m.top() != onDetail || m.detail.ref.Repo != gguf {
		t.Errorf("on screen %d with %v", m.top(), m.detail.ref)
	}
	tap(m, "esc", "esc")
	if m.top() != onDetail || m.detail.ref != talesRef(group32) {
		t.Errorf("on screen %d with %v", m.top(), m.detail.ref)
	}
	tap(m, "esc", "esc")
	if m.top() != onStart || m.branches.trail != nil {
		t.Errorf("on screen %d, trail %v", m.top(), m.branches.trail)
	}
}

// An answer about a branch that is not looked at any more is dropped; an error
// leaves what was known, and says so.
func TestDetailAnswers(t *testing.T) {
	f := &fake{shown: talesShown()}
	m := bench(t, f)
	late := m.detail.open(m, talesRef("main"))
	now := m.detail.open(m, talesRef(group32))
	settle(m, late)
	if m.detail.shown != nil {
		t.Error("a late answer was taken")
	}
	settle(m, now)
	if m.detail.shown == nil {
		t.Fatal("the answer was dropped")
	}
	f.listErr = errPlain
	tap(m, "r")
	wants(t, m, "✗ something went wrong", "shown is what was known before", "group size")
	f.listErr = nil
	tap(m, "r")
	lacks(t, m, "something went wrong")
	hit(m, "r")
	if m.detail.leave(m); m.detail.task.running() {
		t.Error("leaving did not stop asking")
	}
}

// A branch that is here is not fetched again: its keys say why, and v works.
func TestDetailOfWhatIsHere(t *testing.T) {
	m := atTales(t, &fake{shown: talesShown()})
	tap(m, "d", "enter")
	wants(t, m, "main is here already", "● verified")
	tap(m, "v")
	if m.top() != onVerify || m.verify.ref != talesRef("main") {
		t.Errorf("on screen %d with %v", m.top(), m.verify.ref)
	}
}

// Offline nothing is fetched, and what is here still works.
func TestDetailOffline(t *testing.T) {
	s := talesShown()
	s.Notes = append(s.Notes, app.Note{Code: "OFFLINE", Message: "offline: the branches are those that the hub listed 2 h ago"})
	m := atDetail(t, &fake{shown: s, offline: true})
	wants(t, m, "listed 2 h ago")
	tap(m, "enter")
	wants(t, m, "offline: it cannot be fetched now")
	m = atTales(t, &fake{shown: s})
	tap(m, "d", "v")
	if m.top() != onVerify {
		t.Errorf("on screen %d, want the verification", m.top())
	}
}

// The estimate with its terms: that of the table, which follows the plan, else what
// was asked for alone.
func TestDetailMemory(t *testing.T) {
	m := alone(t, &fake{})
	tap(m, "tab", "tab", "j", "j")
	wants(t, m, "= need", "2 × 64 elements", "✓ fits: RTX 3060 has 11.40 GiB", "fits up to 9216 tokens", "$ qbranch fit "+talesRef(group32).String(), "--explain")
	late := hit(m, "]")
	if m.plan.context == 0 || !m.detail.task.running() {
		t.Errorf("the plan is for %d tokens, asked again: %v", m.plan.context, m.detail.task.running())
	}
	settle(m, late)

	m = atDetail(t, &fake{})
	tap(m, "tab", "tab", "j")
	wants(t, m, "KV cache                 3.12")
	tap(m, "[")
	wants(t, m, "KV cache                 1.56", "--ctx 2048")
	if m.detail.task.running() {
		t.Error("the hub was asked for what the table knows")
	}
}

// The plan of the table counts here, and this machine's memory where there is none.
func TestMeasured(t *testing.T) {
	m := bench(t, &fake{})
	if got := m.measured().VRAM; got != "auto" {
		t.Errorf("against %q, want this machine", got)
	}
	m.plan.gpu = "nvidia:0"
	if got := m.measured(); got.VRAM != "" || len(got.GPUs) != 1 {
		t.Errorf("against %q and %q, want one card", got.VRAM, got.GPUs)
	}
	m.plan.vram, m.plan.context = "24GiB", 8192
	if got := m.measured(); got.VRAM != "24GiB" || got.Context != 8192 {
		t.Errorf("against %q and %d tokens, want the plan", got.VRAM, got.Context)
	}
}

// A click chooses a section or a row, in one column and in two.
func TestDetailClicks(t *testing.T) {
	for _, window := range [][2]int{{80, 24}, {80, 16}, {130, 40}} {
		m := atDetail(t, &fake{})
		m.Update(tea.WindowSizeMsg{Width: window[0], Height: window[1]})
		click := func(text string) {
			t.Helper()
			for y, l := range strings.Split(m.View(), "\n") {
				if x := strings.Index(l, text); x >= 0 {
					m.Update(tea.MouseMsg{X: width(l[:x]), Y: y, Button: tea.MouseButtonLeft, Action: tea.MouseActionPress})
					return
				}
			}
			t.Fatalf("no %q on the screen:\n%s", text, m.View())
		}
		click("act order")
		if got := m.detail.cursors[parametersSection]; got != 2 {
			t.Errorf("%v: cursor %d after a click on the third row", window, got)
		}
		click("Engines")
		if m.detail.section != enginesSection {
			t.Errorf("%v: section %d after a click on Engines", window, m.detail.section)
		}
	}
}

// What strangers wrote is text on these screens too.
func TestHostileScreens(t *testing.T) {
	s := talesShown()
	s.Branch.Parameters[0] = app.Parameter{Name: nasty, Value: nasty, From: nasty, Why: nasty, Says: []app.Said{{Source: nasty, Value: nasty}, {Source: "x", Value: nasty + "y"}}}
	s.Branch.Description, s.Branch.Commit = nasty, nasty
	s.Siblings = append(s.Siblings, nasty)
	s.Files[0] = app.ShownFile{Path: nasty, SHA256: nasty, GitOID: nasty}
	s.Findings[0] = app.Finding{Code: nasty, Where: nasty, Message: nasty, Hint: nasty, Got: nasty, Want: nasty, Severity: app.Fatal}
	s.Engines[0].Name, s.Engines[0].Why = nasty, []string{nasty}
	s.Unread, s.Notes[0].Message = []string{nasty}, nasty
	s.Card.PromptTemplate, s.Card.License, s.Card.ModelType = nasty, nasty, ptr(nasty)
	s.Card.Repositories = append(s.Card.Repositories, [2]string{nasty, nasty}, [2]string{nasty, "owner/name"})
	s.Estimate.Terms[0].Name, s.Estimate.Terms[0].Formula, s.Estimate.Notes = nasty, nasty, []string{nasty}
	d := talesDiff()
	d.A.Unread, d.Changed[0].PathB, d.Changed[0].PathA, d.FindingsB[0].Message, d.Engines[0].Why = []string{nasty}, nasty, nasty+"a", nasty, []string{nasty}
	d.Parameters[0].A = nasty
	u := fullStore()
	u.Branches[0].Repo, u.Branches[0].Branch, u.Branches[1].Branch, u.Branches[5].Commit = nasty, nasty, nasty, nasty
	for i, m := range []*model{atDetail(t, &fake{shown: s}), atCompare(t, &fake{diff: d}), atStore(t, &fake{usage: u, remove: wouldRemove})} {
		for _, window := range [][2]int{{60, 16}, {80, 24}, {140, 40}} {
			m.Update(tea.WindowSizeMsg{Width: window[0], Height: window[1]})
			for range sections {
				for j := range 12 {
					lines := strings.Split(m.View(), "\n")
					for _, l := range lines {
						if strings.ContainsFunc(l, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }) || width(l) > window[0] {
							t.Fatalf("screen %d, row %d, %v: %q", i, j, window, l)
						}
					}
					if len(lines) != window[1] {
						t.Fatalf("screen %d, row %d, %v: %d lines", i, j, window, len(lines))
					}
					hit(m, "down")
				}
				hit(m, "home", "tab")
			}
		}
		tap(m, "x") // a question of the store, sides of the comparison
		_ = m.View()
	}
}

// Sections stand in brackets, by shorter names where there is less room.
func TestSectionBar(t *testing.T) {
	names := []sectionName{{"Parameters", "Params", -1}, {"Findings", "Findings", 12}, {"Memory", "Memory", -1}}
	for _, tc := range []struct {
		w    int
		want string
	}{
		{80, "  Parameters [Findings 12] Memory "},
		{34, "  Parameters [Findings 12] Memory "},
		{33, "  Parameters [Findings] Memory "},
		{29, "  Params [Findings] Memory "},
		{10, "  Params [Findings] Memory "}, // the window is cut elsewhere
	} {
		got := ""
		for _, s := range sectionBar(names, 1, tc.w) {
			got += s.text
		}
		if got != tc.want {
			t.Errorf("%d columns: %q, want %q", tc.w, got, tc.want)
		}
	}
	bar := sectionBar(names, 1, 80)
	for x, want := range []string{"-", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "1"} {
		got := "-"
		if i, ok := sectionAt(bar, x); ok {
			got = fmt.Sprint(i)
		}
		if got != want {
			t.Errorf("column %d is in section %s, want %s", x, got, want)
		}
	}
}
