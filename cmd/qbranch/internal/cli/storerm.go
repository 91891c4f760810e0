package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// removal are the flags of commands that remove.
type removal struct{ dryRun, yes bool }

func (r *run) removalFlags(cmd *cobra.Command, f *removal) {
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be removed, and stop")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	r.jsonFlag(cmd)
}

func (r *run) storeRmCommand() *cobra.Command {
	var f removal
	var q app.RemoveRequest
	cmd := &cobra.Command{
		Use:        "rm [REF...]",
		SuggestFor: []string{"remove", "delete", "del"},
		Short:      "Remove branches, and the files that only they use",
		Long: `Remove branches and then the files that nothing else uses: what other branches have too
stays, and so does what a running fetch needs. owner/name without a branch means all
branches of the repository. On a terminal it says what goes and asks; a script says --yes.
A pinned branch is not removed.`,
		Example: `  qbranch store rm TheBloke/Llama-2-13B-chat-GPTQ:main --dry-run
  qbranch store rm TheBloke/Llama-2-13B-chat-GPTQ --yes       all its branches
  qbranch store rm --outdated                                 commits that branches have left
  qbranch store rm --partial                                  unfinished files`,
		Args:              args(0, -1, ""),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			switch {
			case q.Partial && (q.Outdated || len(args) > 0):
				return &usageError{msg: "store rm: --partial goes alone", hint: "it removes all unfinished files that nobody is fetching"}
			case !q.Partial && !q.Outdated && len(args) == 0:
				return &usageError{msg: "store rm: name a branch, --outdated or --partial", hint: "'qbranch store ls' lists the branches"}
			}
			if q.Refs, err = parseRefs(args); err != nil {
				return err
			}
			return r.sweep(cmd.Context(), "rm", f, func(ctx context.Context, a *app.App, dry bool) (*app.SweepReport, error) {
				q.DryRun = dry
				return a.StoreRemove(ctx, q)
			})
		},
	}
	cmd.Flags().BoolVar(&q.Partial, "partial", false, "remove what is kept of unfinished files that nobody is fetching")
	cmd.Flags().BoolVar(&q.Outdated, "outdated", false, "remove the commits that their branches have left, of REPO or of all")
	r.removalFlags(cmd, &f)
	return cmd
}

func (r *run) storeGcCommand() *cobra.Command {
	var f removal
	var q app.CollectRequest
	cmd := &cobra.Command{
		Use:        "gc",
		SuggestFor: []string{"prune", "clean"},
		Short:      "Remove what no branch uses",
		Long: `Remove files that no branch uses, unfinished files that nobody has gone on with for long,
and what processes left when they died. What a running process needs is kept whatever its
age; what came within the grace is kept, too.`,
		Example: `  qbranch store gc --dry-run
  qbranch store gc --grace 0s --partial-grace 7d --yes`,
		Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.Grace < 0 || q.PartialGrace < 0 {
				return &usageError{msg: "store gc: a grace cannot be negative", hint: "examples: 0s, 90m, 24h"}
			}
			return r.sweep(cmd.Context(), "gc", f, func(ctx context.Context, a *app.App, dry bool) (*app.SweepReport, error) {
				q.DryRun = dry
				return a.StoreCollect(ctx, q)
			})
		},
	}
	q.Grace, q.PartialGrace = app.DefaultGrace, app.DefaultPartialGrace
	cmd.Flags().Var((*age)(&q.Grace), "grace", "keep what came less than `D` ago, such as 12h or 7d")
	cmd.Flags().Var((*age)(&q.PartialGrace), "partial-grace", "keep unfinished files written to less than `D` ago")
	r.removalFlags(cmd, &f)
	return cmd
}

// age is a flag: a duration that may be in days.
type age time.Duration

