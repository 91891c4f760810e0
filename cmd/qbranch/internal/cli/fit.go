package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// engineNames lists the programs that --engine takes, in lines of help.
func engineNames() string {
	var out strings.Builder
	width := len("--engine takes a program or one of its kernels: ")
	for i, id := range app.EngineIDs(false) {
		if i > 0 {
			id = ", " + id
		}
		if width+len(id) > 94 {
			id, width = ",\n"+strings.TrimPrefix(id, ", "), 0
		}
		out.WriteString(id)
		width += len(id)
	}
	return out.String()
}

// fitFlags say what branches are measured against.
type fitFlags struct {
	vram, kv, engine string
	gpus, split      []string
	tensor, tight    bool
	context, batch   int
}

// registerCard adds what every question about memory needs.
func (f *fitFlags) registerCard(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.vram, "vram", "", "free memory of a card, `SIZE`: 23.5GiB; of A,B the freer (default: its own)")
	fl.Var((*tokenCount)(&f.context), "ctx", "context, `N` tokens: 8192 or 8k (default: the model's most, at most "+fmt.Sprint(app.DefaultContext)+")")
	f.batch = 1
}

// tokenCount is the value of a flag that counts tokens: k stands for 1024 of them.
type tokenCount int

func (n *tokenCount) String() string { return strconv.Itoa(int(*n)) }
func (n *tokenCount) Type() string   { return "tokens" }

func (n *tokenCount) Set(text string) error {
	number, unit := text, 1
	if cut, ok := strings.CutSuffix(strings.ToLower(text), "k"); ok {
		number, unit = cut, 1024
	}
	tokens, err := strconv.Atoi(number)
	if err != nil || tokens > math.MaxInt32/unit {
		return errors.New("want a number of tokens, such as 8192 or 8k")
	}
	*n = tokenCount(tokens * unit)
	return nil
}

func (f *fitFlags) register(cmd *cobra.Command) {
	f.registerCard(cmd)
	fl := cmd.Flags()
	fl.StringSliceVar(&f.gpus, "gpu", nil, "only these cards, `I,J`; of several, each takes whole layers")
	fl.StringSliceVar(&f.split, "split", nil, "several cards of these sizes, `A,B`; each takes whole layers")
	fl.BoolVar(&f.tensor, "tensor-parallel", false, "split every matrix over the cards, instead of laying layers on them")
	fl.IntVar(&f.batch, "batch", 1, "sequences at a time, `N`")
	fl.StringVar(&f.kv, "kv", "", "type of the KV cache, `T`: fp16, fp8, q8 or q4 (default: the engine's own)")
	fl.StringVar(&f.engine, "engine", "", "the program to run in, `E`: vllm, vllm/marlin, …; cpu is qbranch gen")
	fl.BoolVar(&f.tight, "allow-tight", false, "what fits tightly is good enough")
	completeFrom(cmd, "engine", app.EngineIDs(true))
	completeFrom(cmd, "kv", app.KVTypes())
}

// completeFrom lets a shell complete the value of a flag.
func completeFrom(cmd *cobra.Command, flag string, values []string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("qbranch: internal error: " + err.Error()) // there is no such flag
	}
}

// options checks what flags alone can tell.
func (r *run) fitOptions(cmd *cobra.Command, f *fitFlags) (app.FitOptions, error) {
	o := app.FitOptions{VRAM: f.vram, VRAMFrom: "--vram", GPUs: f.gpus, Context: f.context, Batch: f.batch, KV: f.kv, Engine: f.engine, AllowTight: f.tight,
		StateDir: app.StateDir(r.Getenv)}
	given := 0
	for _, name := range []string{"vram", "gpu", "split"} {
		if cmd.Flags().Changed(name) {
			given++
		}
	}
	switch {
	case given > 1:
		return o, &usageError{msg: "--vram, --gpu and --split exclude one another", hint: "--split 24GiB,24GiB describes two cards, --gpu 0,1 names two of this machine"}
	case cmd.Flags().Changed("ctx") && f.context < 1:
		return o, &usageError{msg: fmt.Sprintf("--ctx %d: want at least 1", f.context)}
	case f.batch < 1:
		return o, &usageError{msg: fmt.Sprintf("--batch %d: want at least 1", f.batch)}
	case cmd.Flags().Changed("vram") && f.vram == "":
		return o, &usageError{msg: "--vram: no size is given", hint: "is a variable empty that should hold it?"}
	}
	if given == 0 || len(f.gpus) > 0 { // of described cards, too, --gpu names some
		o.VRAM, o.VRAMFrom = r.Getenv("QBRANCH_VRAM"), "QBRANCH_VRAM"
	}
	if len(f.split) > 0 {
		o.VRAM, o.VRAMFrom = strings.Join(f.split, ","), "--split"
	}
	if len(f.split) > 1 || len(f.gpus) > 1 {
		o.Split = "layers"
	}
	if f.tensor {
		o.Split = "tensor"
	}
	return o, nil
}

