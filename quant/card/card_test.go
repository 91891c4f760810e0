package card

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func readCard(t *testing.T, name string) *Card {
	t.Helper()
	md, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(md)
}

const head10 = "| Branch | Bits | GS | Act Order | Damp % | GPTQ Dataset | Seq Len | Size | ExLlama | Desc |\n" +
	"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"

// row10 parses a ten-column table of one row.
func row10(t *testing.T, cells string) (Row, *Card) {
	t.Helper()
	c := Parse([]byte(head10 + cells + "\n"))
	if c.Layout != "gptq10" || len(c.Rows) != 1 {
		t.Fatalf("layout %s, %d rows", c.Layout, len(c.Rows))
	}
	return c.Rows[0], c
}

// asJSON is how a value looks to a script, "null" for nil.
func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// base is the first base model.
func base(c *Card) string {
	if len(c.BaseModel) == 0 {
		return ""
	}
	return c.BaseModel[0]
}

func codes(c *Card) []string {
	var list []string
	for _, f := range c.Findings {
		list = append(list, f.Code)
	}
	return list
}

func TestDemoCard(t *testing.T) {
	c := readCard(t, "llama-tales.md")
	if c.Layout != "gptq10" || c.Repo == nil || *c.Repo != "qbranch/llama-tales-moe-2m-GPTQ" || len(c.Rows) != 8 || len(c.Findings) != 0 {
		t.Fatalf("got %s", asJSON(t, c))
	}
	want := `{"branch":"gptq-3bit-32g-actorder_True","bits":3,"group_size":32,"act_order":true,"damp":0.1,` +
		`"dataset":"Llama tales","seq_len":1024,"size_bytes":1980000,"exllama":false,` +
		`"description":"3-bit with act-order, groups of 32. The best 3-bit branch.",` +
		`"dataset_url":"https://huggingface.co/datasets/qbranch/llama-tales/viewer/"}`
	if got := asJSON(t, c.Rows[5]); got != want {
		t.Errorf("row 5\n got %s\nwant %s", got, want)
	}
	if got := asJSON(t, c.Rows[0].GroupSize); got != "null" {
		t.Errorf("group size None = %s", got)
	}
	const chatML = "<|im_start|>system\n{system_message}<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
	if c.PromptTemplate != chatML || str(c.PromptName) != "ChatML" {
		t.Errorf("prompt template %q, %q", str(c.PromptName), c.PromptTemplate)
	}
	if base(c) != "qbranch/llama-tales-moe-2m" || c.License != "apache-2.0" || str(c.QuantizedBy) != "qbranch" {
		t.Errorf("front matter: %q %q %q", c.BaseModel, c.License, str(c.QuantizedBy))
	}
}

func TestLayouts(t *testing.T) {
	tests := []struct {
		file, layout, repo string
		rows, files        int
		findings           []string
	}{
		{"shuffled.md", "gptq10", "someone/Tiny-GPTQ", 2, 0, nil}, // columns in another order, and two unknown ones
		{"eight-columns.md", "gptq8", "someone/Old-GPTQ", 2, 0, []string{"DESC_REF_ABSENT"}},
		{"files.md", "gptq-files", "someone/First-GPTQ", 0, 1, []string{"FILE_NAME", "CMD_NAME", "FOREIGN_FILE"}},
		{"decoys.md", "none", "", 0, 0, []string{"DECOY_TABLE"}}, // tables of speed, memory and training; a table in a code block
		{"broken-front.md", "gptq10", "someone/Tiny-GPTQ", 1, 0, []string{"FRONT_MATTER"}},
		{"empty.md", "none", "", 0, 0, nil},
	}
	for _, tt := range tests {
		c := readCard(t, tt.file)
		repo := ""
		if c.Repo != nil {
			repo = *c.Repo
		}
		if c.Layout != tt.layout || repo != tt.repo || len(c.Rows) != tt.rows || len(c.Files) != tt.files || !slices.Equal(codes(c), tt.findings) {
			t.Errorf("%s: got %s", tt.file, asJSON(t, c))
		}
	}
	// A script may always range over the lists.
	if got, want := asJSON(t, Parse(nil)), `{"layout":"none","repo":null,"rows":[],"files":[],"findings":[],"decoy_tables":0,"decoys":[],`+
		`"repositories":[],"base_model":[],"model_type":null,"quantized_by":null,"prompt_template_name":null}`; got != want {
		t.Errorf("empty card: got %s, want %s", got, want)
	}
	c := readCard(t, "shuffled.md")
	if r := c.Rows[1]; r.Branch != "gptq-8bit--1g-actorder_True" || *r.Bits != 8 || r.GroupSize != nil || *r.SizeBytes != 7_516_192_768 || *r.SeqLen != 4096 {
		t.Errorf("shuffled.md row 1: %s", asJSON(t, r))
	}
	if r := readCard(t, "files.md").Files[0]; r.File != "First-GPTQ-4bit-128g.no-act-order.safetensors" || *r.Bits != 4 || *r.GroupSize != 128 || *r.ActOrder || *r.Dataset != "c4" {
		t.Errorf("files.md: %s", asJSON(t, r))
	}
}

