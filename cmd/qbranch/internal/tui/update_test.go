package tui

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// quits reports whether a command, or one of its batch, ends the program. It
// runs no other kind of command: quitting is the only one whose message is
// known without doing anything.
func quits(cmd tea.Cmd) bool {
	if cmd == nil {
		return false
	}
	switch msg := cmd().(type) {
	case tea.QuitMsg:
		return true
	case tea.BatchMsg:
		for _, c := range msg {
			if quits(c) {
				return true
			}
		}
	}
	return false
}

// A key that does nothing now says why, and only until the next key.
func TestKeysThatDoNothing(t *testing.T) {
	for _, tc := range []struct {
		name string
		keys []string
		want string
	}{
		{"enter on what is here", []string{"enter"}, "main is here already: v verifies it, g generates with it"},
		{"v on what is not", []string{"j", "v"}, "nothing of " + group32 + " is here yet: enter fetches it"},
		{"g on what is not", []string{"j", "g"}, "nothing of " + group32 + " is here yet: enter fetches it"},
		{"g on a part", []string{"j", "j", "g"}, "only a part of gptq-8bit--1g-actorder_True is here"},
		{"g on what is corrupt", []string{"j", "j", "j", "g"}, "are corrupt: enter repairs them"},
		{"c without marks", []string{"c"}, "mark two branches with space"},
		{"the example is no prompt", []string{"g", "enter"}, "the prompt is empty: type one"},
		{"nothing to repair", []string{"v", "enter"}, "nothing is to be repaired"},
		{"a finished transfer", []string{"j", "enter", "space"}, group32 + " is here already"},
		{"nothing typed", []string{"esc", "enter"}, "type owner/name first"},
		{"q is typed", []string{"esc", "q"}, "q is a letter here; ctrl+c quits"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := atTales(t, &fake{})
			tap(m, tc.keys...)
			wants(t, m, tc.want)
			tap(m, "left") // does nothing, and has nothing to say
			lacks(t, m, tc.want)
		})
	}
}

// Findings that ask for nothing are not shown beside a verdict.
func TestInfoFindingsAreHidden(t *testing.T) {
	m := atTales(t, &fake{verify: func(context.Context, app.Target, app.VerifyOptions) (*app.VerifyReport, error) {
		return &app.VerifyReport{OK: true, Findings: []app.Finding{
			{Code: "HUSHED", Severity: "info", Message: "nothing to do"}, {Code: "TOLD", Severity: "warn", Message: "look"}}}, nil
	}})
	tap(m, "v")
	wants(t, m, "TOLD")
	lacks(t, m, "HUSHED")
}

// A transfer that failed does not end with the reason of an earlier retry, and
// the log never begins in the middle of an entry.
func TestLogEntriesAreWhole(t *testing.T) {
	m := atTales(t, &fake{})
	hit(m, "j", "enter")
	tr := m.transfers.list[0]
	long := fmt.Errorf("read tcp 127.0.0.1:4711: %s connection refused", strings.Repeat("and so on ", 8))
	tr.out.put(app.Event{Fetch: &app.FetchEvent{Kind: "retry", Wait: time.Second, Err: long}})
	m.Update(tickMsg(t0))
	for h := minHeight; h < 40; h++ {
		m.Update(tea.WindowSizeMsg{Width: 80, Height: h})
		if view := m.View(); strings.Contains(view, "connection refused") != strings.Contains(view, again) {
			t.Errorf("a part of an entry at height %d:\n%s", h, view)
		}
	}
	m.Update(transferMsg{ref: tr.ref, gen: tr.gen, err: errPlain})
	wants(t, m, errPlain.Error())
	lacks(t, m, again, "connection refused")
}

// The footer is made of the same bindings that act: what it shows for a row.
func TestFooterShowsWhatWorks(t *testing.T) {
	for row, want := range []string{
		"space mark  p plan  d detail  v verify  g generate  /",
		"enter get  space mark  p plan  d detail  /",
		"enter resume  space mark  p plan  d detail  /",
		"enter repair  space mark  p plan  d detail  v verify  /",
		"enter update  space mark  p plan  d detail  v verify  g generate  /",
	} {
		m := atTales(t, &fake{})
		m.Update(tea.WindowSizeMsg{Width: 120, Height: 36})
		m.branches.cursor = row
		wants(t, m, want)
	}
	m := atTales(t, &fake{})
	hit(m, "j", "enter", "esc")
	wants(t, m, "enter watch", "Tr·1", "esc back")
	// When there is no room, what is done here and the ways out are what stays.
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 24})
	wants(t, m, "enter watch", "esc back  ? help  q quit")
}

