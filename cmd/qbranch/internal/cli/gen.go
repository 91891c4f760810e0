package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
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
		Use:        "gen REF|DIR -p TEXT",
		GroupID:    groupLocal,
		SuggestFor: []string{"run", "generate", "chat"},
		Short:      "Generate text from a fetched branch, on the CPU",
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
			f.request.IgnoreEOS = f.tokenIDs != "" && cmd.Flags().Changed("tokens") // for those who compare runners
			if err := f.settle(cmd.Flags().Changed("prompt")); err != nil {
				return err
			}
			if f.prompt == "-" {
				if f.request.Prompt, err = r.readPrompt(cmd.Context()); err != nil {
					return err
				}
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
	fl.Uint64Var(&q.Seed, "seed", 0, "random `SEED` (default 0); the same one gives the same text")
	fl.BoolVar(&q.Raw, "raw", false, "no chat template: the prompt as it is")
	fl.StringVar(&f.tokenIDs, "token-ids", "", "`IDS` such as 1,306,412, no prompt; with -n exactly N follow")
	fl.StringVar(&f.dumpLogits, "dump-logits", "", "write the logits of every position to `FILE` (safetensors)")
	fl.IntVar(&f.threads, "threads", 0, "use `N` cores (default all)")
	r.jsonFlag(cmd)
	return cmd
}

// promptLimit bounds what is read from standard input; no context is longer.
const promptLimit = 16 << 20

// settle checks the flags and fills the request from them, all but a prompt
// that is still to be read.
func (f *genFlags) settle(hasPrompt bool) error {
	q := &f.request
	switch {
	case hasPrompt && f.tokenIDs != "":
		return &usageError{msg: "gen: give only one of -p and --token-ids"}
	case !hasPrompt && f.tokenIDs == "":
		return &usageError{msg: "gen: give one of -p TEXT, -p - and --token-ids", hint: `for example: -p "Hello"`}
	case hasPrompt && f.prompt == "":
		return errEmptyPrompt()
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
	return nil
}

func errEmptyPrompt() error {
	return &usageError{msg: "gen: the prompt is empty", hint: `for example: -p "Hello"`}
}

// readPrompt reads the prompt from standard input, until its end or until ctx
// is cancelled.
func (r *run) readPrompt(ctx context.Context) (string, error) {
	if isTerminal(r.In) && isTerminal(r.Err) {
		r.note("reading the prompt from standard input, end with Ctrl-D")
	}
	type input struct {
		text []byte
		err  error
	}
	// A read from a terminal cannot be ended from here: after a cancellation the
	// goroutine is left to the end of the process, which follows at once.
	read := make(chan input, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(r.In, promptLimit+1))
		read <- input{text, err}
	}()
	var in input
	select {
	case in = <-read:
	case <-ctx.Done():
		return "", fmt.Errorf("read the prompt: %w", ctx.Err())
	}
	prompt := strings.TrimSuffix(string(in.text), "\n")
	switch {
	case in.err != nil:
		return "", fmt.Errorf("read the prompt: %w", in.err)
	case len(in.text) > promptLimit:
		return "", &usageError{msg: "the prompt on standard input is longer than any context"}
	case prompt == "":
		return "", errEmptyPrompt()
	}
	return prompt, nil
}

func parseIDs(s string) ([]int, error) {
	var ids []int
	for word := range strings.SplitSeq(s, ",") {
		id, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || id < 0 {
			return nil, &usageError{msg: fmt.Sprintf("--token-ids: %q is not a token id", clean(word)), hint: "for example: --token-ids 1,306,412"}
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
	if f.dumpLogits != "" {
		if err := canCreate(f.dumpLogits); err != nil {
			return err
		}
	}
	w := r.newWaiting()
	defer w.erase() // also when loading fails, before the error is told
	w.show("loading " + t.String() + " ...")
	m, err := a.LoadModel(ctx, t)
	if err != nil {
		return err
	}
	defer func() {
		if e := m.Close(); err == nil {
			err = e
		}
	}()
	w.show("reading the prompt ...")
	write := r.tokenWriter()
	res, err := m.Generate(ctx, f.request, func(t app.Token) error {
		w.erase()
		return write(t)
	})
	w.erase()
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
	if r.json {
		return r.emit(genJSON(t, res))
	}
	r.note("%s", speedText(res, f.request.MaxTokens))
	return nil
}

// canCreate finds out before the work whether its result can be written.
func canCreate(path string) error {
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() {
		return &storageError{fmt.Errorf("--dump-logits: create %s: it is there, and is not a plain file", path)}
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		target = path
	}
	f, err := os.CreateTemp(filepath.Dir(target), ".qbranch-*")
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) { // its path is a name that nobody knows
			err = cause.Err
		}
		return &storageError{fmt.Errorf("--dump-logits: create %s: %w", path, err)}
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// waiting is a line on a terminal that says what is being waited for.
type waiting struct {
	w     io.Writer // nil: nobody watches
	shown bool
}

func (r *run) newWaiting() *waiting {
	if r.json || r.mode() != progressBar {
		return &waiting{}
	}
	return &waiting{w: r.Err}
}

func (w *waiting) show(text string) {
	if w.w != nil {
		fmt.Fprint(w.w, "\r"+runewidth.Truncate(clean(text), max(terminalWidth(w.w)-2, 0), "")+"\x1b[K")
		w.shown = true
	}
}

func (w *waiting) erase() {
	if w.shown {
		fmt.Fprint(w.w, "\r\x1b[K")
		w.shown = false
	}
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

// speedText is "stopped at -n 30; prompt 17 tokens at 2150 tokens/s, 30
// generated at 242 tokens/s".
func speedText(g *app.Generation, most int) string {
	why := clean(g.FinishReason)
	switch g.FinishReason {
	case "stop":
		why = "finished"
	case "length":
		why = fmt.Sprintf("stopped at -n %d", most)
	case "context":
		why = "stopped where the model's context ends"
	}
	return fmt.Sprintf("%s; prompt %s at %.0f tokens/s, %d generated at %.0f tokens/s", why,
		plural(g.PromptTokens, "token"), perSecond(g.PromptTokens, g.Prefill),
		len(g.IDs), perSecond(len(g.IDs), g.Decode))
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
	return genObject{Type: "summary", Schema: "qbranch/gen/v1", Target: t.String(), IDs: g.IDs, Text: g.Text,
		FinishReason: g.FinishReason, PromptTokens: g.PromptTokens,
		Prefill: perSecond(g.PromptTokens, g.Prefill), Decode: perSecond(len(g.IDs), g.Decode)}
}
