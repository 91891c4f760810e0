package main

import (
	"bytes"
	"context"
	_ "embed" // llama.py
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The runner mode measures qbranch bench beside llama.cpp.
const (
	runnerArgument = "runner"
	busyArgument   = "__busy"
	pythonVariable = "QBRANCH_LLAMA_PYTHON"
)

// llamaScript makes the peer's model and measures it.
//
//go:embed llama.py
var llamaScript []byte

// runnerOptions are the flags of the runner mode.
type runnerOptions struct {
	qbranch, python string
	dir             string // of the models; "" = a temporary one
	runs            int
	prompt, tokens  int
	widths, busy    bool
	json            bool
}

// speed is what one run of either program says of itself.
type speed struct {
	Load    float64 `json:"load_seconds"`
	Prefill float64 `json:"prefill_tokens_per_second"`
	Decode  float64 `json:"decode_tokens_per_second"`

	// Of qbranch alone.
	Rate   float64 `json:"decode_bytes_per_second"`
	Read   float64 `json:"read_bytes_per_second"`
	Memory struct {
		Peak int64 `json:"peak"`
		Own  int64 `json:"own"`
	} `json:"memory"`

	Version string `json:"version"` // of the peer
}

// setting is how a pair of runs is made.
type setting struct {
	threads int
	busy    bool // another process uses a core
}

func (s setting) String() string {
	text := fmt.Sprintf("%d threads", s.threads)
	if s.threads == 1 {
		text = "1 thread"
	}
	if s.busy {
		text += ", one other busy process"
	}
	return text
}

// runner is one command of the runner mode.
type runner struct {
	o       runnerOptions
	say     io.Writer
	work    string // a folder of this run
	maker   string // gptqmake
	script  string // llama.py
	version string // of the peer
}

func parseRunner(args []string, stderr io.Writer) (runnerOptions, error) {
	var o runnerOptions
	f := flag.NewFlagSet("peerbench runner", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.qbranch, "qbranch", "", "the `program` to measure; built from this repository when empty")
	f.StringVar(&o.python, "llama", os.Getenv(pythonVariable), "a `Python` that has llama_cpp, gguf and numpy (default $"+pythonVariable+")")
	f.StringVar(&o.dir, "models", "", "keep the models, 4 GB, in this `folder`; they are made and removed when empty")
	f.IntVar(&o.runs, "runs", 3, "`rounds`; every number is their median")
	f.IntVar(&o.prompt, "prompt", 128, "`tokens` of the prompt")
	f.IntVar(&o.tokens, "tokens", 64, "`tokens` to decode")
	f.BoolVar(&o.widths, "widths", true, "measure qbranch with 2, 3 and 8 bits and with act-order too")
	f.BoolVar(&o.busy, "busy", true, "measure beside a busy process too")
	f.BoolVar(&o.json, "json", false, "print the lines as JSON, one object a line, instead of the table")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.runs < 1 || o.prompt < 1 || o.tokens < 1 {
		return o, errors.New("--runs, --prompt and --tokens: at least 1")
	}
	return o, nil
}

// runRunner is the runner mode without its exit code.
func runRunner(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseRunner(args, stderr)
	if err != nil {
		return err
	}
	r := &runner{o: o, say: stderr}
	if why := r.peerMissing(ctx); why != "" {
		_, err := fmt.Fprintf(stdout, "the comparison with llama.cpp is skipped: %s\n", why)
		return err
	}
	if r.work, err = os.MkdirTemp("", "peerbench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	version, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	m := machine{Command: "peerbench runner " + strings.Join(args, " "), Date: time.Now().UTC().Format(time.DateOnly)}
	m.look()
	lines, err := r.measure(ctx)
	if err != nil {
		return err
	}
	m.Tools = []string{ours + ": " + version, "llama-cpp-python: " + r.version}
	return report(stdout, o.json, m, lines)
}

// peerMissing says why there is nothing to compare with, "" when there is.
func (r *runner) peerMissing(ctx context.Context) string {
	if r.o.python == "" {
		return "$" + pythonVariable + " names no Python that has it (pip install llama-cpp-python gguf numpy)"
	}
	if out, err := exec.CommandContext(ctx, r.o.python, "-c", "import llama_cpp, gguf, numpy").CombinedOutput(); err != nil {
		return fmt.Sprintf("%s cannot import llama_cpp, gguf and numpy: %v: %s", r.o.python, err, bytes.TrimSpace(out))
	}
	return ""
}

// prepare builds the programs, writes the script, and says what version of
// qbranch it is.
func (r *runner) prepare(ctx context.Context) (version string, err error) {
	if r.o.qbranch == "" {
		if r.o.qbranch, err = build(ctx, r.work, ours); err != nil {
			return "", err
		}
	}
	if r.maker, err = build(ctx, r.work, "gptqmake"); err != nil {
		return "", err
	}
	if r.o.dir == "" {
		r.o.dir = r.work
	}
	r.script = filepath.Join(r.work, "llama.py")
	if err := os.WriteFile(r.script, llamaScript, 0o666); err != nil {
		return "", err
	}
	out, err := r.output(ctx, r.o.qbranch, "version")
	line, _, _ := strings.Cut(string(out), "\n")
	return line, err
}

// model makes a checkpoint of TinyLlama's shape unless it is there.
func (r *runner) model(ctx context.Context, name string, flags ...string) (string, error) {
	dir := filepath.Join(r.o.dir, "tinyllama-"+name)
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
		return dir, nil
	}
	_, err := r.output(ctx, append(append([]string{r.maker, "-preset", "tinyllama"}, flags...), dir)...)
	return dir, err
}

func (r *runner) peerModel(ctx context.Context) (string, error) {
	path := filepath.Join(r.o.dir, "tinyllama-q4_0.gguf")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	_, err := r.output(ctx, r.o.python, r.script, "make", path)
	return path, err
}

// output runs a program and returns what it printed.
func (r *runner) output(ctx context.Context, args ...string) ([]byte, error) {
	fmt.Fprintln(r.say, " ", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(environment(), "HOME="+r.work)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

func (r *runner) run(ctx context.Context, args ...string) (speed, error) {
	out, err := r.output(ctx, args...)
	if err != nil {
		return speed{}, err
	}
	var s speed
	if err := json.Unmarshal(out, &s); err != nil || s.Prefill <= 0 || s.Decode <= 0 {
		return s, fmt.Errorf("%s: no speeds in %q: %v", strings.Join(args, " "), out, err)
	}
	return s, nil
}

func (r *runner) ours(ctx context.Context, dir string, threads int) (speed, error) {
	return r.run(ctx, r.o.qbranch, "bench", dir, "--json", "--threads", fmt.Sprint(threads),
		"--prompt", fmt.Sprint(r.o.prompt), "-n", fmt.Sprint(r.o.tokens))
}

func (r *runner) theirs(ctx context.Context, gguf string, threads int) (speed, error) {
	return r.run(ctx, r.o.python, r.script, "run", gguf, fmt.Sprint(threads), fmt.Sprint(r.o.prompt), fmt.Sprint(r.o.tokens))
}

// measure runs both programs in turn, in every setting.
func (r *runner) measure(ctx context.Context) ([]line, error) {
	dir, err := r.model(ctx, "4bit-128g")
	if err != nil {
		return nil, err
	}
	gguf, err := r.peerModel(ctx)
	if err != nil {
		return nil, err
	}
	settings := []setting{{2, false}, {1, false}}
	if r.o.busy {
		settings = append(settings, setting{2, true})
	}
	mine, peer := make(map[setting][]speed), make(map[setting][]speed)
	for range r.o.runs {
		for _, s := range settings {
			fmt.Fprintf(r.say, "%v (load %s)\n", s, load())
			a, b, err := r.pair(ctx, s, dir, gguf)
			if err != nil {
				return nil, err
			}
			mine[s], peer[s] = append(mine[s], a), append(peer[s], b)
			r.version = b.Version
		}
	}
	var lines []line
	for _, s := range settings {
		lines = append(lines, compared(s, mine[s], peer[s])...)
	}
	lines = append(lines, ownLines(mine[settings[0]], peer[settings[0]])...)
	if !r.o.widths {
		return lines, nil
	}
	others, err := r.otherWidths(ctx)
	return append(lines, others...), err
}

// pair is one run of each, while another process is busy if that is asked for.
func (r *runner) pair(ctx context.Context, s setting, dir, gguf string) (mine, peer speed, err error) {
	if s.busy {
		stop, err := startBusy(ctx)
		if err != nil {
			return mine, peer, err
		}
		defer stop()
	}
	if mine, err = r.ours(ctx, dir, s.threads); err != nil {
		return mine, peer, err
	}
	peer, err = r.theirs(ctx, gguf, s.threads)
	return mine, peer, err
}

// startBusy starts a process that does nothing but use a core.
func startBusy(ctx context.Context) (stop func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, busyArgument)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = cmd.Process.Kill() // it may be gone with ctx
		_ = cmd.Wait()         // "killed" is what it says
	}, nil
}

// busy uses a core until the process is killed, or for an hour.
func busy() {
	for end, n := time.Now().Add(time.Hour), uint64(1); time.Now().Before(end); {
		for range 1 << 20 {
			n = n*6364136223846793005 + 1
		}
		if n == 0 {
			break // so that the loop is for something
		}
	}
}

// otherWidths measures qbranch alone against the plain read.
func (r *runner) otherWidths(ctx context.Context) ([]line, error) {
	models := []struct {
		name  string
		flags []string
	}{
		{"8bit-128g", []string{"-bits", "8"}},
		{"3bit-128g", []string{"-bits", "3"}},
		{"2bit-64g", []string{"-bits", "2", "-group", "64"}},
		{"4bit-128g-act", []string{"-act-order"}},
	}
	got := make([][]speed, len(models))
	for range r.o.runs {
		for i, m := range models {
			dir, err := r.model(ctx, m.name, m.flags...)
			if err != nil {
				return nil, err
			}
			s, err := r.ours(ctx, dir, 2)
			if err != nil {
				return nil, err
			}
			got[i] = append(got[i], s)
		}
	}
	var lines []line
	for i, m := range models {
		lines = append(lines, bandwidth(m.name+", 2 threads", 75, got[i]))
	}
	return lines, nil
}

// of is the median of a field.
func of(runs []speed, field func(speed) float64) float64 {
	var values []float64
	for _, s := range runs {
		values = append(values, field(s))
	}
	return median(values)
}

func decodeOf(s speed) float64  { return s.Decode }
func prefillOf(s speed) float64 { return s.Prefill }

// shareOf is what decoding reads a second, of what a plain read gives: 0 to 1.
func shareOf(s speed) float64 { return s.Rate / s.Read }

// compared are the lines of a setting. The targets are for two threads.
func compared(s setting, mine, peer []speed) []line {
	var lines []line
	for _, m := range []struct {
		name  string
		field func(speed) float64
	}{{"decode", decodeOf}, {"prompt", prefillOf}} {
		a, b := of(mine, m.field), of(peer, m.field)
		l := line{Row: runnerArgument, Measure: fmt.Sprintf("%s, %v", m.name, s), Ours: fmt.Sprintf("%.1f tokens/s (%s)", a, ratio(a/b)),
			Peers: []value{{"llama.cpp", fmt.Sprintf("%.1f tokens/s", b)}}}
		if s.threads == 2 {
			least := 1.3
			if s.busy {
				least = 3
			}
			l.Target, l.Verdict = fmt.Sprintf("≥ %.1f ×", least), judge(a/b >= least)
		}
		lines = append(lines, l)
	}
	if s.busy {
		return lines // the plain read would share the machine, too
	}
	least := 0.0
	if s.threads == 2 {
		least = 75
	}
	return append(lines, bandwidth(fmt.Sprintf("4bit-128g, %v", s), least, mine))
}

// bandwidth is the line of one model's decoding against the plain read; least
// is in per cent, 0 = no target.
func bandwidth(name string, least float64, runs []speed) line {
	share := 100 * of(runs, shareOf)
	l := line{Row: runnerArgument, Measure: "memory read by decoding, " + name, Ours: fmt.Sprintf("%.1f GB/s, %.0f %% of %.1f (%.1f tokens/s, prompt %.0f)",
		of(runs, func(s speed) float64 { return s.Rate })/1e9, share, of(runs, func(s speed) float64 { return s.Read })/1e9, of(runs, decodeOf), of(runs, prefillOf))}
	if least > 0 {
		l.Target, l.Verdict = fmt.Sprintf("≥ %.0f %% of a plain read", least), judge(share >= least)
	}
	return l
}

// ownLines are load time and memory.
func ownLines(mine, peer []speed) []line {
	loadOf := func(s speed) float64 { return s.Load }
	seconds := of(mine, loadOf)
	own := slices.MaxFunc(mine, func(a, b speed) int { return int(a.Memory.Own - b.Memory.Own) }).Memory.Own
	return []line{
		{Row: runnerArgument, Measure: "load", Target: "≤ 0.3 s", Ours: fmt.Sprintf("%.2f s", seconds),
			Peers: []value{{"llama.cpp", fmt.Sprintf("%.2f s", of(peer, loadOf))}}, Verdict: judge(seconds <= 0.3)},
		{Row: runnerArgument, Measure: "memory beside the mapped files", Target: "≤ 300 MB", Ours: fmt.Sprintf("%.0f MB", float64(own)/1e6), Verdict: judge(own <= 300e6)},
	}
}