// On every screen, in the smallest window too, the footer tells the way back and
// the head tells the tabs.
func TestWaysOutAreSeen(t *testing.T) {
	for _, s := range states(t) {
		for _, w := range []int{minWidth, 80, 100} {
			s.m.Update(tea.WindowSizeMsg{Width: w, Height: 24})
			rows := strings.Split(s.m.View(), "\n")
			back := slices.ContainsFunc(s.m.bindings(), func(b binding) bool { return b.Enabled() && b.Help().Key == "esc" })
			if foot := rows[len(rows)-1]; back && !strings.Contains(foot, "esc ") {
				t.Errorf("%s at %d columns: no esc in %q", s.name, w, foot)
			}
			for _, tab := range []string{"1", "2", "3", "4"} {
				if !strings.Contains(rows[0], tab) {
					t.Errorf("%s at %d columns: no tab %s in %q", s.name, w, tab, rows[0])
				}
			}
		}
	}
}

// The head gives up the host first, then the owner, then the names of the tabs; what
// tells a state stays.
func TestHeadShortens(t *testing.T) {
	const mixtral = "TheBloke/dolphin-2.5-mixtral-8x7b-GPTQ"
	m := atTales(t, &fake{})
	for _, tc := range []struct {
		name, aside string
		w           int
		want        string
	}{
		{mixtral, "huggingface.co", 120, "qbranch " + mixtral + " 1 Branches 2 Transfers 3 Store 4 Generate huggingface.co"},
		{mixtral, "huggingface.co", 100, "qbranch " + mixtral + " 1 Branches 2 Transfers 3 Store 4 Generate"},
		{mixtral, "huggingface.co", 86, "qbranch dolphin-2.5-mixtral-8x7b-GPTQ 1 Branches 2 Transfers 3 Store 4 Generate"},
		{mixtral, "huggingface.co", 80, "qbranch " + mixtral + " 1 Br 2 Tr 3 St 4 Gen"},
		{mixtral, "offline, list of 2 h ago", 100, "qbranch dolphin-2.5-mixtral-8x7b-GPTQ 1 Br 2 Tr 3 St 4 Gen offline, list of 2 h ago"},
		{"Verify  " + mixtral + ":gptq-4bit-32g-actorder_True", "", 80, "qbranch Verify …:gptq-4bit-32g-actorder_True 1 Br 2 Tr 3 St 4 Gen"},
		{"Verify  " + mixtral + ":gptq-4bit-32g-actorder_True", "", 60, "qbranch Verify …:gptq-4bit-32g-actorder_T… [1] 2 3 4"},
		{"Transfers", "1 running · 2 queued · 1 done", 80, "qbranch Transfers 1 Branches 2 Transfers 3 Store 4 Generate 1 running"},
	} {
		m.width = tc.w
		l := m.headLine(tc.name, tc.aside)
		text := ""
		for _, s := range l {
			text += s.text
		}
		if got := strings.Join(strings.Fields(text), " "); got != tc.want || l.width() > tc.w {
			t.Errorf("%q, %q at %d: got %q, want %q", tc.name, tc.aside, tc.w, got, tc.want)
		}
	}
}

// No screen has more keys than a person learns, beside those that mean the same on
// every screen.
func TestFewKeys(t *testing.T) {
	common := []string{"↑↓", "/", "r", "y", "esc", "?", "q"}
	for _, s := range states(t) {
		own := slices.DeleteFunc(s.m.current().keys(s.m), func(b binding) bool { return slices.Contains(common, b.Help().Key) })
		if len(own) > 12 {
			t.Errorf("%s has %d keys of its own", s.name, len(own))
		}
	}
}

