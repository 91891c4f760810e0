package gpu

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is found into the cases of testdata")

// recording is a machine that was written down: testdata/machines/*.txt. What
// stands before the first section says what machine it is. Sections begin with
// a line "-- KIND ARGS --":
//
//	os                      as Go names it; linux when there is none
//	env NAME                the value of a variable
//	run CODE PROGRAM ARGS   standard output of a program that ends with CODE
//	warn PROGRAM ARGS       what it says on standard error
//	slow PROGRAM ARGS       it does not answer in time
//	refuse PROGRAM ARGS     it may not be run
//	file PATH               contents of a file
//	hex PATH                contents of a file, in hexadecimal
//	memory                  total and available, in bytes, as a system call has it
//	want                    what is to be found (summary)
type recording struct {
	t       *testing.T
	goos    string
	env     map[string]string
	runs    map[string]Output
	slow    map[string]bool
	refused map[string]bool
	files   map[string][]byte
	memory  string
	want    string
	source  string // the file without want
}

func readRecording(t *testing.T, name string) *recording {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{t: t, goos: "linux", env: map[string]string{}, runs: map[string]Output{}, slow: map[string]bool{}, refused: map[string]bool{}, files: map[string][]byte{}}
	sections := strings.Split("\n"+string(b), "\n-- ")
	for i, section := range sections[1:] {
		head, body, ok := strings.Cut(section, " --\n")
		if !ok {
			head, body, ok = strings.TrimSuffix(section, " --"), "", true
		}
		if i+2 < len(sections) && body != "" {
			body += "\n"
		}
		kind, args, _ := strings.Cut(head, " ")
		r.section(kind, args, body)
		if kind == "want" {
			r.source = strings.TrimPrefix(strings.Join(sections[:i+1], "\n-- "), "\n")
		}
	}
	return r
}

func (r *recording) section(kind, args, body string) {
	switch kind {
	case "os":
		r.goos = strings.TrimSpace(body)
	case "env":
		r.env[args] = strings.TrimSuffix(body, "\n")
	case "run":
		code, command, _ := strings.Cut(args, " ")
		n, err := strconv.Atoi(code)
		if err != nil {
			r.t.Fatalf("run %s: %v", args, err)
		}
		out := r.runs[command]
		out.Stdout, out.Code = []byte(body), n
		r.runs[command] = out
	case "warn":
		out := r.runs[args]
		out.Stderr = []byte(body)
		r.runs[args] = out
	case "slow":
		r.slow[args] = true
	case "refuse":
		r.refused[args] = true
	case "file":
		r.files[args] = []byte(body)
	case "hex":
		b, err := hex.DecodeString(strings.Join(strings.Fields(body), ""))
		if err != nil {
			r.t.Fatal(err)
		}
		r.files[args] = b
	case "memory":
		r.memory = body
	case "want":
		r.want = body
	default:
		r.t.Fatalf("a section %q is not known", kind)
	}
}

func (r *recording) OS() string { return r.goos }

func (r *recording) LookupEnv(name string) (string, bool) {
	v, ok := r.env[name]
	return v, ok
}

func (r *recording) Run(ctx context.Context, c Command) (Output, error) {
	line := strings.Join(append(slices.Clone(c.Env), c.words()...), " ")
	if out, ok := r.runs[line]; ok {
		return out, nil
	}
	if r.slow[line] {
		return Output{}, fmt.Errorf("run %s: %w", c.Name, errSlow)
	}
	if r.refused[line] {
		return Output{}, &exec.Error{Name: c.Name, Err: fs.ErrPermission}
	}
	for known := range r.runs {
		if slices.Contains(strings.Fields(known), c.Name) {
			r.t.Errorf("%s was run, which is not recorded:\n%s", c.Name, line)
		}
	}
	return Output{}, &exec.Error{Name: c.Name, Err: exec.ErrNotFound}
}

