package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	compute    string
	threads    int
	chat       bool
	request    app.Request
	idle       []string // flags that do nothing at temperature 0
}

func (r *run) genCommand() *cobra.Command {
	var f genFlags
	cmd := &cobra.Command{
		Use:        "gen REF|DIR [-p TEXT]",
		GroupID:    groupLocal,
		SuggestFor: []string{"run", "generate", "chat"},
		Short:      "Generate text from a fetched branch, on the CPU",
		Long: `Generate text from a fetched branch or from any folder with config.json and safetensors,
on the CPU: the proof that a checkpoint is what it claims. The prompt goes through the
repository's chat template unless --raw; without -p it is read from standard input when
that is no terminal. Text streams to standard output, speed to standard error. The
default, temperature 0, always takes the likeliest token.

With --chat every line is a turn of a conversation, which keeps what it has computed.
/reset begins anew; Ctrl-C stops an answer, and ends the conversation between answers,
as Ctrl-D and /quit do.`,
		Example: `  qbranch gen TheBloke/Llama-2-13B-chat-GPTQ:main -p "Why is the sky blue?" -n 60
  qbranch gen TheBloke/Llama-2-13B-chat-GPTQ:main --chat --system "Be brief."
  echo "Once upon a time" | qbranch gen ./llama --raw --temp 0.8 --min-p 0.05 --seed 7`,
		Args:              genArgs,
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := app.ParseTarget(args[0])
			if err != nil {
				return badArgument(err)
			}
			given := cmd.Flags().Changed
			f.request.IgnoreEOS = f.tokenIDs != "" && given("tokens") // for those who compare runners
			for _, name := range []string{"top-p", "top-k", "min-p", "seed"} {
				if given(name) {
					f.idle = append(f.idle, "--"+name)
				}
			}
			if given("token-ids") && f.tokenIDs == "" {
				return &usageError{msg: "--token-ids: there are none", hint: "for example: --token-ids 1,306,412"}
			}
			if err := f.settle(given("prompt"), isTerminal(r.In)); err != nil {
				return err
			}
			if f.prompt == "-" {
				f.request.Prompt, err = r.readPrompt(cmd.Context())
				switch {
				case err == nil && f.request.Prompt != "":
				case err == nil && given("prompt"):
					return errEmptyPrompt()
				case err == nil:
					return errNoPrompt()
				default:
					return err
				}
			}
			return r.gen(cmd.Context(), t, f)
		},
	}
	fl, q := cmd.Flags(), &f.request
	fl.StringVarP(&f.prompt, "prompt", "p", "", "the prompt; - reads `TEXT` from standard input")
	fl.StringVar(&q.System, "system", "", "the system message `TEXT`")
	fl.BoolVar(&f.chat, "chat", false, "a conversation: every line of standard input is a turn")
	fl.IntVarP(&q.MaxTokens, "tokens", "n", 256, "generate at most `N` tokens, a turn of --chat")
	fl.Float64Var(&q.Temperature, "temp", 0, "temperature `T`; 0 takes the likeliest token")
	fl.IntVar(&q.TopK, "top-k", 0, "sample from the `K` likeliest tokens (default all)")
	fl.Float64Var(&q.TopP, "top-p", 1, "sample from the likeliest tokens of probability `P` in all")
	fl.Float64Var(&q.MinP, "min-p", 0, "sample from tokens at least `P` times as likely as the likeliest")
	fl.Float64Var(&q.RepetitionPenalty, "repetition-penalty", 1, "above 1, `R` makes tokens seen before less likely")
	fl.Uint64Var(&q.Seed, "seed", 0, "random `SEED` (default 0); the same one gives the same text")
	fl.StringArrayVar(&q.Stop, "stop", nil, "end before the text `S`; may be given several times")
	fl.BoolVar(&q.Raw, "raw", false, "no chat template: the prompt as it is")
	fl.StringVar(&f.tokenIDs, "token-ids", "", "`IDS` such as 1,306,412, no prompt; with -n exactly N follow")
	fl.StringVar(&f.dumpLogits, "dump-logits", "", "write the logits of every position to `FILE` (safetensors)")
	fl.StringVar(&f.compute, "compute", "", "arithmetic, `HOW`: float32, int16 or int8 (default int16)")
	fl.IntVar(&f.threads, "threads", 0, "use `N` cores (default all)")
	r.jsonFlag(cmd)
	return cmd
}

