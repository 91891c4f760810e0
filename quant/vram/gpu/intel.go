package gpu

import (
	"context"
	"strings"
)

const probeIntel = "intel-sysfs"

// intel reads what the drivers xe and i915 say. A processor's own GPU is at a
// fixed place on the bus and has no memory of its own.
func (d *detection) intel(context.Context) []Probe {
	if d.sys.OS() != "linux" {
		if d.sys.OS() == "windows" {
			return []Probe{{Name: probeIntel, State: Skipped, Detail: "cards of Intel are found on Linux only: --vram states their memory"}}
		}
		return nil
	}
	p := Probe{Name: probeIntel, State: None, Detail: "no card of Intel in /sys/class/drm"}
	silent := 0
	for _, dev := range d.drmDevices("0x8086") {
		if strings.HasSuffix(dev.pci, ":00:02.0") {
			p.Detail = "only the processor's own GPU, which has no memory of its own"
			continue
		}
		g := GPU{Vendor: Intel, Index: len(p.gpus), PCI: dev.pci, Driver: dev.driver,
			Name: strings.TrimSpace("Intel GPU " + strings.ToUpper(strings.TrimPrefix(d.text(dev.dir+"/device"), "0x")))}
		if g.Total = d.intelMemory(dev); g.Total == nil {
			silent++
			g.Notes = append(g.Notes, "how much memory it has is not known: --vram can say")
		}
		if free := d.firstNumber(dev.card+"/lmem_avail_bytes", dev.card+"/prelim_lmem_avail_bytes"); g.Total != nil && free != nil && *free <= *g.Total {
			g.Free = free
		}
		p.gpus = append(p.gpus, g)
	}
	if len(p.gpus) > 0 {
		p.State, p.Detail = Found, counted(len(p.gpus), "card")
	}
	if silent > 0 {
		p.Detail += "; the driver does not state the memory of " + counted(silent, "card")
		p.Advice = "the driver xe of Linux 6.8 and newer states it; --vram or QBRANCH_VRAM states it otherwise"
	}
	return []Probe{p}
}

// intelMemory is the memory of a card: xe tells it for each tile, i915 only as
// Intel delivers it.
func (d *detection) intelMemory(dev drmDevice) *int64 {
	total, tiles := int64(0), 0
	for _, pattern := range [...]string{"/tile*/physical_vram_size_bytes", "/tile*/memory/physical_vram_size_bytes"} {
		for _, name := range d.sys.Glob(dev.dir + pattern) {
			n := d.number(name)
			if n == nil || tiles == 64 {
				return nil
			}
			total += *n
			tiles++
		}
		if tiles > 0 {
			return size(total)
		}
	}
	return d.firstNumber(dev.card+"/lmem_total_bytes", dev.card+"/prelim_lmem_total_bytes", dev.dir+"/lmem_total_bytes")
}

// firstNumber is the number in the first of these files that has one that is
// not zero.
func (d *detection) firstNumber(names ...string) *int64 {
	for _, name := range names {
		if n := d.number(name); n != nil && *n > 0 {
			return n
		}
	}
	return nil
}