func (r *recording) ReadFile(name string) ([]byte, error) {
	if b, ok := r.files[name]; ok {
		return b, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (r *recording) Glob(pattern string) []string {
	var names []string
	for name := range r.files {
		if ok, err := path.Match(pattern, name); err != nil {
			r.t.Error(err)
		} else if ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (r *recording) Memory() (total, available int64, err error) {
	if _, err := fmt.Sscan(r.memory, &total, &available); err != nil {
		return 0, 0, errors.ErrUnsupported
	}
	return total, available, nil
}

// summary is a report as the cases have it.
func summary(r *Report) string {
	var b strings.Builder
	bytes := func(n *int64) string {
		switch {
		case n == nil:
			return "?"
		case *n%(1<<20) == 0:
			return fmt.Sprintf("%d MiB", *n>>20)
		}
		return strconv.FormatInt(*n, 10)
	}
	for _, g := range r.GPUs {
		fmt.Fprintf(&b, "%s %q by %s: total %s, free %s, reserved %s", g.ID, g.Name, g.Probe, bytes(g.Total), bytes(g.Free), bytes(g.Reserved))
		if g.Device != nil {
			fmt.Fprintf(&b, ", device %d", *g.Device)
		}
		if g.Shared {
			b.WriteString(", shared")
		}
		if g.Approximate {
			b.WriteString(", approximate")
		}
		for _, part := range []struct{ name, value string }{{"mig", g.MIG}, {"uuid", g.UUID}, {"pci", g.PCI}, {"compute", g.ComputeCap}, {"driver", g.Driver}} {
			if part.value != "" {
				fmt.Fprintf(&b, ", %s %s", part.name, part.value)
			}
		}
		b.WriteByte('\n')
		if g.Hidden != "" {
			fmt.Fprintf(&b, "\thidden: %s\n", g.Hidden)
		}
		for _, n := range g.Notes {
			fmt.Fprintf(&b, "\tnote: %s\n", n)
		}
	}
	for _, s := range r.Selections {
		fmt.Fprintf(&b, "%s=%s\n", s.Variable, s.Value)
		for _, n := range s.Notes {
			fmt.Fprintf(&b, "\tnote: %s\n", n)
		}
	}
	for _, p := range r.Probes {
		fmt.Fprintf(&b, "%s %s: %s\n", p.Name, p.State, p.Detail)
		if p.Advice != "" {
			fmt.Fprintf(&b, "\tadvice: %s\n", p.Advice)
		}
	}
	fmt.Fprintf(&b, "ram: total %s, available %s", bytes(r.RAM.Total), bytes(r.RAM.Available))
	if r.RAM.Limit != "" {
		b.WriteString(", limit by " + r.RAM.Limit)
	}
	b.WriteByte('\n')
	return b.String()
}

func TestMachines(t *testing.T) {
	names, err := filepath.Glob("testdata/machines/*.txt")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d recordings, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			rec := readRecording(t, name)
			r, err := Detect(t.Context(), rec, Options{})
			if err != nil {
				t.Fatal(err)
			}
			sane(t, r)
			got := summary(r)
			if *update {
				if err := os.WriteFile(name, []byte(rec.source+"\n-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != rec.want {
				t.Errorf("got\n%s\nwant\n%s", got, rec.want)
			}
		})
	}
}

// sane demands what holds of every report.
func sane(t *testing.T, r *Report) {
	t.Helper()
	ids := map[string]bool{}
	for _, g := range r.GPUs {
		if ids[g.ID] {
			t.Errorf("two cards are %s", g.ID)
		}
		ids[g.ID] = true
		if g.Name != plain(g.Name) || g.Name == "" || g.UUID != plain(g.UUID) {
			t.Errorf("%s is called %q, %q", g.ID, g.Name, g.UUID)
		}
		if g.Total != nil && (*g.Total < 0 || *g.Total > most) || g.Free != nil && *g.Free < 0 {
			t.Errorf("%s has %d, %d", g.ID, *g.Total, *g.Free)
		}
		if (g.Hidden == "") != (g.Device != nil) {
			t.Errorf("%s: hidden %q, and device %v", g.ID, g.Hidden, g.Device)
		}
		if c := g.Card(); g.Total == nil && c.Total != 0 || g.Free == nil && c.Free >= 0 {
			t.Errorf("%s: what is not known became %+v", g.ID, c)
		}
	}
	for _, p := range r.Probes {
		if p.Detail == "" || p.Detail != plainLong(p.Detail) {
			t.Errorf("%s says %q", p.Name, p.Detail)
		}
		if p.State == Failed && p.Advice == "" {
			t.Errorf("%s failed without advice: %s", p.Name, p.Detail)
		}
	}
}