// fitLong is what 'fit --help' says first.
func fitLong() string {
	return `Say which branches of a repository fit the memory of a graphics card, with how much context,
and what would make the others fit. Configurations and the headers of the weights are read, the
weights are not. What engines take beside weights and cache differs, so the need is a range:

  fits     the highest estimate is below the free memory
  tight    only the expected one is
  too big  neither is

--vram is what is free: on a card that is sold with 24 GB that is about 23.5GiB. Without a card the
need alone is shown, and whether main memory is enough for "qbranch gen". QBRANCH_VRAM=24GiB in
the environment stands for --vram 24GiB.

What is wrong with a branch is listed below the table: what its card, its name, its
configurations and its tensors contradict one another in. --explain shows every term of the
need, and where it comes from.

--measured 7968MiB, with --engine and a branch, records what that program was seen to take of
this kind of card: from then on its estimates are narrower. --forget-measured undoes that.

--engine takes a program or one of its kernels: ` + engineNames() + `.
What each of them loads, and why not, is in docs/engines.md.`
}

const fitExample = `  qbranch fit TheBloke/dolphin-2.5-mixtral-8x7b-GPTQ --vram 24GiB
  qbranch fit TheBloke/Llama-2-13B-chat-GPTQ --ctx 4096 --kv q8 --engine exllamav2
  qbranch fit TheBloke/Llama-2-70B-chat-GPTQ:main --split 24GiB,24GiB --explain`

func (r *run) fitCommand() *cobra.Command {
	var f fitFlags
	var rows rowFlags
	var explain, require, forget bool
	var measured string
	cmd := &cobra.Command{
		Use:               "fit REPO|REF",
		GroupID:           groupFetch,
		SuggestFor:        []string{"vram", "size", "estimate"},
		Short:             "Say which branches fit a graphics card, and why others do not",
		Long:              fitLong(),
		Example:           fitExample,
		Args:              args(1, 1, "a repository or a branch"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := app.ParseRef(args[0])
			if err != nil && isFolder(args[0]) {
				return &usageError{msg: "fit: " + clean(args[0]) + " is a folder", hint: "'qbranch show " + clean(args[0]) + " --vram 24GiB' measures it"}
			}
			if err != nil {
				return badArgument(err)
			}
			only, err := rows.wanted()
			if err != nil {
				return err
			}
			o, err := r.fitOptions(cmd, &f)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("measured") {
				if o.Measured, err = app.ParseSize(measured); err != nil {
					return &usageError{msg: "--measured: " + err.Error(), err: err}
				}
			}
			if o.Forget = forget; forget && o.Measured > 0 {
				return &usageError{msg: "--measured and --forget-measured exclude one another", hint: "forget first, then record"}
			}
			a, err := r.open(0)
			if err != nil {
				return err
			}
			report, err := a.Fit(cmd.Context(), ref, o)
			if err != nil {
				return err
			}
			report.Arrange(only, o.AllowTight)
			if r.json {
				err = r.emit(fitObject{"qbranch/fit/v1", report})
			} else {
				fmt.Fprint(r.out, fitText(report, r.outWidth(), explain))
			}
			if err == nil && require {
				err = report.Require(o.AllowTight)
			}
			return err
		},
	}
	f.register(cmd)
	rows.register(cmd)
	cmd.Flags().BoolVar(&explain, "explain", false, "show every term of the need, and where it comes from")
	cmd.Flags().BoolVar(&require, "require", false, "exit with code 10 when nothing fits")
	cmd.Flags().StringVar(&measured, "measured", "", "record that --engine took `SIZE` of the card with this branch and --ctx")
	cmd.Flags().BoolVar(&forget, "forget-measured", false, "forget what --engine was measured to take of this card")
	r.jsonFlag(cmd)
	return cmd
}

// isFolder reports whether an argument that is no reference is a folder here.
func isFolder(arg string) bool {
	t, err := app.ParseTarget(arg)
	return err == nil && t.Dir != ""
}

// fitObject is the JSON of fit.
type fitObject struct {
	Schema string `json:"schema"`
	*app.FitReport
}

