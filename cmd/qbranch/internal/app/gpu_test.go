package app

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant/vram/gpu"
)

// bench is a Linux machine whose nvidia-smi answers smi, by the first field that
// is asked for.
type bench struct {
	smi map[string]gpu.Output
	env map[string]string
}

func (b bench) OS() string                             { return "linux" }
func (b bench) LookupEnv(name string) (string, bool)   { v, ok := b.env[name]; return v, ok }
func (b bench) Glob(string) []string                   { return nil }
func (b bench) Memory() (total, free int64, err error) { return 0, 0, errors.ErrUnsupported }

func (b bench) ReadFile(name string) ([]byte, error) {
	if name == "/proc/meminfo" {
		return []byte("MemTotal: 32768000 kB\nMemAvailable: 16384000 kB\n"), nil
	}
	return nil, fs.ErrNotExist
}

func (b bench) Run(_ context.Context, c gpu.Command) (gpu.Output, error) {
	if c.Name == "nvidia-smi" && len(b.smi) > 0 {
		field, _, _ := strings.Cut(strings.TrimPrefix(c.Args[0], "--query-gpu="), ",")
		return b.smi[field], nil
	}
	return gpu.Output{}, exec.ErrNotFound
}

// twoCards is a machine with two cards.
func twoCards(env map[string]string) bench {
	return bench{env: env, smi: map[string]gpu.Output{
		"index": {Stdout: []byte("0, GPU-aaaa, NVIDIA GeForce RTX 3090, 24576, 24110, 316\n1, GPU-bbbb, NVIDIA GeForce RTX 3060, 12288, [N/A], [N/A]\n")},
		"compute_cap": {Stdout: []byte("8.6, [N/A], [N/A], 550.144.03, 1, 00000000:0A:00.0\n" +
			"8.6, [N/A], [N/A], 550.144.03, [N/A], 00000000:0B:00.0\n")},
	}}
}

func TestGPUs(t *testing.T) {
	for _, tc := range []struct {
		options GPUOptions
		want    string // the IDs of the cards to use
		fails   string
	}{
		{GPUOptions{System: twoCards(nil)}, "nvidia:0 nvidia:1", ""},
		{GPUOptions{System: twoCards(nil), Indexes: []string{"1"}}, "nvidia:1", ""},
		{GPUOptions{System: twoCards(nil), Indexes: []string{"2"}}, "", `GPU "2": there is no such card`},
		{GPUOptions{System: twoCards(nil), VRAM: "8,8"}, "simulated:0 simulated:1", ""},
		{GPUOptions{System: twoCards(nil), VRAM: "8,8", Indexes: []string{"simulated:1"}}, "simulated:1", ""},
		{GPUOptions{System: twoCards(nil), VRAM: "8 apples"}, "", "read --vram: "},
		{GPUOptions{System: twoCards(map[string]string{"QBRANCH_VRAM": "8"})}, "simulated:0", ""},
		{GPUOptions{System: twoCards(map[string]string{"CUDA_VISIBLE_DEVICES": ""})}, "", ""},
		{GPUOptions{System: bench{}}, "", ""},
	} {
		r, err := (&App{}).GPUs(t.Context(), tc.options)
		if tc.fails != "" {
			if err == nil || !strings.Contains(err.Error(), tc.fails) || FailureOf(err) != FailureUsage || HintOf(err) == "" {
				t.Errorf("%+v: got error %v (%d, hint %q), want %q", tc.options, err, FailureOf(err), HintOf(err), tc.fails)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", tc.options, err)
			continue
		}
		var got []string
		for _, g := range r.Visible() {
			got = append(got, g.ID)
		}
		if strings.Join(got, " ") != tc.want || *r.RAM.Available != 16384000<<10 {
			t.Errorf("%+v: got %q, want %q", tc.options, got, tc.want)
		}
	}
}

func TestCheckGPU(t *testing.T) {
	says := func(text string, code int) bench {
		return bench{smi: map[string]gpu.Output{"index": {Stdout: []byte(text), Code: code}}}
	}
	for _, tc := range []struct {
		system gpu.System
		state  CheckState
		detail string
		advice string
	}{
		{bench{}, CheckOK, "none found", ""},
		{twoCards(nil), CheckOK, "NVIDIA GeForce RTX 3090, 23.69 GiB, 23.54 GiB free, driver 550.144.03; NVIDIA GeForce RTX 3060, 12.00 GiB, driver", ""},
		{twoCards(map[string]string{"CUDA_VISIBLE_DEVICES": "-1"}), CheckWarn, "NVIDIA GeForce RTX 3090: CUDA_VISIBLE_DEVICES=-1 hides it", "'qbranch gpu'"},
		{twoCards(map[string]string{"QBRANCH_VRAM": "?"}), CheckWarn, `read QBRANCH_VRAM: "?" is not a size`, "write a size as"},
		{says("No devices were found\n", 6), CheckOK, "none found", ""},
		{says("Failed to initialize NVML: Driver/library version mismatch\n", 18), CheckWarn, "nvidia-smi: the driver that is loaded", "restart"},
		{says("0, GPU-a, NVIDIA GB10, [N/A], [N/A], [N/A]\n", 0), CheckOK, "NVIDIA GB10, 31.25 GiB, 15.63 GiB free", ""},
		{says("0, GPU-a, NVIDIA Something, [N/A], [N/A], [N/A]\n", 0), CheckOK, "NVIDIA Something, memory unknown", ""},
	} {
		c := checkGPU(t.Context(), tc.system)
		if c.State != tc.state || !strings.Contains(c.Detail, tc.detail) || (c.Advice == "") != (tc.advice == "") || !strings.Contains(c.Advice, tc.advice) {
			t.Errorf("got %+v, want %s, %q, %q", c, tc.state, tc.detail, tc.advice)
		}
	}
}
