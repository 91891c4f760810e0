package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// generateScreen runs prompts on a branch and shows the text as it comes.
type generateScreen struct {
	ref    app.Ref
	prompt editor
	system editor
	inSys  bool // the system message has the cursor
	task   task
	out    *outbox[app.Token]

	// What the last sample or the end said.
	asked   bool // something was sent
	text    string
	tokens  int
	result  *app.Generation
	err     error
	up      int // rows scrolled up from the end
	stopped bool
}

// generateMsg says that a generation has ended.
type generateMsg struct {
	gen    int
	result *app.Generation
	err    error
}

// maxTokens of one answer.
const maxTokens = 512

// open shows the screen for ref; prompts of before are kept.
func (s *generateScreen) open(m *model, ref app.Ref) tea.Cmd {
	m.show(onGenerate)
	if s.ref != ref {
		*s = generateScreen{ref: ref, prompt: s.prompt, system: s.system, task: s.task}
	}
	return nil
}

// send runs the prompt, greedily so that it can be repeated.
func (s *generateScreen) send(m *model) tea.Cmd {
	m.frame = 0
	ctx, gen := s.task.begin(m.work.ctx)
	out := &outbox[app.Token]{}
	s.out, s.asked, s.text, s.tokens, s.result, s.err, s.up, s.stopped = out, true, "", 0, nil, nil, 0, false
	req := app.Request{Prompt: s.prompt.text(), System: s.system.text(), MaxTokens: maxTokens}
	slot, back, ref := m.slot, m.back, s.ref
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		r, err := slot.generate(ctx, back, ref, req, func(t app.Token) error { out.put(t); return nil })
		return generateMsg{gen, r, err}
	})
}

func (s *generateScreen) sample() {
	for _, t := range s.out.take() {
		s.text += t.Text
		s.tokens++
	}
}

func (s *generateScreen) ended(msg generateMsg) {
	if !s.task.ended(msg.gen) {
		return
	}
	s.sample()
	s.result, s.err = msg.result, msg.err
	if errors.Is(msg.err, context.Canceled) {
		s.stopped, s.err = true, nil
	}
}

// typing: always, in one of the fields.
func (s *generateScreen) typing() bool { return true }

func (s *generateScreen) typed(_ *model, k tea.KeyMsg) {
	if s.inSys {
		s.system.key(k)
	} else {
		s.prompt.key(k)
	}
}

func (s *generateScreen) head(*model) (string, string) {
	return "Generate  " + s.ref.String(), "on the CPU"
}

func (s *generateScreen) keys(*model) []binding {
	idle := !s.task.running()
	other := "system message"
	if s.inSys {
		other = "prompt"
	}
	return []binding{
		bind("enter", "enter", "send, the prompt", idle && strings.TrimSpace(s.prompt.text()) != "", simply(s.send)).or(s.whyNot()),
		bind("ctrl+c ctrl+x", "ctrl+c", "stop", !idle, simply(func(*model) tea.Cmd { s.task.stop(); return nil })),
		bind("tab", "tab", other+", to type there", true, simply(func(*model) tea.Cmd { s.inSys = !s.inSys; return nil })),
		bind("up down pgup pgdown", "↑↓", "scroll", s.text != "", func(_ *model, pressed string) tea.Cmd {
			const plenty = 1 << 20
			s.up = plenty - moved(plenty-s.up, pressed, plenty+1)
			return nil
		}),
		bind("esc", "esc", "back, ends a generation", true, simply(goBack)),
		helpKey("f1", "f1"),
		bind("ctrl+c", "ctrl+c", "quit", idle, askQuit),
	}
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

func (s *generateScreen) status(m *model) remark {
	switch {
	case s.task.running() && s.tokens == 0:
		return remark{role: accent, text: spinner(m.frame) + " loading the model and reading the prompt"}
	case s.task.running():
		return remark{role: accent, text: spinner(m.frame) + " " + plural(s.tokens, "token", "tokens")}
	case s.result != nil && s.err == nil:
		return remark{role: dim, text: s.speeds(), hint: s.ending()}
	}
	return remark{}
}

// speeds of the finished generation.
func (s *generateScreen) speeds() string {
	r := s.result
	text := plural(len(r.IDs), "token", "tokens")
	if d := r.Decode.Seconds(); d > 0 {
		text += fmt.Sprintf(" at %.1f/s", float64(len(r.IDs))/d)
	}
	text += ", prompt of " + plural(r.PromptTokens, "token", "tokens")
	if d := r.Prefill.Seconds(); d > 0 {
		text += fmt.Sprintf(" at %.1f/s", float64(r.PromptTokens)/d)
	}
	return text
}

func (s *generateScreen) ending() string {
	if s.stopped {
		return "stopped"
	}
	switch s.result.FinishReason {
	case "stop":
		return "the model ended its answer"
	case "length":
		return fmt.Sprintf("ended after %d tokens", maxTokens)
	case "context":
		return "ended: the context is full"
	}
	return s.result.FinishReason
}

func (s *generateScreen) body(_ *model, w, h int) []line {
	field := func(label string, e *editor, focused bool, hint string) line {
		mark := span{plain, "   "}
		if focused {
			mark = span{accent, " ▸ "}
		}
		return append(line{mark, {dim, left(label, 8)}}, e.view(w-13, focused, hint)...)
	}
	out := []line{
		field("system", &s.system, s.inSys, "none, or what the model should be"),
		field("prompt", &s.prompt, !s.inSys, "Write a story about llamas"),
		rule(w, ""),
	}
	if s.err != nil {
		return append(out, failure(s.err, w)...)
	}
	rows := wrapped(plain, s.text, w-6)
	if s.task.running() && s.up == 0 {
		end := &rows[len(rows)-1]
		*end = append(*end, span{accent, "▌"})
	}
	room := h - len(out)
	from := max(0, len(rows)-room-min(s.up, max(0, len(rows)-room)))
	for _, l := range rows[from:min(len(rows), from+room)] {
		out = append(out, append(line{{plain, "   "}}, l...))
	}
	return out
}
