package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) storeFsckCommand() *cobra.Command {
	var q app.CheckRequest
	cmd := &cobra.Command{
		Use:        "fsck",
		SuggestFor: []string{"check", "doctor", "repair"},
		Short:      "Check that the store is as it should be",
		Long: `Check that everything in the store is as its format has it: every branch whole, every file
of the right length and with its list of parts, no mark or note without what it is for,
nothing foreign. It reads names and small files only: 'qbranch verify --all' hashes the
bytes. --fix repairs what can be repaired without losing anything; it never removes content.`,
		Example: `  qbranch store fsck
  qbranch store fsck --fix`,
		Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := r.open(0)
			if err != nil {
				return err
			}
			rep, err := a.StoreCheck(cmd.Context(), q)
			if rep == nil {
				return err
			}
			if r.json {
				if e := r.emit(fsckObject{"qbranch/store-fsck/v1", a.StoreDir(), *rep}); e != nil {
					return e
				}
				return err
			}
			for _, p := range rep.Findings {
				if !r.quiet || p.Severity == "fatal" {
					fmt.Fprintln(r.out, r.outColor.problemText(p))
				}
			}
			if !r.quiet {
				fmt.Fprintln(r.out, fsckText(a.StoreDir(), rep))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&q.Fix, "fix", false, "repair what can be repaired without losing anything")
	r.jsonFlag(cmd)
	return cmd
}

// fsckObject is the JSON of store fsck.
type fsckObject struct {
	Schema string `json:"schema"`
	Store  string `json:"store"`
	app.StoreCheckReport
}

// problemText is a problem and, below it, what to do.
func (p paint) problemText(f app.StoreProblem) string {
	word := string(f.Severity)
	switch {
	case f.Fixed:
		word = p.green("fixed")
	case word == "fatal":
		word = p.red(word)
	case word == "warn":
		word = p.yellow(word)
	}
	text := fmt.Sprintf("%s  %s", word, clean(f.Message))
	if f.Path != "" {
		text += fmt.Sprintf(" (%s: %s)", f.Code, clean(f.Path))
	} else {
		text += fmt.Sprintf(" (%s)", f.Code)
	}
	if f.Hint != "" && !f.Fixed {
		text += "\n       " + clean(f.Hint)
	}
	return text
}

// fsckText sums up a check.
func fsckText(dir string, rep *app.StoreCheckReport) string {
	damaged, warned := 0, 0
	for _, p := range rep.Findings {
		switch {
		case p.Fixed:
		case p.Severity == "fatal":
			damaged++
		case p.Severity == "warn":
			warned++
		}
	}
	text := fmt.Sprintf("checked %s: %s, %s of %s: ", dir, plural(rep.Branches, "branch"), plural(rep.Blobs, "file"), app.BytesText(rep.Bytes))
	if damaged+warned == 0 {
		text += "as it should be"
	} else {
		text += fmt.Sprintf("%d damaged, %s", damaged, plural(warned, "warning"))
	}
	if rep.Fixed > 0 {
		text += fmt.Sprintf(", %d fixed", rep.Fixed)
	}
	return text
}
