package tui

import (
	"fmt"
	"slices"
	"strconv"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// knob is a sampling value that keys change: its name, its values, and the flag
// of 'qbranch gen' that sets it.
type knob struct {
	name, flag string
	values     []float64
	whole      bool // typed values are whole numbers
	least      float64
	most       float64
	zero       string // what the first value is called, if not by its number
}

// knobs are in the order of their places in [sampling.at].
var knobs = [...]knob{
	{"temp", "--temp", []float64{0, .2, .4, .6, .7, .8, .9, 1, 1.2, 1.5, 2}, false, 0, 100, "0, greedy"},
	{"top-p", "--top-p", []float64{1, .98, .95, .9, .8, .7, .5, .3, .1}, false, 1e-6, 1, ""},
	{"top-k", "--top-k", []float64{0, 1, 5, 10, 20, 40, 50, 100}, true, 0, 1 << 20, "all"},
	{"min-p", "--min-p", []float64{0, .01, .02, .05, .1, .2, .3}, false, 0, 1, ""},
	{"penalty", "--repetition-penalty", []float64{1, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5}, false, 1e-6, 100, ""},
	{"seed", "--seed", []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, true, 0, 1 << 53, ""},
	{"tokens", "-n", []float64{512, 16, 32, 64, 128, 256, 1024, 2048, 4096}, true, 1, 1 << 20, ""},
	{"template", "--raw", []float64{0, 1}, true, 0, 1, "chat"},
}

// Places of knobs whose values mean more than a number.
const (
	tokensKnob   = 6
	templateKnob = 7
)

// sampling is how tokens are chosen. The zero value takes the likeliest token,
// 512 times at most, in the repository's chat format.
type sampling struct {
	set   [len(knobs)]*float64 // nil = the first of the values
	at    int
	input editor
}

func (s *sampling) value(i int) float64 {
	if v := s.set[i]; v != nil {
		return *v
	}
	return knobs[i].values[0]
}

// text is a value as it is shown.
func (s *sampling) text(i int) string {
	v := s.value(i)
	switch {
	case i == templateKnob && v != 0:
		return "none (raw)"
	case v == knobs[i].values[0] && knobs[i].zero != "":
		return knobs[i].zero
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// request makes a request without a prompt.
func (s *sampling) request() app.Request {
	return app.Request{Temperature: s.value(0), TopP: s.value(1), TopK: int(s.value(2)), MinP: s.value(3), RepetitionPenalty: s.value(4),
		Seed: uint64(s.value(5)), MaxTokens: int(s.value(tokensKnob)), Raw: s.value(templateKnob) != 0}
}

// flags are those of 'qbranch gen' that ask for the same.
func (s *sampling) flags() (out []string) {
	for i, k := range knobs {
		switch v := s.value(i); {
		case i == templateKnob && v != 0:
			out = append(out, k.flag)
		case i == tokensKnob || i != templateKnob && v != k.values[0]:
			out = append(out, k.flag, strconv.FormatFloat(v, 'f', -1, 64))
		}
	}
	return out
}

// step leads the knob to the next of its values.
func (s *sampling) step(by int) {
	sorted := slices.Sorted(slices.Values(knobs[s.at].values))
	i, exact := slices.BinarySearch(sorted, s.value(s.at))
	if !exact && by > 0 {
		i-- // what was typed lies between two
	}
	v := sorted[max(0, min(i+by, len(sorted)-1))]
	s.set[s.at] = &v
	s.input.set("")
}

func (s *sampling) keys() []binding {
	typed := len(s.input.runes) > 0
	return []binding{
		bind("left right", "←→", "choose", true, func(m *model, pressed string) tea.Cmd {
			if !s.take(m) {
				return nil
			}
			s.at = moved(s.at, map[string]string{"left": "up", "right": "down"}[pressed], len(knobs))
			return nil
		}),
		bind("up down + -", "↑↓", "change", true, func(_ *model, pressed string) tea.Cmd {
			s.step(map[string]int{"up": 1, "+": 1, "down": -1, "-": -1}[pressed])
			return nil
		}),
		bind("space", "space", "take what was typed", typed, simply(func(m *model) tea.Cmd {
			s.take(m)
			return nil
		})),
	}
}

func (s *sampling) typed(k tea.KeyMsg) { s.input.key(k) }

// take sets the knob to what was typed, if anything was. It reports whether that
// can be; if not it says why.
func (s *sampling) take(m *model) bool {
	k, text := knobs[s.at], s.input.text()
	s.input.set("")
	if text == "" {
		return true
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v != v || v < k.least || v > k.most || k.whole && v != float64(int64(v)) {
		kind := "a number"
		if k.whole {
			kind = "a whole number"
		}
		m.notice = remark{role: bad, text: fmt.Sprintf("✗ %s: want %s from %s to %s", k.name, kind,
			strconv.FormatFloat(k.least, 'g', 3, 64), strconv.FormatFloat(k.most, 'f', -1, 64))}
		return false
	}
	s.set[s.at] = &v
	return true
}

// view draws the knobs in w columns, in as many rows as it takes.
func (s *sampling) view(w int, focused bool) []line {
	var out []line
	row := line{{plain, "   "}}
	for i, k := range knobs {
		value := span{plain, s.text(i)}
		if focused && i == s.at {
			value = span{accent, "‹" + s.text(i) + "›"}
			if len(s.input.runes) > 0 {
				value = span{accent, s.input.text() + "▏"}
			}
		}
		part := line{{dim, k.name + " "}, value, {plain, "   "}}
		if row.width()+part.width() > w {
			out, row = append(out, row), line{{plain, "   "}}
		}
		row = append(row, part...)
	}
	return append(out, row)
}
