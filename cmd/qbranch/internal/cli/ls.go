package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) lsCommand() *cobra.Command {
	var o app.ListOptions
	var f lsFlags
	cmd := &cobra.Command{
		Use:        "ls REPO",
		GroupID:    groupFetch,
		SuggestFor: []string{"list", "branches"},
		Short:      "List the branches of a repository",
		Long: `List the branches of a repository: bits, group size (GS), act-order, size and commit, and
what the store holds of each. The size of the weights is the real one; the column Card is
what the model card says. Where card, name, config and files disagree, a note says so; --explain
shows for every parameter who says what, what is believed, and why.

With --fit the headers of the weights are read, too, to say which branches fit a graphics card
(--vram, --ctx and --sort vram mean --fit); "qbranch fit" says why others do not. --sort
quality puts the most bits first, then the smallest groups, then act-order; with --fit,
what is unusable comes last.`,
		Example: `  qbranch ls TheBloke/Llama-2-13B-chat-GPTQ
  qbranch ls TheBloke/Llama-2-13B-chat-GPTQ --all-refs
  qbranch ls TheBloke/Llama-2-13B-chat-GPTQ --fit --vram 12GiB --sort quality --bits 4
  qbranch ls TheBloke/Llama-2-13B-chat-GPTQ --json | jq -r '.branches[].branch'`,
		Args: args(1, 1, "a repository"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := app.ParseRef(args[0])
			if err != nil {
				return badArgument(err)
			}
			if ref.Revision != "" {
				return &usageError{msg: fmt.Sprintf("ls: %s names a branch", clean(args[0])),
					hint: fmt.Sprintf("'qbranch ls %s' lists all; 'qbranch show %s' tells about this one", ref.Repo, ref)}
			}
			l, err := r.list(cmd, ref.Repo, o, &f)
			if err != nil {
				return err
			}
			if r.json {
				return r.emit(lsObject{"qbranch/ls/v1", l})
			}
			fmt.Fprint(r.out, lsText(l, r.outWidth()))
			if o.AllSources {
				fmt.Fprint(r.out, lsExplained(l, r.outWidth()))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&o.AllSources, "explain", false, "show for every parameter who says what, what is believed, and why")
	cmd.Flags().BoolVar(&o.AllRefs, "all-refs", false, "list tags, conversions and pull requests, too")
	f.register(cmd)
	r.jsonFlag(cmd)
	return cmd
}

// lsFlags say which branches are shown, and how.
type lsFlags struct {
	fit     bool
	measure fitFlags
	sort    string
	rows    rowFlags
}

// rowFlags say which branches are wanted.
type rowFlags struct {
	bits     []int
	groups   []string
	actOrder string
	maxSize  string
}

func (f *rowFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.IntSliceVar(&f.bits, "bits", nil, "only branches of `N` bits (several with commas)")
	fl.StringSliceVar(&f.groups, "group", nil, "only branches with groups of `N`, or none")
	fl.StringVar(&f.actOrder, "act-order", "", "only branches with act-order, yes, or without it, no: `WHICH`")
	fl.StringVar(&f.maxSize, "max-size", "", "only branches with weight files of at most `SIZE`: 20GB, or 20")
}

func (f *lsFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.fit, "fit", false, "say which branches fit a graphics card")
	f.measure.registerCard(cmd)
	fl.StringVar(&f.sort, "sort", "", "sort by `WHAT`: "+strings.Join(app.Sorts(), ", "))
	f.rows.register(cmd)
}

// arrange checks what the flags say of the rows and their order.
func (f *lsFlags) arrange() (app.Arrange, error) {
	o := app.Arrange{Sort: f.sort}
	if f.sort != "" && !slices.Contains(app.Sorts(), f.sort) {
		return o, &usageError{msg: fmt.Sprintf("--sort %q: want one of %s", clean(f.sort), strings.Join(app.Sorts(), ", "))}
	}
	var err error
	o.Wanted, err = f.rows.wanted()
	return o, err
}

// wanted checks what the flags say of the rows.
func (f *rowFlags) wanted() (app.Wanted, error) {
	o := app.Wanted{Bits: f.bits}
	if f.maxSize != "" {
		var err error
		if o.MaxSize, err = app.ParseFileSize(f.maxSize); err != nil {
			return o, &usageError{msg: "--max-size: " + err.Error(), err: err}
		}
	}
	for _, text := range f.groups {
		n, err := strconv.Atoi(text)
		switch {
		case strings.EqualFold(text, "none") || n == -1:
			n = -1
		case err != nil || n < 1:
			return o, &usageError{msg: fmt.Sprintf("--group %q: want a group size, or none", clean(text))}
		}
		o.Groups = append(o.Groups, n)
	}
	switch f.actOrder {
	case "":
	case "yes", "no":
		with := f.actOrder == "yes"
		o.ActOrder = &with
	default:
		return o, &usageError{msg: fmt.Sprintf("--act-order %q: want yes or no", clean(f.actOrder))}
	}
	return o, nil
}

// list makes the listing that the flags ask for.
func (r *run) list(cmd *cobra.Command, repo app.RepoID, o app.ListOptions, f *lsFlags) (*app.Listing, error) {
	arrange, err := f.arrange()
	if err != nil {
		return nil, err
	}
	a, err := r.open(0)
	if err != nil {
		return nil, err
	}
	var l *app.Listing
	if f.fit || f.sort == "vram" || cmd.Flags().Changed("vram") || cmd.Flags().Changed("ctx") {
		fit, err := r.fitOptions(cmd, &f.measure)
		if err != nil {
			return nil, err
		}
		if l, _, err = a.ListFit(cmd.Context(), repo, o, fit); err != nil {
			return nil, err
		}
	} else if l, err = a.List(cmd.Context(), repo, o); err != nil {
		return nil, err
	}
	all := len(l.Branches)
	l.Arrange(arrange)
	if len(l.Branches) == 0 && all > 0 {
		r.note("none of %s is known to have %s", plural(all, "branch"), arrange.Text())
	}
	return l, nil
}

// lsObject is the JSON of ls.
type lsObject struct {
	Schema string `json:"schema"`
	*app.Listing
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
		if b.Fit != nil {
			rows[i] = slices.Insert(rows[i], fitColumn, lsFitCells(b.Fit)...)
		}
	}
	if len(l.Branches) > 0 && l.Branches[0].Fit != nil {
		columns = slices.Insert(columns, fitColumn, column{"Need GiB", true}, column{title: "Fits"})
	}
	var out strings.Builder
	text := table(columns, rows)
	if width > 0 && tableWidth(text) > width {
		commit := slices.IndexFunc(columns, func(c column) bool { return c.title == "Commit" })
		columns = slices.Delete(columns, commit, commit+1)
		for i := range rows {
			rows[i] = slices.Delete(rows[i], commit, commit+1)
		}
		text = table(columns, rows)
	}
	out.WriteString(text)
	out.WriteString(wrapped(lsNotes(l), width, hang))
	return out.String()
}

