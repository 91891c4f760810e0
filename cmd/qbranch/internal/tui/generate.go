package tui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// focus is the part of a generateScreen that has the keys.
type focus int

const (
	onPrompt focus = iota
	onSystem
	onSampling
	focuses
)

// generateScreen runs prompts on a branch and shows the text as it comes. Without
// a branch it offers those that are here.
type generateScreen struct {
	ref      app.Ref
	prompt   editor
	system   editor
	focus    focus
	sampling sampling
	task     task
	out      *outbox[app.Token]
	cursor   int    // of the branches that are here
	want     string // where the cursor goes once they are known

	// What the last sample or the end said.
	asked   app.Request // what was sent last
	text    string
	tokens  int
	meter   meter
	result  *app.Generation
	err     error
	up      int // rows scrolled up from the end
	stopped bool
	ending  bool // an answer has ended, and no key was pressed that would quit
}

// generateMsg says that a generation has ended.
type generateMsg struct {
	gen    int
	result *app.Generation
	err    error
}

// open shows the screen for ref; prompts of before are kept.
func (s *generateScreen) open(m *model, ref app.Ref) tea.Cmd {
	m.show(onGenerate)
	if s.ref != ref {
		s.task.abandon()
		*s = generateScreen{ref: ref, prompt: s.prompt, system: s.system, sampling: s.sampling, task: s.task}
	}
	if s.ref == (app.Ref{}) {
		return m.start.load(m)
	}
	return nil
}

// openFor shows the screen: for the branch it had, else for the one that is looked
// at if that is here, else with a choice that begins there.
func (s *generateScreen) openFor(m *model) tea.Cmd {
	if s.ref != (app.Ref{}) {
		return s.open(m, s.ref)
	}
	var looked app.Ref
	switch m.top() {
	case onVerify:
		looked = m.verify.ref
	case onDetail:
		looked = m.detail.ref
	case onBranches:
		looked = m.branches.selected()
		if r := m.branches.row(); r != nil && r.Local == app.LocalVerified {
			return s.open(m, looked)
		}
	}
	cmd := s.open(m, app.Ref{})
	s.want = looked.String()
	return cmd
}

// runnable are the branches that are here, to choose one from.
func (s *generateScreen) runnable(m *model) (refs []string) {
	for _, it := range m.start.stored {
		if it.State == app.LocalVerified {
			refs = append(refs, it.Ref())
		}
	}
	return refs
}

// choose takes the branch under the cursor.
func (s *generateScreen) choose(m *model) tea.Cmd {
	ref, err := app.ParseRef(s.runnable(m)[s.cursor])
	if err != nil {
		m.notice = remark{bad, "✗ " + err.Error(), app.HintOf(err)}
		return nil
	}
	return s.open(m, ref)
}

// send runs the prompt.
func (s *generateScreen) send(m *model) tea.Cmd {
	if !s.sampling.take(m) {
		return nil
	}
	m.frame = 0
	ctx, gen := s.task.begin(m.work.ctx)
	out := &outbox[app.Token]{}
	req := s.sampling.request()
	req.Prompt, req.System = s.prompt.text(), s.system.text()
	s.out, s.asked, s.text, s.tokens, s.result, s.err, s.up, s.stopped, s.meter = out, req, "", 0, nil, nil, 0, false, meter{}
	slot, back, ref := m.slot, m.back, s.ref
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		r, err := slot.generate(ctx, back, ref, req, func(t app.Token) error { out.put(t); return nil })
		return generateMsg{gen, r, err}
	})
}

func (s *generateScreen) sample(now time.Time) {
	for _, t := range s.out.take() {
		s.text += t.Text
		s.tokens++
	}
	if s.task.running() && s.tokens > 0 {
		s.meter.sample(now, int64(s.tokens))
	}
}

func (s *generateScreen) ended(msg generateMsg) {
	if !s.task.ended(msg.gen) {
		return
	}
	s.sample(time.Time{})
	s.result, s.err, s.ending = msg.result, msg.err, true
	if errors.Is(msg.err, context.Canceled) {
		s.stopped, s.err = true, nil
	}
}

// typing: in the fields of text, and digits of a sampling value.
func (s *generateScreen) typing() bool { return s.ref != (app.Ref{}) }

func (s *generateScreen) typed(_ *model, k tea.KeyMsg) {
	switch s.focus {
	case onSystem:
		s.system.key(k)
	case onSampling:
		s.sampling.typed(k)
	default:
		s.prompt.key(k)
	}
}

