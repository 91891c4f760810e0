package gpu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/qbranch/qbranch/quant/vram"
)

// Patience is how long a program may take to answer.
const Patience = 2 * time.Second

// Options say what to do beside looking.
type Options struct {
	// VRAM describes cards instead of those there are: sizes of vram.ParseSize
	// with commas between, "24GiB" or "24,12". "" leaves it to QBRANCH_VRAM,
	// "auto" looks at the machine, whatever that says.
	VRAM string
	// Source is what Options.VRAM came from, for the report: "--vram".
	Source string
}

// detection is a Detect that runs.
type detection struct {
	sys System
	ram Memory
}

// Detect asks everything there is to ask, at once. The error is that of a
// description of cards that cannot be read (*vram.SizeError), or the context's;
// whatever goes wrong on the machine is in the report.
func Detect(ctx context.Context, sys System, o Options) (*Report, error) {
	d := &detection{sys: sys}
	described, err := d.described(o)
	if err != nil {
		return nil, err
	}
	d.ram = d.memory(ctx)
	groups := []func(context.Context) []Probe{d.nvidia, d.amd, d.apple, d.intel}
	results := make([][]Probe, len(groups))
	var wg sync.WaitGroup
	for i, group := range groups {
		wg.Go(func() { results[i] = group(ctx) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &Report{GPUs: []GPU{}, Probes: []Probe{}, Selections: []Selection{}, RAM: d.ram}
	for _, probes := range append([][]Probe{described}, results...) {
		for _, p := range probes {
			r.add(p)
		}
	}
	r.settle(d)
	return r, nil
}

// add takes a probe and its cards into the report.
func (r *Report) add(p Probe) {
	for _, g := range p.gpus {
		g.Probe = p.Name
		g.Name, g.UUID, g.PCI = plain(g.Name), plain(g.UUID), plain(g.PCI)
		g.MIG, g.ComputeCap, g.Driver = plain(g.MIG), plain(g.ComputeCap), plain(g.Driver)
		g.ID = string(g.Vendor) + ":" + strconv.Itoa(g.Index)
		if g.Instance != nil {
			g.ID += ":" + strconv.Itoa(*g.Instance)
		}
		if g.Name == "" {
			g.Name = "a card without a name"
		}
		if g.Notes == nil {
			g.Notes = []string{}
		}
		r.GPUs = append(r.GPUs, g)
	}
	p.Detail, p.gpus = plainLong(p.Detail), nil
	if p.Command == nil {
		p.Command = []string{}
	}
	r.Probes = append(r.Probes, p)
}

// settle hides what is not to be used and numbers the rest.
func (r *Report) settle(d *detection) {
	simulated := r.Simulated()
	for i := range r.GPUs {
		g := &r.GPUs[i]
		if simulated && g.Vendor != Simulated {
			g.Hidden = "cards were described instead"
		}
	}
	if !simulated {
		r.skipIntegrated()
		r.selectCUDA(d.sys)
		r.selectROCm(d.sys)
	}
	next := map[Vendor]int{}
	for i := range r.GPUs {
		if g := &r.GPUs[i]; g.Hidden == "" && g.Device == nil {
			g.Device = ptr(next[g.Vendor])
			next[g.Vendor]++
		}
	}
}

// littleMemory is what the firmware gives a processor's own GPU when it gives it
// little. No card for computing has less.
const littleMemory = 1 << 30

// skipIntegrated hides the small GPU of the processor beside a real card: it is
// there for the screen.
func (r *Report) skipIntegrated() {
	discrete := ""
	for _, g := range r.GPUs {
		if !g.integrated && g.Total != nil && discrete == "" {
			discrete = g.Name
		}
	}
	for i := range r.GPUs {
		g := &r.GPUs[i]
		if discrete != "" && g.integrated && g.Hidden == "" && g.carveOut < littleMemory {
			g.Hidden = "part of the processor, with less than 1 GiB of its own, beside " + discrete
		}
	}
}

// described are the cards of --vram or QBRANCH_VRAM.
func (d *detection) described(o Options) ([]Probe, error) {
	text, source := o.VRAM, o.Source
	if text == "" {
		text, _ = d.sys.LookupEnv("QBRANCH_VRAM")
		source = "QBRANCH_VRAM"
	}
	p := Probe{Name: "described", State: Skipped, Detail: "QBRANCH_VRAM is not set"}
	if text == "auto" {
		p.Detail = source + " says auto"
	}
	if text == "" || text == "auto" {
		return []Probe{p}, nil
	}
	sizes := strings.Split(text, ",")
	if len(sizes) > 64 {
		return nil, &vram.SizeError{Text: plain(text)}
	}
	for i, s := range sizes {
		n, err := vram.ParseSize(s)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", source, err)
		}
		p.gpus = append(p.gpus, GPU{Vendor: Simulated, Index: i, Name: "simulated " + vram.GiBText(n), Total: &n, Free: &n})
	}
	p.State, p.Detail = Found, source+"="+text
	return []Probe{p}, nil
}

// run runs a program and gives it its time.
func (d *detection) run(ctx context.Context, c Command) (Output, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, Patience, errSlow)
	defer cancel()
	return d.sys.Run(ctx, c)
}

// runFirst runs the first of these programs that is there.
func (d *detection) runFirst(ctx context.Context, programs []string, args ...string) (c Command, out Output, err error) {
	for _, program := range programs {
		c = Command{Name: program, Args: args}
		if out, err = d.run(ctx, c); !absent(err) {
			break
		}
	}
	return c, out, err
}

// errSlow is a program that did not answer in time.
var errSlow = errors.New("no answer in time")

// absent reports whether a program did not run because it is not there, or lies
// in the working directory only, where anybody may have put it.
func absent(err error) bool {
	return errors.Is(err, exec.ErrNotFound) || errors.Is(err, exec.ErrDot) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported)
}

// exists reports whether a file can be read.
func (d *detection) exists(name string) bool {
	_, err := d.sys.ReadFile(name)
	return err == nil
}

// text is the contents of a file of one line, "" when there is none.
func (d *detection) text(name string) string {
	b, err := d.sys.ReadFile(name)
	if err != nil {
		return ""
	}
	return plain(strings.Trim(string(b), "\x00\n\r "))
}

// words are the command line of a command.
func (c Command) words() []string { return append([]string{c.Name}, c.Args...) }