// Bubble Tea v1 delivers a burst of typed keys as one message.
func TestBurstOfKeys(t *testing.T) {
	m := atTales(t, &fake{})
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("jjk")})
	if m.branches.cursor != 1 {
		t.Errorf("cursor %d after jjk in one message, want 1", m.branches.cursor)
	}
	// The keys of a burst act in order, also across screens.
	_, cmd := m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("kv")})
	settle(m, cmd)
	if m.top() != onVerify || m.verify.ref != talesRef("main") {
		t.Errorf("on screen %d with %v after kv", m.top(), m.verify.ref)
	}
	// Esc and a letter in one read look like alt and the letter.
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("jg"), Alt: true})
	if m.top() != onBranches || m.branches.cursor != 1 {
		t.Errorf("on screen %d, cursor %d after esc, j, g; want the table and 1", m.top(), m.branches.cursor)
	}
	// Esc and what follows it, out of the planner and out of the filter.
	for _, opened := range []string{"p", "/"} {
		hit(m, opened)
		m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("/3bit"), Alt: true})
		if m.branches.planner.open || m.branches.filter.text() != "3bit" {
			t.Errorf("after %s, esc and /3bit: planner open %v, filter %q", opened, m.branches.planner.open, m.branches.filter.text())
		}
		hit(m, "enter", "esc")
	}
	// Two of them.
	hit(m, "d", "?")
	m.Update(tea.KeyMsg{Type: tea.KeyEsc, Alt: true})
	if m.over != nil || m.top() != onBranches {
		t.Errorf("on screen %d with %v over it after two esc", m.top(), m.over)
	}
	// Where text is typed, alt and a letter is not esc.
	m.branches.cursor = 0
	hit(m, "g")
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("b"), Alt: true})
	if m.top() != onGenerate || m.generate.prompt.text() != "" {
		t.Errorf("on screen %d with %q after alt+b", m.top(), m.generate.prompt.text())
	}
	// A paste is not a burst of keys: it moves nothing …
	m = atTales(t, &fake{})
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("jjq"), Paste: true})
	if m.branches.cursor != 0 {
		t.Error("a paste moved the cursor")
	}
	// … and goes into a text field whole.
	m = bench(t, &fake{})
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("owner/name\n:branch?"), Paste: true})
	if got, want := m.start.input.text(), "owner/name :branch?"; got != want {
		t.Errorf("pasted %q, want %q", got, want)
	}
	// So do esc and a key that is no letter.
	m = atTales(t, &fake{})
	tap(m, "v")
	m.Update(tea.KeyMsg{Type: tea.KeyHome, Alt: true})
	if m.top() != onBranches || m.branches.cursor != 0 {
		t.Errorf("on screen %d, cursor %d after esc and home; want the table and 0", m.top(), m.branches.cursor)
	}
}

// An answer that comes after its question was dropped changes nothing.
func TestStaleAnswers(t *testing.T) {
	m := bench(t, &fake{})
	m.show(onBranches)
	m.branches.open(m, app.Ref{Repo: tales})
	old := m.branches.task.gen
	other := app.RepoID{Owner: "TheBloke", Name: "Llama-2-13B-chat-GPTQ"}
	m.branches.open(m, app.Ref{Repo: other})
	m.Update(listMsg{gen: old, listing: talesListing()})
	if m.branches.listing != nil || !m.branches.task.running() {
		t.Error("the answer for another repository was taken")
	}
	m.Update(listMsg{gen: m.branches.task.gen, listing: &app.Listing{Branches: []app.BranchRow{{Branch: "main"}}}})
	if len(m.branches.rows()) != 1 {
		t.Error("the answer that was awaited was not taken")
	}
	m.Update(listMsg{gen: m.branches.task.gen, err: errPlain})
	if m.branches.err != nil {
		t.Error("a second answer to the same question was taken")
	}

	m = atTales(t, &fake{})
	hit(m, "v")
	old = m.verify.task.gen
	hit(m, "esc")
	m.Update(verifyMsg{gen: old, report: &app.VerifyReport{Files: []app.FileCheck{{Path: "a"}}}})
	if m.verify.report != nil || m.branches.row().Local != app.LocalVerified {
		t.Error("the verdict of a verification that was left was taken")
	}

	hit(m, "g")
	write(m, "hi")
	hit(m, "enter")
	old = m.generate.task.gen
	hit(m, "esc", "g", "enter")
	m.Update(generateMsg{gen: old, err: errPlain})
	if m.generate.err != nil || !m.generate.task.running() {
		t.Error("the end of a generation that was left was taken")
	}

	// A transfer that was stopped and resumed waits for its second end.
	m = atTales(t, &fake{})
	hit(m, "j", "enter")
	tr := m.transfers.list[0]
	first := transferMsg{ref: tr.ref, gen: tr.gen, err: context.Canceled}
	hit(m, "x")
	m.Update(first)
	hit(m, "enter")
	m.Update(first)
	if tr.state != transferRunning {
		t.Errorf("state %d after the end of the first attempt, want running", tr.state)
	}
}

