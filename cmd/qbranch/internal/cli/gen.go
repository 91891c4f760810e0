package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

type genFlags struct {
	prompt     string
	tokenIDs   string
	dumpLogits string
	threads    int
	request    app.Request
}

func (r *run) genCommand() *cobra.Command {
	var f genFlags
	cmd := &cobra.Command{
		Use:     "gen REF|DIR -p TEXT",
		GroupID: groupLocal,
		Short:   "Generate text from a fetched branch, on the CPU",
		Long: `Generate text from a fetched branch or from any folder with config.json and safetensors,
on the CPU: the proof that a checkpoint is what it claims. The prompt goes through the
repository's chat template unless --raw. Text streams to standard output, speed to
standard error. The default, temperature 0, always takes the likeliest token.`,
		Example: `  qbranch gen TheBloke/Llama-2-13B-chat-GPTQ:main -p "Why is the sky blue?" -n 60
  echo "Once upon a time" | qbranch gen ./llama --raw -p - --temp 0.8 --top-p 0.95 --seed 7`,
		Args:              args(1, 1, "a branch or a folder"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := app.ParseTarget(args[0])
			if err != nil {
				return badArgument(err)
			}
			if err := f.settle(r.In, cmd.Flags().Changed("prompt")); err != nil {
				return err
			}
			return r.gen(cmd.Context(), t, f)
		},
	}
	fl, q := cmd.Flags(), &f.request
	fl.StringVarP(&f.prompt, "prompt", "p", "", "the prompt; - reads `TEXT` from standard input")
	fl.StringVar(&q.System, "system", "", "the system message `TEXT`")
	fl.IntVarP(&q.MaxTokens, "tokens", "n", 256, "generate at most `N` tokens")
	fl.Float64Var(&q.Temperature, "temp", 0, "temperature `T`; 0 takes the likeliest token")
	fl.Float64Var(&q.TopP, "top-p", 1, "sample from the likeliest tokens of probability `P` in all")
	fl.IntVar(&q.TopK, "top-k", 0, "sample from the `K` likeliest tokens (default all)")
	fl.Float64Var(&q.RepetitionPenalty, "repetition-penalty", 1, "above 1, `R` makes tokens seen before less likely")
	fl.Uint64Var(&q.Seed, "seed", 0, "random `SEED`; the same one gives the same text")
	fl.BoolVar(&q.Raw, "raw", false, "no chat template: the prompt as it is")
	fl.StringVar(&f.tokenIDs, "token-ids", "", "`IDS` such as 1,306,4658 in place of a prompt")
	fl.StringVar(&f.dumpLogits, "dump-logits", "", "write the logits of every position to `FILE` (safetensors)")
	fl.IntVar(&f.threads, "threads", 0, "use `N` cores (default all)")
	r.jsonFlag(cmd)
	return cmd
}

// promptLimit bounds what is read from standard input; no context is longer.
const promptLimit = 16 << 20

// settle checks the flags and fills the request from them.
func (f *genFlags) settle(stdin io.Reader, hasPrompt bool) error {
	q := &f.request
	switch {
	case hasPrompt == (f.tokenIDs != ""):
		return &usageError{msg: "gen: give one of -p TEXT, -p - and --token-ids", hint: `for example: -p "Hello"`}
	case q.MaxTokens < 1:
		return &usageError{msg: fmt.Sprintf("-n %d: want at least 1", q.MaxTokens)}
	case !(q.Temperature >= 0):
		return &usageError{msg: fmt.Sprintf("--temp %g: want 0 or more", q.Temperature)}
	case !(q.TopP > 0 && q.TopP <= 1):
		return &usageError{msg: fmt.Sprintf("--top-p %g: want more than 0 and at most 1", q.TopP)}
	case q.TopK < 0:
		return &usageError{msg: fmt.Sprintf("--top-k %d: want 0 or more", q.TopK)}
	case !(q.RepetitionPenalty > 0):
		return &usageError{msg: fmt.Sprintf("--repetition-penalty %g: want more than 0", q.RepetitionPenalty)}
	case f.threads < 0:
		return &usageError{msg: fmt.Sprintf("--threads %d: want 0 or more", f.threads)}
	}
	q.KeepLogits = f.dumpLogits != ""
	if f.tokenIDs != "" {
		var err error
		q.TokenIDs, err = parseIDs(f.tokenIDs)
		return err
	}
	q.Prompt = f.prompt
	if f.prompt == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, promptLimit+1))
		if err != nil {
			return fmt.Errorf("read the prompt: %w", err)
		}
		if len(text) > promptLimit {
			return &usageError{msg: "the prompt on standard input is longer than any context"}
		}
		q.Prompt = strings.TrimSuffix(string(text), "\n")
	}
	return nil
}

