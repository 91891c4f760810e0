package gpu

import (
	"context"
	"strings"

	"github.com/qbranch/qbranch/quant/vram"
)

const probeApple = "apple-sysctl"

// metalAll is the least memory of a Mac of which Metal takes three quarters for
// the GPU; of less it takes two thirds. Macs have 32 or 36 GiB, nothing between.
const metalAll = 36 << 30

// apple asks sysctl. The GPU of Apple's chips has no memory of its own: macOS
// lets it have a part of main memory, which a setting changes.
func (d *detection) apple(ctx context.Context) []Probe {
	if d.sys.OS() != "darwin" {
		return nil
	}
	p := Probe{Name: probeApple, State: Failed}
	// It ends with code 1 when it does not know one of them.
	c, out, err := d.runFirst(ctx, sysctl, "machdep.cpu.brand_string", "hw.memsize", "hw.optional.arm64", "iogpu.wired_limit_mb")
	p.Command = c.words()
	if err != nil {
		p.Detail, p.Advice = err.Error(), "--vram or QBRANCH_VRAM states the memory"
		return []Probe{p}
	}
	values := keyed(out.Stdout)
	total := scaled(values["hw.memsize"], 1)
	switch {
	case total == nil || *total == 0:
		p.Detail, p.Advice = "sysctl does not say how much memory there is: "+spoken(out), "--vram or QBRANCH_VRAM states it"
		return []Probe{p}
	case values["hw.optional.arm64"] != "1":
		p.State, p.Detail = None, "a Mac without a chip of Apple's, whose card nothing here can ask"
		p.Advice = "--vram or QBRANCH_VRAM states its memory"
		return []Probe{p}
	}
	name := values["machdep.cpu.brand_string"]
	if name == "" {
		name = "Apple GPU"
	}
	g := GPU{Vendor: Apple, Name: name, Shared: true}
	p.State, p.Detail = Found, "of "+vram.GiBText(*total)+" of main memory"
	limit := scaled(strings.TrimSpace(values["iogpu.wired_limit_mb"]), 1<<20)
	switch {
	case limit != nil && *limit > 0:
		g.Total = ptr(min(*limit, *total))
		g.Notes = append(g.Notes, "iogpu.wired_limit_mb says how much of main memory it may have")
	case *total < metalAll:
		g.Total, g.Approximate = ptr(*total/3*2), true
		g.Notes = append(g.Notes, "macOS lets it have two thirds of main memory, newer versions more; sudo sysctl iogpu.wired_limit_mb=… changes it")
	default:
		g.Total, g.Approximate = ptr(*total/4*3), true
		g.Notes = append(g.Notes, "macOS lets it have three quarters of main memory, newer versions more; sudo sysctl iogpu.wired_limit_mb=… changes it")
	}
	if d.ram.Available != nil {
		g.Free = ptr(min(*g.Total, *d.ram.Available))
	}
	p.gpus = []GPU{g}
	return []Probe{p}
}