// fitText is the table, what is to say of its rows, and the best of them.
func fitText(f *app.FitReport, width int, explain bool) string {
	var out strings.Builder
	for _, line := range fitHead(f) {
		out.WriteString(wrapped(clean(line)+"\n", width, hang))
	}
	columns := []column{{title: "Branch"}, {"Bits", true}, {"GS", true}, {title: "Act"}, {"Weights GiB", true}, {"Need GiB", true}}
	if len(f.Cards) > 0 {
		columns = append(columns, column{"Most context", true}, column{title: "Verdict"})
	} else {
		columns = append(columns, column{title: "In main memory"})
	}
	var rows [][]string
	for i := range f.Branches {
		rows = append(rows, fitCells(&f.Branches[i], len(f.Cards) > 0))
	}
	text := table(columns, rows)
	if width > 0 && tableWidth(text) > width {
		const weights = 4
		columns = slices.Delete(columns, weights, weights+1)
		for i := range rows {
			rows[i] = slices.Delete(rows[i], weights, weights+1)
		}
		text = table(columns, rows)
	}
	out.WriteString(text)
	best, more, _ := strings.Cut(fitBest(f), "\n")
	if best != "" {
		out.WriteString(best + "\n") // a command to copy is not broken
	}
	out.WriteString(wrapped(more+fitRemarks(f)+learntText(f), width, hang))
	if explain {
		for i := range f.Branches {
			out.WriteString(wrapped(explainText(&f.Branches[i], width), width, hang))
		}
	}
	return out.String()
}

// hang is how far a remark goes on to the right of where it began.
const hang = 4

// fitBest is how to fetch the best branch, "" where there is nothing to choose.
func fitBest(f *app.FitReport) string {
	switch {
	case len(f.Branches) < 2 || len(f.Cards) == 0:
		return ""
	case f.Best != "":
		i := slices.IndexFunc(f.Branches, func(r app.FitRow) bool { return r.Branch == f.Best })
		best := fmt.Sprintf("best: qbranch get %s:%s\n", clean(f.Repo), clean(f.Best))
		if doubts := f.Branches[i].Doubts(); len(doubts) > 0 {
			best += "      but " + clean(strings.Join(doubts, "; ")) + "\n"
		}
		return best
	}
	if near := f.Nearest(); near != nil && near.Verdict == app.VerdictTight {
		return fmt.Sprintf("best: none fits for certain; the nearest is %s, which is tight: --allow-tight takes it\n", clean(near.Branch))
	}
	return "best: none fits\n"
}

// learntText says what was recorded, or forgotten.
func learntText(f *app.FitReport) string {
	if m := f.Measured; m != nil {
		return fmt.Sprintf("recorded: %s took %s beyond weights and cache on %s\n", clean(m.Engine), app.GiBText(m.Overhead), clean(m.Card))
	}
	switch n := f.Forgotten; {
	case n == nil:
		return ""
	case *n == 0:
		return "forgotten: nothing, since nothing was measured\n"
	case *n == 1:
		return "forgotten: 1 measurement\n"
	default:
		return fmt.Sprintf("forgotten: %d measurements\n", *n)
	}
}

// fitHead says what the branches are measured against, in lines.
func fitHead(f *app.FitReport) []string {
	engine := cmp.Or(f.Engine, "any engine")
	if len(f.Branches) == 0 {
		return []string{"no branches"}
	}
	e := f.Branches[0].Estimate
	what := fmt.Sprintf("context %d, %s cache, %s", e.Context, e.KV, engine)
	if e.Batch > 1 {
		what += fmt.Sprintf(", batch %d", e.Batch)
	}
	switch {
	case len(f.Cards) == 0 && f.RAM != nil:
		lines := []string{"no graphics card found (--vram 24GiB describes one): " + what}
		if f.NoCard != "" {
			lines = append(lines, "reason: "+f.NoCard+"; 'qbranch gpu' says more")
		}
		return append(lines, "Need is on a card; the last column is qbranch gen on the CPU, main memory "+freeText(f.RAM))
	case len(f.Cards) == 0:
		return []string{"no graphics card known (--vram 24GiB describes one): " + what}
	case len(f.Cards) == 1 && f.Split == "tensor":
		what += ", one card: nothing to split"
	case f.Split == "tensor":
		what += fmt.Sprintf(", tensor parallel over %d cards", len(f.Cards))
	case f.Split != "" && len(f.Cards) > 1:
		what += fmt.Sprintf(", layers laid on %d cards", len(f.Cards))
	case len(f.Cards) > 1 && f.Memory == app.MemoryGPU:
		what += ", on the one card with the most free (--gpu I,J uses several)"
	case len(f.Cards) > 1:
		what += ", on the one card with the most free (--split uses all)"
	}
	if f.Memory == app.MemoryRAM {
		return []string{f.MemoryText() + ": " + what}
	}
	whose := f.Memory
	if f.Memory == app.MemoryGPU {
		whose = f.CardNames()
	}
	memory := f.MemoryText() + " free (" + whose + ")"
	if e.Fills > 0 {
		memory += ", of which " + f.Engine + " takes " + app.GiBText(e.Fills)
		if len(f.Cards) > 1 {
			memory += " of a card"
		}
	}
	return []string{memory + ": " + what}
}

