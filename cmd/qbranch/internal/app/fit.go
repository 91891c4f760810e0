package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/quant/engines"
	"github.com/qbranch/qbranch/quant/vram"
	"github.com/qbranch/qbranch/quant/vram/gpu"
)

// FitOptions say what a branch is to run in, and how. The zero value is the
// machine's own cards, the general engine and the default context.
type FitOptions struct {
	VRAM       string   // sizes as vram.ParseSize has them, with commas between; "" or "auto" = the machine's cards
	VRAMFrom   string   // where VRAM comes from, for people: "--vram"
	GPUs       []string // of the machine's cards, only these
	Split      string   // over several cards: "layers", "tensor"; "" = the one with the most free memory
	Context    int      // tokens; 0 = the model's most, at most 4096
	Batch      int      // sequences at a time; 0 = 1
	KV         string   // type of the KV cache: fp16, fp8, q8, q4; "" = the engine's own
	Engine     string   // a program or one of its kernels, as engines.Lookup has it, or "cpu"; "" = any
	AllowTight bool     // tight is good enough for whoever wants what fits
	Measured   int64    // bytes that Engine took of the card with the one branch and Context; 0 = nothing was measured
	Forget     bool     // what was measured of Engine on the card, or of every engine where none is named
	StateDir   string   // where what was measured is kept; "" = nowhere

	System  gpu.System // nil = this machine
	Machine *GPUReport // what is known of the machine already; nil = look
}

// Fit verdicts beside those of an estimate.
const (
	VerdictFits     = vram.Fits
	VerdictTight    = vram.Tight
	VerdictTooBig   = vram.TooBig
	VerdictUnknown  = vram.Unknown
	VerdictUnusable = vram.Refused // whatever the memory: FitRow.Why

	// NoCard is why a verdict is unknown where nothing but a card is missing.
	NoCard = vram.NoCard
)

// Names front ends use for what vram says.
type (
	// Verdict says whether a branch fits.
	Verdict = vram.Verdict
	// Estimate is the need with its reasons.
	Estimate = vram.Estimate
	// EstimateTerm is a part of the need.
	EstimateTerm = vram.Term
	// EstimateShare is what one card bears of it.
	EstimateShare = vram.Share
)

// DefaultContext is the context of an estimate that asks for none.
const DefaultContext = vram.DefaultContext

// FitRow is a branch and whether it fits.
type FitRow struct {
	Branch   string        `json:"branch"`
	Kind     RefKind       `json:"kind"`
	Commit   string        `json:"commit"`
	Settled  Settled       `json:"settled"`
	Bytes    int64         `json:"weight_bytes"`   // of the tensors; 0 = not known
	Source   vram.Source   `json:"weights_source"` // of Bytes; "" = not known
	Disk     int64         `json:"disk_bytes"`     // of the weight files; 0 = not known
	Verdict  vram.Verdict  `json:"verdict"`
	Why      string        `json:"why"`      // why not, "" for what fits
	Estimate vram.Estimate `json:"estimate"` // the need and its terms
	CPU      *vram.Summary `json:"cpu"`      // what qbranch gen needs of main memory; nil where cards are known
	Engine   *EngineRow    `json:"engine"`   // whether the engine that was asked for loads it; nil = none was
	Engines  []EngineRow   `json:"engines"`  // which programs load it
	Findings []Finding     `json:"findings"` // what is wrong with the branch
	Unread   []string      `json:"unread"`   // what could not be read, and why
	Local    LocalState    `json:"local"`
}

// EngineRow says whether a program loads a branch.
type EngineRow struct {
	ID    string        `json:"id"`
	Name  string        `json:"name"`
	Loads engines.Loads `json:"loads"`  // yes, caveat, unknown or no
	Why   []string      `json:"why"`    // of its best kernel
	OnCPU bool          `json:"on_cpu"` // it does not use the cards
}

// FitCard is memory that branches are measured against.
type FitCard struct {
	Name  string `json:"name"`
	Total int64  `json:"total_bytes"` // 0 = not known
	Free  int64  `json:"free_bytes"`  // negative = not known
}

