package card

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Cards of our own words, one for each way that cards of other people vary. The
// .want files were written by hand: what a reader would say.
func TestCards(t *testing.T) {
	files, err := filepath.Glob("testdata/cards/*.md")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d cards, %v", len(files), err)
	}
	for _, file := range files {
		md, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(strings.TrimSuffix(file, ".md") + ".want")
		if err != nil {
			t.Error(err)
		}
		if got := summary(Parse(md)); got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
	}
}

// summary has a line for every fact.
func summary(c *Card) string {
	var b strings.Builder
	line := func(name string, words ...string) {
		if text := strings.Join(words, " "); strings.TrimSpace(text) != "" {
			b.WriteString(name + " " + strings.TrimSpace(text) + "\n")
		}
	}
	line("layout", c.Layout)
	line("repo", str(c.Repo))
	line("method", c.Method)
	line("base", c.BaseModel...)
	line("by", str(c.QuantizedBy))
	line("type", str(c.ModelType))
	line("licence", c.License)
	line("language", c.Languages...)
	if c.PromptTemplate != "" || c.PromptName != nil {
		line("prompt", fmt.Sprintf("%q %q", str(c.PromptName), c.PromptTemplate))
	}
	if g := c.Gated; g != nil {
		line("gated", fmt.Sprintf("%q %q %q %q", g.Heading, g.Prompt, g.Button, g.Fields))
	}
	for _, r := range c.Rows {
		line("row", r.Branch, rowText(r))
	}
	for _, r := range c.Files {
		line("file", r.Branch, r.File, rowText(Row(r)))
	}
	for _, r := range c.Repositories {
		line("sister", r[0], r[1])
	}
	for _, d := range c.Decoys {
		line("decoy", d.Kind, d.Where)
	}
	for _, f := range c.Findings {
		line("finding", f.Code, f.Where)
	}
	return b.String()
}

func rowText(r Row) string {
	var words []string
	add := func(name string, value any, there bool) {
		if there {
			words = append(words, fmt.Sprintf("%s=%v", name, value))
		}
	}
	add("bits", float(r.Bits), r.Bits != nil)
	add("g", deref(r.GroupSize), r.GroupSize != nil)
	add("act", r.ActOrder != nil && *r.ActOrder, r.ActOrder != nil)
	add("damp", float(r.Damp), r.Damp != nil)
	add("data", fmt.Sprintf("%q", str(r.Dataset)), r.Dataset != nil)
	add("url", r.DatasetURL, r.DatasetURL != "")
	add("seq", deref(r.SeqLen), r.SeqLen != nil)
	if r.SizeBytes != nil {
		add("size", *r.SizeBytes, true)
	}
	add("exllama", r.ExLlama != nil && *r.ExLlama, r.ExLlama != nil)
	add("method", r.Method, r.Method != "")
	add("made", r.MadeWith, r.MadeWith != "")
	add("head", float(r.HeadBits), r.HeadBits != nil)
	add("vram", r.VRAMBytes, r.VRAMBytes != nil)
	add("to", r.LinksToRepo, r.LinksToRepo != "")
	add("quant", r.Quant, r.Quant != "")
	add("split", r.Split != nil && *r.Split, r.Split != nil)
	add("desc", fmt.Sprintf("%q", str(r.Description)), r.Description != nil)
	return strings.Join(words, " ")
}

func float(v *float64) string {
	if v == nil {
		return ""
	}
	return formatFloat(*v)
}
