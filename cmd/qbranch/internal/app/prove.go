package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/infer/proof"
	"github.com/qbranch/qbranch/quant"
)

// The verdicts of Prove.
const (
	Sound    = "sound"    // nothing speaks against it, and it ran as a language model does
	Suspect  = "suspect"  // it may work, but something about its data, its labels or what it says is wrong
	Broken   = "broken"   // it is not what it claims, or does not work
	Unproven = "unproven" // its files hold together, but nothing here can run it
)

// Signal is one sign of soundness that a run shows, its value and its bound.
type Signal = proof.Signal

// The verdicts of a Signal.
const (
	SignalGood    = proof.Good
	SignalSuspect = proof.Suspect
	SignalBroken  = proof.Broken
	SignalUnknown = proof.Unknown
)

// RunCode is the code of findings that come from signals, and of a run that failed.
const RunCode = "D12"

// DefaultProveBudget is how long Prove goes on running a branch after it has
// read its first text, which it always does.
const DefaultProveBudget = proof.DefaultBudget

// ProveOptions may be zero.
type ProveOptions struct {
	Budget  time.Duration     // 0 = DefaultProveBudget; below 0 nothing follows the first text
	Against Target            // another branch of the same model, or its folder; zero for none
	Text    string            // one that the model must know; "" for none but the built-in ones
	Total   func(bytes int64) // as of VerifyOptions
	Done    func(bytes int64)
	Notify  func(Event)
	Running func() // when everything was read and the run begins
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
	Against   string       `json:"against,omitempty"`
	Signals   []Signal     `json:"signals"` // of the run; none when it was not run
	Run       *proof.Facts `json:"run"`     // what they were judged from; null when it was not run
	Smoke     *SmokeRun    `json:"smoke"`   // the same in short, as earlier versions told it
	CannotRun string       `json:"cannot_run,omitempty"`
	Seconds   float64      `json:"seconds"`
}

// SmokeRun is what a run gave, in few numbers.
type SmokeRun struct {
	Tokens     int     `json:"tokens"` // of the text that the model knows best
	Vocab      int     `json:"vocab_size"`
	Finite     bool    `json:"finite"`           // every logit is a number
	Perplexity float64 `json:"perplexity"`       // of that text; 0 when not finite
	Bound      float64 `json:"perplexity_bound"` // above it the checkpoint is suspect
	Runs       int     `json:"runs"`             // how often the first text was read; 2 unless time ran out
	Stable     bool    `json:"stable"`           // both runs find the same token likeliest everywhere
	Generated  []int   `json:"generated"`        // its first own text
	Distinct   int     `json:"distinct"`         // different tokens of it
}

func smokeOf(f *proof.Facts) *SmokeRun {
	s := &SmokeRun{Vocab: f.Vocab, Finite: f.NotFinite == 0, Runs: f.Runs, Stable: f.Unstable == 0, Generated: []int{},
		Bound: math.Exp(proof.KnownMost * f.Guessing())}
	if best, ok := f.Best(); ok && s.Finite {
		s.Tokens, s.Perplexity = best.Tokens, math.Exp(min(best.Nats, 700)) // JSON has no infinity
	}
	if len(f.Written) > 0 {
		s.Generated = f.Written[0].IDs
	}
	s.Distinct = len(slices.Compact(slices.Sorted(slices.Values(s.Generated))))
	return s
}

// ProofError is a verdict other than sound.
type ProofError struct{ Report *ProveReport }

// Error names the branch, the verdict and the gravest reason.
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
// configuration and headers, every tensor, and a run. The report comes also with
// an error: a *ProofError for a verdict of suspect or broken, that of the runner
// when it cannot run the branch. It asks nobody; ErrNotLocal says that the
// branch, or the one to compare it with, was never fetched.
func (a *App) Prove(ctx context.Context, t Target, o ProveOptions) (*ProveReport, error) {
	if t.Bundle != "" {
		return nil, &bundleTargetError{t.Bundle}
	}
	start := time.Now()
	other, err := a.loadOther(ctx, o.Against)
	if err != nil {
		return nil, err
	}
	if other != nil {
		defer other.Close() // nothing was written
	}
	v, err := a.Verify(ctx, t, VerifyOptions{Total: o.Total, Done: o.Done, Notify: o.Notify})
	if v == nil {
		return nil, err
	}
	rep := &ProveReport{Target: v.Target, Commit: v.Commit, Files: len(v.Files), Compared: v.Compared(), Findings: v.Findings,
		Recovered: v.Recovered, Signals: []Signal{}}
	if other != nil {
		rep.Against = o.Against.String()
	}
	if err == nil {
		if o.Running != nil {
			o.Running()
		}
		if err = rep.run(ctx, a, t, other, o); err != nil && rep.CannotRun == "" {
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

// loadOther loads what a branch is to be compared with; nil for nothing.
func (a *App) loadOther(ctx context.Context, t Target) (*Model, error) {
	if t == (Target{}) {
		return nil, nil
	}
	m, err := a.LoadModel(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("prove against %s: %w", t, err)
	}
	return m, nil
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
func (rep *ProveReport) run(ctx context.Context, a *App, t Target, other *Model, o ProveOptions) error {
	facts, err := a.measure(ctx, t, other, o)
	if facts != nil && facts.Positions > 0 {
		rep.Run, rep.Smoke, rep.Signals = facts, smokeOf(facts), facts.Signals()
	}
	found := rep.signalFindings()
	switch {
	case errors.Is(err, infer.ErrCheckpoint):
		found = append(found, quant.RunFailure(err))
		err = nil
	case isA[*optionError](err):
		return err
	case isAny(err, infer.ErrUnsupported, infer.ErrContext, infer.ErrRequest):
		rep.CannotRun = err.Error()
		err = &unprovenError{rep.Target, err}
	case err != nil:
		return err
	case facts.NoText != "":
		rep.CannotRun = facts.NoText + "; it was run from token ids alone"
		err = &unprovenError{rep.Target, errors.New(rep.CannotRun)}
	}
	if len(found) > 0 {
		rep.Findings = append(rep.Findings, found...)
		notifier(o.Notify)(Event{Findings: found})
	}
	return err
}

// measure loads the branch and runs it. The facts come also with an error, as
// far as it got; nil when it could not be loaded.
func (a *App) measure(ctx context.Context, t Target, other *Model, o ProveOptions) (*proof.Facts, error) {
	m, err := a.LoadModel(ctx, t)
	if err != nil {
		return nil, err
	}
	defer m.Close() // nothing was written
	options := proof.Options{Budget: o.Budget, Text: o.Text}
	if other != nil {
		if err := proof.Comparable(m.Model, other.Model); err != nil {
			return nil, &optionError{"against", fmt.Sprintf("%s and %s are %v", t, o.Against, err), "name another branch of the same repository, or a folder that holds one"}
		}
		options.Against = other.Model
	}
	return proof.Run(ctx, m.Model, options)
}

// signalFindings are those of the signals that speak against the branch.
func (rep *ProveReport) signalFindings() []Finding {
	var found []Finding
	for _, s := range rep.Signals {
		severity := map[string]quant.Severity{SignalSuspect: quant.Warn, SignalBroken: quant.Fatal}[s.Verdict]
		if severity == "" {
			continue
		}
		value, bound := s.Numbers()
		found = append(found, quant.RunFinding(severity, SignalName(s), value, bound, SignalText(s), s.Hint))
	}
	return found
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
	if rep.Verdict == Sound && (rep.Run == nil || rep.CannotRun != "") {
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