// Leaving a screen ends its own work, never a transfer.
func TestEscEndsNoTransfer(t *testing.T) {
	m := atTales(t, &fake{})
	var ctx context.Context
	m.back.(*fake).get = func(c context.Context, _ app.Ref, _ app.GetOptions) (*app.GetResult, error) {
		ctx = c
		return nil, errPlain
	}
	cmd := hit(m, "j", "enter")
	hit(m, "esc", "esc", "esc")
	cmd() // runs only now; its context must be alive
	if ctx == nil || m.transfers.active() != 1 {
		t.Fatal("the transfer did not start")
	}
	if m.top() != onStart {
		t.Errorf("on screen %d, want the first", m.top())
	}
	hit(m, "ctrl+t")
	if m.top() != onTransfers {
		t.Error("ctrl+t did not lead to the transfers")
	}
}

// One transfer runs, the others wait in order; stopping one starts the next.
func TestQueue(t *testing.T) {
	m := atTales(t, &fake{})
	hit(m, "j", "enter", "esc", "j", "enter", "esc", "end", "enter", "esc")
	states := func() string {
		var s []string
		for _, tr := range m.transfers.list {
			s = append(s, tr.outcome().text)
		}
		return strings.Join(s, ", ")
	}
	if got, want := states(), "↓ planning, · queued, · queued"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	// Asking again for what is queued does not queue it twice.
	hit(m, "enter")
	if len(m.transfers.list) != 3 || m.transfers.cursor != 2 {
		t.Errorf("%d transfers, cursor %d", len(m.transfers.list), m.transfers.cursor)
	}
	// x on a queued one takes it out; on the running one it waits for the end.
	hit(m, "x", "home", "x")
	if got, want := states(), "◐ stopping, · queued, ◐ stopped"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	tr := m.transfers.list[0]
	m.Update(transferMsg{ref: tr.ref, gen: tr.gen, err: fmt.Errorf("reading part: %w", errPlain)})
	if got, want := states(), "◐ stopped, ↓ planning, ◐ stopped"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// Success shows in the branch table at once, and is said there.
	hit(m, "esc")
	tr = m.transfers.list[1]
	m.Update(transferMsg{ref: tr.ref, gen: tr.gen, result: &app.GetResult{Plan: app.Plan{Commit: commitA, Bytes: 3_320_000}}})
	wants(t, m, "✓ gptq-8bit--1g-actorder_True is here and verified")
	hit(m, "home", "j", "j")
	if got := m.branches.row().Local; got != app.LocalVerified {
		t.Errorf("the fetched branch is %q, want verified", got)
	}
}

// Ctrl-C stops what the screen does, and quits where it does nothing.
func TestCtrlC(t *testing.T) {
	m := atTales(t, &fake{})
	hit(m, "j", "enter")
	if quits(hit(m, "ctrl+c")) || m.transfers.list[0].state != transferStopping {
		t.Error("ctrl+c did not stop the transfer")
	}
	tr := m.transfers.list[0]
	m.Update(transferMsg{ref: tr.ref, gen: tr.gen, err: context.Canceled})
	if !quits(hit(m, "ctrl+c")) {
		t.Error("ctrl+c did not quit when nothing ran")
	}

	f := &fake{tokens: []string{"Once"}, genErr: context.Canceled}
	m = atTales(t, f)
	tap(m, "g")
	write(m, "hi")
	cmd := hit(m, "enter")
	hit(m, "ctrl+c")
	settle(m, cmd)
	wants(t, m, "Once", "stopped")
	// The key that stops is not the one that quits, if it comes a moment too late.
	if quits(hit(m, "ctrl+c")) {
		t.Error("ctrl+c quit at once after the generation")
	}
	wants(t, m, "ctrl+c again quits")
	if !quits(hit(m, "ctrl+c")) {
		t.Error("ctrl+c did not quit when it was pressed again")
	}
}

