package jinja

import (
	"slices"
	"strings"
)

// Text is a string that knows which parts of it are data.
type Text struct {
	s    string
	data []extent // ascending, not empty, not touching
}

type extent struct{ start, end int }

// Plain is text of the template's author.
func Plain(s string) Text { return Text{s: s} }

// Data is text from outside: what a user typed.
func Data(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{s, []extent{{0, len(s)}}}
}

// String returns the characters, without where they came from.
func (t Text) String() string { return t.s }

// isData says whether any part is.
func (t Text) isData() bool { return len(t.data) > 0 }

// slice is t[i:j].
func (t Text) slice(i, j int) Text {
	out := Text{s: t.s[i:j]}
	if i == j {
		return out
	}
	first, _ := slices.BinarySearchFunc(t.data, i, func(d extent, i int) int {
		if d.end <= i {
			return -1
		}
		return 1
	})
	for _, d := range t.data[first:] {
		if d.start >= j {
			break
		}
		out.data = append(out.data, extent{max(d.start, i) - i, min(d.end, j) - i})
	}
	return out
}

// derived is a new string made from others in a way that mixes them: data if any
// of them is.
func derived(s string, from ...Text) Text {
	if slices.ContainsFunc(from, Text.isData) {
		return Data(s)
	}
	return Plain(s)
}

// builder collects text.
type builder struct {
	b    strings.Builder
	data []extent
}

func (b *builder) add(t Text) {
	base := b.b.Len()
	b.b.WriteString(t.s)
	for _, d := range t.data {
		d = extent{d.start + base, d.end + base}
		if n := len(b.data); n > 0 && b.data[n-1].end == d.start {
			b.data[n-1].end = d.end
			continue
		}
		b.data = append(b.data, d)
	}
}

func (b *builder) text() Text { return Text{b.b.String(), b.data} }

func concat(parts ...Text) Text {
	var b builder
	for _, p := range parts {
		b.add(p)
	}
	return b.text()
}

// Segment is a part of the output that is either all data or none.
type Segment struct {
	Text string
	Data bool
}

func (t Text) segments() []Segment {
	var out []Segment
	at := 0
	add := func(end int, data bool) {
		if at < end {
			out = append(out, Segment{t.s[at:end], data})
			at = end
		}
	}
	for _, d := range t.data {
		add(d.start, false)
		add(d.end, true)
	}
	add(len(t.s), false)
	return out
}
