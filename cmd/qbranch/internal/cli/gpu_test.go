package cli

import (
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func gpuMachine() *app.GPUReport {
	const gib = 1 << 30
	return &app.GPUReport{
		GPUs: []app.GPU{
			{ID: "nvidia:0", Vendor: "nvidia", Device: p(1), Name: "NVIDIA GeForce RTX 3090", Total: p[int64](24 * gib), Free: p[int64](23 * gib), Reserved: p[int64](gib / 4), Probe: "nvidia-smi"},
			{ID: "nvidia:1", Vendor: "nvidia", Device: p(0), Name: "odd\x1b[2J", Probe: "nvidia-smi", Notes: []string{"how much memory it has is not known"}},
			{ID: "amd:0", Vendor: "amd", Name: "AMD Radeon Graphics", Total: p[int64](gib), Shared: true, Approximate: true, Probe: "amd-sysfs", Hidden: "part of the processor"},
		},
		Probes: []app.GPUProbe{
			{Name: "nvidia-smi", State: app.GPUFound, Detail: "2 cards"},
			{Name: "rocm-smi", State: app.GPUFailed, Detail: "no answer within 2s", Advice: "run it"},
		},
	}
}

func TestGPUText(t *testing.T) {
	want := `
GPU       Seen as  Name                              Total       Free  Driver's  Found by
nvidia:1        0  odd                                   ?          ?         ?  nvidia-smi
nvidia:0        1  NVIDIA GeForce RTX 3090       24.00 GiB  23.00 GiB  0.25 GiB  nvidia-smi
amd:0           -  AMD Radeon Graphics      about 1.00 GiB          ?         ?  amd-sysfs, shared with the CPU
nvidia:1: how much memory it has is not known
amd:0 is not used: part of the processor

main memory: ?, ? available

how they were looked for:
  found    nvidia-smi    2 cards
  failed   rocm-smi      no answer within 2s
                         run it
`
	if got := "\n" + paint(false).gpuReport(gpuMachine()); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

func TestGPUTextWithoutCards(t *testing.T) {
	r := gpuMachine()
	r.GPUs, r.Probes = nil, nil
	r.RAM.Total, r.RAM.Available, r.RAM.Limit = p[int64](4<<30), p[int64](3<<30), "the control group"
	want := `
no GPU found: only the CPU and main memory count
for a card that is elsewhere: QBRANCH_VRAM=24GiB, or qbranch fit REPO --vram 24GiB

main memory: 4.00 GiB, 3.00 GiB available; the control group allows no more

how they were looked for:
`
	if got := "\n" + paint(false).gpuReport(r); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
	r.GPUs = gpuMachine().GPUs[2:]
	want = `
no GPU to use: only the CPU and main memory count

GPU    Seen as  Name                          Total  Free  Driver's  Found by
amd:0        -  AMD Radeon Graphics  about 1.00 GiB     ?         ?  amd-sysfs, shared with the CPU
amd:0 is not used: part of the processor

main memory: 4.00 GiB, 3.00 GiB available; the control group allows no more

how they were looked for:
`
	if got := "\n" + paint(false).gpuReport(r); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}
