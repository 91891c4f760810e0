package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) lsCommand() *cobra.Command {
	var o app.ListOptions
	cmd := &cobra.Command{
		Use:        "ls REPO",
		GroupID:    groupFetch,
		SuggestFor: []string{"list", "branches"},
		Short:      "List the branches of a repository",
		Long: `List the branches of a repository: bits, group size (GS), act-order, size and commit, and
what the store holds of each. The size of the weights is the real one; the column Card is
what the model card says. Where card, name, config and files disagree, a note says so.`,
		Example: `  qbranch ls TheBloke/Llama-2-13B-chat-GPTQ
  qbranch ls TheBloke/Llama-2-13B-chat-GPTQ --all-refs
  qbranch ls TheBloke/Llama-2-13B-chat-GPTQ --json | jq -r '.branches[].branch'`,
		Args: args(1, 1, "a repository"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := app.ParseRef(args[0])
			if err != nil {
				return badArgument(err)
			}
			if ref.Revision != "" {
				return &usageError{msg: fmt.Sprintf("ls: %s names a branch", clean(args[0])),
					hint: fmt.Sprintf("'qbranch ls %s' lists all; 'qbranch get %s' fetches this one", ref.Repo, ref)}
			}
			a, err := r.open(0)
			if err != nil {
				return err
			}
			l, err := a.List(cmd.Context(), ref.Repo, o)
			if err != nil {
				return err
			}
			if r.json {
				return r.emit(lsJSON(l))
			}
			fmt.Fprint(r.out, lsText(l, r.outWidth()))
			return nil
		},
	}
	cmd.Flags().BoolVar(&o.AllRefs, "all-refs", false, "list tags, conversions and pull requests, too")
	r.jsonFlag(cmd)
	return cmd
}

// lsObject is the JSON of ls.
type lsObject struct {
	Schema string `json:"schema"`
	app.Listing
}

// lsJSON has empty lists, not null, where there is nothing.
func lsJSON(l *app.Listing) lsObject {
	o := lsObject{Schema: "qbranch/ls/v1", Listing: *l}
	o.Branches, o.Notes = list(o.Branches), list(o.Notes)
	return o
}

// lsText is the table and its notes. A table that is wider than the terminal
// does without the commits; width 0 is any width.
func lsText(l *app.Listing, width int) string {
	unit, div := sizeUnit(l.Branches)
	columns := []column{{title: "Branch"}, {"Bits", true}, {"GS", true}, {title: "Act"},
		{"Size " + unit, true}, {"Card " + unit, true}, {title: "Commit"}, {title: "Local"}}
	rows := make([][]string, len(l.Branches))
	for i, b := range l.Branches {
		rows[i] = []string{clean(b.Branch), number(b.Bits), groupText(b.GroupSize), yesNo(b.ActOrder),
			sizeCell(b, div), cardCell(b.CardBytes, div), short(b.Commit), localText(b)}
	}
	var out strings.Builder
	text := table(columns, rows)
	if width > 0 && tableWidth(text) > width {
		const commit = 6
		columns = slices.Delete(columns, commit, commit+1)
		for i := range rows {
			rows[i] = slices.Delete(rows[i], commit, commit+1)
		}
		text = table(columns, rows)
	}
	out.WriteString(text)
	for _, b := range l.Branches {
		if b.Error != "" {
			fmt.Fprintf(&out, "note: %s: %s\n", clean(b.Branch), clean(b.Error))
		}
	}
	for _, n := range l.Notes {
		where := ""
		if n.Branch != "" {
			where = clean(n.Branch) + ": "
		}
		fmt.Fprintf(&out, "note: %s%s (%s)\n", where, clean(n.Message), clean(n.Code))
	}
	return out.String()
}

// sizeUnit picks one decimal unit for both columns of sizes, by the real sizes:
// what a card says may be far off.
func sizeUnit(rows []app.BranchRow) (unit string, div float64) {
	if slices.ContainsFunc(rows, func(b app.BranchRow) bool { return b.WeightBytes >= 1e9 }) {
		return "GB", 1e9
	}
	return "MB", 1e6
}

// unknown marks what nobody says.
const unknown = "?"

func number(n *int) string {
	if n == nil {
		return unknown
	}
	return fmt.Sprint(*n)
}

func groupText(n *int) string {
	if n != nil && *n < 0 {
		return "none"
	}
	return number(n)
}

func yesNo(b *bool) string {
	switch {
	case b == nil:
		return unknown
	case *b:
		return "yes"
	}
	return "no"
}

func sizeCell(b app.BranchRow, div float64) string {
	if b.Files == 0 {
		return unknown // the tree could not be read
	}
	if b.WeightBytes == 0 {
		return "-" // no safetensors files
	}
	return fmt.Sprintf("%.2f", float64(b.WeightBytes)/div)
}

func cardCell(n *int64, div float64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(*n)/div)
}

func short(commit string) string { return clean(commit[:min(7, len(commit))]) }

func localText(b app.BranchRow) string {
	if b.Local == app.LocalPartial && b.TotalBytes > 0 {
		return fmt.Sprintf("partial %d%%", 100*b.LocalBytes/b.TotalBytes)
	}
	return clean(string(b.Local))
}
