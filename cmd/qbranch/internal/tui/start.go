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
	stored []app.StoreItem // what is in the store
	begun  []startRow      // what is partly there
	looked []app.RepoID    // looked at last
	list   []startRow      // all of them, or else examples
	err    error           // of the last reference or of reading the store
	task   task
}

// startRow is something that can be opened.
type startRow struct {
	name  string
	bytes int64 // 0 = not told
	state span
}

// examples are what to try when nothing has been opened yet.
var examples = []startRow{
	{name: "TheBloke/Llama-2-13B-chat-GPTQ"},
	{name: "TheBloke/Llama-2-13B-chat-GPTQ:gptq-4bit-32g-actorder_True"},
	{name: "https://huggingface.co/TheBloke/Llama-2-7B-Chat-GPTQ"},
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
	s.stored, s.looked = msg.items, msg.looked
	s.arrange()
}

// unfinished takes those of the transfers that can be resumed.
func (s *startScreen) unfinished(all []*transfer) {
	s.begun = nil
	for _, t := range all {
		if t.is(transferStopped) {
			s.begun = append(s.begun, startRow{t.ref.String(), t.done, stateSpan(app.LocalPartial, percent(t.done, t.total))})
		}
	}
	s.arrange()
}

// arrange lists what can be chosen: branches in the store, those that are partly
// there, and other repositories that were looked at.
func (s *startScreen) arrange() {
	s.list = nil
	for _, it := range s.stored {
		s.list = append(s.list, startRow{it.Ref(), it.Bytes, stateSpan(it.State, "")})
	}
	for _, r := range s.begun {
		if !slices.ContainsFunc(s.list, func(l startRow) bool { return l.name == r.name }) {
			s.list = append(s.list, r)
		}
	}
	for _, r := range s.looked {
		if !slices.ContainsFunc(s.list, func(l startRow) bool {
			return strings.HasPrefix(l.name+":", r.String()+":") || strings.HasPrefix(l.name, r.String()+"@")
		}) {
			s.list = append(s.list, startRow{name: r.String(), state: span{dim, "looked at"}})
		}
	}
	s.cursor = min(s.cursor, len(s.rows()))
}

// rows are what can be chosen below the field.
func (s *startScreen) rows() []startRow {
	if len(s.list) == 0 {
		return examples
	}
	return s.list
}

// open goes to the branches of what is typed or chosen. What was typed is kept,
// for the next name to take its place.
func (s *startScreen) open(m *model) tea.Cmd {
	text := strings.TrimSpace(s.input.text())
	if s.cursor > 0 {
		text = s.rows()[s.cursor-1].name
	}
	ref, err := app.ParseRef(text)
	s.err = err
	if err != nil {
		return nil
	}
	s.input.kept = true
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
		bind("up down pgup pgdown", "↑↓", "choose, one of the list", true, func(_ *model, pressed string) tea.Cmd {
			s.cursor = moved(s.cursor, pressed, len(s.rows())+1)
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
	if len(s.list) > 0 {
		out = append(out, say(title, "   In the store, and looked at last"))
		return append(out, s.table(w, h-len(out))...)
	}
	out = append(out, say(dim, "   Paste or type a repository of GPTQ branches, or try one of these:"))
	out = append(out, s.table(w, min(h-len(out)-2, len(examples)+1))...)
	return append(out, nil, say(dim, "   Offline: 'qbranch demo --tui' shows all of it on a small repository."))
}

// clicked puts the cursor on a row.
func (s *startScreen) clicked(_ *model, _, y, _, h int) tea.Cmd {
	if i, ok := rowAt(len(s.rows()), s.cursor-1, h-4, y-4); ok {
		s.cursor = i + 1
	}
	return nil
}

// command is the line that lists what is chosen.
func (s *startScreen) command(*model) string {
	if s.cursor > 0 {
		return "qbranch ls " + s.rows()[s.cursor-1].name
	}
	return ""
}

func (s *startScreen) table(w, h int) []line {
	rows, largest := s.rows(), int64(0)
	for _, r := range rows {
		largest = max(largest, r.bytes)
	}
	u := unitFor(largest)
	cols := []column{{title: "Branch", cell: func(i int) span { return span{plain, rows[i].name} }}}
	if len(s.list) > 0 {
		cols = append(cols,
			column{title: "Size " + u.name, width: 8, right: true, cell: func(i int) span {
				if rows[i].bytes == 0 {
					return span{}
				}
				return span{plain, u.of(rows[i].bytes)}
			}},
			column{title: "State", width: 11, cell: func(i int) span { return rows[i].state }})
	}
	cols[0].width = w - tableWidth(cols) - 2
	return table(cols, len(rows), s.cursor-1, h)
}