// freeText is what is free of a memory.
func freeText(c *app.FitCard) string {
	if c.Free < 0 {
		return "free: not known"
	}
	return app.GiBText(c.Free) + " free"
}

func fitCells(r *app.FitRow, cards bool) []string {
	need := unknown
	if n := r.Estimate.Need; n.High > 0 {
		need = gib(n.Low) + "-" + gib(n.High)
	}
	weights := unknown
	if r.Bytes > 0 {
		weights = gib(r.Bytes)
	}
	if weights == gib(0) {
		weights = "<0.01"
	}
	q := r.Settled
	cells := []string{clean(r.Branch), number(value(q.Bits)), groupText(value(q.GroupSize)), yesNo(value(q.ActOrder)), weights, need}
	if !cards {
		return append(cells, verdictText(string(r.OnCPU())))
	}
	return append(cells, contextCell(r), verdictText(string(r.Verdict)))
}

// contextCell is the most context that fits; in brackets when it fits only at
// the expected need.
func contextCell(r *app.FitRow) string {
	switch e := r.Estimate; {
	case r.Verdict == app.VerdictUnusable:
		return "-"
	case r.Verdict == app.VerdictUnknown && e.MaxContextTight == 0:
		return unknown
	default:
		return contextText(e.Summary)
	}
}

func contextText(e app.EstimateSummary) string {
	switch {
	case e.MaxContext > 0:
		return fmt.Sprint(e.MaxContext)
	case e.MaxContextTight > 0:
		return fmt.Sprintf("(%d)", e.MaxContextTight)
	}
	return "none"
}

// value is what a parameter is believed to be, nil when nobody says.
func value[T any](s *app.Sourced[T]) *T {
	if s == nil {
		return nil
	}
	return &s.Value
}

func verdictText(v string) string { return strings.ReplaceAll(v, "_", " ") }

// gib is a number of bytes without its unit, GiB.
func gib(n int64) string { return strings.TrimSuffix(app.GiBText(n), " GiB") }

// remarks are lines below the table; one that is of several branches is told once.
type remarks []*remark

type remark struct {
	kind, text string
	branches   []string
}

func (all *remarks) add(kind, branch, text string) {
	for _, t := range *all {
		if t.kind == kind && t.text == text {
			t.branches = append(t.branches, branch)
			return
		}
	}
	*all = append(*all, &remark{kind, text, []string{branch}})
}

// text is "kind: branches: text", a line each. rows are the branches of the table
// above: one that stands alone there need not be named.
func (all remarks) text(rows []string) string {
	var out strings.Builder
	for _, t := range all {
		where := strings.Join(t.branches, ", ") + ": "
		ofAll := len(t.branches) == len(rows) && !slices.ContainsFunc(rows, func(b string) bool { return !slices.Contains(t.branches, b) })
		switch n := len(t.branches); {
		case t.branches[0] == "", ofAll && n == 1:
			where = ""
		case ofAll:
			where = "all branches: "
		case n > 8:
			where = fmt.Sprintf("%s and %d more: ", strings.Join(t.branches[:4], ", "), n-4)
		}
		fmt.Fprintf(&out, "%s: %s\n", t.kind, clean(where+t.text))
	}
	return out.String()
}