func TestCells(t *testing.T) {
	tests := []struct {
		cells string
		field func(Row) any
		want  string
	}{
		{"| main | 4 | 128 | Yes | 0.1 | c4 | 2048 | 7.26 GB | Yes | d |", func(r Row) any { return r.SizeBytes }, "7260000000"},
		{"| main | 4 | 128 | Yes | 0.1 | c4 | 2048 | 4.02 GB | Yes | d |", func(r Row) any { return r.SizeBytes }, "4020000000"}, // 4.02e9 in binary is a hair less
		{"| main | 4 | 128 | Yes | 0.1 | c4 | 2048 | 40.85GB | Yes | d |", func(r Row) any { return r.SizeBytes }, "40850000000"},
		{"| main | 4 | 128 | Yes | 0.1 | c4 | 2048 | ~1.5 GiB | Yes | d |", func(r Row) any { return r.SizeBytes }, "1610612736"},
		{"| main | 4 | 128 | Yes | 0.1 | c4 | 2048 | 2.09 MB | Yes | d |", func(r Row) any { return r.SizeBytes }, "2090000"},
		{"| main | 4 | 128 | Yes | 0.1 | c4 | 2048 | 7.26G | Yes | d |", func(r Row) any { return r.SizeBytes }, "7260000000"},
		{"| main | 4 | 128 | Yes | 0.1 | c4 | 2048 | 7260 M | Yes | d |", func(r Row) any { return r.SizeBytes }, "7260000000"},
		{"| main | 4 | 128 | Yes | 0.1 | c4 | 2048 | 7.26 | Yes | d |", func(r Row) any { return r.SizeBytes }, "null"}, // no unit
		{"| main | 4 | 128 | Yes | 0.1 | c4 | 2048 | 7,26 GB | Yes | d |", func(r Row) any { return r.SizeBytes }, "7260000000"},
		{"| main | 4 | 128 | Yes | 0.1 | c4 | 2048 | 7,2601 GB | Yes | d |", func(r Row) any { return r.SizeBytes }, "null"}, // neither decimals nor thousands
		{"| main | 4 | 128 | Yes | 0.1 | c4 | 2048 | 999999999999 TB | Yes | d |", func(r Row) any { return r.SizeBytes }, "null"},
		{"| main | 4 | -1 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | d |", func(r Row) any { return r.GroupSize }, "null"},
		{"| main | 4 | 32g | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | d |", func(r Row) any { return r.GroupSize }, "32"},
		{"| main | 4-bit | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | d |", func(r Row) any { return r.Bits }, "4"},
		{"| main | four | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | d |", func(r Row) any { return r.Bits }, "null"},
		{"| main | 4 | 32 | False | 0.1 | c4 | 2048 | 1 GB | Yes | d |", func(r Row) any { return r.ActOrder }, "false"},
		{"| main | 4 | 32 | maybe | 0.1 | c4 | 2048 | 1 GB | Yes | d |", func(r Row) any { return r.ActOrder }, "null"},
		{"| main | 4 | 32 | Yes | 0.1 | c4 | 16,384 | 1 GB | Yes | d |", func(r Row) any { return r.SeqLen }, "16384"},
		{"| main | 4 | 32 | Yes | 0.1 | c4 | 16K | 1 GB | Yes | d |", func(r Row) any { return r.SeqLen }, "16384"},
		{"| main | 4 | 32 | Yes | - | c4 | 2048 | 1 GB | Yes | d |", func(r Row) any { return r.Damp }, "null"},
		{"| main | 4 | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes", func(r Row) any { return r.Description }, "null"}, // short row, no closing pipe
		{`| main | 4 | 32 | Yes | 0.1 | a\|b | 2048 | 1 GB | Yes | d |`, func(r Row) any { return r.Dataset }, `"a|b"`},
		{"| main | 4 | 32 | Yes | 0.1 | `a\\|b` | 2048 | 1 GB | Yes | d |", func(r Row) any { return r.Dataset }, `"a|b"`},
		{"| main | 4 | 32 | Yes | 0.1 | A &amp; <b>B</b> | 2048 | 1 GB | Yes | d |", func(r Row) any { return r.Dataset }, `"A \u0026 B"`},
		{"| **main** | 4 | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | see **here** |", func(r Row) any { return r.Branch + " " + *r.Description }, `"main see **here**"`},
		{"| main | int4 | keine | Ja | 0.1 | c4 | 2048 | 4,16 Go | 1 | d |", func(r Row) any { return []any{r.Bits, r.GroupSize, r.ActOrder, r.SizeBytes, r.ExLlama} }, "[4,null,true,4160000000,true]"},
		{"| main | 8位 | 无 | 否 | 0.1 | c4 | 2048 | 7260 MB | 0 | d |", func(r Row) any { return []any{r.Bits, r.GroupSize, r.ActOrder, r.SizeBytes, r.ExLlama} }, "[8,null,false,7260000000,false]"},
		// Escapes as characters, as entities, and what only looks harmless.
		{"| ma\x1b[31min | 4 | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | d |", func(r Row) any { return r.Branch }, `"main"`},
		{"| ma&#27;[31min | 4 | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | d |", func(r Row) any { return r.Branch }, `"main"`},
		{"| main | 4 | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | x\x1b]8;;http://e\x07y\u009bz\u202ea\u200bb |", func(r Row) any { return r.Description }, `"xyzab"`},
	}
	for _, tt := range tests {
		r, c := row10(t, tt.cells)
		if got := asJSON(t, tt.field(r)); got != tt.want {
			t.Errorf("%q: got %s, want %s (%v)", tt.cells, got, tt.want, c.Findings)
		}
	}
	_, c := row10(t, "| main | four | 0 | maybe | x | c4 | long | 7,2601 GB | perhaps | d |")
	if want := slices.Repeat([]string{"CELL"}, 7); !slices.Equal(codes(c), want) {
		t.Errorf("unreadable cells: %v", c.Findings)
	}
}

