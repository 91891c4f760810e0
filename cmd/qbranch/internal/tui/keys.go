package tui

import (
	"slices"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// binding is a key and what it does now. A disabled one does nothing but say
// why not, is not in the footer, and is grey in the help.
type binding struct {
	key.Binding
	do     func(m *model, pressed string) tea.Cmd
	whyNot string // said when it is pressed while disabled; "" = nothing
}

// bind makes a binding. keys are Bubble Tea's names separated by blanks;
// "space" is the space bar. Help says all of what; the footer has room for
// what stands before the first comma.
func bind(keys, label, what string, on bool, do func(m *model, pressed string) tea.Cmd) binding {
	names := strings.Fields(keys)
	for i, n := range names {
		if n == "space" {
			names[i] = " "
		}
	}
	b := key.NewBinding(key.WithKeys(names...), key.WithHelp(label, what))
	b.SetEnabled(on)
	return binding{Binding: b, do: do}
}

// or gives the reason that is said when b is pressed while disabled.
func (b binding) or(whyNot string) binding {
	b.whyNot = whyNot
	return b
}

// simply adapts an action that does not care which key it was.
func simply(f func(m *model) tea.Cmd) func(*model, string) tea.Cmd {
	return func(m *model, _ string) tea.Cmd { return f(m) }
}

// press finds what a key does among bindings. Where it does nothing now, the
// status line says why.
func press(m *model, bs []binding, k tea.KeyMsg) (tea.Cmd, bool) {
	for _, b := range bs {
		if key.Matches(k, b.Binding) {
			return b.do(m, k.String()), true
		}
	}
	for _, b := range bs {
		if b.whyNot != "" && slices.Contains(b.Keys(), k.String()) {
			m.notice = remark{role: warn, text: b.whyNot}
			return nil, true
		}
	}
	return nil, false
}

const moveKeys = "up down k j pgup pgdown home end"

// moved returns the cursor after a movement key in a list of n rows.
func moved(at int, pressed string, n int) int {
	switch pressed {
	case "up", "k":
		at--
	case "down", "j":
		at++
	case "pgup":
		at -= 10
	case "pgdown":
		at += 10
	case "home":
		at = 0
	case "end":
		at = n - 1
	}
	return max(0, min(at, n-1))
}

// footer lists the bindings that work now in w columns. When there is no room
// refresh and copy go first, then the arrows, which the cursor suggests, then others
// from the back; enter, esc, help and quit stay: what is done here, and the ways out.
func footer(bs []binding, w int) line {
	type part struct {
		key  string
		text line
	}
	var parts []part
	room := w - 1
	for _, b := range bs {
		if b.Enabled() {
			h := b.Help()
			short, _, _ := strings.Cut(h.Desc, ",")
			p := part{h.Key, line{{accent, h.Key}, {plain, " " + short}}}
			parts = append(parts, p)
			room -= p.text.width() + 2
		}
	}
	for _, first := range [][]string{{"r", "y"}, {"↑↓"}, nil} {
		for i := len(parts) - 3; i >= 0 && room+2 < 0; i-- {
			p := parts[i]
			if p.key == "enter" || p.key == "esc" || first != nil && !slices.Contains(first, p.key) {
				continue
			}
			room += p.text.width() + 2
			parts = slices.Delete(parts, i, i+1)
		}
	}
	out := say(plain, " ")
	for i, p := range parts {
		if i > 0 {
			out = append(out, span{plain, "  "})
		}
		out = append(out, p.text...)
	}
	return out
}

// helpBody explains every key of the screen below, and the signs.
func helpBody(m *model, w int) []line {
	const at = 15
	var out []line
	entry := func(sign line, r role, text string) {
		for i, row := range wrap(text, w-at-1) {
			l := line{{plain, strings.Repeat(" ", at)}}
			if i == 0 {
				l = sign.fill(at)
			}
			out = append(out, append(l, span{r, row}))
		}
	}
	for _, b := range append(m.current().keys(m), m.everywhere()...) {
		if h := b.Help(); b.Enabled() {
			entry(say(accent, "   "+h.Key), plain, h.Desc)
		} else {
			entry(say(dim, "   "+h.Key), dim, h.Desc+"  (not now)")
		}
	}
	out = append(out, nil)
	entry(say(accent, "   ◆"), plain, "marked; space takes the mark away")
	entry(say(good, "   ● verified"), plain, "checked against its hash when it came")
	entry(say(warn, "   ◐ 43%"), plain, "partly here; enter resumes")
	entry(say(bad, "   ! corrupt"), plain, "bytes on disk changed; enter repairs them")
	entry(say(warn, "   ↻ outdated"), plain, "the branch has a newer commit; enter updates")
	entry(say(plain, "   Fit"), plain, "✓ even the highest estimate is free, ~ only the expected one, ✗ neither")
	entry(say(plain, "   Eng"), plain, "A AutoGPTQ or GPTQModel, E ExLlama, V vLLM, Q qbranch; small: with a caveat, - no, ? unknown")
	entry(say(plain, "   Rank"), plain, "expected order by bits, group size, act-order: not a measurement")
	return out
}
