package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// Options of the terminal program.
type Options struct {
	Repo    string         // reference to open at once; "" = ask
	ASCII   bool           // draw with ASCII only: the caller knows the locale
	Theme   string         // "dark", "light", "mono"; "" = decide by COLORFGBG
	Version string         // of the program, shown on the first screen
	In, Out *os.File       // the terminal; nil = standard input and output
	Tour    bool           // say below each screen what to try next
	Mouse   bool           // wheel and clicks; the terminal's own selection then needs shift
	Fit     app.FitOptions // what branches are measured against at first; zero = this machine
	// Temporary says that the store is deleted at the end, so that there is
	// nothing to resume and Run says nothing of it.
	Temporary bool
}

// Run shows the terminal program until the user quits or ctx ends. When it
// returns, everything it started has ended. On the normal screen it then says
// what is resumable and how, unless the store is temporary. The error is ctx's
// own when ctx ended it.
func Run(ctx context.Context, a *app.App, o Options) error {
	if o.In == nil {
		o.In = os.Stdin
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	return run(ctx, appBackend{a}, o, os.Getenv)
}

func run(ctx context.Context, b backend, o Options, env func(string) string) error {
	k := newLook(themeWanted(o.Theme, env), colourWanted(env), o.ASCII)
	w := newWorker(ctx)
	m := newModel(w, b, k, o)
	d := newDisplay(o.In, o.Out, o.Mouse)
	m.clip, m.display = o.Out, d
	err := perform(ctx, m, d)
	if !o.Temporary {
		// A comfort, no promise: what was under way is told with its commands.
		_ = b.KeepQueue(m.plan.base.StateDir, m.transfers.unfinished())
		farewell(o.Out, m)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("running the terminal program: %w", err)
	}
	return nil
}

// perform runs the program on the terminal. Then the terminal is as it was found,
// everything that was started has ended, and of a panic the stack is told.
func perform(ctx context.Context, m *model, d *display) error {
	err := d.take()
	if err == nil {
		err = loop(ctx, m, d)
		d.leave()
	}
	m.work.close()
	err = errors.Join(err, m.slot.drop())
	var crash *crashError
	if errors.As(err, &crash) {
		fmt.Fprintf(d.out, "%s\n", crash.stack)
	}
	return err
}

// loop runs the program until it is quit, ctx ends, the terminal is gone or a
// panic is caught.
func loop(ctx context.Context, m *model, d *display) (err error) {
	// Bubble Tea would print what it catches into the alternate screen.
	defer func() {
		if r := recover(); r != nil {
			err = caught(r)
		}
	}()
	// Signals are the caller's: they end ctx. Ctrl-C typed is a key.
	opts := []tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(keyboard{d.in}), tea.WithoutRenderer(), tea.WithoutSignalHandler(), tea.WithoutCatchPanics()}
	if d.mouse {
		opts = append(opts, tea.WithMouseCellMotion()) // consoles of Windows are told so
	}
	m.Update(d.size()) // so that the first frame is one
	p := tea.NewProgram(shownModel{m, d}, opts...)
	ended := make(chan struct{})
	defer close(ended)
	go d.run(ended)
	defer d.watch(p.Send)()
	if _, err = p.Run(); err == nil && m.crash != nil {
		err = m.crash
	}
	return err
}

// farewell says on the normal screen what was left unfinished and how to go on.
// It reads the counters themselves: the program has ended.
func farewell(out io.Writer, m *model) {
	head := "Not finished; what is on disk stays, and this resumes:"
	for _, t := range m.transfers.list {
		if t.well != nil && t.well.Load() || t.is(transferDone, transferElsewhere) || t.is(transferStopped) && t.left || t.is(transferFailed) && !app.Resumable(t.err) {
			continue // it is here, or this session had no part in it, or nothing resumes it
		}
		if t.stats != nil && t.active() {
			t.read(t.wait.now)
		}
		if head != "" {
			fmt.Fprintln(out, head)
			head = ""
		}
		line := "  " + t.command()
		if t.total > 0 {
			line += fmt.Sprintf("   # %s here, %s of %s", percent(t.done, t.total), app.BytesText(t.done), app.BytesText(t.total))
		}
		fmt.Fprintln(out, clean(line))
	}
}

// hintOr is the error's advice, else ours.
func hintOr(err error, advice string) string {
	if h := app.HintOf(err); h != "" {
		return h
	}
	return advice
}