func (a *age) String() string {
	if d := time.Duration(*a); d == d.Round(24*time.Hour) {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return time.Duration(*a).String()
}

func (a *age) Type() string { return "D" }

// Set reads 7d, or what Go calls a duration.
func (a *age) Set(s string) error {
	d, err := time.ParseDuration(s)
	if days, isDays := strings.CutSuffix(s, "d"); isDays {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		d = time.Duration(n * float64(24*time.Hour))
	}
	if err != nil || d < 0 {
		return errors.New("want a time such as 0s, 90m, 12h or 7d")
	}
	*a = age(d)
	return nil
}

func parseRefs(args []string) ([]app.Ref, error) {
	refs := make([]app.Ref, len(args))
	for i, arg := range args {
		var err error
		if refs[i], err = app.ParseRef(arg); err != nil {
			return nil, badArgument(err)
		}
	}
	return refs, nil
}

// sweep looks what would go, asks, and lets it go.
func (r *run) sweep(ctx context.Context, verb string, f removal, do func(ctx context.Context, a *app.App, dry bool) (*app.SweepReport, error)) error {
	a, err := r.open(0)
	if err != nil {
		return err
	}
	rep, err := do(ctx, a, true)
	if err != nil {
		return err
	}
	if !f.dryRun && !rep.Empty() {
		if !f.yes {
			if err := r.confirm(ctx, verb, rep); err != nil {
				return err
			}
		}
		done, err := do(ctx, a, false)
		if err != nil {
			if done != nil && !done.Empty() {
				r.note("%s before that", sweepText(done, "removed"))
			}
			return err
		}
		rep = done
	}
	if r.json {
		return r.emit(sweepObject{"qbranch/store-" + verb + "/v1", a.StoreDir(), *rep})
	}
	word := "removed"
	if f.dryRun {
		word = "would remove"
	}
	if !r.quiet || f.dryRun {
		fmt.Fprint(r.out, sweepLines(rep, word))
	}
	if rep.Outdated > 0 {
		r.note("kept: %s that branches have left; 'qbranch store rm --outdated' removes what has been left", plural(rep.Outdated, "commit"))
	}
	return nil
}

// confirm asks on a terminal. Elsewhere nobody can answer, and to go on without
// an answer would be a way to lose gigabytes.
func (r *run) confirm(ctx context.Context, verb string, rep *app.SweepReport) error {
	if !isTerminal(r.In) || !isTerminal(r.Err) {
		return &usageError{msg: fmt.Sprintf("store %s: this would free %s, and there is no terminal to ask on", verb, app.BytesText(rep.Freed)),
			hint: "add --yes to remove without being asked, or --dry-run to see what would go"}
	}
	fmt.Fprintf(r.Err, "%sremove? [y/N] ", sweepLines(rep, "would remove"))
	answer := make(chan string, 1)
	go func() { // a read from a terminal cannot be interrupted: it ends with the process
		line, _ := bufio.NewReader(r.In).ReadString('\n') // no answer is a no
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case a := <-answer:
		if a == "y" || a == "yes" {
			return nil
		}
	}
	return &declinedError{}
}

// declinedError is a no to a question.
type declinedError struct{}

func (*declinedError) Error() string { return "nothing was removed" }

// sweepObject is the JSON of store rm and store gc.
type sweepObject struct {
	Schema string `json:"schema"`
	Store  string `json:"store"`
	app.SweepReport
}

// sweepLines says what goes: a line a branch, a sum, and why the rest stays.
func sweepLines(rep *app.SweepReport, word string) string {
	var b strings.Builder
	for _, i := range rep.Branches {
		fmt.Fprintf(&b, "%s %s at %s: %s, %s\n", word, clean(i.Ref()), short(i.Commit), plural(i.Files, "file"), app.BytesText(i.Bytes))
	}
	if rep.Empty() {
		b.WriteString("nothing to remove\n")
	} else {
		b.WriteString(sweepText(rep, word) + "\n")
	}
	if rep.Linked > 0 {
		fmt.Fprintf(&b, "  %s of it stay on the disk for now: other folders have the same files\n", app.BytesText(rep.Linked))
	}
	for _, k := range rep.Kept {
		fmt.Fprintf(&b, "  kept: %s: %s\n", kindText(k), clean(k.Why))
	}
	return b.String()
}

// sweepText is the sum of what goes. Part lists and the like are small, and
// nobody has to know of each kind.
func sweepText(rep *app.SweepReport, word string) string {
	var parts []string
	small := 0
	for _, t := range rep.Removed {
		switch t.Kind {
		case "snapshot", "branch":
		case "blob", "partial":
			parts = append(parts, kindText(t))
		default:
			small += t.Files
		}
	}
	if small > 0 {
		parts = append(parts, plural(small, "small file")+" beside them")
	}
	if len(parts) == 0 {
		parts = []string{"no files"}
	}
	if rep.DryRun {
		return word + " " + strings.Join(parts, ", ") + ": frees " + app.BytesText(rep.Freed)
	}
	return word + " " + strings.Join(parts, ", ") + ": freed " + app.BytesText(rep.Freed)
}

// kindText is how many things of a kind there are.
func kindText(t app.SweepTotal) string {
	switch t.Kind {
	case "snapshot":
		return plural(t.Files, "branch")
	case "blob":
		return plural(t.Files, "file") + " of " + app.BytesText(t.Bytes)
	case "partial":
		return plural(t.Files, "unfinished file") + " of " + app.BytesText(t.Bytes)
	}
	return plural(t.Files, "small file")
}

func (r *run) storePinCommand(off bool) *cobra.Command {
	use, what := "pin", "Keep a branch from being removed"
	if off {
		use, what = "unpin", "Let a pinned branch be removed"
	}
	cmd := &cobra.Command{
		Use:               use + " REF...",
		Short:             what,
		Long:              what + `. Without a branch, owner/name means main.`,
		Example:           fmt.Sprintf("  qbranch store %s TheBloke/Llama-2-13B-chat-GPTQ:main", use),
		Args:              args(1, -1, "a branch"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			refs, err := parseRefs(args)
			if err != nil {
				return err
			}
			a, err := r.open(0)
			if err != nil {
				return err
			}
			o := pinObject{Schema: "qbranch/store-pin/v1", Store: a.StoreDir(), Pins: []pinState{}}
			for _, ref := range refs {
				changed, err := a.StorePin(cmd.Context(), ref, off)
				if err != nil {
					return err
				}
				o.Pins = append(o.Pins, pinState{ref.String(), !off, changed})
				if !r.json && changed {
					r.note("%sned %s", use, clean(ref.String()))
				} else if !r.json {
					r.note("%s was %sned already", clean(ref.String()), use)
				}
			}
			if r.json {
				return r.emit(o)
			}
			return nil
		},
	}
	r.jsonFlag(cmd)
	return cmd
}

// pinObject is the JSON of store pin and store unpin.
type pinObject struct {
	Schema string     `json:"schema"`
	Store  string     `json:"store"`
	Pins   []pinState `json:"pins"`
}

type pinState struct {
	Ref     string `json:"ref"`
	Pinned  bool   `json:"pinned"`
	Changed bool   `json:"changed"`
}

func (r *run) storeDuCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "du [REF...]",
		SuggestFor: []string{"df", "size", "usage"},
		Short:      "Say what takes how much of the disk",
		Long: `Say how much of the disk each branch takes: Unique goes when the branch is removed, Shared
is what other branches have too, stored once. The unique parts and what is shared are all
files of branches; with what no branch uses, what is unfinished and the rest they are the total.`,
		Example:           "  qbranch store du --json | jq .total.disk_bytes",
		Args:              args(0, -1, ""),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			refs, err := parseRefs(args)
			if err != nil {
				return err
			}
			a, err := r.open(0)
			if err != nil {
				return err
			}
			u, err := a.StoreUse(cmd.Context(), refs)
			if err != nil {
				return err
			}
			if r.json {
				return r.emit(duObject{"qbranch/store-du/v1", a.StoreDir(), timeText(time.Now()), *u})
			}
			fmt.Fprint(r.out, duText(u, len(refs) == 0))
			return nil
		},
	}
	r.jsonFlag(cmd)
	return cmd
}