func TestRowsThatAreNone(t *testing.T) {
	c := Parse([]byte(head10 + "|  | 4 | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | no branch |\n" +
		"| main | 4 | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | first |\n| main | 8 | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | second |\n"))
	if len(c.Rows) != 1 || *c.Rows[0].Description != "first" || !slices.Equal(codes(c), []string{"ROW_TWICE"}) {
		t.Errorf("got %s", asJSON(t, c))
	}
	if c := Parse([]byte(head10)); c.Layout != "none" {
		t.Errorf("a table without rows: %s", asJSON(t, c))
	}
	// CR LF line ends and a byte order mark change nothing.
	md := "\ufeff" + strings.ReplaceAll("---\nquantized_by: x\n---\n\n"+head10+"| main | 4 | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | d |\n", "\n", "\r\n")
	if c := Parse([]byte(md)); len(c.Rows) != 1 || str(c.QuantizedBy) != "x" || *c.Rows[0].Description != "d" {
		t.Errorf("CR LF: %s", asJSON(t, c))
	}
}

func TestReadFrom(t *testing.T) {
	tests := []struct {
		name, card, repo string
		findings         []string
	}{
		{"names none", "# A model\n", "a/b", nil},
		{"names the same", "```\ngit clone https://huggingface.co/a/b-GPTQ\n```\n", "A/b-gptq", nil}, // the hub takes either case
		{"a copy", "# x GPTQ\n```\ngit clone https://huggingface.co/other/x-GPTQ\n```\n", "a/b", []string{"OTHER_REPO"}},
		{"a guess", "---\ntags: [owl]\n---\n# Owl-7B-Int4\n", "a/b", nil}, // the guess is given up
	}
	for _, tt := range tests {
		c := Parse([]byte(tt.card))
		c.ReadFrom(tt.repo)
		if c.Repo == nil || !slices.Equal(codes(c), tt.findings) || len(tt.findings) == 0 && !strings.EqualFold(*c.Repo, tt.repo) {
			t.Errorf("%s: repo %s, findings %v", tt.name, str(c.Repo), c.Findings)
		}
	}
	if c := Parse([]byte("---\ntags: [owl]\n---\n# Owl-7B-Int4\n")); str(c.Repo) != "Owl/Owl-7B-Int4" || !slices.Equal(codes(c), []string{"REPO_INFERRED"}) {
		t.Errorf("a title that is a repository's name: %s, %v", str(c.Repo), c.Findings)
	}
}

