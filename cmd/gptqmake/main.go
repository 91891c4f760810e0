package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	switch err := run(os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "gptqmake:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	shape
	bits, group int
	actOrder    bool
	asym        bool
	v2          bool
	zeroBias    bool
	sparse      bool
	shard       int64 // bytes of tensors in one file; 0 = all
	seed        uint64
	dir         string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var preset string
	var layers int
	f := flag.NewFlagSet("gptqmake", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintln(stderr, "usage: gptqmake [flags] DIR")
		f.PrintDefaults()
	}
	f.StringVar(&preset, "preset", "tinyllama", "the `shape`: "+strings.Join(presetNames(), ", "))
	f.IntVar(&layers, "layers", 0, "another number of `layers` than the preset's")
	f.IntVar(&o.bits, "bits", 4, "width of a code: 2, 3, 4 or 8")
	f.IntVar(&o.group, "group", 128, "`rows` that share a scale and a zero point; -1 = all")
	f.BoolVar(&o.actOrder, "act-order", false, "rows in an order of their own (desc_act): g_idx is a permutation")
	f.BoolVar(&o.asym, "asym", false, "zero points that differ (sym false)")
	f.BoolVar(&o.v2, "v2", false, "format gptq_v2: zero points stored as they are")
	f.BoolVar(&o.zeroBias, "zero-bias", false, "a bias of zeros for every matrix, as AutoGPTQ wrote until 2024")
	f.BoolVar(&o.sparse, "sparse", false, "holes instead of the experts' data: full length, little disk")
	f.Int64Var(&o.shard, "shard", 0, "`bytes` of tensors in one file, the others go to the next; 0 = one file")
	f.Uint64Var(&o.seed, "seed", 0, "of the random numbers")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() != 1 {
		return o, fmt.Errorf("%d folders given, want the one to write", f.NArg())
	}
	o.dir = f.Arg(0)
	var ok bool
	if o.shape, ok = presets[preset]; !ok {
		return o, fmt.Errorf("preset %q: want one of %s", preset, strings.Join(presetNames(), ", "))
	}
	if layers != 0 {
		o.Layers = layers
	}
	return o, o.check()
}

func (o options) check() error {
	switch {
	case !slices.Contains([]int{2, 3, 4, 8}, o.bits):
		return fmt.Errorf("bits %d: want 2, 3, 4 or 8", o.bits)
	case o.group != -1 && (o.group < 1 || o.group > 1<<20):
		return fmt.Errorf("group %d: want -1 or a number of rows", o.group)
	case o.Layers < 1 || o.Layers > 1000:
		return fmt.Errorf("layers %d: want 1 to 1000", o.Layers)
	case o.sparse && o.Experts == 0:
		return errors.New("sparse leaves out the data of experts, and this shape has none")
	case o.shard < 0:
		return fmt.Errorf("shard %d: want a number of bytes", o.shard)
	}
	return nil
}

func run(args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	bytes, err := write(o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %d bytes of tensors\n", o.dir, bytes)
	return err
}
