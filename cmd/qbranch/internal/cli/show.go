package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) showCommand() *cobra.Command {
	var f fitFlags
	var files, kernels bool
	cmd := &cobra.Command{
		Use:        "show REF|DIR",
		GroupID:    groupFetch,
		SuggestFor: []string{"info", "inspect", "describe"},
		Short:      "Show what is known of a branch: parameters, findings, memory, engines",
		Long: `Show all that is known of a branch, or of a folder, without its weights: what every source
says of its parameters, what is believed, and why; what different programs take it for; what is
wrong with it; the memory it needs; which engines load it; and what its card says. A folder and
a branch of the store are read from this machine, without a network. Of a repository it is main
that is shown.`,
		Example: `  qbranch show TheBloke/Llama-2-13B-chat-GPTQ:gptq-4bit-32g-actorder_True
  qbranch show ./Llama-2-13B-chat-GPTQ --files
  qbranch show TheBloke/Llama-2-13B-chat-GPTQ --vram 12GiB --ctx 4096`,
		Args:              args(1, 1, "a branch or a folder"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := app.ParseTarget(args[0])
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
			s, err := a.Show(cmd.Context(), t, o)
			if err != nil {
				return err
			}
			if r.json {
				return r.emit(showObject{"qbranch/show/v1", s})
			}
			fmt.Fprint(r.out, showText(s, r.outWidth(), files, kernels || r.verbose))
			if t.Dir == "" && t.Ref.Revision == "" && len(s.Siblings) > 1 {
				r.note("this is main: 'qbranch ls %s' lists all %d branches", clean(t.Ref.Repo.String()), len(s.Siblings))
			}
			return nil
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&files, "files", false, "list every file with its digest")
	cmd.Flags().BoolVar(&kernels, "engines", false, "list every kernel of every engine, with all reasons")
	r.jsonFlag(cmd)
	return cmd
}

// showObject is the JSON of show.
type showObject struct {
	Schema string `json:"schema"`
	*app.Shown
}

// showText is the page, section by section; width 0 is any width.
func showText(s *app.Shown, width int, files, kernels bool) string {
	var out strings.Builder
	section := func(title, body string) {
		if body != "" {
			fmt.Fprintf(&out, "\n%s\n%s", title, body)
		}
	}
	out.WriteString(wrapped(showHead(s), width, hang))
	section("parameters", parametersText(s.Branch, width))
	section("programs that take it for something else", wrapped(misledText(s), width, hang))
	section("findings", wrapped(findingsText(s), width, hang))
	section("memory", wrapped(estimateText(s, width), width, hang))
	section("engines", enginesText(s, width, kernels))
	if s.Card != nil {
		section("card", indent(cardFacts(s.Card)))
	}
	section("other branches", otherBranches(s, width))
	if files {
		section("files", filesText(s.Files))
	}
	return out.String()
}

// showHead says what it is, in a few lines.
func showHead(s *app.Shown) string {
	var out strings.Builder
	b := s.Branch
	name := s.Target
	if s.Repo != "" && b.Branch != "" {
		name = s.Repo + ":" + b.Branch
	}
	from := map[string]string{app.ShownHub: "as the hub has it", app.ShownStore: "from the store, without a network", app.ShownFolder: "a folder of this machine"}[s.From]
	if s.From == app.ShownFolder && name != s.Target {
		name += " in " + s.Target
	}
	fmt.Fprintf(&out, "%s", clean(name))
	if b.Commit != "" {
		fmt.Fprintf(&out, " at %s", short(b.Commit))
	}
	fmt.Fprintf(&out, ", %s\n", from)
	if b.Description != "" {
		fmt.Fprintf(&out, "  %s\n", clean(b.Description))
	}
	var facts []string
	if b.Bits != nil {
		facts = append(facts, fmt.Sprintf("%d bits", *b.Bits))
	}
	if b.GroupSize != nil {
		facts = append(facts, "groups: "+groupText(b.GroupSize))
	}
	if b.ActOrder != nil {
		facts = append(facts, "act-order: "+yesNo(b.ActOrder))
	}
	if b.WeightBytes > 0 {
		facts = append(facts, app.BytesText(b.WeightBytes)+" of weights")
	}
	facts = append(facts, fmt.Sprintf("%s, %s together", plural(b.Files, "file"), app.BytesText(b.TotalBytes)))
	if b.Local != "" {
		facts = append(facts, "here: "+localText(b))
	}
	fmt.Fprintf(&out, "  %s\n", strings.Join(facts, ", "))
	return out.String()
}

// misledText names the programs that believe something else than we do, or refuse
// what they read.
func misledText(s *app.Shown) string {
	var out strings.Builder
	for _, l := range s.Loaders {
		file := clean(l.File)
		switch {
		case l.Problem != "":
			fmt.Fprintf(&out, "  %s: %s\n", clean(l.Name), clean(l.Problem))
		case len(l.Misled) > 0:
			var takes []string
			for _, name := range l.Misled {
				takes = append(takes, clean(name)+" "+map[string]string{"bits": fmt.Sprint(l.Bits), "group_size": groupText(&l.GroupSize),
					"act_order": yesNo(l.ActOrder), "sym": yesNo(l.Sym), "format": clean(l.Format)}[name])
			}
			if file == "" {
				file = "its own defaults"
			}
			fmt.Fprintf(&out, "  %s: %s, by %s\n", clean(l.Name), strings.Join(takes, ", "), file)
		}
	}
	return out.String()
}

// findingsText is what is wrong, or worth knowing.
func findingsText(s *app.Shown) string {
	var out strings.Builder
	for _, f := range s.Findings {
		where := clean(f.Where)
		if where != "" {
			where += ": "
		}
		fmt.Fprintf(&out, "  %s %s: %s%s\n", f.Severity, clean(f.Code), where, clean(f.Message))
		if f.Hint != "" && f.Severity != app.Info {
			fmt.Fprintf(&out, "    %s\n", clean(f.Hint))
		}
	}
	for _, n := range s.Notes {
		if n.ToldBy(s.Findings) {
			continue
		}
		fmt.Fprintf(&out, "  note %s: %s\n", clean(n.Code), clean(n.Message))
	}
	for _, u := range s.Unread {
		fmt.Fprintf(&out, "  not read: %s\n", clean(u))
	}
	return out.String()
}

// estimateText is the estimate, term by term.
func estimateText(s *app.Shown, width int) string {
	e := s.Estimate
	if len(e.Terms) == 0 {
		if e.Why == "" {
			return ""
		}
		return "  not known: " + clean(e.Why) + "\n"
	}
	engine := "any engine"
	if e.Engine != "generic" {
		engine = e.Engine
	}
	out := fmt.Sprintf("  context %d, batch %d, %s cache, %s\n", e.Context, e.Batch, e.KV, clean(engine))
	columns := []column{{title: "  Term"}, {"Low", true}, {"Expected", true}, {"High GiB", true}, {title: "From"}, {title: "How"}}
	var rows [][]string
	for _, t := range e.Terms {
		rows = append(rows, []string{"  " + clean(t.Name), gib(t.Low), gib(t.Expected), gib(t.High), string(t.Source), clean(t.Formula)})
	}
	rows = append(rows, []string{"  need", gib(e.Need.Low), gib(e.Need.Expected), gib(e.Need.High), "", ""})
	out += tableWithin(columns, rows, width)
	for _, c := range e.Cards {
		out += fmt.Sprintf("  %s with %s: %s\n", clean(c.Card), app.GiBText(c.Available), verdictText(string(c.Verdict)))
	}
	if len(e.Cards) > 0 && e.MaxContext > 0 {
		out += fmt.Sprintf("  the most context that fits: %d\n", e.MaxContext)
	}
	for _, a := range e.Advice {
		out += "  " + verdictText(string(a.Verdict)) + " with " + clean(a.Text) + "\n"
	}
	switch {
	case e.Why == app.NoCard:
		out += "  --vram 24GiB says whether a card of that size is enough, and for which context\n"
	case e.Why != "":
		out += "  " + verdictText(string(e.Verdict)) + ": " + clean(e.Why) + "\n"
	}
	for _, note := range e.Notes {
		out += "  note: " + clean(note) + "\n"
	}
	return out
}

// indent moves text under its title.
func indent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("  " + line)
	}
	return out.String()
}

