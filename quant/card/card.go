package card

import (
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
	Damp        *float64 `json:"damp"`
	Dataset     *string  `json:"dataset"`
	SeqLen      *int     `json:"seq_len"`
	SizeBytes   *int64   `json:"size_bytes"` // the printed decimal GB or MB, in bytes
	ExLlama     *bool    `json:"exllama"`
	Description *string  `json:"description"`

	DatasetURL string           `json:"dataset_url,omitempty"`
	MadeWith   string           `json:"made_with,omitempty"`    // gptq8: the quantising program
	HeadBits   *float64         `json:"lm_head_bits,omitempty"` // exl2-vram
	VRAMBytes  map[string]int64 `json:"vram_bytes,omitempty"`   // exl2-vram: context → bytes in use
	HBits      *int             `json:"head_bits,omitempty"`    // links: the H of "H6"
	VBits      *int             `json:"vision_bits,omitempty"`  // links: the V of "V6"

	File  string `json:"file,omitempty"`  // Card.Files only: the file's name
	Quant string `json:"quant,omitempty"` // gguf-files: "Q4_K_M", …
	Split *bool  `json:"split,omitempty"` // gguf-files: in several parts
}

// Finding is a remark about the card. The codes are listed in docs/findings.md.
type Finding struct {
	Code    string `json:"code"`
	Where   string `json:"where"`
	Message string `json:"message"`
}

// Card is what was read.
type Card struct {
	Layout   string    `json:"layout"` // "gptq10", …, "none"
	Repo     *string   `json:"repo"`   // owner/name; nil when the card does not say
	Rows     []Row     `json:"rows"`   // quant branches
	Files    []Row     `json:"files"`  // files, where a card lists files and not branches
	Findings []Finding `json:"findings"`

	PromptTemplate string `json:"prompt_template,omitempty"`      // front matter's, else the card's code block
	PromptName     string `json:"prompt_template_name,omitempty"` // "ChatML" of "Prompt template: ChatML"
	BaseModel      string `json:"base_model,omitempty"`           // the first, as owner/name
	License        string `json:"license,omitempty"`
	QuantizedBy    string `json:"quantized_by,omitempty"`
}

// reader collects a card.
type reader struct {
	card Card
	src  []byte // what goldmark parsed; nodes point into it
	docs ast.Node
}

func (r *reader) note(code, where, message string) {
	r.card.Findings = append(r.card.Findings, Finding{code, oneLine(where), oneLine(message)})
}

// Parse never fails: what cannot be read is left out or becomes a finding.
func Parse(md []byte) *Card {
	r := &reader{card: Card{Layout: "none", Rows: []Row{}, Files: []Row{}, Findings: []Finding{}}}
	front, body := splitFrontMatter(r.tame(md))
	r.guard("FRONT_MATTER", "(front matter)", func() { r.readFrontMatter(front) })
	r.src = body
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
	r.readPrompt()
	for _, t := range r.tables() {
		if r.readTable(t) {
			break
		}
	}
	if r.card.Layout == "none" {
		r.readFileList()
	}
	if r.card.Layout == "none" {
		r.readLinks()
	}
	if r.card.Repo == nil {
		r.findRepo()
	}
	r.remark()
}

// findRepo takes the repository from the list of sister repositories: the link
// whose text names the layout's method.
func (r *reader) findRepo() {
	method := ""
	switch r.card.Layout {
	case "gptq8", "gptq10", "gptq-files":
		method = "GPTQ"
	case "awq6":
		method = "AWQ"
	default:
		return
	}
	for _, l := range r.links(r.docs) {
		if l.kind == "" && strings.Contains(l.text, method) {
			r.card.Repo = ptr(l.repo)
			return
		}
	}
}

// setRepo keeps the first repository a table's links name.
func (r *reader) setRepo(repo string) {
	if r.card.Repo == nil && repo != "" {
		r.card.Repo = ptr(repo)
	}
}

func ptr[T any](v T) *T { return &v }
