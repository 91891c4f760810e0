package cli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

type getFlags struct {
	dir         string
	connections int
	limitRate   string
	fitVRAM     string
	dryRun      bool
	force       bool
	allowPickle bool
	layout      string
	link        string
	from        []string
	noLocal     bool
	include     []string
	exclude     []string
	prove       bool
}

func (r *run) getCommand() *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:        "get REF...",
		GroupID:    groupFetch,
		Short:      "Fetch a branch, or go on fetching it",
		SuggestFor: []string{"download", "pull", "fetch", "clone", "install"},
		Long: `Fetch a branch into the store. The config and the headers of the weights are judged
before the weights move; every byte is checked against its digest on the way. After an
interruption of any kind the same command goes on where it was, and files that another
branch brought are not fetched again. Nor are those that this machine has: the cache of the
official client is looked through, and any folder given by --from. What is found is hashed
like what is fetched.

With --dir the branch is laid out for other programs, too: as a plain folder, as a folder of
text-generation-webui's models (--layout tgwui --dir MODELS), or in a cache of the official
client (--layout hf, by default the one that $HF_HUB_CACHE or $HF_HOME name). A file there
shares disk with the store where that is possible and safe; --link chooses how. Symbolic
links into the store are not offered: a program that follows one could delete or edit what
every other branch shares.

With --include and --exclude a part of the branch is fetched; * matches across folders. The
store shows a branch only when all of it is there: fetch the rest later, or lay the part out
with --dir. With --prove the branch is proved when it is here; exit code 6 says that it is not
sound.`,
		Example: `  qbranch get TheBloke/Llama-2-13B-chat-GPTQ:gptq-4bit-32g-actorder_True
  qbranch get TheBloke/Llama-2-13B-chat-GPTQ --fit-vram 24GiB
  qbranch get TheBloke/Llama-2-13B-chat-GPTQ:main --dir ./llama --limit-rate 10M
  qbranch get TheBloke/Llama-2-13B-chat-GPTQ:main --from ~/models --layout hf`,
		Args:              args(1, -1, "a branch, such as owner/name:branch"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("connections") && f.connections < 1 {
				return &usageError{msg: fmt.Sprintf("-j %d: want at least 1", f.connections)}
			}
			if f.prove && (f.dryRun || len(f.include)+len(f.exclude) > 0) {
				return &usageError{msg: "--prove needs all of the branch", hint: "leave out --dry-run, --include and --exclude, or --prove"}
			}
			if cmd.Flags().Changed("dir") && f.dir == "" {
				return &usageError{msg: "--dir: no folder is named", hint: "is a variable empty that should name it?"}
			}
			o, err := f.options(len(args))
			if err != nil {
				return err
			}
			refs := make([]app.Ref, len(args))
			for i, arg := range args {
				if refs[i], err = app.ParseRef(arg); err != nil {
					return badArgument(err)
				}
			}
			if cmd.Flags().Changed("fit-vram") {
				return r.getFitting(cmd.Context(), refs, f.fitVRAM, o, f.prove)
			}
			return r.get(cmd.Context(), refs, o, f.prove)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.dir, "dir", "", "lay the branch out in `DIR`, too: files that may share disk with the store")
	fl.StringVar(&f.layout, "layout", "plain", "how, `L`: plain, hf or tgwui")
	fl.StringVar(&f.link, "link", "auto", "share disk by `HOW`: auto, reflink, hard or copy")
	fl.StringArrayVar(&f.from, "from", nil, "take what is right from folder `DIR` first (repeatable)")
	fl.BoolVar(&f.noLocal, "no-local", false, "do not look into the official client's cache")
	fl.IntVarP(&f.connections, "connections", "j", 0, "most connections at once, `N` (default: up to 16, as many as pay)")
	fl.StringVar(&f.limitRate, "limit-rate", "", "at most `R` bytes per second, such as 10M or 2MiB")
	fl.StringArrayVar(&f.include, "include", nil, "only files whose path matches `GLOB` (repeatable)")
	fl.StringArrayVar(&f.exclude, "exclude", nil, "no files whose path matches `GLOB` (repeatable)")
	fl.StringVar(&f.fitVRAM, "fit-vram", "", "fetch the best branch of a repository that fits `SIZE`, or auto")
	fl.BoolVar(&f.dryRun, "dry-run", false, "say what would be fetched, and stop")
	fl.BoolVar(&f.force, "force", false, "fetch it whatever is found about its config and headers")
	fl.BoolVar(&f.prove, "prove", false, "prove what was fetched, as 'qbranch prove' does")
	fl.BoolVar(&f.allowPickle, "allow-pickle", false, "fetch pickle files (.bin, .pt, …) too: loading them can run code")
	r.jsonFlag(cmd)
	return cmd
}

func (f getFlags) options(refs int) (app.GetOptions, error) {
	o := app.GetOptions{Filter: app.Filter{Include: f.include, Exclude: f.exclude}, Dir: f.dir, From: f.from, NoLocal: f.noLocal,
		Connections: f.connections, DryRun: f.dryRun, Force: f.force, AllowPickle: f.allowPickle}
	var err error
	if o.Layout, err = app.ParseLayout(f.layout); err != nil {
		return o, &usageError{msg: "--layout: " + err.Error(), hint: "docs/layouts.md describes them"}
	}
	if o.Link, err = app.ParseLink(f.link); err != nil {
		return o, &usageError{msg: "--link: " + err.Error(), hint: "auto takes the first of reflink, hard and copy that works and is safe"}
	}
	if o.Layout == app.LayoutTGWUI && f.dir == "" {
		return o, &usageError{msg: "--layout tgwui: where are the models of text-generation-webui?", hint: "add --dir MODELS"}
	}
	if f.dir != "" && refs > 1 && o.Layout == app.LayoutPlain {
		return o, &usageError{msg: "--dir takes one branch", hint: "give each branch a command and a folder of its own"}
	}
	if f.limitRate != "" {
		rate, err := app.ParseRate(f.limitRate)
		if err != nil {
			return o, &usageError{msg: "--limit-rate: " + err.Error(), hint: "examples: 500k, 10M, 2MiB"}
		}
		o.LimitRate = rate
	}
	return o, nil
}

