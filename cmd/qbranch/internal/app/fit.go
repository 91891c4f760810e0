package app

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant/vram"
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
	Engine     string   // "" = the general one
	AllowTight bool     // tight is good enough for whoever wants what fits
}

// Fit verdicts beside those of an estimate.
const (
	VerdictFits     = vram.Fits
	VerdictTight    = vram.Tight
	VerdictTooBig   = vram.TooBig
	VerdictUnknown  = vram.Unknown
	VerdictUnusable = vram.Verdict("unusable") // whatever the memory: FitRow.Why
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
	Findings []Finding     `json:"findings"` // what is wrong with the branch
	Unread   []string      `json:"unread"`   // what could not be read, and why
	Local    LocalState    `json:"local"`
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
	Engine   string    `json:"engine"` // of the estimate
	Branches []FitRow  `json:"branches"`
	Best     string    `json:"best"`  // the branch that Pick would name, "" when none fits
	Notes    []Note    `json:"notes"` // of the listing: what card, names and files contradict one another in
	Requests int       `json:"requests"`
}

// fitter is FitOptions made whole.
type fitter struct {
	o      FitOptions
	engine vram.Profile
	kv     vram.KVType
	cards  []vram.Card
	memory string
}

// Fit says of the branches of a repository, or of the one that the reference
// names, whether they fit, from what Inspect reads: no weights are moved.
func (a *App) Fit(ctx context.Context, ref Ref, o FitOptions) (*FitReport, error) {
	f, err := a.newFitter(ctx, o)
	if err != nil {
		return nil, err
	}
	l, seen, err := a.Inspect(ctx, ref)
	if err != nil {
		return nil, err
	}
	r := f.report(l)
	if ref.Revision != "" { // the card speaks of all branches
		r.Notes = slices.DeleteFunc(slices.Clone(l.Notes), func(n Note) bool { return n.Branch != "" && n.Branch != ref.Revision })
	}
	for i := range seen {
		r.Branches = append(r.Branches, f.row(&seen[i], l.Branches[i].Local))
	}
	if best := bestOf(r.Branches, o.AllowTight); best != nil {
		r.Best = best.Branch
	}
	return r, nil
}

// report is a report without branches.
func (f *fitter) report(l *Listing) *FitReport {
	r := &FitReport{Repo: l.Repo, Endpoint: l.Endpoint, Memory: f.memory, Cards: []FitCard{}, Split: f.o.Split,
		Engine: f.engine.ID, Branches: []FitRow{}, Notes: l.Notes, Requests: l.Requests}
	for _, c := range f.cards {
		r.Cards = append(r.Cards, FitCard{c.Name, c.Total, c.Free})
	}
	return r
}

// newFitter checks the options and finds the memory.
func (a *App) newFitter(ctx context.Context, o FitOptions) (*fitter, error) {
	f := &fitter{o: o}
	var ok bool
	if f.engine, ok = vram.ProfileFor(o.Engine); !ok {
		var known []string
		for _, p := range vram.Profiles() {
			known = append(known, p.ID)
		}
		return nil, &optionError{"engine", fmt.Sprintf("%q is not known", o.Engine), "known are " + strings.Join(known, ", ")}
	}
	if o.KV != "" {
		var err error
		if f.kv, err = vram.ParseKVType(o.KV); err != nil {
			return nil, &optionError{"kv", err.Error(), ""}
		}
	}
	if o.Context < 0 || o.Batch < 0 {
		return nil, &optionError{"ctx", "context and batch must be above 0", ""}
	}
	if f.engine.RAM {
		return f, nil
	}
	if o.VRAM != "" && o.VRAM != "auto" {
		return f, f.describe()
	}
	return f, nil
}

// describe takes cards from their sizes.
func (f *fitter) describe() error {
	for i, text := range strings.Split(f.o.VRAM, ",") {
		n, err := vram.ParseSize(text)
		if err != nil {
			return &optionError{cmp.Or(f.o.VRAMFrom, "vram"), err.Error(), HintOf(err)}
		}
		f.cards = append(f.cards, vram.Card{Name: fmt.Sprintf("card %d", i), Total: n, Free: n})
	}
	f.memory = cmp.Or(f.o.VRAMFrom, "--vram")
	return nil
}