func TestFrontMatter(t *testing.T) {
	tests := []struct {
		name, md, base string
		findings       []string
	}{
		{"id", "---\nbase_model: a/b\n---\n", "a/b", nil},
		{"url", "---\nbase_model: https://huggingface.co/a/b\n---\n", "a/b", []string{"BASE_MODEL_URL"}},
		{"list", "---\nbase_model:\n- a/b\n- c/d\n---\n", "a/b", nil},
		{"ends with dots", "---\nbase_model: a/b\n...\n", "a/b", nil},
		{"number", "---\nbase_model: 7\n---\n", "", nil},
		{"empty list", "---\nbase_model: []\n---\n", "", nil},
		{"never ends", "---\nbase_model: a/b\n", "", nil},
		{"not at the start", "x\n---\nbase_model: a/b\n---\n", "", nil},
		{"broken", "---\nbase_model: [a\n---\n", "", []string{"FRONT_MATTER"}},
		{"no mapping", "---\n- a\n---\n", "", []string{"FRONT_MATTER"}},
		// Each alias doubles: nine lines would become gigabytes.
		{"aliases", "---\na: &a [x,x]\nb: &b [*a,*a]\nbase_model: a/b\n---\n", "a/b", []string{"FRONT_MATTER"}},
		{"deep", "---\na: " + strings.Repeat("{", 100) + "\n---\n", "", []string{"FRONT_MATTER"}},
		{"long", "---\na: b\n" + strings.Repeat("# a comment\n", maxFrontYAML/12) + "---\n", "", []string{"FRONT_MATTER"}},
	}
	for _, tt := range tests {
		c := Parse([]byte(tt.md))
		if base(c) != tt.base || !slices.Equal(codes(c), tt.findings) {
			t.Errorf("%s: base model %q, findings %v", tt.name, c.BaseModel, c.Findings)
		}
	}
}

func TestPromptTemplate(t *testing.T) {
	tests := []struct{ name, md, template, title string }{
		{"code block", "## Prompt template: Vicuna\n\n```\nUSER: {prompt}\nASSISTANT:\n```\n", "USER: {prompt}\nASSISTANT:\n", "Vicuna"},
		{"indented", "## Prompt format\n\n    {prompt}\n", "{prompt}\n", ""},
		{"front matter wins", "---\nprompt_template: '{prompt} !'\n---\n## Prompt template: X\n```\nother\n```\n", "{prompt} !", "X"},
		{"fence in the front matter", "---\nprompt_template: \"```\\n{prompt}\\n```\"\n---\n", "{prompt}\n", ""},
		{"next section's code", "## Prompt template: X\n\n## Download\n\n```\ngit clone\n```\n", "", "X"},
		{"escapes", "## Prompt template\n```\na\x1b[2Jb\n```\n", "ab\n", ""},
	}
	for _, tt := range tests {
		c := Parse([]byte(tt.md))
		if c.PromptTemplate != tt.template || str(c.PromptName) != tt.title {
			t.Errorf("%s: got %q, %q, want %q, %q", tt.name, str(c.PromptName), c.PromptTemplate, tt.title, tt.template)
		}
	}
}