// genArgs wants one argument. A second one is often the prompt.
func genArgs(cmd *cobra.Command, given []string) error {
	err := args(1, 1, "a branch or a folder")(cmd, given)
	if usage, ok := errors.AsType[*usageError](err); ok && len(given) > 1 {
		usage.hint = "a prompt goes after -p: qbranch gen " + clean(given[0]) + " -p " + strconv.Quote(clean(given[1]))
	}
	return err
}

// promptLimit bounds what is read from standard input; no context is longer.
const promptLimit = 16 << 20

// settle checks the flags and fills the request from them, all but a prompt
// that is still to be read. terminal says that standard input is one.
func (f *genFlags) settle(hasPrompt, terminal bool) error {
	q := &f.request
	if f.chat {
		if err := f.settleChat(hasPrompt); err != nil {
			return err
		}
	}
	switch {
	case hasPrompt && f.tokenIDs != "":
		return &usageError{msg: "gen: give only one of -p and --token-ids"}
	case !hasPrompt && f.tokenIDs == "" && !f.chat && terminal:
		return errNoPrompt()
	case !hasPrompt && f.tokenIDs == "" && !f.chat:
		f.prompt = "-"
	case hasPrompt && f.prompt == "":
		return errEmptyPrompt()
	}
	if err := f.checkNumbers(); err != nil {
		return err
	}
	var err error
	if q.Compute, err = app.ParseCompute(f.compute); err != nil {
		return &usageError{msg: "--compute: " + clean(err.Error()), err: err}
	}
	q.KeepLogits = f.dumpLogits != ""
	if f.tokenIDs != "" {
		q.TokenIDs, err = parseIDs(f.tokenIDs)
		return err
	}
	q.Prompt = f.prompt
	return nil
}

// checkNumbers checks the flags that hold numbers, and the stop strings.
func (f *genFlags) checkNumbers() error {
	q := &f.request
	switch {
	case q.MaxTokens < 1:
		return &usageError{msg: fmt.Sprintf("-n %d: want at least 1", q.MaxTokens)}
	case !(q.Temperature >= 0):
		return &usageError{msg: fmt.Sprintf("--temp %g: want 0 or more", q.Temperature)}
	case q.TopK < 0:
		return &usageError{msg: fmt.Sprintf("--top-k %d: want 0 or more", q.TopK)}
	case !(q.TopP > 0 && q.TopP <= 1):
		return &usageError{msg: fmt.Sprintf("--top-p %g: want more than 0 and at most 1", q.TopP)}
	case !(q.MinP >= 0 && q.MinP <= 1):
		return &usageError{msg: fmt.Sprintf("--min-p %g: want 0 to 1", q.MinP)}
	case !(q.RepetitionPenalty > 0):
		return &usageError{msg: fmt.Sprintf("--repetition-penalty %g: want more than 0", q.RepetitionPenalty)}
	case slices.Contains(q.Stop, ""):
		return &usageError{msg: "--stop: the text is empty"}
	case f.threads < 0:
		return &usageError{msg: fmt.Sprintf("--threads %d: want 0 or more", f.threads)}
	}
	return nil
}

// settleChat refuses what a conversation has no place for.
func (f *genFlags) settleChat(hasPrompt bool) error {
	for _, no := range []struct {
		given bool
		flag  string
		hint  string
	}{
		{hasPrompt, "-p", "the first line of standard input is the first turn; --system sets what comes before"},
		{f.tokenIDs != "", "--token-ids", "a conversation is text"},
		{f.request.Raw, "--raw", "a conversation needs the chat template"},
		{f.dumpLogits != "", "--dump-logits", "leave out --chat"},
	} {
		if no.given {
			return &usageError{msg: "gen: --chat and " + no.flag + " do not go together", hint: no.hint}
		}
	}
	return nil
}

func errNoPrompt() error {
	return &usageError{msg: "gen: no prompt", hint: `for example: -p "Hello"; --chat begins a conversation`}
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
	text, err := r.readInput(ctx, "the prompt", promptLimit)
	if len(text) > promptLimit {
		return "", errLongInput()
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), err
}

// readInput reads standard input, which holds what, until its end, until it is
// longer than limit, or until ctx is cancelled.
func (r *run) readInput(ctx context.Context, what string, limit int64) ([]byte, error) {
	type input struct {
		text []byte
		err  error
	}
	// A read from a terminal cannot be ended from here: after a cancellation the
	// goroutine is left to the end of the process, which follows at once.
	read := make(chan input, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(r.In, limit+1))
		read <- input{text, err}
	}()
	select {
	case in := <-read:
		if in.err != nil {
			return nil, fmt.Errorf("read %s: %w", what, in.err)
		}
		return in.text, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("read %s: %w", what, ctx.Err())
	}
}