func (s *generateScreen) keys(m *model) []binding {
	if s.ref == (app.Ref{}) {
		n := len(s.runnable(m))
		return []binding{
			bind(moveKeys, "↑↓", "move", n > 1, func(_ *model, pressed string) tea.Cmd { s.cursor = moved(s.cursor, pressed, n); return nil }),
			bind("enter", "enter", "run it", s.cursor < n, simply(s.choose)),
			bind("esc", "esc", "back", true, simply(goBack)),
			helpKey("?", "?"),
			bind("q ctrl+c", "q", "quit", true, askQuit),
		}
	}
	idle := !s.task.running()
	out := []binding{
		bind("enter", "enter", "send, the prompt", idle && strings.TrimSpace(s.prompt.text()) != "", simply(s.send)).or(s.whyNot()),
		bind("ctrl+c ctrl+x", "ctrl+c", "stop, keeping the text", !idle, simply(func(*model) tea.Cmd { s.task.stop(); return nil })),
		bind("tab", "tab", [...]string{"system and sampling", "sampling", "prompt"}[s.focus]+", to type there", true, simply(func(m *model) tea.Cmd { return s.turn(m, 1) })),
	}
	scroll := bind("up down pgup pgdown", "↑↓", "scroll", s.text != "", func(_ *model, pressed string) tea.Cmd {
		const plenty = 1 << 20
		s.up = plenty - moved(plenty-s.up, pressed, plenty+1)
		return nil
	})
	if s.focus == onSampling {
		scroll.SetKeys("pgup", "pgdown")
		scroll.SetHelp("pgup", "scroll")
		out = append(out, s.sampling.keys()...)
	}
	return append(out, scroll,
		bind("ctrl+p", "ctrl+p", "prove, whether the branch is sound", idle, simply(func(m *model) tea.Cmd { return m.verify.begin(m, s.ref, checkProve) })).or(s.whyNot()),
		bind("ctrl+o", "ctrl+o", "other branch", idle, simply(func(m *model) tea.Cmd { return s.open(m, app.Ref{}) })).or(s.whyNot()),
		bind("ctrl+y", "ctrl+y", "copy the text", s.text != "", simply(func(m *model) tea.Cmd { return m.copy(s.text) })),
		bind("shift+tab", "shift+tab", "previous field", true, simply(func(m *model) tea.Cmd { return s.turn(m, focuses-1) })),
		bind("esc", "esc", "back, ends a generation", true, simply(goBack)),
		helpKey("f1", "f1"),
		bind("ctrl+c", "ctrl+c", "quit", idle, s.quit),
	)
}

// turn goes on to another field; a value that was typed counts.
func (s *generateScreen) turn(m *model, by focus) tea.Cmd {
	if s.sampling.take(m) {
		s.focus = (s.focus + by) % focuses
	}
	return nil
}

// quit asks for the key again when the answer has only just ended: it was meant to
// stop that.
func (s *generateScreen) quit(m *model, key string) tea.Cmd {
	if s.ending {
		s.ending = false
		m.notice = remark{role: warn, text: "the answer had ended; ctrl+c again quits"}
		return nil
	}
	return askQuit(m, key)
}

// whyNot says why enter does nothing now.
func (s *generateScreen) whyNot() string {
	if s.task.running() {
		return "the answer is being written; ctrl+c stops it"
	}
	return "the prompt is empty: type one (the grey text is only an example)"
}

// leave stops generating and gives the model's memory back.
func (s *generateScreen) leave(m *model) tea.Cmd {
	s.task.abandon()
	slot := m.slot
	return m.work.command(m.work.ctx, func(context.Context) tea.Msg {
		if err := slot.drop(); err != nil {
			return noticeMsg{role: bad, text: "closing the model: " + err.Error()}
		}
		return nil
	})
}

// command is the line that generates the same.
func (s *generateScreen) command(*model) string {
	if s.ref == (app.Ref{}) {
		return ""
	}
	words := []string{"qbranch gen", s.ref.String(), "-p", quoted(orAny(s.prompt.text(), "…"))}
	if t := s.system.text(); t != "" {
		words = append(words, "--system", quoted(t))
	}
	return strings.Join(slices.Concat(words, s.sampling.flags()), " ")
}

// quoted makes a word of a shell of a text.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
