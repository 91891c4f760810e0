package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/quant"
)

// The verdicts of Prove.
const (
	Sound    = "sound"    // nothing speaks against it, and it ran as a language model does
	Suspect  = "suspect"  // it may work, but something about its data or its labels is wrong
	Broken   = "broken"   // it is not what it claims, or does not work
	Unproven = "unproven" // its files hold together, but nothing here can run it
)

// SmokeRun is what a short run of a branch gave.
type SmokeRun = quant.Smoke

// DefaultProveBudget is how long Prove goes on running a branch after the first
// pass over its text, which it always makes.
const DefaultProveBudget = 2 * time.Minute

// ProveOptions may be zero.
type ProveOptions struct {
	Budget time.Duration     // 0 = DefaultProveBudget; below 0 nothing follows the first pass
	Total  func(bytes int64) // as of VerifyOptions
	Done   func(bytes int64)
	Notify func(Event)
}

// ProveReport is a verdict and what it rests on.
type ProveReport struct {
	Target    string       `json:"target"`
	Commit    string       `json:"commit,omitempty"`
	Verdict   string       `json:"verdict"`
	Reasons   []string     `json:"reasons"`   // of a verdict that is not sound, gravest first
	Files     int          `json:"files"`     // whose bytes were read
	Compared  bool         `json:"compared"`  // they were compared with digests recorded when they were fetched
	Findings  []Finding    `json:"findings"`  // of files, configurations, tensors and run
	Recovered *Recovered   `json:"recovered"` // null when the tensors were not judged
	Smoke     *quant.Smoke `json:"smoke"`     // null when it was not run
	CannotRun string       `json:"cannot_run,omitempty"`
	Seconds   float64      `json:"seconds"`
}

// ProofError is a verdict other than sound.
type ProofError struct{ Report *ProveReport }

func (e *ProofError) Error() string {
	return fmt.Sprintf("prove %s: %s: %s", e.Report.Target, e.Report.Verdict, list(e.Report.Reasons, "; ", 1))
}

// Hint is that of the gravest finding.
func (e *ProofError) Hint() string {
	for _, f := range e.Report.against() {
		if f.Hint != "" {
			return f.Hint
		}
	}
	return "choose another branch"
}