// duObject is the JSON of store du.
type duObject struct {
	Schema string `json:"schema"`
	Store  string `json:"store"`
	Time   string `json:"time"`
	app.StoreUsage
}

// duText is a row a branch and, when asked for all, the sums.
func duText(u *app.StoreUsage, sums bool) string {
	var rows [][]string
	for _, b := range u.Branches {
		rows = append(rows, []string{clean(b.Ref()), app.BytesText(b.Unique), app.BytesText(b.Shared), stateText(b.State, b.Pinned)})
	}
	var out strings.Builder
	if len(rows) > 0 {
		out.WriteString(table([]column{{title: "Branch"}, {"Unique", true}, {"Shared", true}, {title: "State"}}, rows))
	}
	if !sums {
		return out.String()
	}
	if len(rows) > 0 {
		out.WriteString("\n")
	}
	sum := func(what string, a app.Amount) []string {
		return []string{what, fmt.Sprint(a.Files), app.BytesText(a.Bytes), app.BytesText(a.Disk)}
	}
	rows = [][]string{
		sum("branches", u.Blobs), sum("  of it shared", u.Shared), sum("used by no branch", u.Unreferenced),
		sum("unfinished", u.Unfinished), sum("lists and the like", u.Other), sum("total", u.Total),
	}
	out.WriteString(table([]column{{title: ""}, {"Files", true}, {"Size", true}, {"On disk", true}}, rows))
	if u.Linked > 0 {
		fmt.Fprintf(&out, "%s are also files of other folders: removing a branch gives them back when those have gone\n", app.BytesText(u.Linked))
	}
	return out.String()
}

// stateText is the state of a branch in the store.
func stateText(s app.LocalState, pinned bool) string {
	text := clean(string(s))
	if pinned {
		text += ", pinned"
	}
	return text
}
