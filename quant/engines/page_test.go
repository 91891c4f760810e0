package engines

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/engines.md")

const page, pageStart, pageEnd = "../../docs/engines.md", "<!-- tables start -->\n", "<!-- tables end -->"

// docs/engines.md is the table: what it says of an engine is what is evaluated.
// go test -update writes it.
func TestPage(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), pageStart)
	got, tail, ok2 := strings.Cut(rest, pageEnd)
	if !ok || !ok2 {
		t.Fatal("docs/engines.md has no place for the tables")
	}
	want := tables()
	if *update {
		if err := os.WriteFile(page, []byte(head+pageStart+want+pageEnd+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("docs/engines.md says\n%s\nthe table says\n%s\nrun go test ./quant/engines -update", a[i], b[i])
			}
		}
		t.Fatal("docs/engines.md and the table differ in length: run go test ./quant/engines -update")
	}
}

func tables() string {
	var b strings.Builder
	archs := map[string]string{} // a list → the program that it was given for first
	for _, f := range FamilyList() {
		fmt.Fprintf(&b, "\n### %s\n\n", f.Name)
		b.WriteString("| id | bits | group sizes | act-order | asymmetric | formats | matrices | needs | memory |\n|---|---|---|---|---|---|---|---|---|\n")
		for _, e := range f.Rows {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s | `%s` |\n", e.ID, numbers(e.Bits), e.Groups.cell(), e.ActOrder, e.Asym,
				e.formatCell(), e.shapeCell(), e.Needs, e.Profile)
		}
		b.WriteString("\n")
		writeNotes(&b, f, archs)
	}
	return b.String() + "\n"
}

// shared is a text and the kernels it is about, in order.
type shared struct {
	text string
	who  []string
}

// archText names the architectures; a long list once.
func archText(e Engine, program string, given map[string]string) string {
	list := strings.Join(e.Archs.List, ", ")
	more := ""
	if e.Archs.Open {
		more = "; others are not known"
	}
	if first := given[list]; len(e.Archs.List) > 12 && first != "" && first != program {
		return "runs what " + first + " runs" + more + "."
	}
	if given[list] == "" {
		given[list] = program
	}
	return "runs " + list + more + "."
}

func writeNotes(b *strings.Builder, f Family, archs map[string]string) {
	var lines []shared
	add := func(e Engine, text string) {
		who := "`" + strings.TrimPrefix(e.ID, e.Family+"/") + "`"
		i := slices.IndexFunc(lines, func(l shared) bool { return l.text == text })
		if i < 0 {
			lines = append(lines, shared{text: text})
			i = len(lines) - 1
		}
		if !slices.Contains(lines[i].who, who) {
			lines[i].who = append(lines[i].who, who)
		}
	}
	for _, e := range f.Rows {
		if e.Until != "" {
			add(e, "caveat: old versions only: "+e.Until+".")
		}
		for _, n := range e.Notes {
			verdict := map[Loads]string{No: "does not load", Caveat: "caveat", Unknown: "unknown"}[n.Loads]
			words := make([]string, len(n.When))
			for i, w := range n.When {
				words[i] = string(w)
			}
			add(e, fmt.Sprintf("%s: %s: %s. (%s)", strings.Join(words, ", "), verdict, n.Text, n.Source))
		}
	}
	for _, e := range f.Rows {
		add(e, "a missing `sym`: "+map[string]string{
			"true": "taken for true", "false": "taken for false", "the zero points": "the zero points are read as they are", "an error": "not accepted",
		}[e.Default]+".")
		if e.BitsError != "" {
			add(e, "other bits end with “"+e.BitsError+"”.")
		}
		add(e, archText(e, f.Name, archs))
	}
	for _, l := range lines {
		if len(f.Rows) == 1 || len(l.who) == len(f.Rows) {
			fmt.Fprintf(b, "- %s\n", l.text)
		} else {
			fmt.Fprintf(b, "- %s: %s\n", strings.Join(l.who, ", "), l.text)
		}
	}
	writeSources(b, f)
}

// writeSources gives a line for every date of the facts.
func writeSources(b *strings.Builder, f Family) {
	var dates []string
	from := map[string][]string{}
	for _, e := range f.Rows {
		if from[e.AsOf] == nil {
			dates = append(dates, e.AsOf)
		}
		for _, source := range e.Sources {
			if !slices.Contains(from[e.AsOf], source) {
				from[e.AsOf] = append(from[e.AsOf], source)
			}
		}
	}
	for _, date := range dates {
		fmt.Fprintf(b, "- As of %s: %s.\n", date, strings.Join(from[date], "; "))
	}
}

func numbers(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, ", ")
}

func (g Groups) cell() string {
	text := "any"
	if g.PowerOfTwo {
		text = "powers of two"
	}
	if g.None {
		text += ", -1"
	}
	if g.Sizes != nil {
		text = numbers(g.Sizes)
	}
	if g.Whole {
		text += ", whole groups"
	}
	return text
}

func (e Engine) formatCell() string {
	text := strings.Join(e.Formats, ", ")
	for _, f := range e.Unsure {
		text += ", " + f + "?"
	}
	return text
}

func (e Engine) shapeCell() string {
	var parts []string
	if e.Shapes.K > 0 {
		parts = append(parts, fmt.Sprintf("rows %d", e.Shapes.K))
	}
	if e.Shapes.N > 0 {
		parts = append(parts, fmt.Sprintf("columns %d", e.Shapes.N))
	}
	if e.Shapes.Either > 0 {
		parts = append(parts, fmt.Sprintf("one of them %d", e.Shapes.Either))
	}
	for _, p := range []struct {
		on   bool
		text string
	}{{e.Single, "one file"}, {e.NeedGIdx, "g_idx"}, {e.Parallel, "tensor parallel"}, {e.Mixed, "mixed bits"}, {e.Head, "head"}} {
		if p.on {
			parts = append(parts, p.text)
		}
	}
	return strings.Join(parts, ", ")
}
