package app

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/engines"
	"github.com/qbranch/qbranch/quant/safetensors"
	"github.com/qbranch/qbranch/quant/vram"
)

// fitter is FitOptions made whole.
type fitter struct {
	o       FitOptions
	profile vram.Profile
	rows    []engines.Engine // that were asked for; none = any
	kv      vram.KVType
	cards   []vram.Card
	learnt  vram.Calibration // what was measured on this machine
	ram     *vram.Card       // main memory, where it had to be looked at
	machine *engines.Machine // what is known of it; nil = judge for any
	memory  string
	noCard  string // why no card was found, where that is known
}

// Memory that branches are measured against, beside the names of flags and
// variables.
const (
	MemoryGPU = "gpu" // the cards of this machine
	MemoryRAM = "ram" // its main memory
)

// newFitter checks the options.
func newFitter(o FitOptions) (*fitter, error) {
	f := &fitter{o: o}
	if err := f.setEngine(); err != nil {
		return nil, err
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
	from, flag := strings.CutPrefix(o.VRAMFrom, "--")
	flag = flag && o.VRAM != "" && o.VRAM != "auto"
	switch {
	case !f.profile.RAM || len(o.GPUs) == 0 && !flag:
	case slices.ContainsFunc(f.rows, func(e engines.Engine) bool { return !slices.Equal(e.Needs.Devices, []string{"cpu"}) }):
		f.profile, _ = vram.ProfileFor("") // on a card nothing is known of it
	case len(o.GPUs) > 0:
		return nil, &optionError{"engine", f.rows[0].Name + " runs in main memory, not on a card", "leave out --gpu"}
	default:
		return nil, &optionError{"engine", f.rows[0].Name + " runs in main memory, not on a card", "leave out --" + from}
	}
	if o.VRAM == "" || o.VRAM == "auto" || f.profile.RAM {
		return f, nil
	}
	for i, text := range strings.Split(o.VRAM, ",") {
		n, err := vram.ParseSize(text)
		if err != nil {
			return nil, &optionError{cmp.Or(o.VRAMFrom, "vram"), err.Error(), HintOf(err)}
		}
		f.cards = append(f.cards, vram.Card{Name: fmt.Sprintf("card %d", i), Total: n, Free: n})
	}
	f.memory = cmp.Or(o.VRAMFrom, "--vram")
	if len(o.GPUs) > 0 {
		if err := f.selectDescribed(); err != nil {
			return nil, err
		}
	}
	f.machine = &engines.Machine{Vendor: "nvidia", AnyCC: true} // most programs are made for these
	return f, nil
}

// selectDescribed keeps those of the described cards that were asked for, by the
// names that "qbranch gpu" gives them.
func (f *fitter) selectDescribed() error {
	var r GPUReport
	for i, c := range f.cards {
		r.GPUs = append(r.GPUs, GPU{ID: fmt.Sprintf("%s:%d", GPUSimulated, i), Vendor: GPUSimulated, Index: i, Name: c.Name, Total: &c.Total, Free: &c.Free})
	}
	if err := r.Select(f.o.GPUs); err != nil {
		return err
	}
	f.cards = nil
	for _, g := range r.Visible() {
		f.cards = append(f.cards, g.Card())
	}
	return nil
}

// setEngine finds the rows and the memory profile of the engine.
func (f *fitter) setEngine() error {
	id := strings.ToLower(f.o.Engine)
	if id == "cpu" {
		id = "qbranch"
	}
	if id == "" || id == "generic" {
		f.o.Engine = ""
		f.profile, _ = vram.ProfileFor("")
		return nil
	}
	var ok bool
	if f.rows, ok = engines.Lookup(id); !ok {
		return &optionError{"engine", fmt.Sprintf("%q is not known", f.o.Engine), "known are " + strings.Join(EngineIDs(false), ", ")}
	}
	f.profile, _ = vram.ProfileFor(f.rows[0].Profile)
	f.o.Engine = id
	return nil
}

// kernel is the row of a kernel, where it is among those asked for.
func (f *fitter) kernel(kernel string) (e engines.Engine, ok bool) {
	if i := slices.IndexFunc(f.rows, func(e engines.Engine) bool { return e.ID == kernel }); i >= 0 {
		return f.rows[i], true
	}
	return e, false
}

// profileOf is how a kernel uses memory, as far as that was measured here. The
// loaders of one program are of several kinds.
func (f *fitter) profileOf(kernel string) vram.Profile {
	p := f.profile
	if e, ok := f.kernel(kernel); ok {
		if own, _ := vram.ProfileFor(e.Profile); own.RAM == p.RAM {
			p = own
		}
	}
	if key := f.cardKey(); key != "" {
		p = f.learnt.Apply(p, key)
	}
	return p
}

// rewrites reports whether a kernel computes with other weights than the file's.
func (f *fitter) rewrites(kernel string) bool {
	e, ok := f.kernel(kernel)
	return ok && e.Rewrites
}

// findMemory looks for what there is to run in, unless that was said.
func (f *fitter) findMemory(ctx context.Context, a *App) error {
	if len(f.cards) > 0 {
		return nil // that was said
	}
	if f.o.Machine != nil {
		return f.useMachine(f.o.Machine)
	}
	r, err := a.GPUs(ctx, GPUOptions{VRAM: "auto", System: f.o.System})
	if err != nil {
		return err
	}
	return f.useMachine(r)
}

// useMachine takes what there is to run in from a report, unless that was said.
func (f *fitter) useMachine(found *GPUReport) error {
	if len(f.cards) > 0 {
		return nil
	}
	r := *found // Select marks cards
	if r.GPUs = slices.Clone(r.GPUs); len(f.o.GPUs) > 0 {
		if err := r.Select(f.o.GPUs); err != nil {
			return err
		}
	}
	ram := vram.Card{Name: "main memory", Free: -1}
	if r.RAM.Total != nil {
		ram.Total = *r.RAM.Total
	}
	if r.RAM.Available != nil {
		ram.Free = *r.RAM.Available
	}
	f.ram = &ram
	if f.profile.RAM {
		f.cards, f.memory = []vram.Card{ram}, MemoryRAM
		f.machine = &engines.Machine{OS: runtime.GOOS, Vendor: "none"}
		return nil
	}
	f.noCard = whyNoCard(&r)
	for _, g := range r.Visible() {
		f.cards = append(f.cards, g.Card())
		f.memory = MemoryGPU
		if f.machine == nil {
			f.machine = &engines.Machine{OS: runtime.GOOS, Vendor: string(g.Vendor), CC: g.ComputeCap}
		}
	}
	return nil
}

// subject is the branch as the table of engines wants it.
func (f *fitter) subject(i *Inspection) engines.Subject {
	s := i.subject
	s.Machine = f.machine
	if f.o.Split == string(vram.SplitTensor) {
		s.TensorParallel = len(f.cards)
	}
	return s
}

// subjectOf is the branch as the table of engines wants it, for any machine.
func (i *Inspection) subjectOf() engines.Subject {
	var l quant.Layout
	if i.Model != nil {
		l, _ = quant.LayoutOf(i.Config, i.Model, quant.WriterOptions(i.Config, i.Model)) // without it shapes are not judged
	}
	s := engines.SubjectOf(i.Config, i.Model, l)
	if p := i.Settled.Bits; p != nil {
		s.Bits = p.Value
	}
	if p := i.Settled.GroupSize; p != nil {
		s.GroupSize = p.Value
	}
	if p := i.Settled.ActOrder; p != nil && s.DescAct == nil {
		s.DescAct = &p.Value
	}
	s.Shards = len(i.WeightFiles)
	s.Beliefs = i.Beliefs
	var headers []*safetensors.Header
	for _, name := range i.WeightFiles {
		if h := i.Headers[name]; h != nil {
			headers = append(headers, h)
		}
	}
	if len(headers) > 0 && len(headers) == len(i.WeightFiles) {
		s.Measure(headers)
	}
	return s
}

// loads is the verdict of the kernel or the program that was asked for, which
// does as well as its best kernel; with none asked for, the best of all.
func (f *fitter) loads(all []engines.Verdict) EngineRow {
	var wanted []engines.Verdict
	for _, v := range all {
		if len(f.rows) == 0 || slices.ContainsFunc(f.rows, func(e engines.Engine) bool { return e.ID == v.ID }) {
			wanted = append(wanted, v)
		}
	}
	var best *engines.FamilyVerdict
	families := engines.Families(wanted)
	for i := range families {
		if best == nil || families[i].Loads.Better(best.Loads) {
			best = &families[i]
		}
	}
	switch {
	case best == nil:
		return EngineRow{Loads: engines.Yes} // a table without rows objects to nothing
	case len(f.rows) == 0:
		return EngineRow{"", "any engine of the table", best.Loads, best.Why, best.OnCPU}
	case best.Loads == engines.No && len(best.Kernels) > 1:
		return EngineRow{best.ID, best.Name, best.Loads, best.Why, best.OnCPU}
	}
	kernel := best.Kernels[0]
	return EngineRow{kernel.ID, kernel.Name, kernel.Loads, kernel.Why, kernel.OnCPU}
}