// Quitting asks once while transfers are not at an end.
func TestQuitAsks(t *testing.T) {
	m := atTales(t, &fake{})
	if !quits(hit(m, "q")) {
		t.Error("q did not quit with nothing to lose")
	}
	hit(m, "j", "enter", "esc")
	if quits(hit(m, "q")) {
		t.Error("q quit without asking while a transfer ran")
	}
	wants(t, m, "1 transfer is not finished", "the next start lists it")
	if quits(hit(m, "n")) || m.over != nil {
		t.Error("n did not go back")
	}
	if hit(m, "q"); !quits(hit(m, "y")) {
		t.Error("y did not quit")
	}
}

// Ticks are wanted only while something moves, and never two at once.
func TestTicks(t *testing.T) {
	m := atTales(t, &fake{})
	wanted := 0
	m.tick = func() tea.Cmd { wanted++; return nil }
	hit(m, "j", "k")
	if wanted != 0 {
		t.Errorf("%d ticks while nothing runs", wanted)
	}
	hit(m, "j", "enter", "esc", "j", "k")
	if wanted != 1 {
		t.Errorf("%d ticks asked for, want one", wanted)
	}
	m.Update(tickMsg(t0))
	if wanted != 2 {
		t.Errorf("%d ticks after the first came, want 2", wanted)
	}
	tr := m.transfers.list[0]
	m.Update(transferMsg{ref: tr.ref, gen: tr.gen, err: errPlain})
	m.Update(tickMsg(t0))
	if wanted != 2 {
		t.Errorf("%d ticks after the end, want no more", wanted)
	}
}

// y hands the reference to the terminal in an OSC 52 sequence, nothing else.
func TestCopy(t *testing.T) {
	m := atTales(t, &fake{})
	var got bytes.Buffer
	m.clip = &got
	tap(m, "j", "y")
	want := "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(tales.String()+":"+group32)) + "\a"
	if got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
	wants(t, m, "copied "+tales.String()+":"+group32)
}

// A second prompt uses the loaded model; leaving the screen closes it.
func TestModelIsLoadedOnce(t *testing.T) {
	f := &fake{tokens: []string{"a"}}
	m := atTales(t, f)
	tap(m, "g")
	write(m, "one")
	tap(m, "enter", "enter")
	if f.loads != 1 || f.closes != 0 || len(f.asked) != 2 {
		t.Errorf("%d loads, %d closes, %d requests; want 1, 0, 2", f.loads, f.closes, len(f.asked))
	}
	if got := f.asked[0]; got.Prompt != "one" || got.Temperature != 0 {
		t.Errorf("asked %+v", got)
	}
	tap(m, "esc")
	if f.closes != 1 {
		t.Errorf("%d closes after leaving, want 1", f.closes)
	}
}

func TestMeter(t *testing.T) {
	var m meter
	at := func(seconds float64) time.Time { return t0.Add(time.Duration(seconds * float64(time.Second))) }
	for i := range 21 { // 100 kB each tenth of a second: 1 MB/s
		m.sample(at(float64(i)/10), int64(i)*100_000)
	}
	if m.perSecond < 0.99e6 || m.perSecond > 1.01e6 {
		t.Errorf("%.0f bytes/s, want 1 MB/s", m.perSecond)
	}
	if got := m.left(10_000_000); got != "" {
		t.Errorf("%q left after 2 s, want no guess yet", got)
	}
	m.sample(at(3), 3_000_000)
	if got := m.left(10_000_000); got != "10 s" {
		t.Errorf("%q left, want 10 s", got)
	}
	m.sample(at(9), 3_000_000)
	if m.stalled != 6*time.Second || m.left(1) != "" {
		t.Errorf("stalled for %v, %q left", m.stalled, m.left(1))
	}
}

