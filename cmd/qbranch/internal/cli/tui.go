package cli

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/cmd/qbranch/internal/tui"
)

func (r *run) tuiCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tui [REPO]",
		GroupID: groupTry,
		Short:   "Browse a repository's branches in the terminal",
		Long: `Browse a repository's branches: fetch with live progress, verify, generate. The same as
"qbranch [REPO]" on a terminal; elsewhere it ends with exit code 2.`,
		Example: "  qbranch tui TheBloke/Llama-2-13B-chat-GPTQ --theme light",
		Args:    args(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo := ""
			if len(args) > 0 {
				ref, err := app.ParseRef(args[0])
				if err != nil {
					return badArgument(err)
				}
				repo = ref.String()
			}
			return r.browse(cmd.Context(), repo)
		},
	}
	r.screenFlags(cmd)
	return cmd
}

// screenFlags gives a verb the flags of the browser.
func (r *run) screenFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.mouse, "mouse", false, "let the wheel move and clicks choose; text is selected with shift")
	cmd.Flags().StringVar(&r.theme, "theme", "", "colours for a `dark`, light or mono terminal (default: guess)")
}

// browse opens the browser on a repository, "" for none yet.
func (r *run) browse(ctx context.Context, repo string) error {
	r.browsing = true
	a, err := r.open(0)
	if err != nil {
		return err
	}
	return r.browseWith(ctx, a, repo, false, false)
}

// browseWith opens the browser. The demo's has a tour; a temporary store leaves
// nothing to resume.
func (r *run) browseWith(ctx context.Context, a *app.App, repo string, tour, temporary bool) error {
	in, _ := r.In.(*os.File)
	out, _ := r.Out.(*os.File)
	if in == nil || out == nil || !isTerminal(in) || !isTerminal(out) {
		return &usageError{msg: "the browser needs a terminal for input and output", hint: "'qbranch ls REPO' prints the same table"}
	}
	theme := r.theme
	switch {
	case r.Getenv("TERM") == "dumb":
		return &usageError{msg: "TERM=dumb: the browser needs a terminal that can move the cursor", hint: "'qbranch ls REPO' prints the same table"}
	case !slices.Contains([]string{"", "dark", "light", "mono"}, theme):
		return &usageError{msg: fmt.Sprintf("--theme %q: want dark, light or mono", clean(theme))}
	case theme == "" && r.color == "never":
		theme = "mono"
	}
	return tui.Run(ctx, a, tui.Options{Repo: repo, ASCII: asciiOnly(r.Getenv), Theme: theme, Version: r.build().Version, Tour: tour, Temporary: temporary, In: in, Out: out,
		Mouse: r.mouse, Fit: app.FitOptions{VRAM: r.Getenv("QBRANCH_VRAM"), VRAMFrom: "QBRANCH_VRAM", StateDir: app.StateDir(r.Getenv)}})
}
