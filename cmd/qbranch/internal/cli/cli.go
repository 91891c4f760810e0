package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// Program is one command line and everything it works with.
type Program struct {
	Args    []string            // without the program's own name
	In      io.Reader           // a terminal only when it is an *os.File that is one
	Out     io.Writer           // what was asked for
	Err     io.Writer           // progress and messages
	Getenv  func(string) string // the environment
	Version string              // set when the program was linked; "" = ask the build info
	// CatchInterrupt offers every interrupt to f, which says whether it has dealt
	// with it; otherwise ctx is cancelled. f nil ends that. CatchInterrupt may be nil.
	CatchInterrupt func(f func() bool)
}

// Main runs a command line and returns its exit code (docs/output.md). When
// ctx is cancelled by a *SignalError the code is the signal's.
func Main(ctx context.Context, p Program) int {
	r := &run{Program: p, out: &stickyWriter{w: p.Out}}
	r.errColor = newPaint("auto", p.Err, p.Getenv)
	root := r.rootCommand()
	root.SetArgs(append([]string{}, p.Args...)) // nil would mean os.Args
	root.SetIn(p.In)
	root.SetOut(r.out)
	root.SetErr(p.Err)
	return r.finish(ctx, root.ExecuteContext(ctx))
}

// run is a command line while it runs.
type run struct {
	Program
	out      *stickyWriter // Program.Out, remembering its first failure
	outColor paint
	errColor paint

	quiet     bool
	verbose   bool
	color     string
	progress  string
	storeDir  string
	endpoint  string
	tokenFile string
	offline   bool
	theme     string
	mouse     bool
	browsing  bool // the browser has the screen
	json      bool // set by the verbs that have --json
}

// The groups of the help page.
const (
	groupFetch = "fetch"
	groupLocal = "local"
	groupTry   = "try"
)

func (r *run) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "qbranch",
		Short: "List, fetch, verify and run the branches of GPTQ repositories",
		Long: `qbranch lists, fetches, verifies and runs the quants that live in the branches of a
Hugging Face repository. "qbranch REPO" on a terminal opens the browser.

A REF is owner/name, owner/name:branch, owner/name@commit or the page's URL.`,
		Example: `  qbranch demo                                              see the whole job on a small repository
  qbranch ls TheBloke/Llama-2-13B-chat-GPTQ                 what branches there are
  qbranch fit TheBloke/Llama-2-13B-chat-GPTQ --vram 12GiB   which of them fit a graphics card
  qbranch pick TheBloke/Llama-2-13B-chat-GPTQ               the best that fits, for a script
  qbranch get TheBloke/Llama-2-13B-chat-GPTQ:main           fetch one, or go on fetching it
  qbranch gen TheBloke/Llama-2-13B-chat-GPTQ:main -p "Why is the sky blue?"`,
		Version:       r.build().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE:          r.bare,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return r.settle()
		},
	}
	root.AddGroup(
		&cobra.Group{ID: groupFetch, Title: "Look and fetch:"},
		&cobra.Group{ID: groupLocal, Title: "Work with what is here:"},
		&cobra.Group{ID: groupTry, Title: "More:"},
	)
	root.SetHelpCommandGroupID(groupTry)
	root.SetCompletionCommandGroupID(groupTry)
	root.SetHelpCommand(helpCommand())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{msg: flagErrorText(err), hint: fmt.Sprintf("'%s --help' lists the flags", cmd.CommandPath())}
	})
	root.SetUsageFunc(usage)
	f := root.PersistentFlags()
	r.screenFlags(root)
	for _, name := range []string{"mouse", "theme"} { // the page is of all commands; that of tui has them
		if err := root.Flags().MarkHidden(name); err != nil {
			panic("qbranch: internal error: " + err.Error())
		}
	}
	f.BoolP("help", "h", false, "show help, also of a command")
	root.Flags().Bool("version", false, "print the version (this page only)")
	f.BoolVarP(&r.quiet, "quiet", "q", false, "say only what was asked for, and errors")
	f.BoolVarP(&r.verbose, "verbose", "v", false, "log requests and decisions to standard error")
	f.StringVar(&r.color, "color", "auto", "colours, `WHEN`: auto, always or never")
	f.StringVar(&r.progress, "progress", "auto", "progress, `HOW`: auto, plain, json or none")
	f.StringVar(&r.storeDir, "store", "", "keep blobs in `DIR` (default $QBRANCH_STORE, else the data folder)")
	f.StringVar(&r.endpoint, "endpoint", "", "hub to talk to, a `URL` (default $HF_ENDPOINT, else huggingface.co)")
	f.BoolVar(&r.offline, "offline", false, "use no network: the store, and what the cache knows")
	f.StringVar(&r.tokenFile, "token-file", "", "read the access token from `FILE` (default $HF_TOKEN, …)")
	root.AddCommand(r.lsCommand(), r.showCommand(), r.diffCommand(), r.fitCommand(), r.pickCommand(), r.getCommand(), r.cardCommand(),
		r.verifyCommand(), r.proveCommand(), r.genCommand(), r.tokensCommand(), r.benchCommand(), r.storeCommand(), r.cacheCommand(), r.authCommand(), r.doctorCommand(), r.gpuCommand(),
		r.demoCommand(), r.tuiCommand(), r.versionCommand())
	return root
}

// settle checks the global flags and what follows from them.
func (r *run) settle() error {
	if !slices.Contains([]string{"auto", "always", "never"}, r.color) {
		return &usageError{msg: fmt.Sprintf("--color %q: want auto, always or never", r.color)}
	}
	if !slices.Contains([]string{"auto", "plain", "json", "none"}, r.progress) {
		return &usageError{msg: fmt.Sprintf("--progress %q: want auto, plain, json or none", r.progress)}
	}
	r.outColor = newPaint(r.color, r.Out, r.Getenv)
	r.errColor = newPaint(r.color, r.Err, r.Getenv)
	return nil
}

