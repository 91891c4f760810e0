package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) gpuCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "gpu",
		GroupID: groupTry,
		Short:   "Say which GPUs there are and how they were found",
		Long: `Look for graphics cards: nvidia-smi, the files of AMD's and Intel's drivers, Apple's sysctl.
Say what each has, what of it is free, and of every way of looking why it found nothing. Cards
that CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES or HIP_VISIBLE_DEVICES hide are named and not
used. When detection is wrong, QBRANCH_VRAM=24GiB (or 24GiB,12GiB for two cards) wins over it;
a bare number is GiB. It takes a few seconds at most and changes nothing.`,
		Example: "  qbranch gpu\n  QBRANCH_VRAM=24GiB qbranch gpu --json",
		Args:    args(0, 0, ""),

		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := r.open(0)
			if err != nil {
				return err
			}
			report, err := a.GPUs(cmd.Context(), app.GPUOptions{})
			if err != nil {
				return err
			}
			if r.json {
				return r.emit(gpuObject{"qbranch/gpu/v1", report.Simulated(), report})
			}
			fmt.Fprint(r.out, r.outColor.gpuReport(report))
			return nil
		},
	}
	r.jsonFlag(cmd)
	return cmd
}

// gpuObject is the JSON of gpu.
type gpuObject struct {
	Schema    string `json:"schema"`
	Simulated bool   `json:"simulated"`
	*app.GPUReport
}

// gpuReport is the cards, what is to be said about them, and the probes.
func (p paint) gpuReport(report *app.GPUReport) string {
	var b strings.Builder
	visible := report.Visible()
	switch {
	case len(report.GPUs) == 0:
		b.WriteString("no GPU found: only the CPU and main memory count\nfor a card that is elsewhere: QBRANCH_VRAM=24GiB, or qbranch fit REPO --vram 24GiB\n")
	case len(visible) == 0:
		b.WriteString("no GPU to use: only the CPU and main memory count\n\n")
	}
	if len(report.GPUs) > 0 {
		b.WriteString(gpuTable(visible, report.GPUs))
	}
	for _, g := range report.GPUs {
		if g.Hidden != "" {
			fmt.Fprintf(&b, "%s is not used: %s\n", g.ID, clean(g.Hidden))
		}
		for _, n := range g.Notes {
			fmt.Fprintf(&b, "%s: %s\n", g.ID, clean(n))
		}
	}
	for _, s := range report.Selections {
		for _, n := range s.Notes {
			fmt.Fprintf(&b, "%s=%s: %s\n", s.Variable, clean(s.Value), clean(n))
		}
	}
	fmt.Fprintf(&b, "\nmain memory: %s, %s available", memoryText(report.RAM.Total), memoryText(report.RAM.Available))
	if report.RAM.Limit != "" {
		fmt.Fprintf(&b, "; %s allows no more", report.RAM.Limit)
	}
	b.WriteString("\n\nhow they were looked for:\n")
	for _, probe := range report.Probes {
		b.WriteString(p.gpuProbe(probe))
	}
	return b.String()
}

// gpuTable lists the visible cards, in their order, then the others. "Seen as"
// is the number under which programs have it.
func gpuTable(visible, all []app.GPU) string {
	var rows [][]string
	row := func(g app.GPU) {
		device, by, total := "-", g.Probe, memoryText(g.Total)
		if g.Device != nil {
			device = strconv.Itoa(*g.Device)
		}
		if g.Vendor == app.GPUSimulated {
			by = "SIM"
		}
		if g.Shared {
			by += ", shared with the CPU"
		}
		if g.Approximate {
			total = "about " + total
		}
		rows = append(rows, []string{g.ID, device, clean(g.Name), total, memoryText(g.Free), memoryText(g.Reserved), by})
	}
	for _, g := range visible {
		row(g)
	}
	for _, g := range all {
		if g.Hidden != "" {
			row(g)
		}
	}
	return table([]column{{title: "GPU"}, {"Seen as", true}, {title: "Name"}, {"Total", true}, {"Free", true}, {"Driver's", true}, {title: "Found by"}}, rows)
}

// gpuProbe is a line for a probe, and one for what to do.
func (p paint) gpuProbe(probe app.GPUProbe) string {
	state := fmt.Sprintf("%-7s", probe.State)
	switch probe.State {
	case app.GPUFound:
		state = p.green(state)
	case app.GPUFailed:
		state = p.red(state)
	}
	text := fmt.Sprintf("  %s  %-12s  %s\n", state, clean(probe.Name), clean(probe.Detail))
	if probe.Advice != "" {
		text += fmt.Sprintf("%25s%s\n", "", clean(probe.Advice))
	}
	return text
}

// memoryText is a size of memory that may not be known.
func memoryText(n *int64) string {
	if n == nil {
		return unknown
	}
	return app.MemoryText(*n)
}