// lsNotes is what is to say of the rows, below them.
func lsNotes(l *app.Listing) string {
	var all remarks
	rows := make([]string, len(l.Branches))
	for i, b := range l.Branches {
		rows[i] = b.Branch
		if b.Error != "" {
			all.add("note", b.Branch, b.Error)
		}
	}
	for _, n := range l.Notes {
		all.add("note", n.Branch, fmt.Sprintf("%s (%s)", n.Message, n.Code))
	}
	return all.text(rows)
}

// fitColumn is where the columns of --fit stand.
const fitColumn = 6

// lsFitCells are the need, and the verdict: on a card, else in main memory.
func lsFitCells(f *app.FitRow) []string {
	need := unknown
	if n := f.Estimate.Need; n.High > 0 {
		need = gib(n.Low) + "-" + gib(n.High)
	}
	if f.CPU != nil {
		return []string{need, verdictText(string(f.OnCPU())) + " (RAM)"}
	}
	return []string{need, verdictText(string(f.Verdict))}
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
	switch {
	case b.Local != app.LocalPartial || b.TotalBytes <= 0:
	case b.LocalBytes >= b.TotalBytes:
		return "all files here"
	default:
		return fmt.Sprintf("partial %d%%", 100*b.LocalBytes/b.TotalBytes)
	}
	return clean(string(b.Local))
}