// bare is qbranch without a verb: the browser on a terminal, else help.
func (r *run) bare(cmd *cobra.Command, args []string) error {
	repo := ""
	if len(args) > 0 {
		t, err := app.ParseTarget(args[0])
		switch dir := clean(t.Dir); {
		case err != nil || len(args) > 1:
			return unknownCommand(cmd, args[0])
		case t.Bundle != "":
			return &usageError{msg: fmt.Sprintf("%s is a file: say what to do with it", clean(t.Bundle)),
				hint: fmt.Sprintf("'qbranch store import %s' brings the branches of a bundle into the store", clean(t.Bundle))}
		case t.Dir != "":
			return &usageError{msg: fmt.Sprintf("%s is a folder: say what to do with it", dir),
				hint: fmt.Sprintf("'qbranch verify %s' checks it, 'qbranch gen %s -p TEXT' runs it", dir, dir)}
		}
		repo = t.Ref.String()
	}
	if isTerminal(r.In) && isTerminal(r.Out) {
		return r.browse(cmd.Context(), repo)
	}
	cmd.SetOut(r.Err) // nobody asked for help: it is a message
	if err := cmd.Help(); err != nil {
		return err
	}
	if len(args) > 0 {
		return &usageError{msg: "no command given", hint: "did you mean 'qbranch ls " + clean(args[0]) + "'?"}
	}
	return &usageError{msg: "no command given, and this is not a terminal to browse in", hint: "try 'qbranch demo'"}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	if cmd == cmd.Root() && slices.Contains([]string{"rm", "gc", "du", "fsck", "pin"}, name) {
		return &usageError{msg: fmt.Sprintf("unknown command %q", name), hint: fmt.Sprintf("did you mean 'qbranch store %s'?", name)}
	}
	e := &usageError{msg: fmt.Sprintf("unknown command %q", clean(name)),
		hint: fmt.Sprintf("'%s --help' lists the commands", cmd.CommandPath())}
	cmd.SuggestionsMinimumDistance = 2
	if s := cmd.SuggestionsFor(name); len(s) > 0 {
		e.hint = fmt.Sprintf("did you mean '%s %s'?", cmd.CommandPath(), s[0])
	}
	return e
}

// open makes the App that the flags and the environment describe.
func (r *run) open(threads int) (*app.App, error) {
	o, err := app.HubFromEnv(r.Getenv, r.tokenFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	if err != nil {
		return nil, &usageError{msg: err.Error(), err: err}
	}
	if o.Token.Exposed() {
		r.note("warning: others on this machine can read the token in %s: chmod 600 %[1]s", clean(o.Token.Source))
	}
	if r.endpoint != "" {
		o.Endpoint = r.endpoint
	}
	o.UserAgent = r.userAgent()
	o.Offline = o.Offline || r.offline
	o.CacheDir = app.CacheDir(r.Getenv)
	c := app.Config{Hub: o, StoreDir: r.storeDir, HFCache: app.HFCacheDir(r.Getenv), PackedDir: app.PackedDir(r.Getenv), Threads: threads, OnWait: r.tellWait}
	if c.StoreDir == "" {
		c.StoreDir = r.Getenv("QBRANCH_STORE")
	}
	if r.verbose {
		c.Logger = slog.New(slog.NewTextHandler(r.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Hub.Logger = c.Logger
	}
	return app.New(c)
}

// tellWait tells the user of a pause, unless the browser has the screen.
func (r *run) tellWait(w app.Wait) {
	if !r.browsing {
		r.note("%s", waitText(w))
	}
}

// note tells the user something that is not the answer.
func (r *run) note(format string, args ...any) {
	if !r.quiet {
		fmt.Fprintf(r.Err, format+"\n", args...)
	}
}

// jsonFlag gives a verb --json.
func (r *run) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.json, "json", false, "print JSON (docs/output.md)")
}

// args checks how many arguments a verb was given and names what is missing.
func args(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		hint := "usage: " + cmd.UseLine()
		name := strings.TrimPrefix(cmd.CommandPath(), "qbranch ")
		switch {
		case len(args) < least:
			return &usageError{msg: fmt.Sprintf("%s: name %s", name, what), hint: hint}
		case most >= 0 && len(args) > most:
			return &usageError{msg: fmt.Sprintf("%s: unexpected argument %q", name, clean(args[most])), hint: hint}
		}
		return nil
	}
}

// completeRefs offers what the store holds.
func (r *run) completeRefs(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	a, err := r.open(0)
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	items, err := a.StoreList(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var refs []string
	for _, i := range items {
		refs = append(refs, clean(i.Ref()))
	}
	return refs, cobra.ShellCompDirectiveDefault
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// asciiOnly says that the terminal cannot be trusted with more than ASCII.
func asciiOnly(getenv func(string) string) bool {
	if on := getenv("QBRANCH_ASCII"); on != "" {
		return on != "0"
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(getenv(name)); v != "" {
			return !strings.Contains(v, "UTF-8") && !strings.Contains(v, "UTF8")
		}
	}
	return true
}

// stickyWriter remembers the first failure: output that did not arrive must
// not look like success.
type stickyWriter struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

func (s *stickyWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.w.Write(p)
	if err != nil && s.err == nil {
		s.err = err
	}
	return n, err
}

func (s *stickyWriter) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("write the output: %w", s.err)
}