func parseIDs(s string) ([]int, error) {
	var ids []int
	for word := range strings.SplitSeq(s, ",") {
		id, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || id < 0 {
			return nil, &usageError{msg: fmt.Sprintf("--token-ids: %q is not a token id", clean(word)), hint: "for example: --token-ids 1,306,4658"}
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (r *run) gen(ctx context.Context, t app.Target, f genFlags) (err error) {
	a, err := r.open(f.threads)
	if err != nil {
		return err
	}
	m, err := a.LoadModel(ctx, t)
	if err != nil {
		return err
	}
	defer func() {
		if e := m.Close(); err == nil {
			err = e
		}
	}()
	res, err := m.Generate(ctx, f.request, r.tokenWriter())
	if !r.json && res != nil && len(res.IDs) > 0 {
		fmt.Fprintln(r.out)
	}
	if err != nil {
		return err
	}
	if f.dumpLogits != "" {
		if err := m.WriteLogits(f.dumpLogits, res); err != nil {
			return err
		}
	}
	r.note("%s", speedText(res))
	if r.json {
		return r.emit(genJSON(t, res))
	}
	return nil
}

// tokenWriter streams tokens. What a terminal shows is cleaned; a pipe gets
// every byte as it is.
func (r *run) tokenWriter() func(app.Token) error {
	terminal := isTerminal(r.Out)
	return func(t app.Token) error {
		if r.json {
			return r.emit(tokenObject{"token", t})
		}
		text := t.Text
		if terminal {
			text = cleanText(text)
		}
		_, err := io.WriteString(r.out, text)
		return err
	}
}

func speedText(g *app.Generation) string {
	return fmt.Sprintf("%s: prompt %s at %.0f/s, then %s at %.0f/s", g.FinishReason,
		plural(g.PromptTokens, "token"), perSecond(g.PromptTokens, g.Prefill),
		plural(len(g.IDs), "token"), perSecond(len(g.IDs), g.Decode))
}

func perSecond(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// The JSON of gen, one object a line.
type (
	tokenObject struct {
		Type string `json:"type"` // "token"
		app.Token
	}
	genObject struct {
		Type         string  `json:"type"` // "summary"
		Schema       string  `json:"schema"`
		Target       string  `json:"target"`
		IDs          []int   `json:"ids"`
		Text         string  `json:"text"`
		FinishReason string  `json:"finish_reason"` // "stop", "length" or "context"
		PromptTokens int     `json:"prompt_tokens"`
		Prefill      float64 `json:"prefill_tokens_per_second"`
		Decode       float64 `json:"decode_tokens_per_second"`
	}
)

func genJSON(t app.Target, g *app.Generation) genObject {
	return genObject{Type: "summary", Schema: "qbranch/gen/v1", Target: t.String(), IDs: list(g.IDs), Text: g.Text,
		FinishReason: g.FinishReason, PromptTokens: g.PromptTokens,
		Prefill: perSecond(g.PromptTokens, g.Prefill), Decode: perSecond(len(g.IDs), g.Decode)}
}
