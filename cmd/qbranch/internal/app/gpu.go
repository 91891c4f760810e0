package app

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// gpuTime bounds the question to the driver.
const gpuTime = 3 * time.Second

// checkGPU asks NVIDIA's tool, then the kernel. None is fine: fetching and
// verifying need none, and gen runs on the CPU.
func checkGPU(ctx context.Context) Check {
	c := Check{Name: "gpu", State: CheckOK, Detail: "none found; fetching, verifying and gen need none"}
	ctx, cancel := context.WithTimeout(ctx, gpuTime)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
	cmd.Stdout = &limitedBuffer{&out, 64 << 10}
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err == nil {
		if gpus := gpuLines(out.String()); len(gpus) > 0 {
			c.Detail = list(gpus, "; ", 8)
			return c
		}
	}
	switch {
	case exists("/proc/driver/nvidia/version"):
		c.State, c.Detail = CheckWarn, "an NVIDIA driver is loaded, and nvidia-smi does not tell of a GPU"
		c.Advice = "run nvidia-smi: driver and tool may be of different versions"
	case exists("/dev/kfd"):
		c.Detail = "one of AMD's, of which no more is known"
	}
	return c
}

// gpuLines reads "NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15", a line each.
func gpuLines(out string) []string {
	var gpus []string
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), ", ")
		if len(fields) == 3 && fields[0] != "" {
			gpus = append(gpus, fields[0]+", "+fields[1]+", driver "+fields[2])
		}
	}
	return gpus
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// limitedBuffer takes the first bytes and drops the rest.
type limitedBuffer struct {
	w    io.Writer
	left int
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}