// FitReport says which branches fit.
type FitReport struct {
	Repo     string    `json:"repo"`
	Endpoint string    `json:"endpoint"`
	Memory   string    `json:"memory"` // whose the cards are: "--vram", "QBRANCH_VRAM", "gpu", "ram"; "" = none is known
	Cards    []FitCard `json:"cards"`
	Split    string    `json:"split"`
	RAM      *FitCard  `json:"ram"`     // main memory, where no cards are known; else nil
	NoCard   string    `json:"no_card"` // why no card was found, "" where one is known or there is just none
	Engine   string    `json:"engine"`  // that was asked for; "" = any
	Branches []FitRow  `json:"branches"`
	Best     string    `json:"best"`  // the branch that Pick would name, "" when none fits
	Notes    []Note    `json:"notes"` // of the listing: what card, names and files contradict one another in
	Requests int       `json:"requests"`

	Measured  *vram.Observation `json:"measured"`  // that was recorded now; nil = none
	Forgotten *int              `json:"forgotten"` // observations that were dropped now; nil = that was not asked for

	wanted Wanted // of the branches
}

// Fit says of the branches of a repository, or of the one that the reference
// names, whether they fit, from what Inspect reads: no weights are moved. The
// machine is looked at while the hub answers.
func (a *App) Fit(ctx context.Context, ref Ref, o FitOptions) (*FitReport, error) {
	l, r, err := a.fit(ctx, ref, ListOptions{}, o)
	if err == nil && ref.Revision != "" { // the card speaks of all branches
		r.Notes = slices.DeleteFunc(slices.Clone(l.Notes), func(n Note) bool { return n.Branch != "" && n.Branch != ref.Revision })
	}
	return r, err
}

