package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// proveFlags are those of prove.
type proveFlags struct {
	budget  time.Duration
	against string
	text    string
}

func (r *run) proveCommand() *cobra.Command {
	var f proveFlags
	cmd := &cobra.Command{
		Use:     "prove REF|DIR",
		GroupID: groupLocal,
		Short:   "Say whether a fetched branch is sound, suspect or broken",
		Long: `Look at everything there is to look at: every byte against its digest, config and headers,
every tensor, and a run on the CPU, which is the only proof that a checkpoint works.

The run reads fixed texts (a tale, prose, code, questions and answers; other languages if it
knows no English) and writes some of its own, in the repository's chat format where there is
one. Each thing that is measured is shown with its bound: are all values numbers, does it know
one of the texts, does it write without loops and stray bytes, do special tokens and the end
of a turn behave, does the exact arithmetic agree with the quick one? These are weak signs.
The strongest one is --against: does it say the same as another branch of the repository?

The verdict is "sound", "suspect" (its data, its labels or what it says is wrong somewhere, and
it may work for all that) or "broken". A branch that cannot be run here is "unproven" (exit
code 12) unless it is broken. A model that was never trained is suspect; so is one that knows
none of the texts: give one that it must know with --text. docs/verdict.md says what kind of
damage shows, and what kind does not.`,
		Example: `  qbranch prove TheBloke/Llama-2-13B-chat-GPTQ:main
  qbranch prove ./llama-4bit --against ./llama-8bit
  qbranch prove ./llama --text sample.txt --json`,
		Args:              args(1, 1, "a branch or a folder"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := app.ParseTarget(args[0])
			if err != nil {
				return badArgument(err)
			}
			o, err := r.proveOptions(f)
			if err != nil {
				return err
			}
			a, err := r.open(0)
			if err != nil {
				return err
			}
			return r.prove(cmd.Context(), a, t, o)
		},
	}
	cmd.Flags().DurationVar(&f.budget, "time", app.DefaultProveBudget, "run for at most `TIME` after it has read the first text")
	cmd.Flags().StringVar(&f.against, "against", "", "compare it with `REF|DIR`, another branch of the same model that is here")
	cmd.Flags().StringVar(&f.text, "text", "", "read `FILE`, too, a text that the model must know (- for standard input)")
	r.jsonFlag(cmd)
	return cmd
}

// maxProveText is how much of --text is read, in bytes: more than its first 256
// tokens are.
const maxProveText = 16 << 10

func (r *run) proveOptions(f proveFlags) (o app.ProveOptions, err error) {
	if f.budget < 0 {
		return o, &usageError{msg: "prove: --time cannot be below zero"}
	}
	if o.Budget = f.budget; o.Budget == 0 {
		o.Budget = -1 // nothing after the first text
	}
	if f.against != "" {
		if o.Against, err = app.ParseTarget(f.against); err != nil {
			return o, badArgument(err)
		}
	}
	if f.text == "" {
		return o, nil
	}
	in := r.In
	if f.text != "-" {
		file, err := os.Open(f.text)
		if err != nil {
			return o, &usageError{msg: "--text: " + err.Error(), hint: "name a text file that can be read"}
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxProveText))
	if err != nil {
		return o, fmt.Errorf("reading the text of --text: %w", err)
	}
	if o.Text = strings.ToValidUTF8(string(data), "\ufffd"); strings.TrimSpace(o.Text) == "" {
		return o, &usageError{msg: "--text: the text is empty", hint: "give some sentences that the model must know"}
	}
	return o, nil
}

// prove proves what t names and prints what came of it.
func (r *run) prove(ctx context.Context, a *app.App, t app.Target, o app.ProveOptions) error {
	var total, done atomic.Int64
	p := r.newProgress("prove", func() sample {
		n := done.Load()
		return sample{total: total.Load(), done: n, received: n, verified: n}
	})
	p.start()
	o.Total = func(n int64) { total.Store(n) }
	o.Done = func(n int64) { done.Add(n) }
	if isTerminal(r.Err) && !r.quiet && !r.json {
		o.Running = func() { p.message("  running it on the CPU") }
	}
	report, err := a.Prove(ctx, t, o)
	p.stop()
	if report == nil {
		return err
	}
	if r.json {
		if e := r.emit(proveJSON(report)); e != nil {
			return e
		}
		return err
	}
	if !r.quiet {
		for _, f := range r.worthTelling(report.Findings) {
			if f.Code != app.RunCode { // a signal below says it
				fmt.Fprintln(r.out, r.outColor.findingText(f))
			}
		}
		for _, line := range report.Evidence() {
			fmt.Fprintln(r.out, "  "+clean(line))
		}
		for _, s := range report.Signals {
			fmt.Fprintln(r.out, r.outColor.signalText(s))
		}
	}
	fmt.Fprintln(r.out, r.outColor.verdictText(report))
	var proof *app.ProofError
	if errors.As(err, &proof) {
		return &provenError{err}
	}
	return err
}

// provenError is a verdict that stands above it already.
type provenError struct{ err error }

func (e *provenError) Error() string { return e.err.Error() }
func (e *provenError) Unwrap() error { return e.err }
func (e *provenError) Hint() string  { return app.HintOf(e.err) }

// signalText is a line of the table of signals.
func (p paint) signalText(s app.Signal) string {
	value, bound := s.Numbers()
	word := fmt.Sprintf("%-7s", s.Verdict)
	switch s.Verdict {
	case app.SignalGood:
		word = p.green(word)
	case app.SignalBroken:
		word = p.red(word)
	case app.SignalSuspect:
		word = p.yellow(word)
	}
	if value == "" {
		value = "-"
	}
	return fmt.Sprintf("  %s  %-17s  %7s  %-15s  %s", word, app.SignalName(s), value, bound, clean(s.Text))
}

// verdictText is the verdict, its reasons, and what of.
func (p paint) verdictText(v *app.ProveReport) string {
	word, reasons, _ := strings.Cut(clean(v.Line()), ":")
	color := p.yellow
	switch v.Verdict {
	case app.Sound:
		color = p.green
	case app.Broken:
		color = p.red
	}
	text := color(word)
	if reasons != "" {
		text = color(word+":") + reasons
	}
	return fmt.Sprintf("%s  %s  %s", text, clean(v.Target), durationText(time.Duration(v.Seconds*float64(time.Second))))
}

// proveObject is the JSON of prove.
type proveObject struct {
	Type   string `json:"type"` // "summary"
	Schema string `json:"schema"`
	app.ProveReport
}

func proveJSON(p *app.ProveReport) proveObject {
	return proveObject{Type: "summary", Schema: "qbranch/prove/v1", ProveReport: *p}
}
