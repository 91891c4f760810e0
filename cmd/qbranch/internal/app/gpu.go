package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/qbranch/qbranch/quant/vram"
	"github.com/qbranch/qbranch/quant/vram/gpu"
)

// Names front ends use for what gpu finds.
type (
	// GPU is a graphics card.
	GPU = gpu.GPU
	// GPUReport says which cards there are and how they were found.
	GPUReport = gpu.Report
	// GPUProbe is one way of looking for cards.
	GPUProbe = gpu.Probe
)

// How a GPUProbe ended.
const (
	GPUFound   = gpu.Found
	GPUNone    = gpu.None
	GPUFailed  = gpu.Failed
	GPUSkipped = gpu.Skipped
)

// GPUSimulated is the vendor of cards that the user described.
const GPUSimulated = gpu.Simulated

// GPUOptions say which cards count.
type GPUOptions struct {
	VRAM    string     // sizes to believe instead of the machine: "24GiB", "24,12"; "" = QBRANCH_VRAM, else look; "auto" = look
	Indexes []string   // of the cards that count, by the ID or index that the report gives them; none = all a program would see
	System  gpu.System // nil = this machine
}

// GPUs looks for graphics cards. What is to be graded against is the report's
// Visible; with none of them its RAM is what the CPU has.
func (a *App) GPUs(ctx context.Context, o GPUOptions) (*GPUReport, error) {
	r, err := gpu.Detect(ctx, machine(o.System), gpu.Options{VRAM: o.VRAM, Source: "--vram"})
	if err != nil {
		return nil, err
	}
	if len(o.Indexes) > 0 {
		err = r.Select(o.Indexes)
	}
	return r, err
}

// machine is sys, or this machine.
func machine(sys gpu.System) gpu.System {
	if sys == nil {
		return gpu.Machine{}
	}
	return sys
}

// MemoryText is a size of memory as people read it, in GiB: "23.69 GiB".
func MemoryText(n int64) string { return vram.GiBText(n) }

// whyNoCard says why a machine has no card to use, "" where it has one, or where
// it just has none: a card that is hidden, or a way to ask that failed.
func whyNoCard(r *gpu.Report) string {
	if len(r.Visible()) > 0 {
		return ""
	}
	if len(r.GPUs) > 0 {
		return r.GPUs[0].Name + ": " + r.GPUs[0].Hidden
	}
	for _, p := range r.Probes {
		if p.State == gpu.Failed {
			detail, _, _ := strings.Cut(p.Detail, ": ") // what follows is what the program itself said
			return p.Name + ": " + detail
		}
	}
	return ""
}

// checkCPU names the instructions that models are run with.
func checkCPU() Check {
	name, warning := Instructions()
	c := Check{Name: "cpu", State: CheckOK, Detail: "models are run with " + name + " instructions"}
	if name == "go" {
		c.Detail = "models are run without vector instructions, slowly"
	}
	if warning != "" {
		c.State, c.Advice = CheckWarn, warning
	}
	return c
}

// checkGPU says what a program that is started now has. None is fine: fetching
// and verifying need none, and gen runs on the CPU.
func checkGPU(ctx context.Context, sys gpu.System) Check {
	c := Check{Name: "gpu", State: CheckOK, Detail: "none found; fetching, verifying and gen need none"}
	r, err := gpu.Detect(ctx, sys, gpu.Options{})
	if err != nil {
		c.State, c.Detail, c.Advice = CheckWarn, err.Error(), HintOf(err)
		return c
	}
	for _, p := range r.Probes {
		if p.State == gpu.Failed && c.State == CheckOK {
			c.State, c.Detail, c.Advice = CheckWarn, p.Name+": "+p.Detail, p.Advice
		}
	}
	var cards []string
	for _, g := range r.Visible() {
		cards = append(cards, gpuText(g))
	}
	switch {
	case len(cards) > 0:
		c.State, c.Detail, c.Advice = CheckOK, list(cards, "; ", 8), ""
	case len(r.GPUs) > 0:
		c.State, c.Detail = CheckWarn, fmt.Sprintf("%s: %s", r.GPUs[0].Name, r.GPUs[0].Hidden)
		c.Advice = "'qbranch gpu' says why each card is not used"
	}
	return c
}

// gpuText is a card in a few words.
func gpuText(g GPU) string {
	words := []string{g.Name}
	if total, ok := g.Capacity(); ok {
		words = append(words, MemoryText(total))
	} else {
		words = append(words, "memory unknown")
	}
	if g.Free != nil {
		words = append(words, MemoryText(*g.Free)+" free")
	}
	if g.Driver != "" {
		words = append(words, "driver "+g.Driver)
	}
	return strings.Join(words, ", ")
}