func TestClean(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain ünï 日本 😀", "plain ünï 日本 😀"},
		{"a\tb\nc", "a\tb\nc"},
		{"a\x00\x07\x7f\u0085b", "ab"},
		{"\x1b[1;31mred\x1b[0m", "red"},
		{"\x1b]52;c;ZXZpbA==\x07x", "x"},         // would set the clipboard
		{"\x1b]8;;http://e\x1b\\x", "\\x"},       // ST is ESC and a backslash; the backslash is harmless
		{"\x1bPq#0\x1b\\", "\\"},                 // DCS
		{"\x1b[31", ""},                          // unfinished
		{"\x1b[3\u202e1m", "1m"},                 // no ASCII final byte
		{"\x1b", ""},                             // alone
		{"\u202eevil\u2066\u200f\ufeff", "evil"}, // bidirectional, zero width
		{"tag\U000e0041", "tag"},                 // invisible tag characters
		{"a\u2028b", "ab"},
		{"\xff\xfe", "\ufffd"},
	}
	for _, tt := range tests {
		if got := clean(tt.in); got != tt.want {
			t.Errorf("clean(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// What takes a Markdown parser quadratic time or worse is left out beforehand.
func TestTame(t *testing.T) {
	table := head10 + "| main | 4 | 32 | Yes | 0.1 | c4 | 2048 | 1 GB | Yes | d |\n\n"
	for name, wild := range map[string]string{
		"brackets":    strings.Repeat("[", maxCard),
		"links":       strings.Repeat("[a](\n", maxCard/5),
		"quotes":      strings.Repeat(">", maxCard),
		"lists":       strings.Repeat("- ", maxCard/2),
		"stars":       strings.Repeat("*a_ \n", maxCard/5),
		"wide table":  strings.Repeat("|a", 200) + "|\n" + strings.Repeat("|-", 200) + "|\n" + strings.Repeat("|\n", maxCard/4),
		"long table":  "|a|b|\n|-|-|\n" + strings.Repeat("|a|b|\n", maxCard/6),
		"one line":    strings.Repeat("a", 2*maxCard),
		"many lines":  strings.Repeat("a\n\n", maxCard/3),
		"deep indent": strings.Repeat(" ", 200) + "- a\n",
	} {
		c := Parse([]byte(table + wild))
		if len(c.Rows) != 1 || !slices.Contains(codes(c), "TRUNCATED") {
			t.Errorf("%s: %d rows, findings %v", name, len(c.Rows), c.Findings)
		}
	}
}

func safe(s string) bool {
	return utf8.ValidString(s) && clean(s) == s
}

// FuzzParse: no panic that Parse would have to catch, and nothing in the result
// that must not reach a terminal.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"llama-tales.md", "shuffled.md", "eight-columns.md", "files.md", "decoys.md", "broken-front.md"} {
		md, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(md)
	}
	cards, err := filepath.Glob("testdata/cards/*.md")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range cards {
		md, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(md)
	}
	for _, p := range wildInputs {
		f.Add(wildCard(p, 400))
	}
	f.Add([]byte(head10 + "| [a](https://huggingface.co/a/b/tree/c%1bd) | 4 | 32 | Yes | 0.1 | `a\\|` | 1 | 1 GB | Yes | &#x1b;[2J |"))
	f.Fuzz(func(t *testing.T, md []byte) {
		c := Parse(md)
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back any
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		checkStrings(t, back)
		for _, f := range c.Findings {
			if strings.Contains(f.Message, "breaks the parser") {
				t.Errorf("a parser panics: %v", f)
			}
		}
	})
}

func checkStrings(t *testing.T, v any) {
	switch v := v.(type) {
	case string:
		if !safe(v) {
			t.Errorf("%q must not reach a terminal", v)
		}
	case []any:
		for _, e := range v {
			checkStrings(t, e)
		}
	case map[string]any:
		for k, e := range v {
			checkStrings(t, k)
			checkStrings(t, e)
		}
	}
}

// A name means one column, and is written as headings are compared.
func TestColumnNames(t *testing.T) {
	seen := map[string]column{}
	for col, names := range columnNames {
		for _, name := range names {
			if other, twice := seen[name]; twice {
				t.Errorf("%q is a name of columns %d and %d", name, col, other)
			}
			seen[name] = col
			if got := headingOf(name).col; got != col || nameOf(name) != name {
				t.Errorf("%q is read as column %d, want %d", name, got, col)
			}
		}
	}
	tests := []struct {
		text string
		want heading
	}{
		{"**Act‑Order**", heading{col: colActOrder}}, // a hyphen that does not break
		{"GS / Group size", heading{col: colGroupSize}},
		{"Size[^1]", heading{col: colSize}},
		{"Size/GB", heading{col: colSize, unit: "GB"}},
		{"File size (MiB)", heading{col: colSize, unit: "MiB"}},
		{"Taille (Go)", heading{col: colSize, unit: "Go"}},
		{"VRAM (4k)", heading{col: colVRAM, context: "4k"}},
		{"16k context VRAM (GB)", heading{col: colVRAM, unit: "GB", context: "16k"}},
		{"VRAM", heading{col: colVRAM}},
		{"Speed (2048 tokens)", heading{unit: "2048 tokens"}},
		{"", heading{}},
	}
	for _, tt := range tests {
		tt.want.text = tt.text
		if got := headingOf(tt.text); got != tt.want {
			t.Errorf("%q: got %+v, want %+v", tt.text, got, tt.want)
		}
	}
}