// row measures a branch.
func (f *fitter) row(i *Inspection, local LocalState) FitRow {
	w := i.Weights()
	r := FitRow{Branch: i.Branch, Kind: i.Kind, Commit: i.Commit, Settled: i.Settled, Bytes: w.Bytes, Source: w.Source,
		Disk: i.diskBytes(), Findings: i.Findings, Unread: i.Unread, Local: local}
	bits := 0
	if i.Settled.Bits != nil {
		bits = i.Settled.Bits.Value
	}
	r.Estimate = vram.Request{Weights: w, Model: i.Model, Bits: bits, Context: f.o.Context, Batch: f.o.Batch, KV: f.kv,
		Engine: f.engine, Cards: f.cards, Split: vram.Split(f.o.Split)}.Estimate()
	r.Verdict = r.Estimate.Verdict
	switch fatal := i.Fatal(); {
	case len(fatal) > 0:
		r.Verdict, r.Why = VerdictUnusable, fmt.Sprintf("%s (%s)", fatal[0].Message, fatal[0].Code)
	case r.Verdict == VerdictUnknown:
		r.Why = r.Estimate.Why
	case r.Verdict == VerdictTooBig:
		r.Why = fmt.Sprintf("needs %s more", vram.GiBText(-r.Estimate.Slack))
	case r.Verdict == VerdictTight:
		r.Why = fmt.Sprintf("%s free beyond the expected need", vram.GiBText(r.Estimate.Slack))
	}
	return r
}

