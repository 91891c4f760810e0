package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// A reference with a branch opens the table on that branch.
func TestOpen(t *testing.T) {
	for _, tc := range []struct {
		typed      string
		wantScreen screenID
		wantBranch string
		wantText   string
	}{
		{"qbranch/llama-tales-moe-2m-GPTQ", onBranches, "main", "Branches"},
		{"  qbranch/llama-tales-moe-2m-GPTQ:" + group32 + " ", onBranches, group32, "32"},
		{"https://huggingface.co/qbranch/llama-tales-moe-2m-GPTQ/tree/" + group32, onBranches, group32, "32"},
		{"qbranch/llama-tales-moe-2m-GPTQ:nope", onBranches, "main", "no branch of qbranch/llama-tales-moe-2m-GPTQ is nope"},
		{"not a reference", onStart, "", "✗"},
	} {
		t.Run(tc.typed, func(t *testing.T) {
			m := bench(t, &fake{listing: talesListing()})
			m.Update(tea.WindowSizeMsg{Width: 120, Height: 36})
			m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(tc.typed), Paste: true})
			tap(m, "enter")
			if m.top() != tc.wantScreen {
				t.Fatalf("on screen %d, want %d", m.top(), tc.wantScreen)
			}
			if r := m.branches.row(); tc.wantBranch != "" && (r == nil || r.Branch != tc.wantBranch) {
				t.Errorf("cursor on %v, want %s", r, tc.wantBranch)
			}
			wants(t, m, tc.wantText)
		})
	}
	// The list of what is in the store opens with enter too.
	m := bench(t, &fake{listing: talesListing(), items: []app.StoreItem{{Repo: tales.String(), Branch: group32}}})
	settle(m, m.Init())
	tap(m, "down", "enter")
	if r := m.branches.row(); r == nil || r.Branch != group32 {
		t.Errorf("cursor on %v, want %s", r, group32)
	}
}

func TestEditor(t *testing.T) {
	for _, tc := range []struct {
		name, typed string
		keys        []string
		want        string
	}{
		{"typing", "abc", nil, "abc"},
		{"in the middle", "abc", []string{"left", "left", "x"}, "axbc"},
		{"both ends", "abc", []string{"home", "x", "end", "y"}, "xabcy"},
		{"backspace and delete", "abcd", []string{"backspace", "home", "delete"}, "bc"},
		{"nothing to delete", "", []string{"backspace", "delete"}, ""},
		{"a word", "one two  ", []string{"ctrl+w"}, "one "},
		{"all before", "abc", []string{"left", "ctrl+u"}, "c"},
		{"blanks", "a", []string{"space", "b"}, "a b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var e editor
			e.insert([]rune(tc.typed))
			for _, k := range tc.keys {
				e.key(keyOf(k))
			}
			if e.text() != tc.want {
				t.Errorf("got %q, want %q", e.text(), tc.want)
			}
		})
	}
	var e editor
	e.insert([]rune(strings.Repeat("x", editorLimit+1)))
	if e.text() != "" {
		t.Error("a paste beyond the limit was taken")
	}
	// The view follows the cursor.
	e.insert([]rune("a long reference that does not fit"))
	if got := look.render(look{}, e.view(12, true, ""), 12); got != "oes not fit▏" {
		t.Errorf("got %q", got)
	}
}

// The name that was opened is kept in the field, and the first letter or a paste
// takes its place; arrows edit it.
func TestKeptName(t *testing.T) {
	paste := func(m *model, text string) {
		_, cmd := m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text), Paste: true})
		settle(m, cmd)
	}
	for _, tc := range []struct {
		name string
		do   func(m *model)
		want string
	}{
		{"a letter", func(m *model) { tap(m, "x", "y") }, "xy"},
		{"a paste", func(m *model) { paste(m, "owner/name") }, "owner/name"},
		{"an arrow, then a letter", func(m *model) { tap(m, "end", "x") }, tales.String() + "x"},
		{"backspace", func(m *model) { tap(m, "backspace") }, ""},
		{"esc", func(m *model) { tap(m, "esc") }, ""},
		{"a tab and back", func(m *model) {
			_, cmd := m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("4"), Alt: true})
			settle(m, cmd)
			if m.top() != onGenerate {
				t.Errorf("alt+4 led to screen %d", m.top())
			}
			tap(m, "esc", "x")
		}, "x"},
	} {
		m := bench(t, &fake{listing: talesListing()})
		settle(m, m.Init())
		paste(m, tales.String())
		if tap(m, "enter"); m.top() != onBranches {
			t.Fatalf("%s: enter led to screen %d", tc.name, m.top())
		}
		tap(m, "esc")
		tc.do(m)
		if got := m.start.input.text(); got != tc.want || m.top() != onStart {
			t.Errorf("%s: got %q on screen %d, want %q", tc.name, got, m.top(), tc.want)
		}
	}

	// Where nobody types a paste opens what it names, or says what is wrong with it.
	m := atTales(t, &fake{listing: talesListing()})
	paste(m, "no reference")
	wants(t, m, "no reference")
	if paste(m, " other/name:b\n"); m.top() != onBranches || m.branches.repo.String() != "other/name" {
		t.Errorf("a paste led to screen %d with %v", m.top(), m.branches.repo)
	}
}

// With nothing in the store there are examples to choose; what is partly there is
// listed, and once.
func TestStartRows(t *testing.T) {
	m := bench(t, &fake{listing: talesListing()})
	settle(m, m.Init())
	wants(t, m, "▏owner/name", examples[0].name)
	tap(m, "down", "enter")
	if m.top() != onBranches || m.branches.repo.String() != examples[0].name {
		t.Errorf("enter on an example led to screen %d with %v", m.top(), m.branches.repo)
	}

	m = bench(t, &fake{looked: []app.RepoID{tales}})
	settle(m, m.Init())
	m.start.unfinished([]*transfer{{ref: talesRef("b"), state: transferStopped, done: 43, total: 100}, {ref: talesRef("c"), state: transferRunning}})
	wants(t, m, talesRef("b").String(), "◐ 43%")
	lacks(t, m, talesRef("c").String(), "looked at\n")
	if n := len(m.start.rows()); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}
