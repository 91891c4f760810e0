package tui

import (
	"fmt"
	"slices"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (s *generateScreen) head(m *model) (string, string) {
	if s.ref == (app.Ref{}) {
		return "Generate", ""
	}
	aside := "on the CPU"
	if v := m.proofs[s.ref]; v != "" {
		aside += ", proved " + v
	}
	return "Generate  " + s.ref.String(), aside
}

func (s *generateScreen) status(m *model) remark {
	switch {
	case s.task.running() && s.tokens == 0:
		return remark{role: accent, text: spinner(m.frame) + " loading the model and reading the prompt"}
	case s.task.running():
		text := spinner(m.frame) + " " + plural(s.tokens, "token", "tokens")
		if s.meter.perSecond > 0 {
			text += fmt.Sprintf(", %.1f/s", s.meter.perSecond)
		}
		return remark{role: accent, text: text}
	case s.result != nil && s.err == nil:
		return remark{role: dim, text: s.speeds(), hint: s.finish()}
	case s.ref != (app.Ref{}) && s.err == nil:
		return remark{role: dim, text: "$ " + s.command(m)}
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

// finish says why the text ends.
func (s *generateScreen) finish() string {
	if s.stopped {
		return "stopped"
	}
	switch s.result.FinishReason {
	case "stop":
		return "the model ended its answer"
	case "length":
		return fmt.Sprintf("ended after %d tokens", s.asked.MaxTokens)
	case "context":
		return "ended: the context is full"
	}
	return s.result.FinishReason
}

func (s *generateScreen) body(m *model, w, h int) []line {
	if s.ref == (app.Ref{}) {
		return s.choice(m, w, h)
	}
	field := func(label string, e *editor, focused bool, hint string) line {
		mark := span{plain, "   "}
		if focused {
			mark = span{accent, " ▸ "}
		}
		return append(line{mark, {dim, left(label, 8)}}, e.view(w-13, focused, hint)...)
	}
	out := []line{
		field("prompt", &s.prompt, s.focus == onPrompt, "Write a story about llamas"),
		field("system", &s.system, s.focus == onSystem, "none, or what the model should be"),
	}
	out = append(out, s.sampling.view(w, s.focus == onSampling)...)
	if s.focus == onSampling {
		out[2] = append(line{{accent, " ▸ "}}, out[2][1:]...)
	}
	out = append(out, rule(w, ""))
	if s.err != nil {
		return append(out, failure(s.err, w)...)
	}
	rows := wrapped(plain, s.text, w-6)
	if s.task.running() && s.up == 0 {
		end := &rows[len(rows)-1]
		*end = append(*end, span{accent, "▌"})
	}
	room := h - len(out)
	s.up = max(0, min(s.up, len(rows)-room))
	from := max(0, len(rows)-room-s.up)
	for _, l := range rows[from:min(len(rows), from+room)] {
		out = append(out, append(line{{plain, "   "}}, l...))
	}
	return out
}

// choice offers the branches that are here.
func (s *generateScreen) choice(m *model, w, h int) []line {
	refs := s.runnable(m)
	if len(refs) == 0 {
		return []line{
			say(plain, "   Nothing here can be run yet."), nil,
			say(dim, "   Fetch a branch first: 1 leads to the branches, enter fetches one."),
		}
	}
	cols := []column{{title: "Run which branch?", width: w - 6, cell: func(i int) span { return span{plain, refs[i]} }}}
	if i := slices.Index(refs, s.want); i >= 0 {
		s.cursor, s.want = i, ""
	}
	s.cursor = min(s.cursor, len(refs)-1)
	return table(cols, len(refs), s.cursor, h)
}
