package cli

import (
	"fmt"
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
		Long: `Show what qbranch reads out of a model card: the table of provided files, the prompt
template, and remarks about what it could not make sense of. FILE is a README.md.`,
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
				return r.emit(cardJSON(c))
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
	app.Card
}

func cardJSON(c *app.Card) cardObject {
	o := cardObject{Schema: "qbranch/card/v1", Card: *c}
	o.Rows, o.Files, o.Findings = list(o.Rows), list(o.Files), list(o.Findings)
	return o
}

// cardText is the card's facts, its rows and the remarks.
func cardText(c *app.Card) string {
	var b strings.Builder
	fact := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-15s %s\n", name, clean(value))
		}
	}
	if c.Repo != nil {
		fact("repository", *c.Repo)
	}
	fact("base model", c.BaseModel)
	fact("quantised by", c.QuantizedBy)
	fact("licence", c.License)
	if c.PromptTemplate != "" {
		b.WriteString("prompt template\n")
		for line := range strings.Lines(cleanText(c.PromptTemplate)) {
			b.WriteString("    " + strings.TrimRight(line, "\n") + "\n")
		}
	}
	var rows [][]string
	for _, row := range slices.Concat(c.Rows, c.Files) {
		group := groupText(row.GroupSize)
		if row.GroupSize == nil && row.Bits != nil {
			group = "none" // a card's way of saying so
		}
		size := unknown
		if row.SizeBytes != nil {
			size = app.BytesText(*row.SizeBytes)
		}
		rows = append(rows, []string{clean(row.Branch), float(row.Bits), group, yesNo(row.ActOrder),
			float(row.Damp), number(row.SeqLen), size, words(row.Dataset)})
	}
	if len(rows) > 0 {
		b.WriteString("\n" + table([]column{{title: "Branch"}, {"Bits", true}, {"GS", true}, {title: "Act"},
			{"Damp", true}, {"Seq", true}, {"Size", true}, {title: "Dataset"}}, rows))
	}
	if len(rows) == 0 {
		b.WriteString("no table of branches found\n")
	}
	for _, f := range c.Findings {
		fmt.Fprintf(&b, "note: %s: %s (%s)\n", clean(f.Where), clean(f.Message), clean(f.Code))
	}
	return b.String()
}

func float(n *float64) string {
	if n == nil {
		return unknown
	}
	return strconv.FormatFloat(*n, 'g', -1, 64)
}

func words(s *string) string {
	if s == nil {
		return unknown
	}
	return clean(*s)
}
