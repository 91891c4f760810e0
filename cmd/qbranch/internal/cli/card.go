package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) cardCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "card FILE|REPO",
		GroupID: groupFetch,
		Short:   "Show what a model card says",
		Long: `Show what qbranch reads out of a model card: the branches or files it provides, the prompt
template, the same model's other repositories, what it asks of those who want the files, the
tables that list something else, and remarks about what does not hold together or cannot be
read. FILE is a README.md, or a folder that has one. What the card says is compared with
itself only: qbranch ls compares it with the repository.`,
		Example: `  qbranch card TheBloke/Llama-2-13B-chat-GPTQ
  qbranch card ./README.md --json`,
		Args: args(1, 1, "a file or a repository"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := r.open(0)
			if err != nil {
				return err
			}
			c, err := a.Card(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if r.json {
				return r.emit(cardObject{"qbranch/card/v1", c})
			}
			fmt.Fprint(r.out, cardText(c))
			return nil
		},
	}
	r.jsonFlag(cmd)
	return cmd
}

// cardObject is the JSON of card.
type cardObject struct {
	Schema string `json:"schema"`
	*app.Card
}

// cardText is the card's facts, its rows and the remarks.
func cardText(c *app.Card) string { return cardFacts(c) + cardTables(c) }

// cardFacts is what the card says of the whole repository.
func cardFacts(c *app.Card) string {
	var b strings.Builder
	fact := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-15s %s\n", name, clean(value))
		}
	}
	fact("repository", deref(c.Repo))
	method := c.Method
	if method != "" && method != "gptq" {
		method += ", not GPTQ"
	}
	fact("method", method)
	fact("base model", strings.Join(c.BaseModel, ", "))
	if len(c.BaseModel) == 0 {
		fact("base model", c.ModelLink)
	}
	fact("model type", deref(c.ModelType))
	fact("quantised by", deref(c.QuantizedBy))
	fact("licence", c.License)
	fact("languages", strings.Join(c.Languages, ", "))
	for _, r := range c.Repositories {
		if c.Repo == nil || r[1] != *c.Repo {
			if r[0] == "original" {
				fact("original model", r[1])
			} else {
				fact("also as "+r[0], r[1])
			}
		}
	}
	if g := c.Gated; g != nil {
		fact("asks for", strings.Join(g.Fields, ", "))
		if text := strings.TrimSpace(g.Prompt + "\n" + g.Description); text != "" {
			b.WriteString(block("terms "+g.Heading, text+"\n"))
		} else {
			fact("terms", g.Heading)
		}
	}
	b.WriteString(block("prompt template "+deref(c.PromptName), c.PromptTemplate))
	return b.String()
}

// cardTables is what the card says of branches or files, and the remarks.
func cardTables(c *app.Card) string {
	var b strings.Builder
	if rows := cardRows(c); rows != "" {
		b.WriteString("\n" + rows)
	} else {
		b.WriteString("no table of branches found\n")
		if cardFacts(c) == "" {
			b.WriteString("nothing of a model card was found: is this one?\n")
		}
	}
	if c.DecoyTables > 0 {
		b.WriteString("\nnot read:\n")
	}
	for _, d := range c.Decoys {
		fmt.Fprintf(&b, "  %s: %s (%s)\n", clean(d.Where), clean(strings.Join(named(d.Columns), ", ")), clean(d.Kind))
	}
	notes := ""
	for _, f := range c.Findings {
		if f.Code != "DECOY_TABLE" { // listed above
			notes += fmt.Sprintf("note: %s: %s (%s)\n", clean(f.Where), clean(f.Message), clean(f.Code))
		}
	}
	if notes != "" {
		b.WriteString("\n" + notes)
	}
	return b.String()
}

// named leaves out columns without a title.
func named(columns []string) []string {
	return slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return c == "" })
}

// block is a text of several lines under its name, "" for none.
func block(name, text string) string {
	if text == "" {
		return ""
	}
	b := strings.TrimSpace(clean(name)) + "\n"
	for line := range strings.Lines(cleanText(text)) {
		b += "    " + strings.TrimRight(line, "\n") + "\n"
	}
	return b
}

// cardRows is the table of the card's branches or files; a column that no row
// says anything in is left out.
func cardRows(c *app.Card) string {
	rows, first := c.Listed(), "Branch"
	if len(c.Rows) == 0 {
		first = "File"
	}
	columns := []column{{title: first}, {title: "Method"}, {title: "Quant"}, {"Bits", true}, {"Head", true}, {"GS", true}, {title: "Act"},
		{"Damp", true}, {"Seq", true}, {"Size", true}, {title: "ExLlama"}, {title: "Dataset"}, {title: "Made with"}, {title: "In repository"}}
	vram := contexts(c)
	for _, c := range vram {
		columns = append(columns, column{strings.TrimSpace("VRAM " + clean(c)), true})
	}
	said := make([]bool, len(columns))
	var lines [][]string
	for _, row := range rows {
		group := groupText(row.GroupSize)
		if row.GroupSize == nil && row.Bits != nil && strings.HasPrefix(c.Layout, "gptq") {
			group = "none" // a card's way of saying so
		}
		name := row.Branch
		if row.File != "" {
			name = row.File
		}
		head := float(row.HeadBits)
		if row.HBits != nil {
			head = number(row.HBits)
		}
		line := []string{clean(name), orUnknown(row.Method), orUnknown(row.Quant), float(row.Bits), head, group, yesNo(row.ActOrder), float(row.Damp),
			number(row.SeqLen), bytesOr(deref(row.SizeBytes), row.SizeBytes != nil), yesNo(row.ExLlama), orUnknown(deref(row.Dataset)), orUnknown(row.MadeWith), orUnknown(row.LinksToRepo)}
		for _, c := range vram {
			n, ok := row.VRAMBytes[c]
			line = append(line, bytesOr(n, ok))
		}
		for i, s := range line {
			said[i] = said[i] || s != unknown
		}
		lines = append(lines, line)
	}
	for i := len(columns) - 1; i >= 0; i-- {
		if said[i] {
			continue
		}
		columns = slices.Delete(columns, i, i+1)
		for n := range lines {
			lines[n] = slices.Delete(lines[n], i, i+1)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return table(columns, lines)
}

// contexts are those that the card says the memory for, short ones first.
func contexts(c *app.Card) []string {
	var list []string
	for _, row := range c.Listed() {
		list = slices.AppendSeq(list, maps.Keys(row.VRAMBytes))
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return slices.Compact(list)
}

func orUnknown(s string) string {
	if s == "" {
		return unknown
	}
	return clean(s)
}

// deref is what a pointer points to, the zero value for nil.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// bytesOr is a size for people, if it is known.
func bytesOr(n int64, known bool) string {
	if !known {
		return unknown
	}
	return app.BytesText(n)
}

func float(n *float64) string {
	if n == nil {
		return unknown
	}
	return strconv.FormatFloat(*n, 'g', -1, 64)
}