func (a *App) fit(ctx context.Context, ref Ref, lo ListOptions, o FitOptions) (l *Listing, r *FitReport, err error) {
	f, err := newFitter(o)
	if err != nil {
		return nil, nil, err
	}
	var seen []Inspection
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.findMemory(gctx, a) })
	g.Go(func() (err error) {
		l, seen, err = a.survey(gctx, ref, lo, true)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	if r, err = f.measure(l, seen, ref); err != nil {
		return nil, nil, err
	}
	l.Notes = r.Notes
	return l, r, nil
}

// report is a report without branches.
func (f *fitter) report(l *Listing) *FitReport {
	r := &FitReport{Repo: l.Repo, Endpoint: l.Endpoint, Memory: f.memory, Cards: []FitCard{}, Split: f.o.Split,
		Engine: f.o.Engine, Branches: []FitRow{}, Notes: l.Notes, Requests: l.Requests}
	for _, c := range f.cards {
		r.Cards = append(r.Cards, FitCard{c.Name, c.Total, c.Free})
	}
	if len(f.cards) == 0 && f.ram != nil {
		r.RAM, r.NoCard = &FitCard{f.ram.Name, f.ram.Total, f.ram.Free}, f.noCard
	}
	return r
}

// row measures a branch.
func (f *fitter) row(i *Inspection, local LocalState) FitRow {
	verdicts := i.verdicts(f.subject(i))
	engine := f.loads(verdicts)
	q := f.request(i, engine.ID)
	w := q.Weights
	r := FitRow{Branch: i.Branch, Kind: i.Kind, Commit: i.Commit, Settled: i.Settled, Bytes: w.Bytes, Source: w.Source,
		Disk: i.diskBytes(), Findings: i.Findings, Unread: i.Unread, Local: local}
	r.Estimate = q.Estimate()
	r.Verdict = r.Estimate.Verdict
	if len(f.cards) == 0 && f.ram != nil {
		q.Engine, _ = vram.ProfileFor("cpu")
		q.Weights, q.KV, q.Cards, q.Split = w, "", []vram.Card{*f.ram}, vram.SplitNone
		onCPU := q.Summary()
		r.CPU = &onCPU
	}
	for _, e := range engines.Families(verdicts) {
		r.Engines = append(r.Engines, EngineRow{e.ID, e.Name, e.Loads, e.Why, e.OnCPU})
	}
	if len(f.rows) > 0 {
		r.Engine = &engine
	}
	r.judge(i, engine, f)
	return r
}

// request is the question of an estimate for a kernel.
func (f *fitter) request(i *Inspection, kernel string) vram.Request {
	q := vram.Request{Weights: i.Weights(), Model: i.Model, Context: f.o.Context, Batch: f.o.Batch, KV: f.kv,
		Engine: f.profileOf(kernel), Cards: f.cards, Split: vram.Split(f.o.Split)}
	if f.rewrites(kernel) {
		q.Weights = vram.Weights{}
	}
	if i.Settled.Bits != nil {
		q.Bits = i.Settled.Bits.Value
	}
	return q
}

// judge settles the verdict: what is wrong with the branch, then whether the
// engine loads it, then the memory.
func (r *FitRow) judge(i *Inspection, engine EngineRow, f *fitter) {
	fatal := i.Fatal()
	reason := engine.Name
	if len(engine.Why) > 0 {
		reason += ": " + engine.Why[0]
	}
	switch {
	case len(fatal) > 0:
		r.Verdict, r.Why = VerdictUnusable, FindingText(fatal[0])
	case r.Estimate.Verdict == vram.Refused:
		r.Why = r.Estimate.Why // nearer to the matter than what each engine objects to
	case engine.Loads == engines.No:
		r.Verdict, r.Why = VerdictUnusable, "not loaded by "+reason
	case engine.Loads == engines.Unknown && engine.ID != "" && r.Verdict != VerdictTooBig:
		r.Verdict, r.Why = VerdictUnknown, "it is not known whether it is loaded by "+reason
	case f.rewrites(engine.ID):
		r.Verdict, r.Why = VerdictUnknown, engine.Name+" makes weights of its own of these, and what those take is not known"
	case r.Verdict == VerdictUnknown && i.Model == nil && i.lists(modelConfig):
		r.Why = modelConfig + " cannot be read, so the KV cache is not known"
	case r.Verdict == VerdictUnknown:
		r.Why = r.Estimate.Why
	case r.Verdict == VerdictTooBig:
		r.Why = fmt.Sprintf("expected to need %s more", vram.GiBText(-r.Estimate.Slack))
	case r.Verdict == VerdictTight:
		r.Why = fmt.Sprintf("%s free beyond the expected need", vram.GiBText(r.Estimate.Slack))
	}
}

// FindingText is a finding in one line: "config.json: … (J13)".
func FindingText(f Finding) string {
	text := fmt.Sprintf("%s (%s)", f.Message, f.Code)
	if f.Where != "" && f.Where != "(listing)" {
		text = f.Where + ": " + text
	}
	return text
}

func (i *Inspection) lists(path string) bool {
	_, ok := find(i.Files, path)
	return ok
}

// ByFiles reports whether the weights are the sizes of the files, which are more
// than the tensors by their headers.
func (r *FitRow) ByFiles() bool { return r.Source == vram.FromTreeSizes }

// diskBytes is the size of the weight files.
func (i *Inspection) diskBytes() (n int64) {
	for _, name := range i.WeightFiles {
		if f, ok := find(i.Files, name); ok {
			n += f.Size
		}
	}
	return n
}

// Usable reports whether the branch fits: tightly counts when that is allowed.
func (r *FitRow) Usable(tight bool) bool {
	return r.Verdict == VerdictFits || tight && r.Verdict == VerdictTight
}

// optionError is an option that cannot be, or a variable that stands for one.
type optionError struct{ option, reason, hint string }

func (e *optionError) Error() string {
	if strings.HasPrefix(e.option, "QBRANCH_") {
		return e.option + ": " + e.reason
	}
	return "--" + strings.TrimLeft(e.option, "-") + ": " + e.reason
}

// Hint says what to do next.
func (e *optionError) Hint() string { return e.hint }

// Help says what would make a branch fit that does not, the most useful first; a
// smaller branch only where nobody can see that there are others.
func (r *FitRow) Help(alone bool) (help []string) {
	if r.Verdict == VerdictUnusable || r.Verdict == VerdictUnknown {
		return nil
	}
	for _, a := range r.Estimate.Advice {
		if a.Verdict == VerdictFits && (alone || a.Kind != vram.AdviseSmaller) {
			help = append(help, a.Text+flagOf(a))
		}
	}
	return help
}

// flagOf is the flag of 'qbranch fit' that follows an advice, in parentheses; ""
// for what is no flag.
func flagOf(a vram.Advice) string {
	switch a.Kind {
	case vram.AdviseContext:
		return fmt.Sprintf(" (--ctx %d)", a.Context)
	case vram.AdviseBatch:
		return fmt.Sprintf(" (--batch %d)", a.Batch)
	case vram.AdviseKV:
		return fmt.Sprintf(" (--kv %s)", a.KV)
	case vram.AdviseEngine:
		return fmt.Sprintf(" (--engine %s)", a.Engine)
	}
	return ""
}

// MemoryText is the free memory of the cards, as people read it.
func (r *FitReport) MemoryText() string {
	var parts []string
	for _, c := range r.Cards {
		if c.Free < 0 {
			parts = append(parts, "an unknown amount")
		} else {
			parts = append(parts, vram.GiBText(c.Free))
		}
	}
	text := strings.Join(parts, " + ")
	if r.Memory == MemoryRAM {
		text += " of main memory"
	}
	return text
}

// CardNames are the cards that branches are measured against: "2 × NVIDIA L4".
func (r *FitReport) CardNames() string {
	var parts []string
	for i := 0; i < len(r.Cards); {
		same := i
		for same < len(r.Cards) && r.Cards[same].Name == r.Cards[i].Name {
			same++
		}
		name := r.Cards[i].Name
		if same-i > 1 {
			name = fmt.Sprintf("%d × %s", same-i, name)
		}
		parts, i = append(parts, name), same
	}
	return strings.Join(parts, ", ")
}

// FitShare is what one card bears.
type FitShare = vram.Share

// ParseSize reads a size of memory (vram.ParseSize).
func ParseSize(text string) (int64, error) { return vram.ParseSize(text) }

// ParseFileSize reads a size of files (vram.ParseFileSize).
func ParseFileSize(text string) (int64, error) { return vram.ParseFileSize(text) }

// Require is *NothingFitsError when no branch fits.
func (r *FitReport) Require(tight bool) error {
	if bestOf(r.Branches, tight) != nil {
		return nil
	}
	if len(r.Cards) == 0 {
		return &noMemoryError{r.NoCard}
	}
	return r.nothing(r.Branches)
}

// EngineSummary names the programs that load the branch, in one line.
func (r *FitRow) EngineSummary() string {
	var all []engines.FamilyVerdict
	for _, e := range r.Engines {
		all = append(all, engines.FamilyVerdict{ID: e.ID, Name: e.Name, Loads: e.Loads, Why: e.Why, OnCPU: e.OnCPU})
	}
	return engines.Summary(all)
}

// OnCPU is whether main memory is enough for qbranch gen, where no cards are
// known: the verdict, or VerdictUnusable for what it cannot run.
func (r *FitRow) OnCPU() vram.Verdict {
	if r.CPU == nil {
		return VerdictUnknown
	}
	for _, e := range r.Engines {
		if e.ID == "qbranch" && e.Loads == engines.No || r.Verdict == VerdictUnusable {
			return VerdictUnusable
		}
	}
	return r.CPU.Verdict
}

// GiBText is a number of bytes as memory is written: GiB with two decimals.
func GiBText(n int64) string { return vram.GiBText(n) }

// noMemoryError says that there is nothing to measure against.
type noMemoryError struct{ why string }

func (e *noMemoryError) Error() string {
	const text = "no graphics card was found to fit a branch into"
	if e.why != "" {
		return text + ": " + e.why
	}
	return text
}

// Hint says what to do next.
func (*noMemoryError) Hint() string {
	return "--vram 24GiB says what there is; --engine cpu measures against main memory"
}
