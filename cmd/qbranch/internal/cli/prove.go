package cli

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) proveCommand() *cobra.Command {
	var budget time.Duration
	cmd := &cobra.Command{
		Use:     "prove REF|DIR",
		GroupID: groupLocal,
		Short:   "Say whether a fetched branch is sound, suspect or broken",
		Long: `Look at everything there is to look at: every byte against its digest, config and headers,
every tensor, and a short run on the CPU, which is the only proof that a checkpoint works.
The run reads a fixed English text twice and continues it by 32 tokens. It is asked: is every
logit a number, is the text less surprising to it than noise, do both runs agree, does it not
repeat itself? What was run, and what was measured, is printed.

The verdict is "sound", "suspect" (its data or its labels are wrong somewhere, and it may work
for all that) or "broken". A branch that cannot be run here is "unproven" (exit code 12) unless
it is broken. A model for another language, or one that was never trained, is suspect, too.`,
		Example: `  qbranch prove TheBloke/Llama-2-13B-chat-GPTQ:main
  qbranch prove ./llama --json`,
		Args:              args(1, 1, "a branch or a folder"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := app.ParseTarget(args[0])
			if err != nil {
				return badArgument(err)
			}
			if budget < 0 {
				return &usageError{msg: "prove: --time cannot be below zero"}
			}
			return r.prove(cmd.Context(), t, budget)
		},
	}
	cmd.Flags().DurationVar(&budget, "time", app.DefaultProveBudget, "run for at most `TIME` after the first pass over the text")
	r.jsonFlag(cmd)
	return cmd
}

func (r *run) prove(ctx context.Context, t app.Target, budget time.Duration) error {
	a, err := r.open(0)
	if err != nil {
		return err
	}
	var total, done atomic.Int64
	p := r.newProgress("prove", func() sample {
		n := done.Load()
		return sample{total: total.Load(), done: n, received: n, verified: n}
	})
	p.start()
	if budget == 0 {
		budget = -1 // nothing after the first pass
	}
	report, err := a.Prove(ctx, t, app.ProveOptions{Budget: budget,
		Total: func(n int64) { total.Store(n) },
		Done:  func(n int64) { done.Add(n) },
	})
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
			fmt.Fprintln(r.out, r.outColor.findingText(f))
		}
		for _, line := range report.Evidence() {
			fmt.Fprintln(r.out, "  "+clean(line))
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

func (p paint) verdictText(v *app.ProveReport) string {
	verdict := clean(v.Verdict)
	switch v.Verdict {
	case app.Sound:
		verdict = p.green(verdict)
	case app.Broken:
		verdict = p.red(verdict)
	default:
		verdict = p.yellow(verdict)
	}
	return fmt.Sprintf("%s  %s  %s", verdict, clean(v.Target), durationText(time.Duration(v.Seconds*float64(time.Second))))
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
