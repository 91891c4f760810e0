package tui

import (
	"context"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// startScreen asks which repository, and shows what is in the store.
type startScreen struct {
	input  editor
	cursor int             // 0 is the input, i+1 is row i
	recent []app.StoreItem // in the store
	looked []app.RepoID    // looked at last
	err    error           // of the last reference or of reading the store
	task   task
}

// storeMsg is what the store holds.
type storeMsg struct {
	gen    int
	items  []app.StoreItem
	looked []app.RepoID
	err    error
}

func (s *startScreen) load(m *model) tea.Cmd {
	ctx, gen := s.task.begin(m.work.ctx)
	back, dir := m.back, m.plan.base.StateDir
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		items, err := back.StoreList(ctx)
		looked, lookedErr := back.Recent(dir)
		if err == nil {
			err = lookedErr
		}
		return storeMsg{gen, items, looked, err}
	})
}

func (s *startScreen) loaded(msg storeMsg) {
	if !s.task.ended(msg.gen) {
		return
	}
	if msg.err != nil {
		s.err = msg.err
	}
	s.recent, s.looked = msg.items, slices.DeleteFunc(msg.looked, func(r app.RepoID) bool {
		return slices.ContainsFunc(msg.items, func(it app.StoreItem) bool { return it.Repo == r.String() })
	})
	s.cursor = min(s.cursor, s.rows())
}

// rows counts what can be chosen: branches in the store, then repositories that
// were looked at.
func (s *startScreen) rows() int { return len(s.recent) + len(s.looked) }

// name is what row i opens.
func (s *startScreen) name(i int) string {
	if i < len(s.recent) {
		return s.recent[i].Ref()
	}
	return s.looked[i-len(s.recent)].String()
}

// open goes to the branches of what is typed or chosen.
func (s *startScreen) open(m *model) tea.Cmd {
	text := strings.TrimSpace(s.input.text())
	if s.cursor > 0 {
		text = s.name(s.cursor - 1)
	}
	ref, err := app.ParseRef(text)
	s.err = err
	if err != nil {
		return nil
	}
	m.show(onBranches)
	return m.branches.open(m, ref)
}

// typing: always, in the field at the top.
func (s *startScreen) typing() bool { return true }

func (s *startScreen) typed(m *model, k tea.KeyMsg) {
	s.cursor, s.err = 0, nil
	s.input.key(k)
	// Names begin with q too, so it cannot quit here as it does elsewhere.
	if k.String() == "q" && s.input.text() == "q" {
		m.notice = remark{role: dim, text: "q is a letter here; ctrl+c quits"}
	}
}

func (s *startScreen) head(m *model) (string, string) {
	if m.offline {
		return "", "offline"
	}
	return "", m.version
}

func (s *startScreen) keys(m *model) []binding {
	return []binding{
		bind("enter", "enter", "open, list its branches", s.cursor > 0 || len(s.input.runes) > 0, simply(s.open)).or("type owner/name first, or choose with ↑↓ one of the list"),
		bind("up down pgup pgdown", "↑↓", "choose, one of the list", s.rows() > 0, func(_ *model, pressed string) tea.Cmd {
			s.cursor = moved(s.cursor, pressed, s.rows()+1)
			return nil
		}),
		bind("alt+2 ctrl+t", "alt+2", "transfers", len(m.transfers.list) > 0, simply(showTransfers)),
		bind("alt+3", "alt+3", "store, what is here and what it takes", true, simply(func(m *model) tea.Cmd { return m.store.open(m) })),
		bind("esc", "esc", "clear", s.cursor > 0 || len(s.input.runes) > 0, simply(func(*model) tea.Cmd {
			s.cursor, s.err = 0, nil
			s.input.set("")
			return nil
		})),
		helpKey("f1 ?", "?"),
		bind("ctrl+c", "ctrl+c", "quit", true, askQuit),
	}
}

func (s *startScreen) status(*model) remark {
	if s.err == nil {
		return remark{}
	}
	return remark{bad, "✗ " + s.err.Error(), app.HintOf(s.err)}
}

func (s *startScreen) leave(*model) tea.Cmd { return nil }

func (s *startScreen) body(m *model, w, h int) []line {
	mark := span{plain, "   "}
	if s.cursor == 0 {
		mark = span{accent, " ▸ "}
	}
	field := s.input.view(w-5, s.cursor == 0, "owner/name, owner/name:branch or a URL")
	out := []line{say(title, "   Open a repository"), append(line{mark}, field...), nil}
	if s.rows() > 0 {
		out = append(out, say(title, "   In the store, and looked at last"))
		return append(out, s.recentTable(w, h-len(out))...)
	}
	return append(out,
		say(dim, "   Paste or type a repository of GPTQ branches. Some to try:"),
		say(plain, "     TheBloke/Llama-2-13B-chat-GPTQ"),
		say(plain, "     TheBloke/Llama-2-13B-chat-GPTQ:gptq-4bit-32g-actorder_True"),
		say(plain, "     https://huggingface.co/TheBloke/Llama-2-7B-Chat-GPTQ"), nil,
		say(dim, "   Offline: 'qbranch demo --tui' shows all of it on a small repository."))
}

// clicked puts the cursor on a row.
func (s *startScreen) clicked(_ *model, _, y, _, h int) tea.Cmd {
	if i, ok := rowAt(s.rows(), s.cursor-1, h-4, y-4); ok {
		s.cursor = i + 1
	}
	return nil
}

// command is the line that lists what is chosen.
func (s *startScreen) command(*model) string {
	if s.cursor > 0 {
		return "qbranch ls " + s.name(s.cursor-1)
	}
	return ""
}

func (s *startScreen) recentTable(w, h int) []line {
	largest := int64(0)
	for _, it := range s.recent {
		largest = max(largest, it.Bytes)
	}
	u := unitFor(largest)
	cols := []column{
		{title: "Branch", cell: func(i int) span {
			return span{plain, s.name(i)}
		}},
		{title: "Size " + u.name, width: 8, right: true, cell: func(i int) span {
			if i >= len(s.recent) {
				return span{}
			}
			return span{plain, u.of(s.recent[i].Bytes)}
		}},
		{title: "State", width: 11, cell: func(i int) span {
			if i >= len(s.recent) {
				return span{dim, "looked at"}
			}
			return stateSpan(s.recent[i].State, "")
		}},
	}
	cols[0].width = w - tableWidth(cols) - 2
	return table(cols, s.rows(), s.cursor-1, h)
}