// fitRemarks says why branches do not fit and what would make them, which engines
// load them, and what is wrong with them.
func fitRemarks(f *app.FitReport) string {
	var all remarks
	for i := range f.Branches {
		r := &f.Branches[i]
		if why := whyText(r, len(f.Branches) == 1); why != "" && (len(f.Cards) > 0 || r.Verdict == app.VerdictUnusable) {
			all.add(verdictText(string(r.Verdict)), r.Branch, why)
		}
		for _, u := range r.Unread {
			all.add("not read", r.Branch, u)
		}
		if r.ByFiles() {
			all.add("weights", r.Branch, "by the sizes of the files, since not all headers could be read")
		}
	}
	for i := range f.Branches {
		r := &f.Branches[i]
		switch e := r.Engine; {
		case r.Verdict == app.VerdictUnusable, r.Verdict == app.VerdictTooBig && len(f.Branches) > 1:
		case e == nil:
			all.add("engines", r.Branch, r.EngineSummary())
		case len(e.Why) > 0:
			all.add("engine", r.Branch, fmt.Sprintf("%s: %s", e.Name, strings.Join(e.Why, "; ")))
		}
	}
	told := map[string][]app.Finding{}
	for _, r := range f.Branches {
		told[r.Branch] = r.Findings
		for _, finding := range r.Findings {
			if text := app.FindingText(finding); finding.Severity != app.Info && text != r.Why { // else that is said
				all.add(string(finding.Severity), r.Branch, strings.TrimPrefix(text, r.Branch+": "))
			}
		}
	}
	for _, r := range f.Branches {
		for _, n := range r.Estimate.Notes {
			if r.Verdict != app.VerdictUnusable {
				all.add("note", r.Branch, n)
			}
		}
	}
	for _, n := range f.Notes {
		if !n.ToldBy(told[n.Branch]) {
			all.add("note", n.Branch, fmt.Sprintf("%s (%s)", n.Message, n.Code))
		}
	}
	rows := make([]string, len(f.Branches))
	for i := range f.Branches {
		rows[i] = f.Branches[i].Branch
	}
	return all.text(rows)
}

// whyText says why a branch does not fit, and what would make it; "" when it does.
func whyText(r *app.FitRow, alone bool) string {
	if r.Verdict == app.VerdictFits {
		return ""
	}
	text := r.Why
	if help := r.Help(alone); len(help) > 0 {
		text += "; would fit with " + strings.Join(help[:min(2, len(help))], ", or ")
	}
	return text
}

// explainText is every term of the need.
func explainText(r *app.FitRow, width int) string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s\n", clean(r.Branch))
	columns := []column{{title: "  Term"}, {"Low", true}, {"Expected", true}, {"High GiB", true}, {title: "From"}, {title: "How"}}
	var rows [][]string
	for _, t := range r.Estimate.Terms {
		rows = append(rows, []string{"  " + clean(t.Name), gib(t.Low), gib(t.Expected), gib(t.High), string(t.Source), clean(t.Formula)})
	}
	n := r.Estimate.Need
	rows = append(rows, []string{"  need", gib(n.Low), gib(n.Expected), gib(n.High), "", ""})
	out.WriteString(tableWithin(columns, rows, width))
	for _, s := range r.Estimate.Cards {
		fmt.Fprintf(&out, "  %s: %s\n", clean(s.Card), shareText(&s))
	}
	for _, a := range r.Estimate.Advice {
		fmt.Fprintf(&out, "  %s with %s\n", verdictText(string(a.Verdict)), clean(a.Text))
	}
	for _, e := range r.Engines {
		line := string(e.Loads)
		if len(e.Why) > 0 {
			line += ": " + strings.Join(e.Why, "; ")
		}
		fmt.Fprintf(&out, "  %s: %s\n", clean(e.Name), clean(line))
	}
	for _, p := range []struct{ name, value, source string }{
		sourced("bits", r.Settled.Bits), sourced("groups", groupWords(r.Settled.GroupSize)), sourced("act-order", r.Settled.ActOrder),
		sourced("symmetric", r.Settled.Sym), sourced("format", r.Settled.Format),
	} {
		if p.value != "" {
			fmt.Fprintf(&out, "  %s %s, from %s\n", p.name, clean(p.value), clean(p.source))
		}
	}
	return out.String()
}

// shareText is what a card bears: "weights 9.90 GiB, cache 0.23 GiB, layers 0 to
// 13; in all 11.00 to 12.00 of 24.00 GiB: fits".
func shareText(s *app.FitShare) string {
	text := fmt.Sprintf("weights %s, cache %s", app.GiBText(s.Weights), app.GiBText(s.KV))
	if s.Layers > 0 {
		text += fmt.Sprintf(", layers %d to %d", s.First, s.First+s.Layers-1)
	}
	return text + fmt.Sprintf("; in all %s to %s of %s: %s", gib(s.Need.Low), gib(s.Need.High), app.GiBText(s.Available), verdictText(string(s.Verdict)))
}

// groupWords is a group size as a table has it.
func groupWords(s *app.Sourced[int]) *app.Sourced[string] {
	if s == nil {
		return nil
	}
	return &app.Sourced[string]{Value: groupText(&s.Value), Source: s.Source}
}

func sourced[T any](name string, s *app.Sourced[T]) struct{ name, value, source string } {
	if s == nil {
		return struct{ name, value, source string }{name: name}
	}
	return struct{ name, value, source string }{name, fmt.Sprint(s.Value), s.Source}
}