// Prove looks at everything there is to look at: every byte against its digest,
// configuration and headers, every tensor, and a short run. The report comes
// also with an error: a *ProofError for a verdict of suspect or broken, that of
// the runner when it cannot run the branch. It asks nobody; ErrNotLocal says
// that the branch was never fetched.
func (a *App) Prove(ctx context.Context, t Target, o ProveOptions) (*ProveReport, error) {
	if t.Bundle != "" {
		return nil, &bundleTargetError{t.Bundle}
	}
	start := time.Now()
	v, err := a.Verify(ctx, t, VerifyOptions{Total: o.Total, Done: o.Done, Notify: o.Notify})
	if v == nil {
		return nil, err
	}
	rep := &ProveReport{Target: v.Target, Commit: v.Commit, Files: len(v.Files), Compared: v.Compared(), Findings: v.Findings, Recovered: v.Recovered}
	if err == nil {
		if err = rep.run(ctx, a, t, o); err != nil && rep.CannotRun == "" {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	rep.judge(v)
	rep.Seconds = time.Since(start).Seconds()
	switch {
	case rep.Verdict == Sound:
		return rep, nil
	case rep.Verdict == Unproven:
		return rep, err
	}
	return rep, &ProofError{rep}
}

// unprovenError is a branch that nothing here can run. It is
// infer.ErrUnsupported.
type unprovenError struct {
	target string
	err    error
}

func (e *unprovenError) Error() string {
	return fmt.Sprintf("prove %s: cannot run it: %v", e.target, e.err)
}
func (e *unprovenError) Unwrap() error        { return e.err }
func (e *unprovenError) Is(target error) bool { return target == infer.ErrUnsupported }

// Hint says what to do next.
func (e *unprovenError) Hint() string {
	return "its files hold together, and only a run tells whether it works: try it with a program that can run it"
}

// run runs the branch. An unprovenError says why it cannot be run here, which
// speaks neither for nor against it; what speaks against it is a finding.
func (rep *ProveReport) run(ctx context.Context, a *App, t Target, o ProveOptions) error {
	smoke, err := a.smoke(ctx, t, o)
	var found []Finding
	switch {
	case err == nil:
		rep.Smoke, found = smoke, smoke.Findings()
	case errors.Is(err, infer.ErrCheckpoint):
		found = []Finding{quant.SmokeFailure(err)}
		err = nil
	case isAny(err, infer.ErrUnsupported, infer.ErrContext, infer.ErrRequest):
		rep.CannotRun = err.Error()
		err = &unprovenError{rep.Target, err}
	default:
		return err
	}
	if len(found) > 0 {
		rep.Findings = append(rep.Findings, found...)
		notifier(o.Notify)(Event{Findings: found})
	}
	return err
}

// smoke is the short run: the text twice, then some tokens. What does not fit
// into the budget is left out, and the result says so.
func (a *App) smoke(ctx context.Context, t Target, o ProveOptions) (*quant.Smoke, error) {
	m, err := a.LoadModel(ctx, t)
	if err != nil {
		return nil, err
	}
	defer m.Close() // nothing was written
	s := &quant.Smoke{Generated: []int{}}
	read := func(ctx context.Context, best []int) ([]int, []int, error) {
		g, err := m.Generate(ctx, Request{Prompt: quant.SmokeText, Raw: true, MaxTokens: 1, IgnoreEOS: true, KeepLogits: true}, nil)
		// Logits that are no numbers end a generation, and are what is looked for.
		if g == nil || err != nil && (!errors.Is(err, infer.ErrCheckpoint) || len(g.Logits) == 0) {
			return nil, nil, err
		}
		best = s.Observe(g.PromptIDs, g.Logits, m.Info().Vocab, best)
		if err != nil && s.Finite {
			return nil, nil, err
		}
		return g.PromptIDs, best, nil
	}
	ids, best, err := read(ctx, nil)
	if err != nil || !s.Finite {
		return s, err
	}
	budget := o.Budget
	if budget == 0 {
		budget = DefaultProveBudget
	}
	within, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	g, err := m.Generate(within, Request{TokenIDs: ids, MaxTokens: quant.SmokeTokens, IgnoreEOS: true}, nil)
	if g != nil {
		s.Generate(g.IDs)
	}
	if err == nil {
		_, _, err = read(within, best)
	}
	if within.Err() != nil && ctx.Err() == nil {
		err = nil // the budget is spent: what was run counts
	}
	return s, err
}

// judge gives the verdict.
func (rep *ProveReport) judge(v *VerifyReport) {
	rep.Verdict, rep.Reasons = Sound, []string{}
	for _, f := range v.Files {
		if f.Missing {
			rep.Verdict = Broken
			rep.Reasons = append(rep.Reasons, f.name()+" is missing")
		}
	}
	for _, f := range rep.against() {
		if f.Severity == quant.Fatal {
			rep.Verdict = Broken
		} else if rep.Verdict == Sound {
			rep.Verdict = Suspect
		}
		rep.Reasons = append(rep.Reasons, fmt.Sprintf("%s: %s (%s)", f.Where, f.Message, f.Code))
	}
	if rep.Verdict == Sound && rep.Smoke == nil {
		rep.Verdict = Unproven
		rep.Reasons = append(rep.Reasons, rep.CannotRun)
	}
}

// against lists what speaks against the branch, gravest first: every fatal
// finding, and warnings about its data and about sources that contradict one
// another. Warnings about what some engine does not like are not among them.
func (rep *ProveReport) against() []Finding {
	all := fatalOf(rep.Findings)
	for _, f := range rep.Findings {
		data := strings.HasPrefix(f.Code, "D") && len(f.Code) <= 3
		if f.Severity == quant.Warn && (data || slices.Contains([]string{"J5", "J6", "H11"}, f.Code)) {
			all = append(all, f)
		}
	}
	return all
}
