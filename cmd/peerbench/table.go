package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// line is one line of the table: a measure, its target, what we did and what
// the peers did.
type line struct {
	Row     string // which row measured it (--only)
	Measure string
	Target  string
	Ours    string
	Peers   []value // in the order of the tools
	Verdict verdict
	Note    string // "" or what a reader should know
}

// value is what one peer did.
type value struct{ Tool, Value string }

// verdict says whether a target was met.
type verdict string

const (
	met       verdict = "met"
	missed    verdict = "**missed**"
	unsettled verdict = "not measured"
)

func judge(ok bool) verdict {
	if ok {
		return met
	}
	return missed
}

// printTable writes lines as a Markdown table, with a column for each tool that
// has a value anywhere, and the notes below it.
func printTable(w io.Writer, lines []line) error {
	var tools []string
	for _, l := range lines {
		for _, v := range l.Peers {
			if !slices.Contains(tools, v.Tool) {
				tools = append(tools, v.Tool)
			}
		}
	}
	var b strings.Builder
	head := append(append([]string{"measure", "target", "qbranch"}, tools...), "")
	writeRow(&b, head)
	writeRow(&b, slices.Repeat([]string{"---"}, len(head)))
	var notes []string
	for _, l := range lines {
		cells := []string{l.Measure, l.Target, l.Ours}
		for _, tool := range tools {
			cells = append(cells, l.of(tool))
		}
		mark := string(l.Verdict)
		if l.Note != "" {
			notes = append(notes, l.Note)
			mark += fmt.Sprintf(" [%d]", len(notes))
		}
		writeRow(&b, append(cells, mark))
	}
	if len(notes) > 0 {
		b.WriteByte('\n')
	}
	for i, note := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// of is what a tool did, "" when it was not measured.
func (l line) of(tool string) string {
	for _, v := range l.Peers {
		if v.Tool == tool {
			return v.Value
		}
	}
	return ""
}

// writeRow writes one row. A bar in a cell would end it.
func writeRow(b *strings.Builder, cells []string) {
	for _, c := range cells {
		c = strings.ReplaceAll(strings.ReplaceAll(c, "|", `\|`), "\n", " ")
		b.WriteString("| " + c + " ")
	}
	b.WriteString("|\n")
}
