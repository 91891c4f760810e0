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

// footer lists the bindings that work now in w columns. The last two, help and
// quit, always stay; others go from the back when there is no room.
func footer(bs []binding, w int) line {
	var parts []line
	for _, b := range bs {
		if b.Enabled() {
			h := b.Help()
			short, _, _ := strings.Cut(h.Desc, ",")
			parts = append(parts, line{{accent, h.Key}, {plain, " " + short}})
		}
	}
	const gap = 2
	room := w - 1
	for _, p := range parts {
		room -= p.width() + gap
	}
	for room+gap < 0 && len(parts) > 2 {
		i := len(parts) - 3
		room += parts[i].width() + gap
		parts = append(parts[:i], parts[i+1:]...)
	}
	out := say(plain, " ")
	for i, p := range parts {
		if i > 0 {
			out = append(out, span{plain, "  "})
		}
		out = append(out, p...)
	}
	return out
}

// helpBody explains every key of the screen below, and the signs.
func helpBody(m *model) []line {
	var out []line
	for _, b := range m.current().keys(m) {
		h := b.Help()
		l := line{{accent, "   " + left(h.Key, 12)}, {plain, h.Desc}}
		if !b.Enabled() {
			l = line{{dim, "   " + left(h.Key, 12) + h.Desc + "  (not now)"}}
		}
		out = append(out, l)
	}
	for _, b := range m.everywhere() {
		h := b.Help()
		out = append(out, line{{accent, "   " + left(h.Key, 12)}, {plain, h.Desc}})
	}
	return append(out, nil,
		line{{good, "   ● verified"}, {plain, "  checked against its hash when it came"}},
		line{{warn, "   ◐ 43%"}, {plain, "       partly here; enter resumes"}},
		line{{bad, "   ! corrupt"}, {plain, "   bytes on disk changed; enter repairs them"}},
		line{{warn, "   ↻ outdated"}, {plain, "  the branch has a newer commit; enter updates"}},
		line{{plain, "   Fit         "}, {good, "✓"}, {plain, " even the highest estimate is free, "}, {warn, "~"}, {plain, " only the expected one, "}, {bad, "✗"}, {plain, " neither"}},
		line{{plain, "   Eng         A AutoGPTQ or GPTQModel, E ExLlama, V vLLM, Q qbranch; small: with a caveat, - no, ? unknown"}},
		line{{plain, "   Rank        expected order by bits, group size, act-order: not a measurement"}},
	)
}