func errLongInput() error {
	return &usageError{msg: "the prompt on standard input is longer than any context"}
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
	start := time.Now()
	m, err := a.LoadModel(ctx, t)
	if err != nil {
		return err
	}
	defer func() {
		if e := m.Close(); err == nil {
			err = e
		}
	}()
	g := genRun{run: r, target: t, flags: f, model: m, load: time.Since(start)}
	if !f.request.Raw && f.tokenIDs == "" {
		g.format = m.Info().Template
	}
	w.erase()
	g.introduce()
	if f.chat {
		return g.chat(ctx)
	}
	return g.once(ctx, w)
}

// genRun is a gen whose model is loaded.
type genRun struct {
	*run
	target app.Target
	flags  genFlags
	model  *app.Model
	load   time.Duration
	format string // where that of the prompt comes from; "" = none is used
}

// introduce tells what a user may not expect.
func (g *genRun) introduce() {
	if g.json {
		return
	}
	for _, n := range g.model.Notes() {
		g.note("note: %s", n)
	}
	if g.flags.request.Temperature == 0 && len(g.flags.idle) > 0 {
		g.note("note: without --temp the likeliest token is taken, and %s %s nothing", strings.Join(g.flags.idle, ", "),
			map[bool]string{true: "does", false: "do"}[len(g.flags.idle) == 1])
	}
	if info := g.model.Info(); g.format != "" && !info.Formatted {
		g.note("note: neither the files nor the card of this model say how its prompts look; used is %s", strings.TrimPrefix(info.Template, "none: "))
	}
}

// once answers one prompt.
func (g *genRun) once(ctx context.Context, w *waiting) error {
	w.show("reading the prompt ...")
	write := g.tokenWriter()
	res, err := g.model.Generate(ctx, g.flags.request, func(t app.Token) error {
		w.erase()
		return write(t)
	})
	w.erase()
	if !g.json && res != nil && len(res.IDs) > 0 {
		fmt.Fprintln(g.out)
	}
	if err != nil && (ctx.Err() == nil || res == nil) {
		return err
	}
	if err == nil && g.flags.dumpLogits != "" {
		if err := g.model.WriteLogits(g.flags.dumpLogits, res); err != nil {
			return err
		}
	}
	// What came before an interruption counts.
	if g.json {
		return errors.Join(err, g.emit(g.object(res)))
	}
	g.note("%s", g.speedText(res))
	return err
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
// generated at 242 tokens/s; prompt format: tokenizer_config.json".
func (g *genRun) speedText(res *app.Generation) string {
	why := clean(res.FinishReason)
	switch res.FinishReason {
	case "stop":
		why = "finished"
	case "stop_string":
		why = "stopped at a --stop text"
	case "length":
		why = fmt.Sprintf("stopped at -n %d", g.flags.request.MaxTokens)
	case "context":
		why = "stopped where the model's context ends"
	case "cancelled":
		why = "interrupted"
	}
	text := fmt.Sprintf("%s; prompt %s at %.0f tokens/s, %d generated at %.0f tokens/s", why,
		plural(res.PromptTokens, "token"), perSecond(res.PromptTokens-res.Reused, res.Prefill),
		len(res.IDs), perSecond(len(res.IDs), res.Decode))
	if g.format != "" {
		text += "; prompt format: " + clean(strings.TrimPrefix(g.format, "none: "))
	}
	return text
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
		Turn         int     `json:"turn,omitempty"` // of --chat, from 1
		IDs          []int   `json:"ids"`
		Text         string  `json:"text"`
		FinishReason string  `json:"finish_reason"` // "stop", "stop_string", "length", "context" or "cancelled"
		PromptTokens int     `json:"prompt_tokens"`
		Reused       int     `json:"reused_tokens"` // of the prompt, by --chat
		Prefill      float64 `json:"prefill_tokens_per_second"`
		Decode       float64 `json:"decode_tokens_per_second"`
		Compute      string  `json:"compute"`
		Format       string  `json:"prompt_format,omitempty"`
		Load         float64 `json:"load_seconds"`
	}
)

func (g *genRun) object(res *app.Generation) genObject {
	return genObject{Type: "summary", Schema: "qbranch/gen/v1", Target: g.target.String(), IDs: res.IDs, Text: res.Text,
		FinishReason: res.FinishReason, PromptTokens: res.PromptTokens, Reused: res.Reused,
		Prefill: perSecond(res.PromptTokens-res.Reused, res.Prefill), Decode: perSecond(len(res.IDs), res.Decode),
		Compute: string(g.flags.request.Compute), Format: g.format, Load: g.load.Seconds()}
}