func TestFormats(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{app.BytesText(999), "999 B"}, {app.BytesText(398_000), "398.0 kB"}, {app.BytesText(2_110_000), "2.11 MB"}, {app.BytesText(36_650_000_000), "36.65 GB"},
		{percent(0, 0), "0%"}, {percent(999, 1000), "99%"}, {percent(1000, 1000), "100%"}, {percent(1<<60, 1<<61), "50%"},
		{duration(4 * time.Millisecond), "4 ms"}, {duration(7 * time.Second), "7 s"}, {duration(195 * time.Second), "3m 15s"},
		{duration(2*time.Hour + 5*time.Minute), "2h 05m"},
		{bar(0, 0, 4), "░░░░"}, {bar(1, 8, 4), "▌░░░"}, {bar(8, 8, 4), "████"}, {bar(9, 8, 4), "████"},
		{unitFor(1e10).of(5e6), "<0.01"}, {unitFor(1e10).of(0), "0.00"}, {unitFor(2e6).name, "MB"}, {unitFor(1e9).name, "GB"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	for _, tc := range []struct {
		name      string
		got, want any
	}{
		{"dark by default", themeWanted("", env()), "dark"},
		{"light background", themeWanted("", env("COLORFGBG", "0;15")), "light"},
		{"three fields", themeWanted("", env("COLORFGBG", "0;default;7")), "light"},
		{"dark background", themeWanted("", env("COLORFGBG", "15;0")), "dark"},
		{"nonsense", themeWanted("", env("COLORFGBG", "0;")), "dark"},
		{"the flag decides", themeWanted("mono", env("COLORFGBG", "0;15")), "mono"},
		{"NO_COLOR", colourWanted(env("NO_COLOR", "1")), false},
		{"empty NO_COLOR", colourWanted(env("NO_COLOR", "", "TERM", "xterm")), true},
		{"dumb", colourWanted(env("TERM", "dumb")), false},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, tc.got, tc.want)
		}
	}
}

// The values of sampling go into the request and into the command line.
func TestSampling(t *testing.T) {
	f := &fake{tokens: []string{"a"}}
	m := atTales(t, f)
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 36})
	tap(m, "g")
	for _, r := range "hi" {
		tap(m, string(r))
	}
	tap(m, "tab", "tab", "up", "up", "right", "right", "4", "space") // temp 0.4, top-k 4
	if got, want := m.generate.command(m), "qbranch gen "+talesRef("main").String()+" -p 'hi' --temp 0.4 --top-k 4 -n 512"; got != want {
		t.Errorf("got command %s, want %s", got, want)
	}
	tap(m, "enter")
	if len(f.asked) != 1 || f.asked[0].Temperature != .4 || f.asked[0].TopK != 4 || f.asked[0].MaxTokens != 512 || f.asked[0].Prompt != "hi" {
		t.Errorf("asked for %+v", f.asked)
	}
	tap(m, "0", ".", "5", "left") // what was typed counts when it is left
	wants(t, m, "top-k: want a whole number")
	tap(m, "8", "left")
	if got := m.generate.sampling.value(2); got != 8 {
		t.Errorf("top-k is %g after 8 and ←, want 8", got)
	}
	tap(m, "right", "x", "space")
	wants(t, m, "top-k: want a whole number from 0 to 1048576")
}

// The tour says the next step on every screen, and never one that is done.
func TestTour(t *testing.T) {
	f := &fake{tokens: []string{"Once"}}
	f.listing = talesListing()
	for i := range f.listing.Branches {
		f.listing.Branches[i].Local, f.listing.Branches[i].LocalBytes = app.LocalNone, 0
	}
	f.get = func(_ context.Context, _ app.Ref, o app.GetOptions) (*app.GetResult, error) {
		return &app.GetResult{Plan: app.Plan{Commit: commitB, Bytes: 2_340_000}}, nil
	}
	m := atTales(t, f)
	lacks(t, m, "of 5")
	m.tour.on = true
	for _, step := range []struct {
		keys []string
		want string
	}{
		{nil, "1 of 5, browse"},
		{[]string{"j"}, "2 of 5, plan"},
		{[]string{"p"}, "2 of 5, plan: Fit"},
		{[]string{"esc"}, "enter fetches"},
		{[]string{"enter"}, "v verifies every byte"},
		{[]string{"1"}, "choose a row with ●"},
		{[]string{"v"}, "g opens the prompt"},
		{[]string{"g"}, "5 of 5, generate: type: Write"},
		{[]string{"H", "i", "enter"}, "That was all of it"},
	} {
		tap(m, step.keys...)
		wants(t, m, step.want)
	}
}
