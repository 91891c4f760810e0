package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) diffCommand() *cobra.Command {
	var f fitFlags
	cmd := &cobra.Command{
		Use:        "diff REF REF",
		GroupID:    groupFetch,
		SuggestFor: []string{"compare", "switch"},
		Short:      "Compare two branches: parameters, files, what switching costs",
		Long: `Compare two branches, of one repository or of two: their parameters side by side, the files
they share by content, the bytes that switching from the first to the second costs, the memory
they need, the engines that load one and not the other, and what is wrong with one only. Either
may be a folder. A second one that names no repository is a branch of the first's.`,
		Example: `  qbranch diff TheBloke/Llama-2-7B-GPTQ:main gptq-4bit-32g-actorder_True
  qbranch diff ./Llama-2-7B-GPTQ TheBloke/Llama-2-7B-GPTQ:main`,
		Args:              args(2, 2, "two branches or folders"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			sides, err := diffSides(args)
			if err != nil {
				return badArgument(err)
			}
			o, err := r.fitOptions(cmd, &f)
			if err != nil {
				return err
			}
			a, err := r.open(0)
			if err != nil {
				return err
			}
			d, err := a.Diff(cmd.Context(), sides[0], sides[1], o)
			if err != nil {
				return err
			}
			if r.json {
				return r.emit(diffObject{"qbranch/diff/v1", d})
			}
			fmt.Fprint(r.out, diffText(d, r.outWidth()))
			return nil
		},
	}
	f.register(cmd)
	r.jsonFlag(cmd)
	return cmd
}

// diffSides are the two that are compared. A second one that is neither a reference
// nor a folder is a branch of the first one's repository.
func diffSides(args []string) (sides [2]app.Target, err error) {
	for i := range sides {
		sides[i], err = app.ParseTarget(args[i])
		if err == nil {
			continue
		}
		if first := sides[0]; i == 1 && first.Dir == "" && first.Bundle == "" {
			of := app.Ref{Repo: first.Ref.Repo, Revision: args[1]}
			if branch, wrong := app.ParseRef(of.String()); wrong == nil && branch == of {
				sides[1], err = app.Target{Ref: of}, nil
			}
		}
		if err != nil {
			return sides, err
		}
	}
	return sides, nil
}

// diffObject is the JSON of diff.
type diffObject struct {
	Schema string `json:"schema"`
	*app.Diff
}

// diffText is the comparison; width 0 is any width.
func diffText(d *app.Diff, width int) string {
	var out strings.Builder
	for i, s := range []app.DiffSide{d.A, d.B} {
		fmt.Fprintf(&out, "%c  %s", 'A'+i, clean(s.Target))
		if s.Commit != "" {
			fmt.Fprintf(&out, " at %s", short(s.Commit))
		}
		fmt.Fprintf(&out, " (%s)\n", clean(s.From))
	}
	out.WriteString("\n" + diffParameters(d))
	out.WriteString("\n" + wrapped(diffFiles(d), width, len("switching ")+1))
	if len(d.Engines) > 0 {
		out.WriteString("\nengines that treat them differently\n")
		var rows [][]string
		for _, e := range d.Engines {
			why := ""
			if len(e.Why) > 0 {
				why = clean(e.Why[0])
			}
			rows = append(rows, []string{"  " + clean(e.Name), string(e.A), string(e.B), why})
		}
		out.WriteString(tableWithin([]column{{title: "  Engine"}, {title: "A"}, {title: "B"}, {title: "Because"}}, rows, width))
	}
	out.WriteString(wrapped(diffFindings(d), width, hang))
	return out.String()
}

// diffFindings is what is wrong with one side only, and what could not be read.
func diffFindings(d *app.Diff) string {
	var out strings.Builder
	for i, findings := range [][]app.Finding{d.FindingsA, d.FindingsB} {
		for _, f := range findings {
			fmt.Fprintf(&out, "only %c: %s %s: %s: %s\n", 'A'+i, f.Severity, clean(f.Code), clean(f.Where), clean(f.Message))
		}
	}
	for _, s := range []app.DiffSide{d.A, d.B} {
		for _, u := range s.Unread {
			fmt.Fprintf(&out, "not read: %s: %s\n", clean(s.Target), clean(u))
		}
	}
	return out.String()
}

// diffParameters lists parameters and needs side by side.
func diffParameters(d *app.Diff) string {
	mark := func(same bool) string {
		if same {
			return ""
		}
		return "differs"
	}
	var rows [][]string
	for _, p := range d.Parameters {
		if p.A == nil && p.B == nil {
			continue
		}
		rows = append(rows, []string{clean(p.Name), said(p.Name, p.A), said(p.Name, p.B), mark(p.Same)})
	}
	add := func(name, a, b string) { rows = append(rows, []string{name, a, b, mark(a == b)}) }
	a, b := d.A.Estimate, d.B.Estimate
	title, withContext := fmt.Sprintf("memory (context %d)", a.Context), a.Context != b.Context
	if withContext {
		title = "memory"
	}
	add(title, diffNeed(a, withContext), diffNeed(b, withContext))
	if a.Verdict != app.VerdictUnknown || b.Verdict != app.VerdictUnknown {
		add("most context", contextText(a), contextText(b))
	}
	return table([]column{{title: "Parameter"}, {title: "A"}, {title: "B"}, {title: ""}}, rows)
}

// diffNeed is the need of one side, with the context that it is for where the other
// side's is for another.
func diffNeed(e app.EstimateSummary, withContext bool) string {
	if e.Need.High == 0 {
		return unknown
	}
	text := gib(e.Need.Low) + "-" + app.GiBText(e.Need.High)
	if withContext {
		text += fmt.Sprintf(" for %d", e.Context)
	}
	if e.Verdict != app.VerdictUnknown {
		text += ", " + verdictText(string(e.Verdict))
	}
	return text
}

// diffFiles says what the two share, and what switching costs.
func diffFiles(d *app.Diff) string {
	var out strings.Builder
	line := func(what string, files []app.DiffFile) {
		if len(files) == 0 {
			return
		}
		var names []string
		for _, f := range files {
			name := clean(f.PathB)
			switch {
			case f.PathB == "":
				name = clean(f.PathA)
			case f.PathA != "" && f.PathA != f.PathB:
				name += " (" + clean(f.PathA) + ")"
			}
			names = append(names, name)
		}
		more := ""
		if len(names) > 8 {
			names, more = names[:8], fmt.Sprintf(" and %d more", len(names)-8)
		}
		fmt.Fprintf(&out, "%-10s %s%s\n", what, strings.Join(names, ", "), more)
	}
	line("shared", d.Shared)
	line("changed", d.Changed)
	line("only A", d.OnlyA)
	line("only B", d.OnlyB)
	line("unknown", d.Unknown)
	fmt.Fprintf(&out, "switching from A to B moves %s; %s are shared", app.BytesText(d.SwitchBytes), app.BytesText(d.SharedBytes))
	if d.FetchBytes != d.SwitchBytes {
		fmt.Fprintf(&out, "; as A is not all here, fetching B takes %s now", app.BytesText(d.FetchBytes))
	}
	out.WriteString("\n")
	return out.String()
}
