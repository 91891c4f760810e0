package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) pickCommand() *cobra.Command {
	var f fitFlags
	var rows rowFlags
	cmd := &cobra.Command{
		Use:        "pick REPO",
		GroupID:    groupFetch,
		SuggestFor: []string{"choose", "best"},
		Short:      "Print the best branch that fits, for scripts",
		Long: `Print the reference of the best branch that fits. Best is the highest quality to be expected: the
most bits; among those the smallest groups, none being worst; among those act-order; among
those the smallest file. A branch that cannot be what it claims (a fatal finding, not GPTQ), or
of which it is not known whether it fits, is never picked. When nothing fits the exit code is 10,
and the error names the nearest branch and what it lacks.`,
		Example: `  qbranch pick TheBloke/dolphin-2.5-mixtral-8x7b-GPTQ --vram 24GiB
  qbranch get "$(qbranch pick TheBloke/Llama-2-13B-chat-GPTQ --engine exllamav2)"
  qbranch pick TheBloke/Llama-2-13B-chat-GPTQ --vram 12GiB --ctx 8192 --bits 4 --json`,
		Args: args(1, 1, "a repository"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := app.ParseRef(args[0])
			if err != nil {
				return badArgument(err)
			}
			if ref.Revision != "" {
				return &usageError{msg: fmt.Sprintf("pick: %s names a branch", clean(args[0])),
					hint: fmt.Sprintf("'qbranch pick %s' picks one; 'qbranch fit %s' measures this one", ref.Repo, ref)}
			}
			var o app.PickOptions
			if o.Wanted, err = rows.wanted(); err != nil {
				return err
			}
			if o.FitOptions, err = r.fitOptions(cmd, &f); err != nil {
				return err
			}
			a, err := r.open(0)
			if err != nil {
				return err
			}
			p, err := a.Pick(cmd.Context(), ref.Repo, o)
			if err != nil {
				return err
			}
			if r.json {
				return r.emit(pickJSON(p))
			}
			fmt.Fprintln(r.out, p.Ref)
			for _, doubt := range p.Row.Doubts() {
				r.note("%s: %s", clean(p.Row.Branch), clean(doubt))
			}
			if codes := p.Row.Warnings(); len(codes) > 0 {
				r.note("%s: has warnings (%s): 'qbranch show %s' explains them", clean(p.Row.Branch), clean(strings.Join(codes, ", ")), clean(p.Ref.String()))
			}
			return nil
		},
	}
	f.register(cmd)
	rows.register(cmd)
	r.jsonFlag(cmd)
	return cmd
}

// pickObject is the JSON of pick.
type pickObject struct {
	Schema string       `json:"schema"`
	Ref    string       `json:"ref"`
	Repo   string       `json:"repo"`
	Picked app.FitRow   `json:"picked"`
	Passed []app.Passed `json:"passed"` // over: the others
}

func pickJSON(p *app.Pick) pickObject {
	return pickObject{"qbranch/pick/v1", p.Ref.String(), p.Report.Repo, p.Row, p.Passed}
}
