package gpu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qbranch/qbranch/quant/vram"
)

// TestMain lets tests run this binary as a tool of a driver.
func TestMain(m *testing.M) {
	switch os.Getenv("TOOL") {
	case "":
		os.Exit(m.Run())
	case "fails":
		fmt.Println("said")
		fmt.Fprintln(os.Stderr, "warned "+os.Getenv("LD_LIBRARY_PATH"))
		os.Exit(7)
	case "talks":
		for range 3 << 10 {
			fmt.Println(strings.Repeat("x", 1023))
		}
	case "hangs":
		fmt.Println("begins")
		time.Sleep(time.Hour)
	}
}

func TestMachineRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, kind string) (Output, error) {
		return Machine{}.Run(ctx, Command{Name: self, Env: []string{"TOOL=" + kind, "LD_LIBRARY_PATH=/here"}})
	}
	out, err := run(t.Context(), "fails")
	if err != nil || out.Code != 7 || strings.TrimSpace(string(out.Stdout)) != "said" || strings.TrimSpace(string(out.Stderr)) != "warned /here" {
		t.Errorf("got %+v, %v", out, err)
	}
	out, err = run(t.Context(), "talks")
	if err != nil || len(out.Stdout) != mostOutput {
		t.Errorf("%d bytes are kept, %v", len(out.Stdout), err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errSlow)
	defer cancel()
	if out, err = run(ctx, "hangs"); !errors.Is(err, errSlow) || absent(err) {
		t.Errorf("a tool that hangs: got %+v, %v", out, err)
	}
	for _, name := range []string{"no-such-tool-anywhere", filepath.Join(t.TempDir(), "none")} {
		if _, err := (Machine{}).Run(t.Context(), Command{Name: name}); !absent(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMachineFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"card0", "card1", "card1-DP-1"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "vendor"), []byte(strings.Repeat("v", mostOutput+1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := Machine{}
	if got := m.Glob(filepath.ToSlash(dir) + "/card?/vendor"); len(got) != 2 {
		t.Errorf("got %q", got)
	}
	if b, err := m.ReadFile(filepath.Join(dir, "card0", "vendor")); err != nil || len(b) != mostOutput {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := m.ReadFile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// This machine can be asked, whatever it has.
func TestMachine(t *testing.T) {
	r, err := Detect(t.Context(), Machine{}, Options{VRAM: "auto", Source: "--vram"})
	if err != nil {
		t.Fatal(err)
	}
	sane(t, r)
	if total := r.RAM.Total; (runtime.GOOS == "linux" || runtime.GOOS == "windows" || runtime.GOOS == "darwin") && (total == nil || *total < 1<<26) {
		t.Errorf("main memory: %v", total)
	}
}

// hanging is a machine with every tool, none of which ever answers.
type hanging struct{ *recording }

func (h hanging) Run(ctx context.Context, c Command) (Output, error) {
	<-ctx.Done()
	return Output{}, fmt.Errorf("run %s: %w", c.Name, context.Cause(ctx))
}

// Tools that hang cost their time once, side by side, and are named.
func TestHanging(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		synctest.Test(t, func(t *testing.T) {
			rec := &recording{t: t, goos: goos}
			start := time.Now()
			r, err := Detect(t.Context(), hanging{rec}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 3*Patience {
				t.Errorf("%s: it took %v", goos, took)
			}
			failed := 0
			for _, p := range r.Probes {
				if p.State == Failed {
					failed++
				}
				if p.State == Found {
					t.Errorf("%s: %s found something", goos, p.Name)
				}
			}
			if failed == 0 {
				t.Errorf("%s: nothing failed: %+v", goos, r.Probes)
			}
		})
	}
}

// Whoever no longer wants to know gets no half report.
func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(Patience/2, cancel)
		if r, err := Detect(ctx, hanging{&recording{t: t, goos: "linux"}}, Options{}); !errors.Is(err, context.Canceled) || r != nil {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

func TestDescribed(t *testing.T) {
	for _, tc := range []struct{ flag, env, want string }{
		{"24GiB", "", "24.00 GiB"},
		{"24", "8GiB", "24.00 GiB"}, // the flag wins
		{"", "24GB", "22.35 GiB"},
		{"24,12GiB", "", "24.00 GiB 12.00 GiB"},
		{"auto", "24", ""}, // to look is a wish as well
		{"", "auto", ""},
		{"lots", "", "error"},
		{"24,,", "", "error"},
		{"", "-1", "error"},
		{"0", "", "error"},
		{strings.Repeat("1,", 100) + "1", "", "error"},
	} {
		rec := &recording{t: t, goos: "linux", env: map[string]string{}}
		if tc.env != "" {
			rec.env["QBRANCH_VRAM"] = tc.env
		}
		r, err := Detect(t.Context(), rec, Options{VRAM: tc.flag, Source: "--vram"})
		var wrong *vram.SizeError
		if errors.As(err, &wrong) != (tc.want == "error") {
			t.Errorf("%+v: %v", tc, err)
		}
		if err != nil {
			continue
		}
		var sizes []string
		for _, g := range r.Visible() {
			sizes = append(sizes, vram.GiBText(*g.Free))
		}
		if got := strings.Join(sizes, " "); got != tc.want || r.Simulated() != (got != "") {
			t.Errorf("%+v: got %q", tc, got)
		}
	}
}

func TestAbsent(t *testing.T) {
	for err, want := range map[error]bool{
		&exec.Error{Name: "x", Err: exec.ErrNotFound}:                  true,
		&fs.PathError{Op: "fork/exec", Path: "x", Err: fs.ErrNotExist}: true,
		&exec.Error{Name: "x", Err: fs.ErrPermission}:                  false,
		&exec.Error{Name: "x", Err: exec.ErrDot}:                       true, // somebody's nvidia-smi in the folder one happens to be in
		errSlow:                                                        false,
		fmt.Errorf("x: %w", context.DeadlineExceeded):                  false,
	} {
		if got := absent(err); got != want {
			t.Errorf("%v: got %v", err, got)
		}
	}
}
