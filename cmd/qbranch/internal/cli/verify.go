package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) verifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:     "verify REF|DIR|FILE.tar.zst|--all",
		GroupID: groupLocal,
		Short:   "Hash every byte again and judge config against tensors",
		Long: `Hash every byte of a fetched branch again, on all cores, and judge its config against its
tensors. A bad file is named with the bad byte ranges; --repair fetches only those again.
DIR is a folder that qbranch made, or any folder that holds a checkpoint: then there is
nothing to compare the bytes with, and only config and tensors are judged. FILE.tar.zst is
what 'qbranch store export' wrote: it is compared with the digests in it.

--quick reads no byte: is everything there, of the right length, and not known to be bad?
--deep computes the SHA-256 of every file, too, so that it need not believe the digests
recorded for its parts. --all takes every branch in the store, and reads once what they share.`,
		Example: `  qbranch verify TheBloke/Llama-2-13B-chat-GPTQ:main
  qbranch verify ./llama --repair
  qbranch verify --all --quick
  qbranch verify /media/usb/llama.tar.zst`,
		Args: func(cmd *cobra.Command, given []string) error {
			if f.all {
				return args(0, 0, "")(cmd, given)
			}
			return args(1, 1, "a branch, a folder or a bundle")(cmd, given)
		},
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.quick && f.deep {
				return &usageError{msg: "verify: give only one of --quick and --deep"}
			}
			if f.all {
				return r.verify(cmd.Context(), f, func(ctx context.Context, a *app.App, o app.VerifyOptions) (*app.VerifyReport, error) {
					return a.VerifyAll(ctx, o)
				})
			}
			t, err := app.ParseTarget(args[0])
			if err != nil {
				return badArgument(err)
			}
			if t.Bundle != "" && (f.repair || f.quick) {
				return &usageError{msg: "verify: --repair and --quick do not work on a bundle", hint: "a damaged one is copied or exported again"}
			}
			return r.verify(cmd.Context(), f, func(ctx context.Context, a *app.App, o app.VerifyOptions) (*app.VerifyReport, error) {
				return a.Verify(ctx, t, o)
			})
		},
	}
	cmd.Flags().BoolVar(&f.repair, "repair", false, "fetch bad parts again")
	cmd.Flags().BoolVar(&f.quick, "quick", false, "look at lengths and known damage only")
	cmd.Flags().BoolVar(&f.deep, "deep", false, "compute the SHA-256 of every file, too")
	cmd.Flags().BoolVar(&f.all, "all", false, "verify every branch in the store")
	r.jsonFlag(cmd)
	return cmd
}

type verifyFlags struct{ repair, quick, deep, all bool }

func (f verifyFlags) depth() app.Depth {
	switch {
	case f.quick:
		return app.VerifyQuick
	case f.deep:
		return app.VerifyDeep
	}
	return app.VerifyParts
}

func (r *run) verify(ctx context.Context, f verifyFlags, do func(context.Context, *app.App, app.VerifyOptions) (*app.VerifyReport, error)) error {
	a, err := r.open(0)
	if err != nil {
		return err
	}
	var total, done atomic.Int64
	p := r.newProgress("verify", func() sample {
		n := done.Load()
		return sample{total: total.Load(), done: n, received: n, verified: n}
	})
	v := &verifyView{run: r, p: p, all: f.all}
	p.start()
	report, err := do(ctx, a, app.VerifyOptions{
		Depth:  f.depth(),
		Repair: f.repair,
		Total:  func(n int64) { total.Store(n) },
		Done:   func(n int64) { done.Add(n) },
		Notify: v.event,
	})
	p.stop()
	if report == nil || ctx.Err() != nil {
		return err
	}
	v.endBranch()
	if x := report.Recovered; x != nil && !r.json && !r.quiet {
		fmt.Fprintln(r.out, "  by the tensors: "+app.RecoveredText(*x))
	}
	if r.json {
		if e := r.emit(verifyJSON(report)); e != nil {
			return e
		}
	} else if err == nil && !r.quiet {
		fmt.Fprintln(r.out, r.outColor.verifiedText(report))
	}
	var fatal *app.FindingsError
	if !r.json && errors.As(err, &fatal) {
		return &toldError{report, err}
	}
	return err
}

// toldError is an error whose findings stand above it already.
type toldError struct {
	report *app.VerifyReport
	err    error
}

func (e *toldError) Error() string {
	fatal := 0
	for _, f := range e.report.Findings {
		if f.Severity == app.Fatal {
			fatal++
		}
	}
	return fmt.Sprintf("verify %s: %s", e.report.Target, plural(fatal, "fatal finding"))
}
func (e *toldError) Unwrap() error { return e.err }

// Hint is the error's, unless it stands with its finding.
func (e *toldError) Hint() string {
	h := app.HintOf(e.err)
	if slices.ContainsFunc(e.report.Findings, func(f app.Finding) bool { return f.Hint == h }) {
		return "the findings above say what to do"
	}
	return h
}

