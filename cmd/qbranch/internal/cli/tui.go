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
	cmd.Flags().BoolVar(&r.mouse, "mouse", false, "let the wheel move and clicks choose; selecting text then needs the shift key")
	cmd.Flags().StringVar(&r.theme, "theme", "", "colours for a `dark`, light or mono terminal (default: guess)")
	return cmd
}

// browse opens the browser on a repository, "" for none yet.
func (r *run) browse(ctx context.Context, repo string) error {
	r.browsing = true
	a, err := r.open(0)
	if err != nil {
		return err
	}
	return r.browseWith(ctx, a, repo, false)
}

func (r *run) browseWith(ctx context.Context, a *app.App, repo string, temporary bool) error {
	in, _ := r.In.(*os.File)
	out, _ := r.Out.(*os.File)
	if in == nil || out == nil || !isTerminal(in) || !isTerminal(out) {
		return &usageError{msg: "the browser needs a terminal for input and output", hint: "'qbranch ls REPO' prints the same table"}
	}
	theme := r.theme
	switch {
	case !slices.Contains([]string{"", "dark", "light", "mono"}, theme):
		return &usageError{msg: fmt.Sprintf("--theme %q: want dark, light or mono", clean(theme))}
	case theme == "" && r.color == "never":
		theme = "mono"
	}
	return tui.Run(ctx, a, tui.Options{Repo: repo, ASCII: asciiOnly(r.Getenv), Theme: theme, Version: r.build().Version, Temporary: temporary, In: in, Out: out,
		Mouse: r.mouse, Fit: app.FitOptions{VRAM: r.Getenv("QBRANCH_VRAM"), VRAMFrom: "QBRANCH_VRAM", StateDir: app.StateDir(r.Getenv)}})
}