// getFitting fetches the branch that pick would name.
func (r *run) getFitting(ctx context.Context, refs []app.Ref, memory string, o app.GetOptions, prove bool) error {
	switch {
	case len(refs) > 1 || refs[0].Revision != "":
		return &usageError{msg: "--fit-vram takes one repository, without a branch: it picks the branch",
			hint: fmt.Sprintf("qbranch get %s --fit-vram %s", refs[0].Repo, clean(cmp.Or(memory, "24GiB")))}
	case memory == "":
		return &usageError{msg: "--fit-vram: no size is given", hint: "is a variable empty that should hold it?"}
	}
	a, err := r.open(0)
	if err != nil {
		return err
	}
	p, err := a.Pick(ctx, refs[0].Repo, app.PickOptions{FitOptions: app.FitOptions{VRAM: memory, VRAMFrom: "--fit-vram", StateDir: app.StateDir(r.Getenv)}})
	if err != nil {
		return err
	}
	if r.json {
		if err := r.emit(pickLine{"pick", pickJSON(p)}); err != nil {
			return err
		}
	} else {
		r.note("picked %s: it needs %s to %s of %s", clean(p.Ref.Revision), gib(p.Row.Estimate.Need.Low), app.GiBText(p.Row.Estimate.Need.High), p.Report.MemoryText())
	}
	return r.get(ctx, []app.Ref{p.Ref}, o, prove)
}

// pickLine says in get's stream what was picked.
type pickLine struct {
	Type string `json:"type"` // "pick"
	pickObject
}

// get fetches one reference after the other. Somebody who is there to make space
// is waited for when the disk is full; a script gets an exit code. One that fails does not stop the
// others; an interruption does.
func (r *run) get(ctx context.Context, refs []app.Ref, o app.GetOptions, prove bool) error {
	a, err := r.open(0)
	if err != nil {
		return err
	}
	o.WaitSpace = isTerminal(r.In) && isTerminal(r.Err)
	partial := &partialError{total: len(refs)}
	for i, ref := range refs {
		stats := &app.Stats{}
		o.Stats = stats
		err := r.getOne(ctx, a, ref, o, i == len(refs)-1)
		if err == nil && prove {
			err = r.prove(ctx, a, app.Target{Ref: ref}, app.ProveOptions{})
		}
		if err == nil {
			continue
		}
		if len(refs) == 1 || ctx.Err() != nil {
			return err
		}
		code := r.report(ctx, ref.String(), err)
		partial.failed++
		if stats.Done.Load() > 0 && (code == exitNetwork || code == exitStorage) {
			partial.resumable = true
		}
	}
	if partial.failed > 0 {
		return partial
	}
	return nil
}

func (r *run) getOne(ctx context.Context, a *app.App, ref app.Ref, o app.GetOptions, last bool) error {
	stats := o.Stats
	p := r.newProgress(ref.RevisionOrMain(), func() sample {
		return sample{total: stats.Total.Load(), done: stats.Done.Load(), received: stats.Received.Load(),
			verified: stats.Verified.Load(), retries: stats.Retries.Load(), conns: stats.Connections.Load()}
	})
	v := &getView{run: r, ref: ref, endpoint: a.Endpoint(), p: p, dryRun: o.DryRun, told: o.Force}
	o.Notify = v.event
	p.start()
	res, err := a.Get(ctx, ref, o)
	p.stop()
	switch {
	case err != nil && ctx.Err() != nil && stats.Total.Load() > 0:
		return &interruptedError{"get " + ref.String(), stats.Done.Load(), stats.Total.Load(), err}
	case err != nil:
		return err
	case o.DryRun:
		return r.dryRun(ref, a.Endpoint(), res)
	}
	return r.got(a, ref, res, last)
}

// getView shows the events of one fetch.
type getView struct {
	*run
	ref      app.Ref
	endpoint string
	p        *progress
	dryRun   bool // the plan is the answer, and printed at the end
	told     bool // a fatal finding is left to the error that it becomes
}

func (v *getView) event(e app.Event) {
	if v.json {
		v.eventJSON(e)
		return
	}
	if v.quiet {
		return
	}
	switch {
	case e.Wait != nil:
		v.p.message("  " + waitText(*e.Wait))
	case e.Moved != nil && !v.dryRun:
		v.p.message("  " + movedBranchText(v.ref.RevisionOrMain(), *e.Moved))
	case e.Renamed != nil:
		v.p.message(fmt.Sprintf("  %s is called %s now", e.Renamed.From, e.Renamed.To))
	case e.Plan != nil && !v.dryRun:
		v.p.message(planText(v.ref, v.endpoint, *e.Plan))
	case e.Findings != nil && !v.dryRun:
		for _, f := range v.worthTelling(withoutFirstFatal(e.Findings, &v.told)) {
			v.p.message(v.errColor.findingText(f))
		}
	case e.CannotRun != "":
		v.p.message("  " + cannotRunText(e.CannotRun))
	case e.Judged != "" && v.verbose:
		v.p.message("  judged: " + clean(e.Judged))
	case e.Fetch != nil:
		if text := fetchText(*e.Fetch, v.verbose); text != "" {
			v.p.message(text)
		}
	}
}
