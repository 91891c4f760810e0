package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// editor is a line of text being typed.
type editor struct {
	runes []rune
	at    int  // the cursor stands before runes[at]
	kept  bool // the text is an old one: what is typed takes its place
}

// longest text an editor takes: a pasted file is a mistake.
const editorLimit = 8192

func (e *editor) text() string { return string(e.runes) }

func (e *editor) set(s string) {
	e.runes = []rune(s)
	e.at = len(e.runes)
	e.kept = false
}

// insert adds text at the cursor; line feeds of a paste become spaces.
func (e *editor) insert(rs []rune) {
	add := []rune(clean(oneLine.Replace(string(rs))))
	if len(e.runes)+len(add) > editorLimit {
		return
	}
	e.runes = slices.Insert(e.runes, e.at, add...)
	e.at += len(add)
}

var oneLine = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")

// key does what a key does to the text.
func (e *editor) key(k tea.KeyMsg) {
	text := (k.Type == tea.KeyRunes || k.Type == tea.KeySpace) && !k.Alt
	if e.kept && (text || k.Type == tea.KeyBackspace || k.Type == tea.KeyDelete) {
		e.set("")
	}
	e.kept = false
	switch k.String() {
	case "left", "ctrl+b":
		e.at = max(0, e.at-1)
	case "right", "ctrl+f":
		e.at = min(len(e.runes), e.at+1)
	case "home", "ctrl+a":
		e.at = 0
	case "end", "ctrl+e":
		e.at = len(e.runes)
	case "backspace", "ctrl+h":
		e.cut(e.at-1, e.at)
	case "delete", "ctrl+d":
		e.cut(e.at, e.at+1)
	case "ctrl+u":
		e.cut(0, e.at)
	case "ctrl+k":
		e.cut(e.at, len(e.runes))
	case "ctrl+w", "alt+backspace":
		from := e.at
		for from > 0 && e.runes[from-1] == ' ' {
			from--
		}
		for from > 0 && e.runes[from-1] != ' ' {
			from--
		}
		e.cut(from, e.at)
	default:
		if text {
			e.insert(k.Runes)
		}
	}
}

func (e *editor) cut(from, to int) {
	from, to = max(0, from), min(to, len(e.runes))
	if from >= to {
		return
	}
	e.runes = slices.Delete(e.runes, from, to)
	e.at = from
}

// view shows the text in w columns, scrolled so that the cursor is seen, or
// the placeholder when there is none.
func (e *editor) view(w int, focused bool, placeholder string) line {
	if len(e.runes) == 0 {
		l := say(dim, placeholder)
		if focused {
			l = line{{accent, "▏"}, {dim, placeholder}}
		}
		return l.fill(w)
	}
	if focused && e.kept {
		return line{{accent, "▏"}, {dim, string(e.runes)}}.fill(w)
	}
	if !focused {
		return say(plain, string(e.runes)).fill(w)
	}
	from := e.at
	for room := w - 1; from > 0; from-- {
		if room -= runeWidth(e.runes[from-1]); room < 0 {
			break
		}
	}
	return line{{plain, string(e.runes[from:e.at])}, {accent, "▏"}, {plain, string(e.runes[e.at:])}}.fill(w)
}
