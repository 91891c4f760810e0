package app

import (
	"errors"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant/vram/gpu"
)

// TestFitMemory: what branches are measured against.
func TestFitMemory(t *testing.T) {
	const gib = 1 << 30
	for _, tc := range []struct {
		what   string
		o      FitOptions
		memory string
		free   []int64 // of the cards; -1 = not known
		ram    bool    // main memory is graded
	}{
		{"said", FitOptions{VRAM: "24GiB", System: twoCards(nil)}, "--vram", []int64{24 * gib}, false},
		{"a bare number", FitOptions{VRAM: "24,12", VRAMFrom: "--split"}, "--split", []int64{24 * gib, 12 * gib}, false},
		{"by a variable", FitOptions{VRAM: "8", VRAMFrom: "QBRANCH_VRAM"}, "QBRANCH_VRAM", []int64{8 * gib}, false},
		{"found", FitOptions{System: twoCards(nil)}, MemoryGPU, []int64{24110 << 20, -1}, true},
		{"found, whatever the variable", FitOptions{VRAM: "auto", System: twoCards(map[string]string{"QBRANCH_VRAM": "8"})}, MemoryGPU, []int64{24110 << 20, -1}, true},
		{"one of them", FitOptions{GPUs: []string{"0"}, System: twoCards(nil)}, MemoryGPU, []int64{24110 << 20}, true},
		{"no card", FitOptions{System: bench{}}, "", nil, true},
		{"hidden cards", FitOptions{System: twoCards(map[string]string{"CUDA_VISIBLE_DEVICES": ""})}, "", nil, true},
		{"the CPU", FitOptions{Engine: "cpu", System: bench{}}, MemoryRAM, []int64{16384000 << 10}, true},
		{"the CPU, whatever the variable", FitOptions{Engine: "cpu", VRAM: "8", VRAMFrom: "QBRANCH_VRAM", System: bench{}}, MemoryRAM, []int64{16384000 << 10}, true},
	} {
		f, err := newFitter(tc.o)
		if err != nil {
			t.Errorf("%s: %v", tc.what, err)
			continue
		}
		if err := f.findMemory(t.Context(), &App{}); err != nil {
			t.Errorf("%s: %v", tc.what, err)
			continue
		}
		if f.memory != tc.memory || len(f.cards) != len(tc.free) || (f.ram != nil) != tc.ram {
			t.Errorf("%s: got %q, cards %+v, main memory %+v", tc.what, f.memory, f.cards, f.ram)
			continue
		}
		for i, c := range f.cards {
			if c.Free != tc.free[i] {
				t.Errorf("%s: card %d: got %d bytes free, want %d", tc.what, i, c.Free, tc.free[i])
			}
		}
		found, described := tc.memory == MemoryGPU, strings.HasPrefix(tc.memory, "--") || tc.memory == "QBRANCH_VRAM"
		if (f.machine != nil) != (found || described || tc.memory == MemoryRAM) || found && f.machine.CC != "8.6" ||
			tc.memory == MemoryRAM && f.machine.Vendor != "none" || described && !(f.machine.Vendor == "nvidia" && f.machine.AnyCC) {
			t.Errorf("%s: got machine %+v", tc.what, f.machine)
		}
	}
}

// TestFitOptions: what cannot be is a usage error before anything is asked.
func TestFitOptions(t *testing.T) {
	for _, tc := range []struct {
		o     FitOptions
		fails string
	}{
		{FitOptions{VRAM: "much"}, `--vram: "much" is not a size`},
		{FitOptions{VRAM: "24,"}, "--vram: "},
		{FitOptions{VRAM: "24,x", VRAMFrom: "QBRANCH_VRAM"}, `QBRANCH_VRAM: "x" is not a size`},
		{FitOptions{VRAM: "24GiB", VRAMFrom: "--vram", Engine: "cpu"}, "--engine: qbranch gen runs in main memory"},
		{FitOptions{GPUs: []string{"0"}, Engine: "cpu"}, "--engine: qbranch gen runs in main memory"},
		{FitOptions{Engine: "wombat"}, `--engine: "wombat" is not known`},
		{FitOptions{KV: "q2"}, "--kv: "},
		{FitOptions{Context: -1}, "--ctx: "},
	} {
		_, err := newFitter(tc.o)
		if err == nil || !strings.HasPrefix(err.Error(), tc.fails) || FailureOf(err) != FailureUsage {
			t.Errorf("%+v: got %v, want %s", tc.o, err, tc.fails)
		}
	}
	f, err := newFitter(FitOptions{GPUs: []string{"7"}, System: twoCards(nil)})
	var unknown *gpu.SelectError
	if err == nil {
		err = f.findMemory(t.Context(), &App{})
	}
	if !errors.As(err, &unknown) || FailureOf(err) != FailureUsage {
		t.Errorf("a card that is not there: got %v", err)
	}
}

// TestWhyNoCard: a machine that has a card and cannot use it is told apart from one
// that has none.
func TestWhyNoCard(t *testing.T) {
	failed := gpu.Probe{Name: "nvidia-smi", State: gpu.Failed, Detail: "the driver is not loaded: NVIDIA-SMI has failed because …"}
	for _, tc := range []struct {
		what string
		r    gpu.Report
		want string
	}{
		{"no card", gpu.Report{Probes: []gpu.Probe{{Name: "nvidia-smi", State: gpu.None, Detail: "there is none"}}}, ""},
		{"a driver that is not loaded", gpu.Report{Probes: []gpu.Probe{failed}}, "nvidia-smi: the driver is not loaded"},
		{"a card beside it", gpu.Report{GPUs: []gpu.GPU{{Name: "Arc A770"}}, Probes: []gpu.Probe{failed}}, ""},
		{"a hidden card", gpu.Report{GPUs: []gpu.GPU{{Name: "NVIDIA L4", Hidden: "CUDA_VISIBLE_DEVICES= hides it"}}}, "NVIDIA L4: CUDA_VISIBLE_DEVICES= hides it"},
	} {
		if got := whyNoCard(&tc.r); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.what, got, tc.want)
		}
	}
	f, err := newFitter(FitOptions{System: twoCards(map[string]string{"CUDA_VISIBLE_DEVICES": ""})})
	if err == nil {
		err = f.findMemory(t.Context(), &App{})
	}
	if err != nil || !strings.Contains(f.noCard, "CUDA_VISIBLE_DEVICES= hides it") {
		t.Errorf("got %q, %v", f.noCard, err)
	}
}