// diskBytes is the size of the weight files.
func (i *Inspection) diskBytes() (n int64) {
	for _, name := range i.input().WeightFiles() {
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

// bestOf is the usable row of the highest expected quality, nil if none is usable.
func bestOf(rows []FitRow, tight bool) *FitRow {
	var best *FitRow
	for i := range rows {
		r := &rows[i]
		if r.Usable(tight) && (best == nil || compareQuality(r, best) < 0) {
			best = r
		}
	}
	return best
}

// compareQuality orders rows by expected quality, best first: more bits, smaller
// groups (none is worst), act-order, then fewer bytes. What nobody states is worst.
func compareQuality(a, b *FitRow) int {
	return cmp.Or(
		-cmp.Compare(sourcedOr(a.Settled.Bits, 0), sourcedOr(b.Settled.Bits, 0)),
		cmp.Compare(coarseness(a.Settled.GroupSize), coarseness(b.Settled.GroupSize)),
		-cmp.Compare(actRank(a.Settled.ActOrder), actRank(b.Settled.ActOrder)),
		cmp.Compare(a.Disk, b.Disk))
}

// coarseness is the group size, with none beyond all and unknown beyond that.
func coarseness(g *Sourced[int]) int {
	switch {
	case g == nil:
		return math.MaxInt
	case g.Value < 0:
		return math.MaxInt - 1
	}
	return g.Value
}

func actRank(b *Sourced[bool]) int {
	if b != nil && b.Value {
		return 1
	}
	return 0
}

func sourcedOr[T any](s *Sourced[T], other T) T {
	if s == nil {
		return other
	}
	return s.Value
}

// optionError is an option that cannot be.
type optionError struct{ option, reason, hint string }

func (e *optionError) Error() string { return "--" + strings.TrimLeft(e.option, "-") + ": " + e.reason }

// Hint says what to do next.
func (e *optionError) Hint() string { return e.hint }

// NothingFitsError says that no branch fits.
type NothingFitsError struct {
	Repo    string
	Memory  string  // what was there: "24.00 GiB"
	Nearest *FitRow // the branch that needs the least more; nil = none could be measured
	Wanted  string  // what else was asked of a branch: "at most 3 bits"; "" = nothing
}

// Error names the memory.
func (e *NothingFitsError) Error() string {
	text := "no branch of " + e.Repo
	if e.Wanted != "" {
		text += " with " + e.Wanted
	}
	return text + " fits in " + e.Memory
}

// Hint names the nearest branch, and what would make it fit.
func (e *NothingFitsError) Hint() string {
	if e.Nearest == nil {
		return "'qbranch fit " + e.Repo + "' says why not"
	}
	text := fmt.Sprintf("the nearest is %s: %s", e.Nearest.Branch, e.Nearest.Why)
	if help := e.Nearest.Help(false); len(help) > 0 {
		text += "; it would fit with " + help[0]
	}
	return text
}

// Help says what would make a branch fit that does not, the most useful first; a
// smaller branch only where nobody can see that there are others.
func (r *FitRow) Help(alone bool) (help []string) {
	if r.Verdict == VerdictUnusable {
		return nil
	}
	for _, a := range r.Estimate.Advice {
		if a.Verdict == VerdictFits && (alone || a.Kind != vram.AdviseSmaller) {
			help = append(help, a.Text)
		}
	}
	return help
}

// nearest is the row that needs the least more, nil when none was measured.
func nearestRow(rows []FitRow) *FitRow {
	var near *FitRow
	for i := range rows {
		r := &rows[i]
		if r.Verdict != VerdictTooBig && r.Verdict != VerdictTight {
			continue
		}
		if near == nil || r.Verdict == VerdictTight && near.Verdict != VerdictTight ||
			r.Verdict == near.Verdict && r.Estimate.Slack > near.Estimate.Slack {
			near = r
		}
	}
	return near
}

// PickOptions say what Pick may choose.
type PickOptions struct {
	FitOptions
	MaxSize int64 // of the weight files, bytes; 0 = any
	Bits    []int // only these; none = any
}

// Pick is what Pick chose.
type Pick struct {
	Ref    Ref
	Row    FitRow
	Report *FitReport // all branches
}

// Pick names the branch of the highest expected quality that fits: the most bits,
// of those the smallest groups, of those act-order, of those the fewest bytes. A
// branch with a fatal finding, or of which it is not known whether it fits, is
// never picked. Nothing fits: *NothingFitsError.
func (a *App) Pick(ctx context.Context, repo RepoID, o PickOptions) (*Pick, error) {
	r, err := a.Fit(ctx, Ref{Repo: repo}, o.FitOptions)
	if err != nil {
		return nil, err
	}
	if len(r.Cards) == 0 {
		return nil, &noMemoryError{}
	}
	var wanted []FitRow
	for _, row := range r.Branches {
		if o.wants(&row) {
			wanted = append(wanted, row)
		}
	}
	best := bestOf(wanted, o.AllowTight)
	if best == nil {
		return nil, &NothingFitsError{Repo: r.Repo, Memory: r.MemoryText(), Nearest: nearestRow(wanted), Wanted: o.wantedText()}
	}
	id, err := ParseRef(r.Repo)
	if err != nil {
		return nil, err
	}
	return &Pick{Ref: Ref{Repo: id.Repo, Revision: best.Branch}, Row: *best, Report: r}, nil
}

func (o *PickOptions) wants(r *FitRow) bool {
	if o.MaxSize > 0 && (r.Disk == 0 || r.Disk > o.MaxSize) {
		return false
	}
	return len(o.Bits) == 0 || r.Settled.Bits != nil && slices.Contains(o.Bits, r.Settled.Bits.Value)
}

func (o *PickOptions) wantedText() string {
	var parts []string
	if len(o.Bits) > 0 {
		parts = append(parts, strings.Trim(strings.ReplaceAll(fmt.Sprint(o.Bits), " ", " or "), "[]")+" bits")
	}
	if o.MaxSize > 0 {
		parts = append(parts, "at most "+vram.GiBText(o.MaxSize)+" of weights")
	}
	return strings.Join(parts, " and ")
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
	if r.Memory == "ram" {
		text += " of main memory"
	}
	return text
}

// ParseSize reads a size of memory or of files (vram.ParseSize).
func ParseSize(text string) (int64, error) { return vram.ParseSize(text) }

// Require is *NothingFitsError when no branch fits.
func (r *FitReport) Require(tight bool) error {
	if bestOf(r.Branches, tight) != nil {
		return nil
	}
	if len(r.Cards) == 0 {
		return &noMemoryError{}
	}
	return &NothingFitsError{Repo: r.Repo, Memory: r.MemoryText(), Nearest: nearestRow(r.Branches)}
}

// GiBText is a number of bytes as memory is written: GiB with two decimals.
func GiBText(n int64) string { return vram.GiBText(n) }

// noMemoryError says that there is nothing to measure against.
type noMemoryError struct{}

func (*noMemoryError) Error() string { return "no graphics card was found to fit a branch into" }

// Hint says what to do next.
func (*noMemoryError) Hint() string {
	return "--vram 24GiB says what there is; --engine cpu measures against main memory"
}
