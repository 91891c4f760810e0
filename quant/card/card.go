package card

import (
	"fmt"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Row is one row of a provided-files table; nil means the card does not say.
// For GroupSize nil means none (the card's "None", -1 in the config).
type Row struct {
	Branch      string   `json:"branch"`
	Bits        *float64 `json:"bits"`
	GroupSize   *int     `json:"group_size"`
	ActOrder    *bool    `json:"act_order"`
	Damp        *float64 `json:"damp"` // as a fraction, also where the card says percent
	Dataset     *string  `json:"dataset"`
	SeqLen      *int     `json:"seq_len"`    // tokens
	SizeBytes   *int64   `json:"size_bytes"` // as printed: 10^9 for a GB, 2^30 for a GiB
	ExLlama     *bool    `json:"exllama"`
	Description *string  `json:"description"`

	Method      string           `json:"method,omitempty"` // where a row is not GPTQ, though the table might look so
	DatasetURL  string           `json:"dataset_url,omitempty"`
	MadeWith    string           `json:"made_with,omitempty"`     // gptq8: the quantising program
	HeadBits    *float64         `json:"lm_head_bits,omitempty"`  // exl2-vram
	VRAMBytes   map[string]int64 `json:"vram_bytes,omitempty"`    // context, "" where none is said → bytes in use
	HBits       *int             `json:"head_bits,omitempty"`     // links: the H of "H6"
	VBits       *int             `json:"vision_bits,omitempty"`   // links: the V of "V6"
	LinksToRepo string           `json:"links_to_repo,omitempty"` // the row's link leads to another repository than the card's

	File  string `json:"file,omitempty"`  // Card.Files only: the file's name
	Quant string `json:"quant,omitempty"` // gguf-files: "Q4_K_M", …
	Split *bool  `json:"split,omitempty"` // gguf-files: in several parts
}

// Finding is a remark about the card. The codes are listed in docs/findings.md.
type Finding struct {
	Code    string `json:"code"`
	Where   string `json:"where"` // a branch or file, or a place in brackets: "(text)"
	Message string `json:"message"`
}

// Decoy is a table that is none of quant branches of this repository, or not
// the one that was read. Its rows are not read.
type Decoy struct {
	Where   string   `json:"where"`   // the heading above it
	Kind    string   `json:"kind"`    // "benchmark", "speed", "memory", "training", "gguf", "awq", "exl2", "other", …
	Columns []string `json:"columns"` // as printed
	Rows    int      `json:"rows"`
}

// Gated is what a repository asks of somebody who wants its files.
type Gated struct {
	Heading     string   `json:"heading,omitempty"`
	Prompt      string   `json:"prompt,omitempty"` // the terms, as text of several lines
	Description string   `json:"description,omitempty"`
	Button      string   `json:"button,omitempty"`
	Fields      []string `json:"fields,omitempty"` // what has to be filled in
}

// Card is what was read.
type Card struct {
	Layout      string    `json:"layout"` // "gptq10", …, "none"
	Repo        *string   `json:"repo"`   // owner/name; nil when the card does not say
	Rows        []Row     `json:"rows"`   // quant branches
	Files       []File    `json:"files"`  // files, where a card lists files and not branches
	Findings    []Finding `json:"findings"`
	DecoyTables int       `json:"decoy_tables"`
	Decoys      []Decoy   `json:"decoys"` // the first of them

	// Repositories are pairs of a kind ("GPTQ", "GGUF", "original", …) and a
	// repository: the same model in other forms, this repository among them.
	Repositories [][2]string `json:"repositories"`

	BaseModel      []string `json:"base_model"` // owner/name, or as the card says
	ModelType      *string  `json:"model_type"`
	QuantizedBy    *string  `json:"quantized_by"`
	PromptName     *string  `json:"prompt_template_name"`      // "ChatML" of "Prompt template: ChatML"
	PromptTemplate string   `json:"prompt_template,omitempty"` // front matter's, else the card's code block
	Method         string   `json:"method,omitempty"`          // "gptq", "awq", …: what the whole card is about
	License        string   `json:"license,omitempty"`
	ModelName      string   `json:"model_name,omitempty"`
	ModelCreator   string   `json:"model_creator,omitempty"`
	ModelLink      string   `json:"model_link,omitempty"` // what cards had before base_model
	Pipeline       string   `json:"pipeline_tag,omitempty"`
	Languages      []string `json:"language,omitempty"`
	Gated          *Gated   `json:"gated,omitempty"`
}

// reader collects a card.
type reader struct {
	card  Card
	src   []byte // what goldmark parsed; nodes point into it
	docs  ast.Node
	title string   // the first heading
	tags  []string // of the front matter
	hub   []mention

	rowRepos []string // where the rows, or files, link to
	linked   []string // those of these links that lead to a branch or a file
}

func (r *reader) note(code, where, message string) {
	if len(r.card.Findings) < maxFindings {
		r.card.Findings = append(r.card.Findings, Finding{code, oneLine(where), oneLine(message)})
	}
}

// Parse never fails: what cannot be read is left out or becomes a finding.
func Parse(md []byte) *Card {
	r := &reader{card: Card{
		Layout: "none", Rows: []Row{}, Files: []File{}, Findings: []Finding{}, Decoys: []Decoy{},
		Repositories: [][2]string{}, BaseModel: []string{},
	}}
	front, body := splitFrontMatter(r.tame(md))
	r.guard("FRONT_MATTER", "(front matter)", func() { r.readFrontMatter(front) })
	r.src = mend(body)
	r.guard("UNREADABLE", "(card)", r.readBody)
	return &r.card
}

// guard keeps a panic of the YAML or Markdown parser from taking the program
// down: both are fed with whatever somebody uploaded.
func (r *reader) guard(code, where string, read func()) {
	defer func() {
		if p := recover(); p != nil {
			r.note(code, where, "cannot be read: it breaks the parser")
		}
	}()
	read()
}

func (r *reader) readBody() {
	md := goldmark.New(goldmark.WithExtensions(extension.Table))
	r.docs = md.Parser().Parse(text.NewReader(r.src))
	r.title = r.firstHeading()
	r.readPrompt()
	r.mentions()
	r.card.Method = r.methodOfCard()
	r.readTables()
	if r.card.Layout == "none" {
		r.readLinks()
	}
	r.findRepo()
	r.settleMethod()
	r.readSiblings()
	r.remark()
}

// ReadFrom says that the card is the one of a repository on the hub: it is the
// card's repository if the card names none, and a finding if it names another,
// as copies of other people's cards do.
func (c *Card) ReadFrom(repo string) {
	inferred := func(f Finding) bool { return f.Code == "REPO_INFERRED" }
	switch {
	case c.Repo == nil || slices.ContainsFunc(c.Findings, inferred):
		c.Repo = ptr(oneLine(repo))
		c.Findings = slices.DeleteFunc(c.Findings, inferred)
	case !strings.EqualFold(*c.Repo, repo):
		r := reader{card: *c}
		r.note("OTHER_REPO", "(card)", fmt.Sprintf("says that it belongs to %s, and was read from %s", *c.Repo, repo))
		c.Findings = r.card.Findings
	}
}

// Parameter is what of a row the finding is about: "bits", "group_size" or
// "act_order"; "" for other things.
func (f Finding) Parameter() string {
	switch f.Code {
	case "DESC_BITS":
		return "bits"
	case "DESC_GS":
		return "group_size"
	case "DESC_ACT":
		return "act_order"
	}
	return ""
}

// Formal says that a finding is about how the card is written and not about its
// branches, or that comparing the card with the repository says it better:
// somebody who chooses a branch need not know.
func (f Finding) Formal() bool {
	return slices.Contains([]string{
		"ARXIV_NUMBER", "BASE_MODEL_URL", "BRANCH_GRAMMAR", "CMD_NAME", "CRLF", "DECOY_TABLE", "EXLLAMA_TEXT", "NOT_BRANCHES", "NO_TABLE",
		"PROMPT_FENCE", "REPO_INFERRED", "ROW_NAME", "SEQ_LEN_ODD", "STRAY_BACKTICK", "TABLE_TWICE", "VRAM_NOT_SIZE", "WRONG_FLAG",
	}, f.Code)
}

func ptr[T any](v T) *T { return &v }

// str is what a pointer points to, "" for nil.
func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
