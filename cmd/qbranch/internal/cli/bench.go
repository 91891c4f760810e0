package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

type benchFlags struct {
	app.BenchOptions
	threads int
	read    string
}

func (r *run) benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:        "bench REF|DIR",
		GroupID:    groupLocal,
		SuggestFor: []string{"benchmark", "speed"},
		Short:      "Measure how fast this machine runs a fetched branch",
		Long: `Measure how fast this machine's CPU runs a fetched branch or a folder: loading, a prompt, and
decoding one token after another. Decoding reads the whole model for each token (a mixture
reads the experts that were chosen), so its limit is memory: what a token reads is counted to
the byte, and compared with what a plain read of memory gives on as many threads, measured in
the same run. Three rounds alternate with that read; the numbers are medians. Tokens are drawn
at random, and no tokenizer is needed. Measure on a quiet machine.`,
		Example: `  qbranch bench TheBloke/Llama-2-13B-chat-GPTQ:main
  qbranch bench ./llama --threads 1 --json`,
		Args:              args(1, 1, "a branch or a folder"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := app.ParseTarget(args[0])
			if err != nil {
				return badArgument(err)
			}
			for _, flag := range []struct {
				name  string
				value int
				least int
			}{{"prompt", f.Prompt, 1}, {"tokens", f.Tokens, 1}, {"threads", f.threads, 0}} {
				if cmd.Flags().Changed(flag.name) && flag.value < flag.least {
					return &usageError{msg: fmt.Sprintf("--%s %d: want at least %d", flag.name, flag.value, flag.least)}
				}
			}
			if f.Read, err = app.ParseSize(f.read); err != nil || f.Read < 1<<20 || f.Read > 64<<30 {
				return &usageError{msg: fmt.Sprintf("--read %q: want a size from 1MiB to 64GiB", f.read), err: err}
			}
			return r.bench(cmd.Context(), t, f)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&f.Prompt, "prompt", 0, "a prompt of `N` tokens (default 128)")
	fl.IntVarP(&f.Tokens, "tokens", "n", 0, "decode `N` tokens in each round (default 64)")
	fl.StringVar(&f.Compute, "compute", "", "arithmetic, `HOW`: float32, int16 or int8 (default int16)")
	fl.IntVar(&f.threads, "threads", 0, "use `N` cores (default all)")
	fl.StringVar(&f.read, "read", "1GiB", "compare with reading `SIZE` of memory")
	r.jsonFlag(cmd)
	return cmd
}

func (r *run) bench(ctx context.Context, t app.Target, f benchFlags) error {
	a, err := r.open(f.threads)
	if err != nil {
		return err
	}
	w := r.newWaiting()
	defer w.erase() // also before an error is told
	f.Notify = func(step string, n int) {
		if step == "load" {
			w.show("loading " + t.String() + " ...")
			return
		}
		w.show(fmt.Sprintf("measuring, round %d ...", n))
	}
	report, err := a.Bench(ctx, t, f.BenchOptions)
	w.erase()
	if err != nil {
		return err
	}
	if r.json {
		return r.emit(benchObject{"summary", "qbranch/bench/v1", report})
	}
	if _, warning := app.Instructions(); warning != "" {
		r.note("warning: %s", clean(warning))
	}
	_, err = fmt.Fprint(r.out, benchText(report))
	return err
}

// benchText is the report in lines.
func benchText(b *app.BenchReport) string {
	kind := "not quantised"
	if b.Bits > 0 {
		kind = fmt.Sprintf("%d bits, groups of %d", b.Bits, b.GroupSize)
		if b.GroupSize < 0 {
			kind = fmt.Sprintf("%d bits, no groups", b.Bits)
		}
	}
	n := b.BytesPerToken
	text := fmt.Sprintf("%s: %s, %s, %s of weights; %s, %s, %s\n", clean(b.Target), clean(b.Architecture), kind, app.BytesText(b.WeightBytes), plural(b.Threads, "thread"), b.Compute, b.Instructions)
	text += fmt.Sprintf("  load    %.2f s\n", b.Load)
	text += fmt.Sprintf("  prompt  %.1f tokens/s, %s\n", b.Prefill, plural(b.PromptTokens, "token"))
	text += fmt.Sprintf("  decode  %.1f tokens/s, %s after the prompt; %d rounds\n", b.Decode, plural(b.Tokens, "token"), b.Rounds)
	text += fmt.Sprintf("  a token reads %s: matrices %s, norms %s, embedding %s, keys and values %s\n", app.BytesText(n.Total),
		app.BytesText(n.Matrices), app.BytesText(n.Norms), app.BytesText(n.Embedding), app.BytesText(n.KV))
	why := ""
	if b.PercentOfRead > 110 {
		why = ": it is in the processor's caches, or the machine was not quiet"
	}
	text += fmt.Sprintf("  that is %.2f GB/s, %.0f %% of the %.2f GB/s of a plain read of memory%s\n", b.DecodeRate/1e9, b.PercentOfRead, b.ReadRate/1e9, why)
	if m := b.Memory; m != nil {
		text += fmt.Sprintf("  memory  at most %s: %s of its own, %s of files\n", app.BytesText(m.Peak), app.BytesText(m.Own), app.BytesText(m.Mapped))
	}
	return text
}

// benchObject is the JSON of bench.
type benchObject struct {
	Type   string `json:"type"` // "summary"
	Schema string `json:"schema"`
	*app.BenchReport
}