// enginesText is one line for each program, or for each of its kernels.
func enginesText(s *app.Shown, width int, kernels bool) string {
	if line := commonLine(s.Engines); line != "" {
		return wrapped("  "+line+"\n", width, hang)
	}
	var rows [][]string
	for _, f := range s.Engines {
		rows = append(rows, []string{"  " + clean(f.Name), clean(f.Line())})
		if !kernels || len(f.Kernels) < 2 && len(f.Why) < 2 {
			continue
		}
		for _, k := range f.Kernels {
			rows = append(rows, []string{"    " + clean(k.Name), string(k.Loads) + needs(k.Needs)})
			for _, why := range k.Why {
				rows = append(rows, []string{"", "  " + clean(why)})
			}
		}
	}
	if len(rows) == 0 {
		return ""
	}
	text := tableWithin([]column{{title: ""}, {title: ""}}, rows, width)
	_, body, _ := strings.Cut(text, "\n") // without the titles
	return body
}

// commonLine is the one thing that is said of every program, "" when they differ.
func commonLine(all []app.ProgramVerdict) string {
	for _, f := range all {
		if len(f.Why) != 1 || len(all[0].Why) != 1 || f.Why[0] != all[0].Why[0] || f.Loads != all[0].Loads {
			return ""
		}
	}
	if len(all) == 0 {
		return ""
	}
	loads := string(all[0].Loads)
	if loads == "no" {
		loads = "none"
	}
	return loads + ": " + clean(all[0].Why[0])
}

func needs(s string) string {
	if s == "" {
		return ""
	}
	return "; needs " + clean(s)
}

// otherBranches names the branches beside this one.
func otherBranches(s *app.Shown, width int) string {
	var names []string
	for _, name := range s.Siblings {
		if name != s.Branch.Branch {
			names = append(names, clean(name))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return wrapped("  "+strings.Join(names, ", ")+"\n", cmp.Or(width, 100), 0)
}

// filesText lists files, digests first: they are what is compared.
func filesText(files []app.ShownFile) string {
	var rows [][]string
	for _, f := range files {
		digest := unknown
		switch {
		case f.SHA256 != "":
			digest = "sha256:" + f.SHA256
		case f.GitOID != "":
			digest = "git:" + f.GitOID
		}
		held := ""
		if f.Held {
			held = "held"
		}
		rows = append(rows, []string{"  " + clean(f.Path), fmt.Sprint(f.Size), held, clean(digest)})
	}
	return table([]column{{title: "  File"}, {"Bytes", true}, {title: "Store"}, {title: "Digest"}}, rows)
}
