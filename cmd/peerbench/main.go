package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// hubArgument makes this program the hub's process.
const hubArgument = "__hub"

// row is a piece of the bench that can be run alone.
type row struct {
	name string
	run  func(b *bench, ctx context.Context) ([]line, error)
}

// allRows are the rows in the order of the table.
func allRows() []row {
	return []row{
		{"loopback", (*bench).loopback},
		{"durable", (*bench).durable},
		{"rate20", (*bench).throttled20},
		{"rate5", (*bench).throttled5},
		{"requests", (*bench).requests},
		{"publish", (*bench).published},
		{"kill", (*bench).killed},
		{"broken", (*bench).broken},
		{"flip", (*bench).flipped},
		{"stop", (*bench).stopped},
		{"restart", (*bench).restarted},
		{"verify", (*bench).verified},
		{"small", (*bench).small},
	}
}

// options are the flags.
type options struct {
	qbranch, webui string
	only           string
	peers          string
	runs           int
	size           int64
	fast, disk     string
	json           bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var size string
	f := flag.NewFlagSet("peerbench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.qbranch, "qbranch", "", "the `program` to measure; built from this repository when empty")
	f.StringVar(&o.webui, "webui", "", "text-generation-webui's download-model.py, a `file`")
	f.StringVar(&o.only, "only", "", "measure only these `rows`, separated by commas: "+strings.Join(rowNames(), ", "))
	f.StringVar(&o.peers, "peers", "", "measure only these `tools` beside qbranch, separated by commas")
	f.IntVar(&o.runs, "runs", 3, "`rounds`; every number is their median")
	f.StringVar(&size, "size", "2GiB", "size of the large file, in `bytes`, MiB or GiB")
	f.StringVar(&o.fast, "tmpfs", defaultFast(), "`folder` for the rows without a disk; twice --size is needed")
	f.StringVar(&o.disk, "dir", os.TempDir(), "`folder` for the rows with a disk")
	f.BoolVar(&o.json, "json", false, "print the lines as JSON, one object a line, instead of the table")
	f.Usage = func() {
		fmt.Fprintf(stderr, "peerbench measures qbranch against the other downloaders on this machine and prints a table.\n\"peerbench runner --help\": the same for running a model.\n\nFlags:\n")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.size, err = parseSize(size); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.runs < 1 {
		return o, errors.New("--runs: at least 1")
	}
	_, err = chosen(o.only)
	return o, err
}

// defaultFast is the folder in memory that Linux has.
func defaultFast() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err == nil && info.IsDir() {
		return shm
	}
	return os.TempDir()
}

// parseSize reads a size such as 1000000, 256MiB or 2GiB.
func parseSize(s string) (int64, error) {
	number, unit := s, int64(1)
	for suffix, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(s, suffix); ok {
			number, unit = n, factor
		}
	}
	var n int64
	if _, err := fmt.Sscanf(number+"\n", "%d\n", &n); err != nil || n <= 0 || n > 1<<50/unit {
		return 0, fmt.Errorf("size %q: want a number of bytes, KiB, MiB or GiB", s)
	}
	return n * unit, nil
}

func rowNames() []string {
	var names []string
	for _, r := range allRows() {
		names = append(names, r.name)
	}
	return names
}

// chosen are the rows that a list names; all when it is empty.
func chosen(list string) ([]row, error) {
	if list == "" {
		return allRows(), nil
	}
	var out []row
next:
	for name := range strings.SplitSeq(list, ",") {
		for _, r := range allRows() {
			if r.name == strings.TrimSpace(name) {
				out = append(out, r)
				continue next
			}
		}
		return nil, fmt.Errorf("no row %q: there are %s", name, strings.Join(rowNames(), ", "))
	}
	return out, nil
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == hubArgument {
		os.Exit(hubMain())
	}
	if len(os.Args) == 2 && os.Args[1] == busyArgument {
		busy()
		return
	}
	mode, args := run, os.Args[1:]
	if len(args) > 0 && args[0] == runnerArgument {
		mode, args = runRunner, args[1:]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := mode(ctx, args, os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "peerbench:", err)
		os.Exit(1)
	}
}

// run is the program without its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	rows, err := chosen(o.only)
	if err != nil {
		return err
	}
	b := &bench{runs: o.runs, size: o.size, say: stderr}
	remove, err := b.makeFolders(o)
	if err != nil {
		return err
	}
	defer remove()
	if o.qbranch == "" {
		if o.qbranch, err = build(ctx, b.disk, ours); err != nil {
			return err
		}
	}
	m := machine{Command: "peerbench " + strings.Join(args, " "), Date: time.Now().UTC().Format(time.DateOnly)}
	if err := b.findTools(ctx, o, &m); err != nil {
		return err
	}
	if b.hub, err = startHub(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.hub.close()) }()
	m.look()
	m.Fast, m.Disk = fileSystem(b.fast), fileSystem(b.disk)
	lines, err := b.measure(ctx, rows)
	if err != nil {
		return err
	}
	return report(stdout, o.json, m, lines)
}

// makeFolders makes this run's own folders; remove takes them away.
func (b *bench) makeFolders(o options) (remove func(), err error) {
	if b.fast, err = os.MkdirTemp(o.fast, "peerbench-"); err != nil {
		return nil, err
	}
	if b.disk, err = os.MkdirTemp(o.disk, "peerbench-"); err != nil {
		os.RemoveAll(b.fast) // empty
		return nil, err
	}
	return func() {
		for _, dir := range []string{b.fast, b.disk} {
			if err := os.RemoveAll(dir); err != nil {
				b.logf("%v", err)
			}
		}
	}, nil
}

// build compiles one of this repository's commands as a release is.
func build(ctx context.Context, dir, command string) (string, error) {
	name := filepath.Join(dir, command)
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", name, "github.com/qbranch/qbranch/cmd/"+command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s (run this inside the repository, or give --qbranch): %w: %s", command, err, out)
	}
	return name, nil
}

// findTools looks for the tools that were asked for.
func (b *bench) findTools(ctx context.Context, o options, m *machine) error {
	for _, t := range allTools(o.qbranch, o.webui) {
		if t.name != ours && o.peers != "" && !listed(o.peers, t.name) {
			continue
		}
		t, err := t.find(ctx)
		if err != nil {
			if t.name == ours {
				return err
			}
			m.Absent = append(m.Absent, t.name)
			continue
		}
		v, err := t.versionLine(ctx)
		if err != nil {
			return err
		}
		b.tools = append(b.tools, t)
		m.Tools = append(m.Tools, t.name+": "+v)
	}
	return nil
}

func listed(list, name string) bool {
	for s := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(s) == name {
			return true
		}
	}
	return false
}

// measure runs the rows. A row that fails is reported in the table, and the
// others go on.
func (b *bench) measure(ctx context.Context, rows []row) ([]line, error) {
	var lines []line
	for _, r := range rows {
		b.logf("%s (load %s)", r.name, load())
		got, err := r.run(b, ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			b.logf("  %v", err)
			got = append(got, line{Measure: r.name, Verdict: unsettled, Note: r.name + ": " + err.Error()})
		}
		for _, l := range got {
			l.Row = r.name
			lines = append(lines, l)
		}
	}
	return lines, nil
}

func report(w io.Writer, asJSON bool, m machine, lines []line) error {
	if !asJSON {
		if err := m.print(w); err != nil {
			return err
		}
		return printTable(w, lines)
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	if err := out.Encode(m); err != nil {
		return err
	}
	for _, l := range lines {
		if err := out.Encode(l); err != nil {
			return err
		}
	}
	return nil
}