// verifyView shows the files as they are checked; of all branches one line each,
// and the bad files.
type verifyView struct {
	*run
	p      *progress
	all    bool
	branch string                   // that is being checked, of all
	files  map[string]app.FileCheck // of it, by path: one that is repaired is checked twice
}

// add counts a file of one of all branches, and ends the branch before it.
func (v *verifyView) add(f app.FileCheck) {
	if f.Ref != v.branch {
		v.endBranch()
		v.branch, v.files = f.Ref, make(map[string]app.FileCheck)
	}
	v.files[f.Path] = f
}

// endBranch prints the line of one of all branches.
func (v *verifyView) endBranch() {
	if len(v.files) == 0 {
		return
	}
	bad, size, checked := 0, int64(0), ""
	for _, f := range v.files {
		if size += f.Size; !f.OK {
			bad++
		}
		checked = f.Checked
	}
	text := fmt.Sprintf("%s  %s  %s", clean(v.branch), plural(len(v.files), "file"), app.BytesText(size))
	v.branch, v.files = "", nil
	switch {
	case v.json:
	case bad > 0:
		v.print(fmt.Sprintf("%s  %s, %d bad", v.outColor.red("BAD"), text, bad))
	case !v.quiet:
		v.print(fmt.Sprintf("%s   %s  %s", v.outColor.green("ok"), text, clean(checked)))
	}
}

func (v *verifyView) event(e app.Event) {
	switch {
	case e.File != nil && v.json:
		v.emit(checkObject{"verify", timeText(time.Now()), *e.File}) // a failed write is remembered by the writer
	case e.File != nil:
		if v.all {
			v.add(*e.File)
		}
		if !e.File.OK || !v.quiet && (!v.all || v.verbose) {
			v.print(v.outColor.checkText(*e.File))
		}
	case e.Findings != nil && v.json:
		for _, f := range e.Findings {
			v.emit(findingObject{"finding", f})
		}
	case e.Findings != nil:
		for _, f := range v.worthTelling(e.Findings) {
			if f.Code != codeDigest {
				v.print(v.outColor.findingText(f))
			}
		}
	case e.Fetch != nil && v.json:
		v.emit(fetchJSON(*e.Fetch, time.Now()))
	case e.Fetch != nil && !v.quiet:
		if text := fetchText(*e.Fetch, v.verbose); text != "" {
			v.p.message(text)
		}
	}
}

// codeDigest is the finding of a file that has a line of its own, BAD.
const codeDigest = "D1"

// print writes a line of the answer without disturbing the bar.
func (v *verifyView) print(line string) {
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	v.p.erase()
	fmt.Fprintln(v.out, line)
}

// checkText is one file's verdict.
func (p paint) checkText(f app.FileCheck) string {
	path := clean(f.Path)
	if f.Ref != "" {
		path = clean(f.Ref) + " " + path
	}
	switch {
	case f.Missing:
		return fmt.Sprintf("%s  %s  is not there", p.red("missing"), path)
	case !f.OK:
		return fmt.Sprintf("%s  %s  %s", p.red("BAD"), path, rangesText(f.Ranges))
	case f.Checked == checkedRead:
		return fmt.Sprintf("read  %s  %s", path, app.BytesText(f.Size))
	}
	return fmt.Sprintf("%s   %s  %s  %s", p.green("ok"), path, app.BytesText(f.Size), clean(f.Checked))
}

// checkedRead is FileCheck.Checked of a file of which no digest was recorded.
const checkedRead = "read"

func (p paint) verifiedText(v *app.VerifyReport) string {
	if v.Quick() {
		return fmt.Sprintf("looked at %s: %s, %s; lengths only, no byte was read", whatText(v), plural(len(v.Files), "file"), app.BytesText(v.Bytes))
	}
	if !v.Compared() {
		return fmt.Sprintf("read %s: %s; no digests recorded, so the bytes were not compared", clean(v.Target), plural(len(v.Files), "file"))
	}
	text := fmt.Sprintf("%s %s: %s, %s in %s (%s)", p.green("verified"), whatText(v),
		plural(len(v.Files), "file"), app.BytesText(v.Bytes), durationText(v.Elapsed), rateText(v.Bytes, v.Elapsed))
	if v.Repaired > 0 {
		text += fmt.Sprintf("; %s fetched again", app.BytesText(v.Repaired))
	}
	return text
}

// whatText is what was verified.
func whatText(v *app.VerifyReport) string {
	if v.Target == app.AllBranches {
		return "all " + plural(v.Branches, "branch")
	}
	return clean(v.Target)
}

// The JSON of verify, one object a line.
type (
	checkObject struct {
		Type string `json:"type"` // "verify"
		Time string `json:"time"`
		app.FileCheck
	}
	verifyObject struct {
		Type   string `json:"type"` // "summary"
		Schema string `json:"schema"`
		Time   string `json:"time"`
		app.VerifyReport
		Seconds float64 `json:"seconds"`
	}
)

func verifyJSON(v *app.VerifyReport) verifyObject {
	return verifyObject{Type: "summary", Schema: "qbranch/verify/v1", Time: timeText(time.Now()), VerifyReport: *v, Seconds: v.Elapsed.Seconds()}
}
